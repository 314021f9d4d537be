"""The holdout split: which records a model is judged on and never trained on.

A record's side follows from a hash of its key alone, so it stays on its side for ever: when the
table grows, when rows are reordered, in every job with the same share. Records held back at a small
share are also held back at any larger one. Without a key the whole row is hashed, so equal rows
fall on the same side and none is trained on and judged on at once.
"""

from __future__ import annotations

import hashlib

import numpy as np
import polars as pl

from entente_client.lake.records import record_bytes
from entente_common.contracts.dataset import DatasetContract

_DOMAIN = b"entente/holdout/1\x00"


def split(
    frame: pl.DataFrame, *, contract: DatasetContract, holdout: float
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Part `frame` into training rows and held-back rows, keeping their order.

    Args:
        frame: Rows that meet the contract.
        contract: Names the key, if there is one.
        holdout: Share to hold back, in [0, 1]; the actual share varies by chance.

    Returns:
        Training rows and held-back rows; either may be empty for few rows.
    """
    identity = frame if contract.key is None else frame.select(contract.key)
    places = [_place(record) for record in record_bytes(identity)]
    held_back = pl.Series(np.asarray(places, dtype=np.float64) < holdout, dtype=pl.Boolean)
    return frame.filter(~held_back), frame.filter(held_back)


def _place(record: bytes) -> float:
    """A record's place in [0, 1): the first 53 bits of its hash."""
    word = int.from_bytes(hashlib.sha256(_DOMAIN + record).digest()[:8], "big")
    return (word >> 11) * 2.0**-53
