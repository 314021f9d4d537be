"""Prefixed, sortable identifiers such as `run_01JD3V9K6Q8X0000000000000A`."""

from __future__ import annotations

import secrets
import time

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_LENGTH = 26


def new_id(prefix: str) -> str:
    """Return a new identifier: a ULID (48-bit milliseconds, 80 random bits) behind `prefix`."""
    value = (time.time_ns() // 1_000_000) << 80 | secrets.randbits(80)
    digits = [_ALPHABET[(value >> (5 * place)) & 31] for place in reversed(range(_LENGTH))]
    return f"{prefix}_{''.join(digits)}"
