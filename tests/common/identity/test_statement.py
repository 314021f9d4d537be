"""A statement holds for its signer, its purpose and its words, and for nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from entente_common.clock import utc_now
from entente_common.errors import EntenteError, ProtectionViolated, UntrustedCertificate
from entente_common.identity.certificates import CertificateAuthority, expires_at, make_csr
from entente_common.identity.keys import PrivateKey, generate_key
from entente_common.identity.statement import SignedStatement, sign, verify
from fakes.coordinator import make_authority

DOMAIN = "entente/test/v1"


class Signer:
    """A site that signs."""

    def __init__(self, authority: CertificateAuthority, site: str) -> None:
        self.key: PrivateKey = generate_key()
        self.certificate = authority.sign_site(make_csr(self.key), site=site)

    def sign(self, payload: dict[str, Any], *, domain: str = DOMAIN) -> SignedStatement:
        return sign(payload, private_key=self.key, certificate_pem=self.certificate, domain=domain)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> CertificateAuthority:
    return make_authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def north(authority: CertificateAuthority) -> Signer:
    return Signer(authority, "north")


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abü", max_size=3), inner),
    max_leaves=8,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(payload=st.dictionaries(st.text("abc", max_size=4), json_values, max_size=4))
def test_a_statement_survives_the_wire(
    authority: CertificateAuthority, north: Signer, payload: dict[str, Any]
) -> None:
    wire = json.loads(json.dumps(north.sign(payload).document()))
    site, said = verify(
        SignedStatement.from_document(wire), ca_pem=authority.certificate_pem, domain=DOMAIN
    )
    assert site == "north"
    assert said == payload


def test_changed_words_are_noticed(authority: CertificateAuthority, north: Signer) -> None:
    document = north.sign({"epsilon": 1}).document()
    document["payload"] = {"epsilon": 2}
    with pytest.raises(ProtectionViolated, match="'north'"):
        verify(
            SignedStatement.from_document(document),
            ca_pem=authority.certificate_pem,
            domain=DOMAIN,
        )


def test_a_statement_for_one_purpose_is_none_for_another(
    authority: CertificateAuthority, north: Signer
) -> None:
    statement = north.sign({"run": "r"}, domain="entente/offer/v1")
    with pytest.raises(ProtectionViolated):
        verify(statement, ca_pem=authority.certificate_pem, domain="entente/approval/v1")


def test_a_site_cannot_put_its_words_in_anothers_mouth(
    authority: CertificateAuthority, north: Signer
) -> None:
    south = Signer(authority, "south")
    said = south.sign({"run": "r"})
    forged = SignedStatement(
        payload=said.payload, certificate_pem=north.certificate, signature=said.signature
    )
    with pytest.raises(ProtectionViolated):
        verify(forged, ca_pem=authority.certificate_pem, domain=DOMAIN)


def test_the_same_key_under_another_name_makes_another_statement(
    authority: CertificateAuthority, north: Signer
) -> None:
    said = north.sign({"run": "r"})
    renamed = SignedStatement(
        payload=said.payload,
        certificate_pem=authority.sign_site(make_csr(north.key), site="south"),
        signature=said.signature,
    )
    with pytest.raises(ProtectionViolated):
        verify(renamed, ca_pem=authority.certificate_pem, domain=DOMAIN)


def test_a_stranger_is_not_believed(
    authority: CertificateAuthority, north: Signer, tmp_path: Path
) -> None:
    other = make_authority(tmp_path)
    with pytest.raises(UntrustedCertificate):
        verify(north.sign({}), ca_pem=other.certificate_pem, domain=DOMAIN)


def test_an_expired_signer_is_not_believed(authority: CertificateAuthority, north: Signer) -> None:
    late = expires_at(north.certificate) + (expires_at(north.certificate) - utc_now())
    with pytest.raises(UntrustedCertificate, match="expired"):
        verify(north.sign({}), ca_pem=authority.certificate_pem, domain=DOMAIN, now=late)


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        "text",
        {},
        {"payload": {}, "certificate": "x"},
        {"payload": [], "certificate": "x", "signature": "AAAA"},
        {"payload": {}, "certificate": 1, "signature": "AAAA"},
        {"payload": {}, "certificate": "é", "signature": "AAAA"},
        {"payload": {}, "certificate": "x", "signature": "not base64!"},
        {"payload": {}, "certificate": "x", "signature": "AAAA", "more": 1},
    ],
)
def test_what_is_no_statement_is_refused(document: object) -> None:
    with pytest.raises(ProtectionViolated, match="malformed"):
        SignedStatement.from_document(document)


@pytest.mark.parametrize("payload", [{"n": 2**60}, {"n": float("nan")}, {"s": "\ud800"}])
def test_a_payload_outside_canonical_json_is_refused_not_crashed_on(
    authority: CertificateAuthority, north: Signer, payload: dict[str, Any]
) -> None:
    said = north.sign({})
    odd = SignedStatement(
        payload=payload, certificate_pem=said.certificate_pem, signature=said.signature
    )
    with pytest.raises(EntenteError):
        verify(odd, ca_pem=authority.certificate_pem, domain=DOMAIN)


def test_a_damaged_signature_is_refused(authority: CertificateAuthority, north: Signer) -> None:
    said = north.sign({})
    for signature in (b"", b"\x30\x00", said.signature[:-1], said.signature + b"\x00"):
        odd = SignedStatement(
            payload=said.payload, certificate_pem=said.certificate_pem, signature=signature
        )
        with pytest.raises(ProtectionViolated):
            verify(odd, ca_pem=authority.certificate_pem, domain=DOMAIN)
