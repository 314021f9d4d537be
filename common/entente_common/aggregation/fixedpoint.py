"""The fixed-point codec: real updates to integers whose weighted sum cannot overflow.

Invariants:
    With S = 2^(bits-1) - 1, site i sends integers within ±floor(w_i·S). For any set of sites whose
    weights sum to at most 1, every coordinate of the sum is within ±S. Proof: a sum of integers is
    an integer, so Σ floor(w_i·S) ≤ floor(S·Σ w_i). Shares rounded to float64 may sum to as much as
    1 + 2⁻⁵³; S·(1 + 2⁻⁵³) < S + 1 since S < 2²², so the right side is at most S all the same. No
    headroom bits are spent on the number of sites, and sites may drop out freely.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray

from entente_common.aggregation.packing import FIELD_BITS, within
from entente_common.errors import ProtectionViolated, RunFailed

_ROUNDING_DOMAIN = b"entente/stochastic-rounding/v1"
_UNIFORM_BYTES = 4
# Weight totals are float sums; this much above the exact value is rounding, not cheating.
_TOTAL_TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True)
class Encoded:
    """An update as integers.

    Attributes:
        values: One int64 per coordinate, within ±floor(weight·S).
        clipped: How many coordinates of the update lay outside ±clip.
    """

    values: NDArray[np.int64]
    clipped: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedPoint:
    """Weighted fixed-point numbers with stochastic rounding.

    Rounding goes up with the probability of the fractional part, so a rounded update is unbiased
    (Gupta et al. 2015, "Deep Learning with Limited Numerical Precision", §3). One unit of a sum is
    clip/(S·Σw).

    Attributes:
        bits: Width of the signed integers, 2 to 23.
        clip: Public bound on the magnitude of each coordinate, above 0. Larger ones are cut to it.

    Raises:
        ValueError: `bits` or `clip` is out of range.
    """

    bits: int = FIELD_BITS
    clip: float

    def __post_init__(self) -> None:
        if not 2 <= self.bits <= FIELD_BITS:
            raise ValueError(f"bits must be 2 to {FIELD_BITS}, not {self.bits}")
        if not (math.isfinite(self.clip) and self.clip > 0):
            raise ValueError(f"clip must be a finite number above 0, not {self.clip}")

    @property
    def scale(self) -> int:
        """S: the integer that stands for `clip` at weight 1."""
        return int(2 ** (self.bits - 1) - 1)

    def encode(self, update: NDArray[Any], *, weight: float, seed: bytes) -> Encoded:
        """Clip, weigh and round one site's update.

        Args:
            update: A flat vector of real numbers.
            weight: This site's share of the whole cohort, 0 to 1. Shares of a cohort sum to 1.
            seed: Decides the rounding; the same seed gives the same integers on every machine.
                It needs no secrecy but must differ between rounds and sites to keep sums unbiased.

        Raises:
            RunFailed: A coordinate is NaN or infinite.
            ProtectionViolated: `weight` is not within 0 to 1.
        """
        bound = self._reach(weight)
        values = np.asarray(update, dtype=np.float64)
        if values.ndim != 1:
            raise ValueError("expected a flat vector")
        _refuse_non_finite(values)
        clipped = int(np.count_nonzero(np.abs(values) > self.clip))
        scaled = np.clip(values, -self.clip, self.clip) * (weight * self.scale / self.clip)
        rounded = np.floor(scaled + _uniform(seed, length=len(values)))
        return Encoded(np.clip(rounded, -bound, bound).astype(np.int64), clipped)

    def decode(self, total: NDArray[np.int64], *, weight_total: float) -> NDArray[np.float32]:
        """The weighted mean of the updates whose encoded integers sum to `total`.

        Args:
            total: Sum of encoded vectors.
            weight_total: Sum of the weights of exactly the sites in `total`, above 0 to 1.

        Raises:
            ProtectionViolated: `weight_total` is out of range, or a coordinate exceeds what sites
                of that weight can reach.
        """
        bound = self._reach(weight_total, tolerance=_TOTAL_TOLERANCE)
        if weight_total <= 0:
            raise ProtectionViolated("The sum holds no weight.")
        if not within(total, limit=bound):
            raise ProtectionViolated("The sum exceeds what its sites can reach.")
        unit = self.clip / (self.scale * weight_total)
        mean: NDArray[np.float32] = (total * unit).astype(np.float32)
        return mean

    def _reach(self, weight: float, *, tolerance: float = 0.0) -> int:
        """The largest integer that sites of this weight can send: floor(weight·S)."""
        if not (math.isfinite(weight) and 0 <= weight <= 1 + tolerance):
            raise ProtectionViolated(f"A weight must be within 0 to 1, not {weight}.")
        # In exact arithmetic: a float product could round up past the integer below it.
        return math.floor(Fraction(weight) * Fraction(1 + tolerance) * self.scale)


def _refuse_non_finite(values: NDArray[np.float64]) -> None:
    unusable = int(np.count_nonzero(~np.isfinite(values)))
    if unusable:
        raise RunFailed(
            f"{unusable} of {len(values)} coordinates of the update are NaN or infinite:"
            " training diverged.",
            hint="Lower training.optimizer.lr, or check the scale of the features.",
        )


def _uniform(seed: bytes, *, length: int) -> NDArray[np.float64]:
    """Multiples of 2⁻³⁰ in [0, 1), from the AES-256-CTR keystream of the hashed seed.

    A block cipher, not numpy's generators: its stream is the same in every version and on every
    machine. Thirty bits, so that 22-bit integers plus a fraction fit float64 and whole numbers
    stay what they are.
    """
    key = hashlib.sha256(_ROUNDING_DOMAIN + b"\0" + seed).digest()
    stream = Cipher(algorithms.AES256(key), modes.CTR(bytes(16))).encryptor()
    words = np.frombuffer(stream.update(bytes(_UNIFORM_BYTES * length)), dtype="<u4")
    return (words >> 2).astype(np.float64) * 2.0**-30
