"""The authority decides every name in a certificate, and only its certificates are accepted."""

from __future__ import annotations

import ssl
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from entente_common.clock import utc_now
from entente_common.errors import (
    DataDirectoryProblem,
    EnrolmentRefused,
    InvalidSettings,
    UntrustedCertificate,
)
from entente_common.identity.certificates import (
    CA_CERTIFICATE,
    CertificateAuthority,
    expires_at,
    fingerprint,
    make_csr,
    public_key_of,
    site_of,
    verify_chain,
)
from entente_common.identity.keys import generate_key
from entente_common.identity.keystore import Vault
from fakes.coordinator import make_authority


@pytest.fixture
def authority(tmp_path: Path) -> CertificateAuthority:
    return make_authority(tmp_path / "authority")


def csr(key: object, *, name: str = "someone-else") -> bytes:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    request = builder.sign(key, hashes.SHA256())  # type: ignore[arg-type]
    return request.public_bytes(serialization.Encoding.PEM)


def test_the_authority_is_made_once_and_found_again(tmp_path: Path) -> None:
    first = make_authority(tmp_path)
    assert make_authority(tmp_path).certificate_pem == first.certificate_pem
    assert (tmp_path / CA_CERTIFICATE).read_bytes() == first.certificate_pem


def test_an_authority_that_crashed_after_writing_its_key_keeps_that_key(tmp_path: Path) -> None:
    first = make_authority(tmp_path)
    (tmp_path / CA_CERTIFICATE).unlink()
    again = make_authority(tmp_path)
    assert again.private_key.public_key() == first.private_key.public_key()


def test_an_authority_whose_key_was_exchanged_is_refused(tmp_path: Path) -> None:
    make_authority(tmp_path / "one")
    other = make_authority(tmp_path / "two")
    (tmp_path / "one" / CA_CERTIFICATE).write_bytes(other.certificate_pem)
    with pytest.raises(DataDirectoryProblem, match="does not belong"):
        make_authority(tmp_path / "one")


def test_an_authority_without_its_key_is_refused_not_replaced(tmp_path: Path) -> None:
    before = make_authority(tmp_path).certificate_pem
    (tmp_path / "ca-key.pem").unlink()
    with pytest.raises(DataDirectoryProblem):
        make_authority(tmp_path)
    assert (tmp_path / CA_CERTIFICATE).read_bytes() == before


def test_a_site_gets_the_name_the_authority_gives(authority: CertificateAuthority) -> None:
    key = generate_key()
    certificate = authority.sign_site(csr(key), site="north")
    assert site_of(certificate) == "north"
    assert public_key_of(certificate) == key.public_key()
    assert b"someone-else" not in x509.load_pem_x509_certificate(certificate).public_bytes(
        serialization.Encoding.DER
    )
    verify_chain(certificate, authority.certificate_pem)


def test_a_site_certificate_is_for_clients_only(authority: CertificateAuthority) -> None:
    certificate = authority.sign_site(make_csr(generate_key()), site="north")
    extensions = x509.load_pem_x509_certificate(certificate).extensions
    uses = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(uses) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert not extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_a_request_not_signed_by_its_key_is_refused(authority: CertificateAuthority) -> None:
    der = x509.load_pem_x509_csr(make_csr(generate_key())).public_bytes(serialization.Encoding.DER)
    forged = der[:-1] + bytes([der[-1] ^ 1])
    pem = x509.load_der_x509_csr(forged).public_bytes(serialization.Encoding.PEM)
    with pytest.raises(EnrolmentRefused, match="not signed by its key"):
        authority.sign_site(pem, site="north")


def test_a_request_over_another_kind_of_key_is_refused(authority: CertificateAuthority) -> None:
    with pytest.raises(EnrolmentRefused, match="P-384"):
        authority.sign_site(csr(ec.generate_private_key(ec.SECP256R1())), site="north")


@pytest.mark.parametrize("request_pem", [b"", b"nonsense", b"-----BEGIN CERTIFICATE REQUEST-----"])
def test_a_malformed_request_is_refused(
    authority: CertificateAuthority, request_pem: bytes
) -> None:
    with pytest.raises(EnrolmentRefused, match="malformed"):
        authority.sign_site(request_pem, site="north")


@pytest.mark.parametrize("site", ["", "-north", "north-", "North", "no rth", "n" * 64, "a\n", "1a"])
def test_what_is_no_site_name_is_refused(authority: CertificateAuthority, site: str) -> None:
    with pytest.raises(InvalidSettings) as caught:
        authority.sign_site(make_csr(generate_key()), site=site)
    assert caught.value.issues[0].cure


