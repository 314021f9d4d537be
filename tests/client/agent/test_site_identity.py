"""An identity loads only when its parts belong together, are private, and are valid now."""

from __future__ import annotations

import json
import ssl
from pathlib import Path

import pytest

from entente_client.agent.settings import SETTINGS_FILE, AgentSettings
from entente_client.agent.site_identity import SiteIdentity, write_identity
from entente_common.clock import rfc3339, utc_now
from entente_common.contracts.site import Coordinator
from entente_common.errors import DataDirectoryProblem, InvalidSettings, UntrustedCertificate
from entente_common.identity.certificates import make_csr
from entente_common.identity.keys import PrivateKey, generate_key
from entente_common.identity.keystore import Vault
from fakes.coordinator import make_authority


def enrolled(home: Path, *, named: str = "north", certified: str = "north", days: int = 90) -> Path:
    """A directory as enrolment leaves it."""
    authority = make_authority(home.parent / "authority")
    key = generate_key()
    vault = Vault.open_or_create(home)
    (home / "identity").mkdir()
    write_identity(
        home / "identity",
        private_key=key,
        vault=vault,
        certificate_pem=authority.sign_site(make_csr(key), site=certified, days=days),
        ca_pem=authority.certificate_pem,
    )
    address = "127.0.0.1:9"
    AgentSettings(
        site=named,
        coordinator=Coordinator(enrolment=address, channel=address, fleet=address),
        enrolled_at=rfc3339(utc_now()),
    ).store(home)
    return home


def test_a_whole_identity_loads_and_makes_tls(tmp_path: Path) -> None:
    identity = SiteIdentity.load(enrolled(tmp_path / "north"))
    assert isinstance(identity.private_key, PrivateKey)
    context = identity.ssl_context()
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version is ssl.TLSVersion.TLSv1_3
    assert len(context.get_ca_certs()) == 1
    assert "PRIVATE KEY" not in repr(identity)


def test_an_empty_directory_names_the_cure(tmp_path: Path) -> None:
    with pytest.raises(DataDirectoryProblem) as caught:
        SiteIdentity.load(tmp_path)
    assert "entente agent enrol" in caught.value.hint
    assert list(tmp_path.iterdir()) == [], "looking changed the directory"


@pytest.mark.parametrize("name", ["key.pem", "certificate.pem", "ca.pem"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    home = enrolled(tmp_path / "north")
    (home / "identity" / name).unlink()
    with pytest.raises(DataDirectoryProblem, match=name):
        SiteIdentity.load(home)


def test_a_key_open_to_others_is_refused(tmp_path: Path) -> None:
    home = enrolled(tmp_path / "north")
    (home / "identity" / "key.pem").chmod(0o640)
    with pytest.raises(DataDirectoryProblem, match="other accounts"):
        SiteIdentity.load(home)


def test_a_certificate_over_another_key_is_refused(tmp_path: Path) -> None:
    home = enrolled(tmp_path / "north")
    Vault.open_or_create(home).write_private_key(Path("identity/key.pem"), generate_key())
    with pytest.raises(UntrustedCertificate, match="another key"):
        SiteIdentity.load(home)


def test_a_certificate_of_another_site_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UntrustedCertificate, match="'south'"):
        SiteIdentity.load(enrolled(tmp_path / "north", certified="south"))


def test_an_expired_certificate_names_the_cure(tmp_path: Path) -> None:
    with pytest.raises(UntrustedCertificate, match="expired") as caught:
        SiteIdentity.load(enrolled(tmp_path / "north", days=0))
    assert "invitation" in caught.value.hint


@pytest.mark.parametrize("text", ["", "{", "[]", '{"site": "north"}'])
def test_damaged_settings_are_named(tmp_path: Path, text: str) -> None:
    home = enrolled(tmp_path / "north")
    (home / SETTINGS_FILE).write_text(text)
    with pytest.raises(InvalidSettings, match=SETTINGS_FILE):
        SiteIdentity.load(home)


def test_unknown_settings_are_refused(tmp_path: Path) -> None:
    home = enrolled(tmp_path / "north")
    document = json.loads((home / SETTINGS_FILE).read_text()) | {"colour": "red"}
    (home / SETTINGS_FILE).write_text(json.dumps(document))
    with pytest.raises(InvalidSettings) as caught:
        SiteIdentity.load(home)
    assert [issue.path for issue in caught.value.issues] == ["colour"]
