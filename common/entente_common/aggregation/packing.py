"""Packing: two signed 23-bit fields in one plaintext slot.

Invariants:
    Slot i holds `ints[2i] + 2²³·ints[2i+1]`. Because packing is linear, a sum of packed slots
    unpacks to the sum of the fields as long as every field of the sum is within ±FIELD_LIMIT; the
    fixed-point codec makes that so for every set of honest sites.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from entente_common.errors import ProtectionViolated

FIELDS = 2
FIELD_BITS = 23
FIELD_LIMIT = 2 ** (FIELD_BITS - 1) - 1
SLOT_LIMIT = FIELD_LIMIT * (1 + 2**FIELD_BITS)

_HALF = 2 ** (FIELD_BITS - 1)
_MASK = 2**FIELD_BITS - 1


def pack(ints: NDArray[np.int64]) -> NDArray[np.int64]:
    """Pack integers into slots; an odd last one is joined by a zero.

    Args:
        ints: Any number of integers within ±FIELD_LIMIT.

    Raises:
        ValueError: The input is not a flat int64 vector, or an integer is out of range.
    """
    if ints.dtype != np.int64 or ints.ndim != 1:
        raise ValueError("expected a flat vector of int64")
    if not within(ints, limit=FIELD_LIMIT):
        raise ValueError(f"an integer is not within ±{FIELD_LIMIT}")
    padded = np.zeros(slots_for(len(ints)) * FIELDS, dtype=np.int64)
    padded[: len(ints)] = ints
    pairs = padded.reshape(-1, FIELDS)
    packed: NDArray[np.int64] = pairs[:, 0] + (pairs[:, 1] << FIELD_BITS)
    return packed


def unpack(slots: NDArray[np.int64], *, length: int) -> NDArray[np.int64]:
    """Take `length` integers out of slots, or out of a sum of slots.

    Raises:
        ProtectionViolated: The number of slots does not fit `length`, a slot is out of range, or
            the field that only fills the last slot is not zero.
    """
    if slots.shape != (slots_for(length),):
        raise ProtectionViolated("The number of slots does not fit the length of the vector.")
    if not within(slots, limit=SLOT_LIMIT):
        raise ProtectionViolated("A slot holds more than two fields can.")
    fields = np.empty((len(slots), FIELDS), dtype=np.int64)
    # Residue of the low field in [-2²², 2²²): two's complement of its 23 bits.
    fields[:, 0] = ((slots + _HALF) & _MASK) - _HALF
    fields[:, 1] = (slots - fields[:, 0]) >> FIELD_BITS
    flat = fields.reshape(-1)
    if flat[length:].any():
        raise ProtectionViolated("The filling of the last slot is not zero.")
    return flat[:length].copy()


def slots_for(length: int) -> int:
    """Number of slots that `length` integers take."""
    return -(-length // FIELDS)


def within(values: NDArray[Any], *, limit: int) -> bool:
    """Whether every integer of `values` is within ±`limit`; an empty vector is."""
    return values.size == 0 or bool(values.min() >= -limit and values.max() <= limit)