def test_a_certificate_of_another_authority_is_not_trusted(
    authority: CertificateAuthority, tmp_path: Path
) -> None:
    other = make_authority(tmp_path / "other")
    certificate = other.sign_site(make_csr(generate_key()), site="north")
    with pytest.raises(UntrustedCertificate, match="not issued by the expected authority"):
        verify_chain(certificate, authority.certificate_pem)


def test_an_authority_of_the_same_name_is_not_trusted(
    authority: CertificateAuthority, tmp_path: Path
) -> None:
    impostor_key = generate_key()
    impostor = CertificateAuthority(
        certificate=x509.CertificateBuilder()
        .subject_name(authority.certificate.subject)
        .issuer_name(authority.certificate.subject)
        .public_key(impostor_key.public_key())
        .serial_number(1)
        .not_valid_before(utc_now() - timedelta(days=1))
        .not_valid_after(utc_now() + timedelta(days=1))
        .add_extension(
            x509.SubjectKeyIdentifier.from_public_key(impostor_key.public_key()), critical=False
        )
        .sign(impostor_key, hashes.SHA384()),
        private_key=impostor_key,
    )
    certificate = impostor.sign_site(make_csr(generate_key()), site="north")
    with pytest.raises(UntrustedCertificate):
        verify_chain(certificate, authority.certificate_pem)


def test_a_certificate_is_valid_only_in_its_time(authority: CertificateAuthority) -> None:
    certificate = authority.sign_site(make_csr(generate_key()), site="north", days=90)
    ca = authority.certificate_pem
    verify_chain(certificate, ca, utc_now() + timedelta(days=89))
    with pytest.raises(UntrustedCertificate, match="expired") as late:
        verify_chain(certificate, ca, utc_now() + timedelta(days=91))
    assert "invitation" in late.value.hint
    with pytest.raises(UntrustedCertificate, match="valid only from") as early:
        verify_chain(certificate, ca, utc_now() - timedelta(days=1))
    assert "clock" in early.value.hint
    assert timedelta(days=89) < expires_at(certificate) - utc_now() <= timedelta(days=90)


def test_a_site_cannot_certify_a_site(authority: CertificateAuthority) -> None:
    key = generate_key()
    leaf = authority.sign_site(make_csr(key), site="north")
    rogue = CertificateAuthority(certificate=x509.load_pem_x509_certificate(leaf), private_key=key)
    certificate = rogue.sign_site(make_csr(generate_key()), site="south")
    with pytest.raises(UntrustedCertificate):
        verify_chain(certificate, leaf)
    with pytest.raises(UntrustedCertificate):
        verify_chain(certificate, authority.certificate_pem)


def test_neither_server_nor_authority_passes_for_a_site(authority: CertificateAuthority) -> None:
    server, _ = authority.issue_server(["localhost"])
    for certificate in (server, authority.certificate_pem):
        with pytest.raises(UntrustedCertificate):
            verify_chain(certificate, authority.certificate_pem)
        with pytest.raises(UntrustedCertificate, match="does not name a site"):
            site_of(certificate)


def test_a_server_certificate_serves_all_its_hosts(
    authority: CertificateAuthority, tmp_path: Path
) -> None:
    certificate, key = authority.issue_server(["coordinator.example", "127.0.0.1", "::1"])
    names = (
        x509.load_pem_x509_certificate(certificate)
        .extensions.get_extension_for_class(x509.SubjectAlternativeName)
        .value
    )
    assert names.get_values_for_type(x509.DNSName) == ["coordinator.example"]
    assert [str(ip) for ip in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "::1"]
    (tmp_path / "c.pem").write_bytes(certificate + key)
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(tmp_path / "c.pem")


def test_pem_and_der_have_one_fingerprint(authority: CertificateAuthority) -> None:
    der = authority.certificate.public_bytes(serialization.Encoding.DER)
    assert fingerprint(der) == fingerprint(authority.certificate_pem)
    assert fingerprint(der).startswith("sha256:")


@pytest.mark.parametrize("junk", [b"", b"junk", b"-----BEGIN CERTIFICATE-----\n"])
def test_what_is_no_certificate_is_not_trusted(
    authority: CertificateAuthority, junk: bytes
) -> None:
    with pytest.raises(UntrustedCertificate):
        site_of(junk)
    with pytest.raises(UntrustedCertificate):
        verify_chain(junk, authority.certificate_pem)


def test_an_authority_prints_no_key(tmp_path: Path) -> None:
    directory = tmp_path / "authority"
    directory.mkdir()
    vault = Vault.open_or_create(directory)
    assert "PrivateKey" not in repr(CertificateAuthority.create_or_load(directory, vault))
