"""Records as bytes: what splits and versions are computed from.

A record's bytes depend on its values alone, not on its place in the table, the file format or the
version of a library.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator

import polars as pl

_VERSION_DOMAIN = b"entente/dataset-version/1\x00"


def record_bytes(frame: pl.DataFrame) -> Iterator[bytes]:
    """Each row as a JSON array of its values, in the frame's order of columns and rows."""
    for row in frame.iter_rows():
        yield json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode()


def dataset_version(frame: pl.DataFrame, *, contract_digest: str, secret: bytes) -> str:
    """Digest of a table's content, the same whatever the order of its rows.

    It is keyed: cards leave the site, and a bare hash would let anyone who knows all rows but one
    confirm a guess of the last.

    Args:
        frame: The rows.
        contract_digest: Digest of the contract they meet.
        secret: The site's own key for versions.
    """
    keyed = hmac.new(secret, _VERSION_DOMAIN + contract_digest.encode(), hashlib.sha256)
    for fingerprint in sorted(hashlib.sha256(record).digest() for record in record_bytes(frame)):
        keyed.update(fingerprint)
    return f"sha256:{keyed.hexdigest()}"
