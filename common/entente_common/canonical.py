"""Canonical JSON (RFC 8785) and the digests that people and machines agree on."""

from __future__ import annotations

import hashlib
from typing import Any

import rfc8785


def canonical_json(value: Any) -> bytes:  # noqa: ANN401 - any JSON value
    """`value` as canonical JSON: the same bytes on every machine (RFC 8785)."""
    return rfc8785.dumps(value)


def digest_bytes(data: bytes) -> str:
    """SHA-256 of `data` as `sha256:<64 hex digits>`."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def digest(value: Any) -> str:  # noqa: ANN401 - any JSON value
    """Digest of a JSON value over its canonical form."""
    return digest_bytes(canonical_json(value))
