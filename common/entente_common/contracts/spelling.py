"""Names in messages: the one a person most likely meant, and how several are listed."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

_CUTOFF = 0.6
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def nearest(word: str, names: Iterable[str]) -> str | None:
    """The one of `names` nearest to `word`, or `None` when none is near.

    Case, hyphens, spaces and camelCase do not count as differences: `batchSize`, `Batch-Size` and
    `batch size` are all `batch_size`.
    """
    by_plain = {_plain(name): name for name in names}
    close = difflib.get_close_matches(_plain(word[:200]), by_plain, n=1, cutoff=_CUTOFF)
    return by_plain[close[0]] if close else None


def listed(names: Iterable[object], *, last: str = "or") -> str:
    """`names` as code in a sentence: `a`, `b` or `c`."""
    quoted = [f"`{name}`" for name in names]
    if len(quoted) < 2:
        return "".join(quoted)
    return f"{', '.join(quoted[:-1])} {last} {quoted[-1]}"


def excerpt(text: str, *, limit: int) -> str:
    """`text` as it may be shown: at most `limit` characters, each one valid Unicode."""
    valid = text.encode("utf-8", errors="replace").decode("utf-8")
    return valid if len(valid) <= limit else f"{valid[:limit]}…"


def _plain(name: str) -> str:
    return re.sub(r"[\s-]+", "_", _HUMP.sub("_", name.strip())).lower()
