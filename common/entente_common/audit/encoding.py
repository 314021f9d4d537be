"""Base64 in its one canonical form, so that every value has one text (RFC 4648 §4 and §3.5)."""

from __future__ import annotations

import base64
import binascii


def encode_base64(data: bytes) -> str:
    """`data` in standard Base64 with padding."""
    return base64.b64encode(data).decode("ascii")


def decode_base64(text: str) -> bytes | None:
    """The bytes that `text` encodes; None unless it is exactly what `encode_base64` writes."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return data if encode_base64(data) == text else None
