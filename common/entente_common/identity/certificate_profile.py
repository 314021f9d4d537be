"""The shape of every certificate of a federation (RFC 5280): what it says, and what it is good for.

An authority may sign certificates, directly under itself only. A leaf may prove its holder in TLS
as server or as client, never both, and sign; it cannot sign certificates.
"""

from __future__ import annotations

import ipaddress
from datetime import timedelta

from cryptography import x509
from cryptography.x509.oid import NameOID

from entente_common.clock import utc_now
from entente_common.identity.keys import PublicKey

_CLOCK_SKEW = timedelta(minutes=5)


def authority_profile(key: PublicKey, *, days: int) -> x509.CertificateBuilder:
    """A self-issued authority over `key`, valid for `days` days."""
    # A random part keeps authorities of different coordinators apart in trust stores.
    name = _subject(f"Entente authority {x509.random_serial_number() % 16**8:08x}")
    return (
        _base(name, key, issuer=name, days=days)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
    )


def leaf_profile(
    name: str,
    key: PublicKey,
    *,
    authority: x509.Certificate,
    names: list[x509.GeneralName],
    use: x509.ObjectIdentifier,
    days: int,
) -> x509.CertificateBuilder:
    """A server or site certificate over `key`.

    Args:
        name: Its common name.
        key: The holder's key.
        authority: Who will sign it.
        names: Host names, or the site's URI.
        use: The one extended key usage.
        days: Validity in days.
    """
    issuer = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(
        authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    )
    return (
        _base(_subject(name), key, issuer=authority.subject, days=days)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([use]), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(issuer, critical=False)
    )


def host_name(host: str) -> x509.GeneralName:
    """`host` as a subject alternative name: an IP address if it is one, else a DNS name."""
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _base(
    subject: x509.Name, key: PublicKey, *, issuer: x509.Name, days: int
) -> x509.CertificateBuilder:
    now = utc_now()
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
