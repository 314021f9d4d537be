"""A signed statement: what a site says, provable to anyone who holds the authority's certificate.

The signature covers the canonical JSON of purpose (`domain`), signer and payload together: a
statement made for one purpose, or by one site, is none for another.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import rfc8785

from entente_common.canonical import canonical_json
from entente_common.errors import ProtectionViolated
from entente_common.identity.certificates import public_key_of, site_of, verify_chain
from entente_common.identity.keys import PrivateKey, sign_bytes, signature_fits

_FIELDS = {"payload", "certificate", "signature"}


@dataclass(frozen=True, slots=True)
class SignedStatement:
    """A payload with its signer's certificate and signature.

    Attributes:
        payload: A JSON object.
        certificate_pem: The signer's certificate.
        signature: ECDSA over SHA-384, DER.
    """

    payload: Mapping[str, Any]
    certificate_pem: bytes
    signature: bytes

    def document(self) -> dict[str, Any]:
        """The statement as JSON."""
        return {
            "payload": dict(self.payload),
            "certificate": self.certificate_pem.decode("ascii"),
            "signature": base64.b64encode(self.signature).decode("ascii"),
        }

    @classmethod
    def from_document(cls, document: object) -> SignedStatement:
        """Read a statement that came over the wire; nothing in it is trusted yet.

        Raises:
            ProtectionViolated: It does not have the shape of a statement.
        """
        if not isinstance(document, Mapping) or set(document) != _FIELDS:
            raise ProtectionViolated("A signed statement is malformed.")
        payload, certificate = document["payload"], document["certificate"]
        signature = document["signature"]
        if not (
            isinstance(payload, Mapping)
            and isinstance(certificate, str)
            and isinstance(signature, str)
        ):
            raise ProtectionViolated("A signed statement is malformed.")
        try:
            return cls(
                payload=dict(payload),
                certificate_pem=certificate.encode("ascii"),
                signature=base64.b64decode(signature.encode("ascii"), validate=True),
            )
        except (UnicodeEncodeError, binascii.Error):
            raise ProtectionViolated("A signed statement is malformed.") from None


def sign(
    payload: Mapping[str, Any], *, private_key: PrivateKey, certificate_pem: bytes, domain: str
) -> SignedStatement:
    """State `payload` in the name of the certificate's site, for the purpose `domain`.

    Raises:
        UntrustedCertificate: The certificate names no site.
    """
    message = _message(payload, site=site_of(certificate_pem), domain=domain)
    return SignedStatement(
        payload=dict(payload),
        certificate_pem=certificate_pem,
        signature=sign_bytes(private_key, message),
    )


def verify(
    statement: SignedStatement, *, ca_pem: bytes, domain: str, now: datetime | None = None
) -> tuple[str, dict[str, Any]]:
    """Check a statement; return the site that made it and what it says.

    Args:
        statement: As received.
        ca_pem: The authority that certifies sites.
        domain: The purpose it must have been made for.
        now: When the certificate must be valid; the present by default.

    Raises:
        UntrustedCertificate: The signer's certificate is not valid under this authority.
        ProtectionViolated: The signature does not fit payload, signer and purpose.
    """
    verify_chain(statement.certificate_pem, ca_pem, now)
    site = site_of(statement.certificate_pem)
    try:
        message = _message(statement.payload, site=site, domain=domain)
    except (rfc8785.CanonicalizationError, RecursionError):
        raise ProtectionViolated(f"The statement of {site!r} is not canonical JSON.") from None
    if not signature_fits(public_key_of(statement.certificate_pem), message, statement.signature):
        raise ProtectionViolated(f"The signature of {site!r} does not fit its statement.")
    return site, dict(statement.payload)


def _message(payload: Mapping[str, Any], *, site: str, domain: str) -> bytes:
    return canonical_json({"domain": domain, "payload": dict(payload), "site": site})
