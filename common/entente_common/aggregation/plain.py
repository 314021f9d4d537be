"""Plain sums: the integers of the encrypted mode, in the clear, for jobs that choose so.

Invariants:
    A `PlainSum` of the same integers equals what the group key opens from a `CiphertextSum`, bit
    for bit. Uploads are int32, every value within ±FIELD_LIMIT; sums are int64 and cannot overflow.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from entente_common.aggregation.framing import MAX_CONTRIBUTIONS, NO_KEY, Frame, Kind
from entente_common.aggregation.packing import FIELD_LIMIT, within
from entente_common.aggregation.parameters import SITE_LIMIT
from entente_common.errors import ProtectionViolated

_DTYPES: dict[Kind, np.dtype[Any]] = {
    Kind.PLAIN_UPDATE: np.dtype("<i4"),
    Kind.PLAIN_SUM: np.dtype("<i8"),
}


def plain_bytes(ints: NDArray[np.int64]) -> bytes:
    """One site's integers as they travel, 4 bytes each.

    Raises:
        ValueError: An integer is not within ±FIELD_LIMIT.
    """
    if ints.ndim != 1 or not within(ints, limit=FIELD_LIMIT):
        raise ValueError(f"expected a flat vector of integers within ±{FIELD_LIMIT}")
    return _frame(ints, kind=Kind.PLAIN_UPDATE, contributions=1)


def plain_ints(blob: bytes, *, length: int, sites: int | None = None) -> NDArray[np.int64]:
    """The integers of an upload or of a sum.

    Args:
        blob: Made by `plain_bytes` or `PlainSum.serialise`.
        length: The number of integers expected.
        sites: The number of contributions expected; None takes any permitted number.

    Raises:
        ProtectionViolated: The blob is malformed, or does not hold what is expected.
    """
    frame = Frame.from_bytes(blob, kinds=tuple(_DTYPES))
    least, most = (1, MAX_CONTRIBUTIONS) if sites is None else (sites, sites)
    frame.expect(length=length, key=NO_KEY, least=least, most=most)
    return _ints(frame)


class PlainSum:
    """The coordinator's running sum in plain mode.

    Args:
        length: Number of integers in every vector.
        limit: The most contributions it takes, 1 to SITE_LIMIT.

    Attributes:
        count: Contributions so far.
    """

    __slots__ = ("_length", "_limit", "_total", "count")

    def __init__(self, *, length: int, limit: int) -> None:
        check_limit(limit)
        self.count = 0
        self._length = length
        self._limit = limit
        self._total = np.zeros(length, dtype=np.int64)

    def add(self, blob: bytes) -> None:
        """Fold one site's upload in; on refusal the sum is what it was.

        Raises:
            ProtectionViolated: The upload is malformed or out of range, or the sum is full.
        """
        check_room(self.count, limit=self._limit)
        frame = Frame.from_bytes(blob, kinds=(Kind.PLAIN_UPDATE,))
        frame.expect(length=self._length, key=NO_KEY, least=1, most=1)
        self._total += _ints(frame)
        self.count += 1

    def serialise(self) -> bytes:
        """The sum as it travels, 8 bytes per integer.

        Raises:
            ProtectionViolated: Nothing was added.
        """
        check_some(self.count)
        return _frame(self._total, kind=Kind.PLAIN_SUM, contributions=self.count)


def check_limit(limit: int) -> None:
    """Refuse a limit on contributions that the parameters cannot bear.

    Raises:
        ProtectionViolated: It is not within 1 to SITE_LIMIT.
    """
    if not 1 <= limit <= SITE_LIMIT:
        raise ProtectionViolated(
            f"A sum takes 1 to {SITE_LIMIT} sites, not {limit}.",
            hint=f"Run with at most {SITE_LIMIT} sites.",
        )


def check_room(count: int, *, limit: int) -> None:
    """Refuse one contribution more than `limit`.

    Raises:
        ProtectionViolated: `count` contributions already fill the sum.
    """
    if count >= limit:
        raise ProtectionViolated(f"The sum already holds its {limit} contributions.")


def check_some(count: int) -> None:
    """Refuse an empty sum.

    Raises:
        ProtectionViolated: There is no contribution.
    """
    if count == 0:
        raise ProtectionViolated("The sum holds no contribution.")


def _frame(ints: NDArray[np.int64], *, kind: Kind, contributions: int) -> bytes:
    body = ints.astype(_DTYPES[kind]).tobytes()
    return Frame(kind, contributions, len(ints), NO_KEY, body).to_bytes()


def _ints(frame: Frame) -> NDArray[np.int64]:
    dtype = _DTYPES[frame.kind]
    if len(frame.body) != frame.length * dtype.itemsize:
        raise ProtectionViolated("A plain vector does not have the size its length asks for.")
    ints = np.frombuffer(frame.body, dtype=dtype).astype(np.int64)
    if not within(ints, limit=FIELD_LIMIT * frame.contributions):
        raise ProtectionViolated("A plain vector holds a value no honest site can send.")
    return ints
