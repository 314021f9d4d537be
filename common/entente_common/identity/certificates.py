"""Certificates of a federation: one authority, its servers and its sites.

The authority signs site certificates itself, without intermediates. A site certificate carries the
site's name twice, as common name and as the URI `entente:site:<name>`; both are chosen by the
authority, never by the request. It is good for TLS client authentication and signatures only.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from entente_common.clock import rfc3339, utc_now
from entente_common.errors import (
    DataDirectoryProblem,
    EnrolmentRefused,
    InvalidSettings,
    Issue,
    UntrustedCertificate,
)
from entente_common.identity.atomic_file import write_atomically
from entente_common.identity.certificate_profile import (
    authority_profile,
    host_name,
    leaf_profile,
)
from entente_common.identity.keys import (
    PrivateKey,
    PublicKey,
    generate_key,
    is_identity_key,
    private_pem,
)
from entente_common.identity.keystore import Vault

CA_CERTIFICATE: Final = "ca.pem"
CA_KEY: Final = "ca-key.pem"
SITE_NAME: Final = re.compile(r"[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?")
_SITE_URI = "entente:site:"
_CA_DAYS = 3650
_SERVER_DAYS = 397


@dataclass(frozen=True, slots=True)
class CertificateAuthority:
    """The authority a coordinator generates for its federation.

    Attributes:
        certificate: Its self-signed certificate.
        private_key: Its key; sealed in the coordinator's vault.
    """

    certificate: x509.Certificate
    private_key: PrivateKey = field(repr=False)

    @classmethod
    def create_or_load(cls, directory: Path, vault: Vault) -> CertificateAuthority:
        """The authority in `directory` (`ca.pem`, `ca-key.pem`), made at first use.

        A crash between the two writes loses nothing: the key is written first, and its
        certificate is made again.

        Raises:
            DataDirectoryProblem: Key and certificate do not belong together, or one is unreadable.
        """
        path = directory / CA_CERTIFICATE
        key_path = (directory / CA_KEY).absolute()
        if path.exists():
            return cls._load(path, vault.read_private_key(key_path))
        if not key_path.exists():
            vault.write_private_key(key_path, generate_key())
        key = vault.read_private_key(key_path)
        authority = cls(
            certificate=authority_profile(key.public_key(), days=_CA_DAYS).sign(
                key, hashes.SHA384()
            ),
            private_key=key,
        )
        write_atomically(path, authority.certificate_pem)
        return authority

    @classmethod
    def _load(cls, path: Path, key: PrivateKey) -> CertificateAuthority:
        try:
            certificate = x509.load_pem_x509_certificate(path.read_bytes())
        except (OSError, ValueError):
            raise DataDirectoryProblem(f"{path} is not a certificate.") from None
        if certificate.public_key() != key.public_key():
            raise DataDirectoryProblem(f"{path} does not belong to the key beside it.")
        return cls(certificate=certificate, private_key=key)

    @property
    def certificate_pem(self) -> bytes:
        """The authority's certificate, which everybody may know."""
        return _pem(self.certificate)

    def issue_server(
        self, hosts: Sequence[str], *, days: int = _SERVER_DAYS
    ) -> tuple[bytes, bytes]:
        """A certificate for TLS servers that answer under `hosts`, with a fresh key.

        Args:
            hosts: DNS names and IP addresses; at least one.
            days: Validity in days.

        Returns:
            Certificate PEM and private key PEM. The key is in clear: keep it in memory.
        """
        if not hosts:
            raise ValueError("a server certificate needs a host")
        key = generate_key()
        certificate_pem = self._sign(
            hosts[0][:64],
            key.public_key(),
            names=[host_name(host) for host in dict.fromkeys(hosts)],
            use=ExtendedKeyUsageOID.SERVER_AUTH,
            days=days,
        )
        return certificate_pem, private_pem(key, passphrase=None)

    def sign_site(self, csr_pem: bytes, *, site: str, days: int = 90) -> bytes:
        """A certificate for `site` over the key in `csr_pem`; whatever else it asks is ignored.

        Args:
            csr_pem: A signing request made by the holder of the key.
            site: The name the coordinator gives: lower-case letters, digits and inner hyphens.
            days: Validity in days.

        Raises:
            EnrolmentRefused: The request is malformed, unsigned or over an unfit key.
            InvalidSettings: `site` is not a site name.
        """
        check_site_name(site)
        key = _requested_key(csr_pem)
        return self._sign(
            site,
            key,
            names=[x509.UniformResourceIdentifier(_SITE_URI + site)],
            use=ExtendedKeyUsageOID.CLIENT_AUTH,
            days=days,
        )

    def _sign(
        self,
        name: str,
        key: PublicKey,
        *,
        names: list[x509.GeneralName],
        use: x509.ObjectIdentifier,
        days: int,
    ) -> bytes:
        builder = leaf_profile(
            name, key, authority=self.certificate, names=names, use=use, days=days
        )
        return _pem(builder.sign(self.private_key, hashes.SHA384()))


