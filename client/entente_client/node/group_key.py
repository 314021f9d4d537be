"""The group key's way from the leader to the members, past a coordinator that only relays it."""

from __future__ import annotations

from base64 import b64decode, b64encode
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from entente_client.agent.site_identity import SiteIdentity
from entente_common.aggregation.he import GroupKey
from entente_common.errors import ProtectionViolated
from entente_common.identity.agreement import AgreementKey, seal
from entente_common.identity.manifest import Membership
from entente_common.identity.statement import SignedStatement, sign, verify

KEY_DOMAIN = "entente/group-key/v1"


class SealedKey(BaseModel):
    """What the leader signs: the key, sealed for each member, bound to one membership."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    manifest_digest: str
    key_id: str
    boxes: dict[str, str]


def seal_for(membership: Membership, key: GroupKey, *, identity: SiteIdentity) -> SignedStatement:
    """Seal `key` for every member and sign the result."""
    secret = key.secret_bytes()
    boxes = {
        site: seal(
            secret,
            recipient_public=bytes.fromhex(offer.agreement_key),
            context=_context(membership, site),
        )
        for site, offer in membership.offers.items()
    }
    sealed = SealedKey(
        manifest_digest=membership.digest,
        key_id=key.key_id,
        boxes={site: b64encode(box).decode() for site, box in boxes.items()},
    )
    return sign(
        sealed.model_dump(mode="json"),
        private_key=identity.private_key,
        certificate_pem=identity.certificate_pem,
        domain=KEY_DOMAIN,
    )


def open_sealed(
    document: dict[str, Any],
    *,
    membership: Membership,
    identity: SiteIdentity,
    agreement: AgreementKey,
) -> GroupKey:
    """Check the leader's statement and open this site's box.

    Raises:
        ProtectionViolated: The statement is not the leader's, is made for another membership, or
            the key inside is not the one it names.
    """
    statement = SignedStatement.from_document(document)
    signer, payload = verify(statement, ca_pem=identity.ca_pem, domain=KEY_DOMAIN)
    try:
        sealed = SealedKey.model_validate(payload)
        box = b64decode(sealed.boxes[identity.site], validate=True)
    except (ValidationError, KeyError, ValueError):
        raise ProtectionViolated("The sealed group key is malformed.") from None
    if signer != membership.leader or sealed.manifest_digest != membership.digest:
        raise ProtectionViolated("The group key was not made by the leader for this membership.")
    secret = agreement.open(box, context=_context(membership, identity.site))
    key = GroupKey.from_secret_bytes(secret)
    if key.key_id != sealed.key_id:
        raise ProtectionViolated("The group key is not the one its statement names.")
    return key


def _context(membership: Membership, site: str) -> bytes:
    return f"{KEY_DOMAIN}|{membership.digest}|{site}".encode()
