"""A site's identity as its processes use it: key, certificate, authority and coordinator.

On disk: `identity/key.pem` (encrypted by the vault), `identity/certificate.pem`,
`identity/ca.pem`, and `agent.json`. A loaded identity is consistent: the certificate is over this
key, names this site, is valid now and comes from this authority.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from entente_client.agent.settings import AgentSettings
from entente_common.contracts.site import Coordinator
from entente_common.errors import DataDirectoryProblem, UntrustedCertificate
from entente_common.identity.atomic_file import write_atomically
from entente_common.identity.certificates import public_key_of, site_of, verify_chain
from entente_common.identity.keys import PrivateKey, private_pem
from entente_common.identity.keystore import Vault

IDENTITY: Final = Path("identity")
KEY_FILE: Final = "key.pem"
CERTIFICATE_FILE: Final = "certificate.pem"
CA_FILE: Final = "ca.pem"


@dataclass(frozen=True, slots=True)
class SiteIdentity:
    """Who this site is. Make one with `load`.

    Attributes:
        directory: The agent's directory.
        site: The site's name.
        private_key: The identity key; it stays in this process.
        certificate_pem: The site's certificate.
        ca_pem: The only authority the site trusts.
        coordinator: The coordinator's addresses.
    """

    directory: Path
    site: str
    private_key: PrivateKey = field(repr=False)
    certificate_pem: bytes = field(repr=False)
    ca_pem: bytes = field(repr=False)
    coordinator: Coordinator
    _vault: Vault = field(repr=False)

    @classmethod
    def load(cls, directory: Path) -> SiteIdentity:
        """The identity of the site enrolled in `directory`.

        Raises:
            DataDirectoryProblem: Not enrolled, a file is missing or unreadable, or the files do
                not belong together.
            InvalidSettings: `agent.json` is damaged.
            UntrustedCertificate: The certificate has expired or is not from the authority.
        """
        settings = AgentSettings.load(directory)
        vault = Vault.open_or_create(directory)
        home = directory / IDENTITY
        identity = cls(
            directory=directory,
            site=settings.site,
            private_key=vault.read_private_key((home / KEY_FILE).absolute()),
            certificate_pem=_read(home / CERTIFICATE_FILE),
            ca_pem=_read(home / CA_FILE),
            coordinator=settings.coordinator,
            _vault=vault,
        )
        identity.check()
        return identity

    def check(self) -> None:
        """Make sure that the parts belong together and are valid now.

        Raises:
            UntrustedCertificate: The certificate is not valid, or not of this key and site.
        """
        check_certificate(
            self.certificate_pem, site=self.site, private_key=self.private_key, ca_pem=self.ca_pem
        )

    def key_pem(self) -> bytes:
        """The private key as PEM in clear, to hand to a TLS library in memory; never store it."""
        return private_pem(self.private_key, passphrase=None)

    def ssl_context(self) -> ssl.SSLContext:
        """A TLS 1.3 client context that shows the site's certificate and trusts its CA alone."""
        context = authority_context(self.ca_pem)
        home = self.directory / IDENTITY
        context.load_cert_chain(
            home / CERTIFICATE_FILE, home / KEY_FILE, password=self._vault.passphrase
        )
        return context


def authority_context(ca_pem: bytes) -> ssl.SSLContext:
    """A TLS 1.3 client context that trusts `ca_pem` alone and shows no certificate.

    Raises:
        UntrustedCertificate: `ca_pem` is not a certificate.
    """
    try:
        context = ssl.create_default_context(cadata=ca_pem.decode("ascii"))
    except (ssl.SSLError, UnicodeDecodeError):
        raise UntrustedCertificate("The authority's certificate is damaged.") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context


def check_certificate(
    certificate_pem: bytes, *, site: str, private_key: PrivateKey, ca_pem: bytes
) -> None:
    """Make sure that a certificate is the one `site` should hold for `private_key`.

    Raises:
        UntrustedCertificate: It is over another key, names another site, is not valid now, or was
            not issued by the authority.
    """
    verify_chain(certificate_pem, ca_pem)
    if public_key_of(certificate_pem) != private_key.public_key():
        raise UntrustedCertificate("The certificate is over another key than this site's.")
    named = site_of(certificate_pem)
    if named != site:
        raise UntrustedCertificate(f"The certificate names {named!r}, not {site!r}.")


def write_identity(
    home: Path, *, private_key: PrivateKey, vault: Vault, certificate_pem: bytes, ca_pem: bytes
) -> None:
    """Write the files of an identity into `home`, which must exist.

    Raises:
        DataDirectoryProblem: A file cannot be written.
    """
    vault.write_private_key((home / KEY_FILE).absolute(), private_key)
    write_atomically(home / CERTIFICATE_FILE, certificate_pem)
    write_atomically(home / CA_FILE, ca_pem)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as fault:
        raise DataDirectoryProblem(
            f"{path} cannot be read: {fault.strerror}.",
            hint="Restore the directory from a backup, or enrol again in a new one.",
        ) from fault