def make_csr(private_key: PrivateKey) -> bytes:
    """A signing request that proves possession of `private_key` and asks for nothing else."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return builder.sign(private_key, hashes.SHA384()).public_bytes(serialization.Encoding.PEM)


def check_site_name(site: str) -> None:
    """Refuse what cannot name a site.

    Raises:
        InvalidSettings: `site` is not a site name.
    """
    if not SITE_NAME.fullmatch(site):
        cure = "Use 1 to 63 lower-case letters, digits and inner hyphens, a letter first."
        raise InvalidSettings(issues=[Issue("site", f"{site[:80]!r} is no site name.", cure)])


def load_certificate(certificate: bytes) -> x509.Certificate:
    """The certificate in `certificate`, PEM or DER.

    Raises:
        UntrustedCertificate: It is neither.
    """
    try:
        if certificate.lstrip().startswith(b"-----BEGIN"):
            return x509.load_pem_x509_certificate(certificate)
        return x509.load_der_x509_certificate(certificate)
    except ValueError:
        raise UntrustedCertificate("What was given is not a certificate.") from None


def site_of(certificate: bytes) -> str:
    """The site a certificate (PEM or DER) names. Says nothing of who issued it: `verify_chain`.

    Raises:
        UntrustedCertificate: It names no site, several, or not the same one throughout.
    """
    loaded = load_certificate(certificate)
    try:
        names = loaded.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        uris = names.get_values_for_type(x509.UniformResourceIdentifier)
        common = [str(n.value) for n in loaded.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    except (x509.ExtensionNotFound, ValueError):
        uris, common = [], []
    site = uris[0].removeprefix(_SITE_URI) if len(uris) == 1 else ""
    if uris != [_SITE_URI + site] or common != [site] or not SITE_NAME.fullmatch(site):
        raise UntrustedCertificate("The certificate does not name a site.")
    return site


def public_key_of(certificate: bytes) -> PublicKey:
    """The P-384 key of a certificate (PEM or DER).

    Raises:
        UntrustedCertificate: The certificate carries another kind of key.
    """
    try:
        key = load_certificate(certificate).public_key()
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, PublicKey) or not is_identity_key(key):
        raise UntrustedCertificate("The certificate does not carry an EC P-384 key.")
    return key


def fingerprint(certificate: bytes) -> str:
    """SHA-256 of a certificate (PEM or DER) as `sha256:<64 hex digits>`."""
    return f"sha256:{load_certificate(certificate).fingerprint(hashes.SHA256()).hex()}"


def expires_at(certificate: bytes) -> datetime:
    """The moment (UTC) from which a certificate (PEM or DER) is no longer valid."""
    return load_certificate(certificate).not_valid_after_utc


def verify_chain(certificate_pem: bytes, ca_pem: bytes, now: datetime | None = None) -> None:
    """Check that the authority in `ca_pem` issued a site certificate and that it is valid now.

    Args:
        certificate_pem: A site's certificate.
        ca_pem: The authority's certificate.
        now: An aware moment; the present by default.

    Raises:
        UntrustedCertificate: It is not; the detail says why.
    """
    leaf, authority = load_certificate(certificate_pem), load_certificate(ca_pem)
    _check_issuer(leaf, authority)
    _check_client_use(leaf)
    moment = utc_now() if now is None else now
    for certificate, owner in ((leaf, "The certificate"), (authority, "The authority")):
        if moment > certificate.not_valid_after_utc:
            raise UntrustedCertificate(
                f"{owner} expired on {rfc3339(certificate.not_valid_after_utc)}.",
                hint="Ask the coordinator's admin for a new invitation and enrol again.",
            )
        if moment < certificate.not_valid_before_utc:
            raise UntrustedCertificate(
                f"{owner} is valid only from {rfc3339(certificate.not_valid_before_utc)}.",
                hint="Set this machine's clock.",
            )


def _check_issuer(leaf: x509.Certificate, authority: x509.Certificate) -> None:
    try:
        limits = authority.extensions.get_extension_for_class(x509.BasicConstraints).value
        leaf.verify_directly_issued_by(authority)
    except (InvalidSignature, x509.ExtensionNotFound, ValueError, TypeError, UnsupportedAlgorithm):
        limits = None
    if limits is None or not limits.ca:
        raise UntrustedCertificate("The certificate was not issued by the expected authority.")


def _check_client_use(leaf: x509.Certificate) -> None:
    try:
        uses = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        limits = leaf.extensions.get_extension_for_class(x509.BasicConstraints).value
    except (x509.ExtensionNotFound, ValueError):
        raise UntrustedCertificate("The certificate is not a site's certificate.") from None
    if ExtendedKeyUsageOID.CLIENT_AUTH not in uses or limits.ca:
        raise UntrustedCertificate("The certificate is not a site's certificate.")


def _requested_key(csr_pem: bytes) -> PublicKey:
    try:
        request = x509.load_pem_x509_csr(csr_pem)
        key = request.public_key()
        proven = request.is_signature_valid
    except (ValueError, UnsupportedAlgorithm):
        raise EnrolmentRefused("The signing request is malformed.") from None
    if not isinstance(key, PublicKey) or not is_identity_key(key):
        raise EnrolmentRefused("The signing request is not over an EC P-384 key.")
    if not proven:
        raise EnrolmentRefused("The signing request is not signed by its key.")
    return key


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
