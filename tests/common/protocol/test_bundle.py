"""The bundle names the installed code and carries none of it."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from entente_common import __version__
from entente_common.errors import MissingDependency
from entente_common.protocol import bundle


def entries() -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(bundle.application_bundle())) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_the_bundle_holds_no_code() -> None:
    assert sorted(entries()) == [".info/CONTENT", "entente.json", "pyproject.toml"]


def test_the_bundle_names_version_and_code() -> None:
    document = json.loads(entries()["entente.json"])
    assert document == {"code_digest": bundle.code_digest(), "version": __version__}


def test_the_bundle_is_the_same_in_another_process() -> None:
    program = "from entente_common.protocol.bundle import bundle_hash; print(bundle_hash())"
    told = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    bundle.code_digest.cache_clear()
    bundle.application_bundle.cache_clear()
    bundle.bundle_hash.cache_clear()
    assert told.stdout.strip() == bundle.bundle_hash()
    assert bundle.bundle_hash() == hashlib.sha256(bundle.application_bundle()).hexdigest()


def test_other_code_makes_another_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def digest_of(text: str) -> str:
        for package in ("entente_client", "entente_common"):
            (tmp_path / package).mkdir(exist_ok=True)
            (tmp_path / package / "__init__.py").write_text("")
        (tmp_path / "entente_client" / "train.py").write_text(text)
        program = "from entente_common.protocol.bundle import code_digest; print(code_digest())"
        source = Path(bundle.__file__).parents[1]
        for name in ("canonical", "errors"):
            copy = tmp_path / "entente_common" / f"{name}.py"
            copy.write_bytes((source / f"{name}.py").read_bytes())
        (tmp_path / "entente_common" / "__init__.py").write_text('__version__ = "0"')
        (tmp_path / "entente_common" / "protocol").mkdir(exist_ok=True)
        (tmp_path / "entente_common" / "protocol" / "__init__.py").write_text("")
        copy = tmp_path / "entente_common" / "protocol" / "bundle.py"
        copy.write_bytes(Path(bundle.__file__).read_bytes())
        told = subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            check=True,
            cwd=tmp_path,
            env={"PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"},
        )
        return told.stdout.strip()

    first = digest_of("rate = 1\n")
    assert first == digest_of("rate = 1\n")
    assert first != digest_of("rate = 2\n")


def test_a_missing_part_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    bundle.code_digest.cache_clear()
    monkeypatch.setattr(bundle, "find_spec", lambda _name: None)
    with pytest.raises(MissingDependency):
        bundle.code_digest()


def test_digesting_imports_no_site_code() -> None:
    program = (
        "import sys; from entente_common.protocol.bundle import bundle_hash; bundle_hash();"
        "print([m for m in sys.modules if m.startswith(('entente_client', 'torch', 'flwr'))])"
    )
    told = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert told.stdout.strip() == "[]"


def test_flower_reads_the_bundle() -> None:
    config = pytest.importorskip("flwr.cli.config_utils")
    identity, version = config.get_fab_metadata(bundle.application_bundle())
    assert (identity, version) == (bundle.BUNDLE_ID, __version__)


def test_flower_verifies_the_bundles_content_list(tmp_path: Path) -> None:
    install = pytest.importorskip("flwr.cli.install")
    for name, content in entries().items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    content_list = entries()[".info/CONTENT"].decode()
    assert install._verify_hashes(content_list, tmp_path)
    (tmp_path / "entente.json").write_text("{}")
    assert not install._verify_hashes(content_list, tmp_path)
