"""The vault keeps secrets encrypted, private and bound to their names."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from entente_common.errors import DataDirectoryProblem
from entente_common.identity.keys import generate_key, private_pem
from entente_common.identity.keystore import ENVIRONMENT_VARIABLE, KEY_FILE, Vault

KEY = Path("identity/key.pem")


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_key_comes_back_from_the_vault(tmp_path: Path) -> None:
    key = generate_key()
    Vault.open_or_create(tmp_path).write_private_key(KEY, key)
    found = Vault.open_or_create(tmp_path).read_private_key(KEY)
    assert found.private_numbers() == key.private_numbers()


def test_files_of_a_vault_are_private_and_hold_no_key_in_clear(tmp_path: Path) -> None:
    vault, key = Vault.open_or_create(tmp_path), generate_key()
    vault.write_private_key(KEY, key)
    vault.write_secret("pepper", b"sharp")
    clear = private_pem(key, passphrase=None)
    for path in tmp_path.rglob("*"):
        if path.is_file():
            assert mode_of(path) == 0o600
            assert clear not in path.read_bytes()
            assert b"sharp" not in path.read_bytes()
    assert b"ENCRYPTED" in (tmp_path / KEY).read_bytes()
    assert mode_of(tmp_path / "identity") == 0o700


def test_a_key_file_opens_with_the_vault_key_in_standard_tools(tmp_path: Path) -> None:
    vault, key = Vault.open_or_create(tmp_path), generate_key()
    vault.write_private_key(KEY, key)
    found = serialization.load_pem_private_key(
        (tmp_path / KEY).read_bytes(), password=(tmp_path / KEY_FILE).read_bytes().strip()
    )
    assert found.public_key() == key.public_key()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o666])
def test_a_vault_key_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    Vault.open_or_create(tmp_path)
    (tmp_path / KEY_FILE).chmod(mode)
    with pytest.raises(DataDirectoryProblem) as caught:
        Vault.open_or_create(tmp_path)
    assert "chmod 600" in caught.value.hint


def test_a_private_key_others_may_read_is_refused(tmp_path: Path) -> None:
    vault = Vault.open_or_create(tmp_path)
    vault.write_private_key(KEY, generate_key())
    (tmp_path / KEY).chmod(0o644)
    with pytest.raises(DataDirectoryProblem, match="open to other accounts"):
        vault.read_private_key(KEY)


def test_the_vault_key_can_live_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mounted = tmp_path / "mounted"
    mounted.write_text("k" * 40 + "\n")
    mounted.chmod(0o600)
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(mounted))
    home = tmp_path / "home"
    Vault.open_or_create(home).write_secret("pepper", b"sharp")
    assert not (home / KEY_FILE).exists()
    assert Vault.open_or_create(home).secret("pepper") == b"sharp"


def test_another_vault_key_opens_nothing_and_names_the_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault = Vault.open_or_create(tmp_path)
    vault.write_private_key(KEY, generate_key())
    vault.write_secret("pepper", b"sharp")
    other = tmp_path / "other.key"
    other.write_text("x" * 40)
    other.chmod(0o600)
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(other))
    stranger = Vault.open_or_create(tmp_path)
    for attempt in (lambda: stranger.read_private_key(KEY), lambda: stranger.secret("pepper")):
        with pytest.raises(DataDirectoryProblem) as caught:
            attempt()
        assert ENVIRONMENT_VARIABLE in caught.value.hint


@pytest.mark.parametrize("content", ["", "short", " " * 64])
def test_a_short_vault_key_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    weak = tmp_path / "weak"
    weak.write_text(content)
    weak.chmod(0o600)
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(weak))
    with pytest.raises(DataDirectoryProblem, match="shorter"):
        Vault.open_or_create(tmp_path / "home")


def test_a_missing_named_vault_key_is_not_made_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(tmp_path / "absent"))
    with pytest.raises(DataDirectoryProblem, match="cannot be read"):
        Vault.open_or_create(tmp_path / "home")
    assert not (tmp_path / "absent").exists()


def test_a_secret_cannot_take_the_place_of_another(tmp_path: Path) -> None:
    vault = Vault.open_or_create(tmp_path)
    vault.write_secret("first", b"one")
    vault.write_secret("second", b"two")
    (tmp_path / "secrets/first.sealed").replace(tmp_path / "secrets/second.sealed")
    with pytest.raises(DataDirectoryProblem, match="does not open"):
        vault.secret("second")


@pytest.mark.parametrize("damage", [b"", b"short", bytes(40)])
def test_a_damaged_secret_is_told(tmp_path: Path, damage: bytes) -> None:
    vault = Vault.open_or_create(tmp_path)
    vault.write_secret("pepper", b"sharp")
    (tmp_path / "secrets/pepper.sealed").write_bytes(damage)
    with pytest.raises(DataDirectoryProblem, match="does not open"):
        vault.secret("pepper")


def test_an_unknown_secret_is_none(tmp_path: Path) -> None:
    assert Vault.open_or_create(tmp_path).secret("pepper") is None


@pytest.mark.parametrize("name", ["", "../up", "a/b", "Upper", ".hidden"])
def test_a_secret_name_cannot_leave_its_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="cannot name"):
        Vault.open_or_create(tmp_path).write_secret(name, b"")


def test_the_vault_shows_no_key_when_printed(tmp_path: Path) -> None:
    vault = Vault.open_or_create(tmp_path)
    assert vault.passphrase.decode() not in repr(vault)


def test_a_directory_that_is_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataDirectoryProblem):
        Vault.open_or_create(tmp_path / "file")
