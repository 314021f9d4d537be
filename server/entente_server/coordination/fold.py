"""Folding the contributions of one stage into one sum."""

from __future__ import annotations

from entente_common.aggregation.he import CiphertextSum
from entente_common.aggregation.plain import PlainSum
from entente_common.errors import ProtectionViolated
from entente_common.identity.manifest import Membership
from entente_common.protocol.messages import Aggregate, Contribution


class Fold:
    """The sum of one stage as it grows, and whose contributions it holds.

    Integers are added, so the order of arrival does not matter.
    """

    def __init__(
        self,
        stage: str,
        *,
        membership: Membership,
        length: int,
        public_context: bytes | None,
        key_id: str | None,
    ) -> None:
        self._stage = stage
        self._membership = membership
        self._length = length
        self._key_id = key_id
        limit = len(membership.sites)
        self._sum = (
            PlainSum(length=length, limit=limit)
            if public_context is None
            else CiphertextSum(public_context, length=length, limit=limit)
        )
        self._sites: set[str] = set()

    def add(self, site: str, contribution: Contribution, payload: bytes) -> None:
        """Add the contribution of `site`.

        Raises:
            ProtectionViolated: It is for another stage, key, length or weight, comes twice, or is
                malformed. The sum is as before.
        """
        expected = (self._stage, self._key_id, self._length, self._membership.weight(site))
        stated = (
            contribution.stage,
            contribution.key_id,
            contribution.length,
            contribution.weight,
        )
        if stated != expected:
            raise ProtectionViolated(f"The contribution to {self._stage} does not fit the stage.")
        if site in self._sites:
            raise ProtectionViolated(f"A second contribution to {self._stage} was refused.")
        self._sum.add(payload)
        self._sites.add(site)

    def result(self) -> tuple[Aggregate, bytes]:
        """The sum so far, with the sites it holds in the order of the manifest."""
        sites = tuple(site for site in self._membership.sites if site in self._sites)
        aggregate = Aggregate(stage=self._stage, key_id=self._key_id, sites=sites)
        return aggregate, self._sum.serialise()
