"""How a vector leaves the site: fixed-point, then in clear or under the group key.

Both forms carry the same integers, so the sum of a protected round equals the sum of a plain
round bit for bit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from entente_common.aggregation.fixedpoint import FixedPoint
from entente_common.aggregation.he import GroupKey
from entente_common.aggregation.plain import plain_bytes, plain_ints
from entente_common.errors import ProtectionViolated
from entente_common.identity.manifest import Membership
from entente_common.protocol.messages import Aggregate, Contribution

Vector = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Protection:
    """What this site does to every vector of one run.

    Attributes:
        site: This site's name.
        membership: The verified members of the run.
        min_sites: The least number of contributions a sum may hold.
        key: The group key; None in plain mode.
    """

    site: str
    membership: Membership
    min_sites: int
    key: GroupKey | None

    @property
    def key_id(self) -> str | None:
        """Names the group key in messages."""
        return None if self.key is None else self.key.key_id

    def protect(
        self, vector: Vector, *, codec: FixedPoint, stage: str, seed: bytes
    ) -> tuple[Contribution, bytes]:
        """Encode `vector`, weighted by this site's share, for the sum of `stage`."""
        weight = self.membership.weight(self.site)
        encoded = codec.encode(vector, weight=weight, seed=seed)
        values = encoded.values
        payload = plain_bytes(values) if self.key is None else self.key.encrypt(values)
        contribution = Contribution(
            stage=stage,
            key_id=self.key_id,
            length=len(values),
            weight=weight,
            clipped=encoded.clipped,
        )
        return contribution, payload

    def open(
        self, aggregate: Aggregate, payload: bytes, *, codec: FixedPoint, stage: str, length: int
    ) -> Vector:
        """The weighted mean of the contributions in `payload`.

        Raises:
            ProtectionViolated: The aggregate is of another stage or key, leaves this site out,
                holds too few sites, or is malformed.
        """
        if aggregate.stage != stage:
            raise ProtectionViolated(f"Expected the sum of {stage}, got {aggregate.stage!r}.")
        if aggregate.key_id != self.key_id:
            raise ProtectionViolated("The sum was made under another key.")
        if self.site not in aggregate.sites or len(aggregate.sites) < self.min_sites:
            raise ProtectionViolated(
                f"The sum of {stage} leaves this site out or holds fewer than"
                f" {self.min_sites} sites."
            )
        total = self.membership.total_weight(aggregate.sites)
        if self.key is None:
            values = plain_ints(payload, length=length, sites=len(aggregate.sites))
        else:
            values = self.key.decrypt(payload, length=length, sites=len(aggregate.sites))
        return codec.decode(values, weight_total=total)
