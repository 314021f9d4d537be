"""What protection of updates costs: bytes and time per parameter, encrypted against plain.

Prints one JSON document on standard output and progress on standard error. Under a minute on one
core: `python tests/benchmarks/aggregation.py`.
"""

from __future__ import annotations

import json
import platform
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from entente_common.aggregation.fixedpoint import FixedPoint
from entente_common.aggregation.he import CiphertextSum, GroupKey
from entente_common.aggregation.parameters import SITE_LIMIT
from entente_common.aggregation.plain import PlainSum, plain_bytes, plain_ints

PARAMETERS = 1_000_000
SITES = 3
REPEATS = 5

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Target:
    """One figure and what it must be; `op` and `target` are None where none is set."""

    name: str
    value: float
    unit: str
    op: str | None = None
    target: float | None = None


@dataclass(frozen=True, slots=True)
class Cost:
    """What one way of summing costs for PARAMETERS parameters.

    Attributes:
        encode_ms: Integers to upload, at one site.
        fold_ms: One upload into the coordinator's sum.
        decode_ms: The sum to integers, at one site.
        up_bytes: One upload.
        down_bytes: One sum.
    """

    encode_ms: float
    fold_ms: float
    decode_ms: float
    up_bytes: int
    down_bytes: int


def main() -> None:
    """Measure and print."""
    codec = FixedPoint(clip=1.0)
    update = np.random.default_rng(0).normal(0, 0.1, PARAMETERS).astype(np.float32)
    fixed_ms, encoded = median_ms(lambda: codec.encode(update, weight=1 / SITES, seed=b"bench"))
    say(f"fixed point: {fixed_ms:.1f} ms")
    encrypted, sealed_total = encrypted_cost(encoded.values)
    say(f"encrypted: {encrypted}")
    plain, plain_total = plain_cost(encoded.values)
    say(f"plain: {plain}")
    targets = figures(encrypted, plain, fixed_ms=fixed_ms)
    targets.append(
        Target(
            "encrypted_equals_plain_bit_for_bit",
            float(np.array_equal(sealed_total, plain_total)),
            "boolean",
            ">=",
            1.0,
        )
    )
    document = {
        "benchmark": "aggregation",
        "parameters": PARAMETERS,
        "sites": SITES,
        "repeats": REPEATS,
        "python": platform.python_version(),
        "tenseal": version("tenseal"),
        "numpy": np.__version__,
        "targets": [asdict(figure) for figure in targets if figure.op is not None],
        "figures": [
            {"name": figure.name, "value": figure.value, "unit": figure.unit}
            for figure in targets
            if figure.op is None
        ],
        "raw": {"encrypted": asdict(encrypted), "plain": asdict(plain), "fixed_point_ms": fixed_ms},
    }
    print(json.dumps(document, indent=2))


def encrypted_cost(values: NDArray[np.int64]) -> tuple[Cost, NDArray[np.int64]]:
    """Measure the sum under a group key."""
    key = GroupKey.generate()
    context = key.public_context()
    encode_ms, blob = median_ms(lambda: key.encrypt(values))
    total = CiphertextSum(context, length=PARAMETERS, limit=SITE_LIMIT)
    fold_ms, _ = median_ms(lambda: total.add(blob))
    final = CiphertextSum(context, length=PARAMETERS, limit=SITES)
    for _ in range(SITES):
        final.add(key.encrypt(values))
    down = final.serialise()
    decode_ms, opened = median_ms(lambda: key.decrypt(down, length=PARAMETERS, sites=SITES))
    return Cost(encode_ms, fold_ms, decode_ms, len(blob), len(down)), opened


def plain_cost(values: NDArray[np.int64]) -> tuple[Cost, NDArray[np.int64]]:
    """Measure the sum in the clear."""
    encode_ms, blob = median_ms(lambda: plain_bytes(values))
    total = PlainSum(length=PARAMETERS, limit=SITE_LIMIT)
    fold_ms, _ = median_ms(lambda: total.add(blob))
    final = PlainSum(length=PARAMETERS, limit=SITES)
    for _ in range(SITES):
        final.add(blob)
    down = final.serialise()
    decode_ms, opened = median_ms(lambda: plain_ints(down, length=PARAMETERS, sites=SITES))
    return Cost(encode_ms, fold_ms, decode_ms, len(blob), len(down)), opened


def figures(encrypted: Cost, plain: Cost, *, fixed_ms: float) -> list[Target]:
    """The figures people compare, per million parameters where they are times."""
    per_million = 1e6 / PARAMETERS
    return [
        Target("encrypted_upload", encrypted.up_bytes / PARAMETERS, "bytes/parameter", "<=", 8.2),
        Target("encrypted_download", encrypted.down_bytes / PARAMETERS, "bytes/parameter"),
        Target("encrypted_encode", encrypted.encode_ms * per_million, "ms/Mparameter"),
        Target("encrypted_fold", encrypted.fold_ms * per_million, "ms/Mparameter"),
        Target("encrypted_decode", encrypted.decode_ms * per_million, "ms/Mparameter"),
        Target("fixed_point_encode", fixed_ms * per_million, "ms/Mparameter"),
        Target("upload_ratio_to_plain", encrypted.up_bytes / plain.up_bytes, "ratio"),
        Target(
            "encode_ratio_to_plain",
            (fixed_ms + encrypted.encode_ms) / (fixed_ms + plain.encode_ms),
            "ratio",
        ),
        Target("fold_ratio_to_plain", encrypted.fold_ms / plain.fold_ms, "ratio"),
        Target("decode_ratio_to_plain", encrypted.decode_ms / plain.decode_ms, "ratio"),
    ]


def median_ms(work: Callable[[], T]) -> tuple[float, T]:
    """Median wall time of `work` over REPEATS runs after a first that does not count."""
    result = work()
    times_ms = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        result = work()
        times_ms.append((time.perf_counter() - start) * 1e3)
    return statistics.median(times_ms), result


def say(text: str) -> None:
    """Report progress."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
