"""The membership manifest: who takes part in one run, agreed before any key moves.

Each site signs an `Offer`. The coordinator collects the offers into a manifest. A site accepts
the manifest only if its own offer stands in it unchanged, every other offer carries a valid
signature under a certificate of the authority it enrolled with, all members offer the same job,
contract, application and model layout, and there are enough of them.

What this does not stop: the coordinator runs that authority, so it can certify a site that does
not exist. See `docs/threat-model.md`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from entente_common.canonical import digest
from entente_common.errors import ProtectionViolated, UntrustedCertificate
from entente_common.identity.statement import SignedStatement, verify

OFFER_DOMAIN = "entente/offer/v1"
_COMMON = ("run", "job_digest", "contract_digest", "application", "layout_digest")


class Offer(BaseModel):
    """What one site brings to a run.

    Attributes:
        agreement_key: Its X25519 public key for this run, hexadecimal.
        examples: Rows it trains on; they weigh its updates.
        dataset_version: Digest of the data it pins for the run.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    run: str
    site: str
    job_digest: str
    contract_digest: str
    application: str
    layout_digest: str
    dataset_version: str
    agreement_key: str = Field(pattern="^[0-9a-f]{64}$")
    examples: int = Field(ge=1, le=2**40)


@dataclass(frozen=True, slots=True)
class Membership:
    """A verified manifest.

    Attributes:
        offers: The members' offers by site, in the order of the manifest. The first is the leader.
        digest: Digest of the manifest that every member saw.
    """

    offers: Mapping[str, Offer]
    digest: str

    @property
    def sites(self) -> tuple[str, ...]:
        """All members, leader first."""
        return tuple(self.offers)

    @property
    def leader(self) -> str:
        """The site that makes the group key."""
        return self.sites[0]

    def weight(self, site: str) -> float:
        """Share of `site` in all training examples, in (0, 1]."""
        return self.offers[site].examples / sum(o.examples for o in self.offers.values())

    def total_weight(self, sites: Sequence[str]) -> float:
        """Sum of the shares of `sites`, added in the order of the manifest.

        Raises:
            ProtectionViolated: A site is not a member or stands twice.
        """
        if len(set(sites)) != len(sites) or not set(sites) <= set(self.offers):
            raise ProtectionViolated("A sum names a site that is no member, or one twice.")
        return sum(self.weight(site) for site in self.sites if site in sites)


def manifest_document(statements: Sequence[SignedStatement]) -> dict[str, Any]:
    """The manifest of these signed offers, in this order."""
    return {"offers": [statement.document() for statement in statements]}


def verify_manifest(
    manifest: Mapping[str, Any], *, ca_pem: bytes, min_sites: int, own: Offer | None = None
) -> Membership:
    """Check a manifest and return the membership it proves.

    Args:
        manifest: As made by `manifest_document`.
        ca_pem: The authority that certifies sites.
        min_sites: The least number of members the job accepts.
        own: The offer this site signed; None at the coordinator.

    Raises:
        ProtectionViolated: Any condition of the module's docstring is not met.
    """
    offers = _verified_offers(manifest, ca_pem=ca_pem)
    membership = Membership(offers={o.site: o for o in offers}, digest=digest(dict(manifest)))
    if len(membership.offers) != len(offers):
        raise ProtectionViolated("The membership names a site twice.")
    if len(offers) < min_sites:
        raise ProtectionViolated(f"The membership has {len(offers)} sites, not {min_sites}.")
    if len({o.agreement_key for o in offers}) != len(offers):
        raise ProtectionViolated("Two members offer the same agreement key.")
    for name in _COMMON:
        if len({getattr(o, name) for o in offers}) != 1:
            raise ProtectionViolated(f"The members differ in their {name.replace('_', ' ')}.")
    if own is not None and membership.offers.get(own.site) != own:
        raise ProtectionViolated("The membership does not hold this site's own offer.")
    return membership


def _verified_offers(manifest: Mapping[str, Any], *, ca_pem: bytes) -> list[Offer]:
    documents = manifest.get("offers")
    if not isinstance(documents, list) or set(manifest) != {"offers"}:
        raise ProtectionViolated("The membership manifest is malformed.")
    offers = []
    for item in documents:
        try:
            site, payload = verify(
                SignedStatement.from_document(item), ca_pem=ca_pem, domain=OFFER_DOMAIN
            )
        except UntrustedCertificate as error:
            raise ProtectionViolated(f"A member is not certified: {error.detail}") from error
        try:
            offer = Offer.model_validate(payload)
        except ValidationError:
            raise ProtectionViolated(f"The offer of {site!r} is malformed.") from None
        if offer.site != site:
            raise ProtectionViolated(f"{site!r} signed an offer in the name of {offer.site!r}.")
        offers.append(offer)
    return offers
