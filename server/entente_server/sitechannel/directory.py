"""The directory of sites, as the site channel needs it. The coordinator's database implements it.

Every method may refuse by raising an `EntenteError`; the channel hands it to the site, cure
included, and logs it. Site names come from verified certificates, except in `enrol`, where the
token decides the name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from entente_common.contracts.dataset import DatasetCard


@dataclass(frozen=True, slots=True)
class Enrolled:
    """A site that has just been let in.

    Attributes:
        site: Its name, as the invitation said.
        certificate_pem: Its new certificate.
        public_key_pem: The key in it.
    """

    site: str
    certificate_pem: bytes
    public_key_pem: bytes


class SiteDirectory(Protocol):
    """Who may come, who is there, and what they hold."""

    async def enrol(self, *, token: str, csr_pem: bytes, version: str) -> Enrolled:
        """Spend an invitation's token and certify the key in `csr_pem`.

        Spending and certifying happen together: a refused request leaves the token unspent.

        Raises:
            EnrolmentRefused: The token is unknown, spent or expired, or the request is unfit.
        """
        ...

    async def hello(
        self,
        *,
        site: str,
        fingerprint: str,
        version: str,
        code_digest: str,
        cards: list[DatasetCard],
    ) -> None:
        """Record that `site` is there, with this code and these datasets; may come repeatedly.

        Args:
            site: The name in the site's certificate.
            fingerprint: SHA-256 of that certificate, `sha256:…`, so that a certificate that was
                replaced or revoked can be refused before it expires.
            version: Entente's version at the site.
            code_digest: Digest of the code at the site.
            cards: All its datasets.

        Raises:
            PermissionRefused: The site or this certificate was revoked.
        """
        ...

    async def seen(self, site: str) -> None:
        """Record a sign of life.

        Raises:
            PermissionRefused: The site was revoked; its stream ends.
        """
        ...

    async def left(self, site: str) -> None:
        """Record that `site` has gone, for whatever reason."""
        ...
