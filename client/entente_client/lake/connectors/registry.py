"""The registry of connectors: from a source's file name to a raw table of text.

A connector is one file of this package, named as the ending it reads, that registers a reader with
`@connector(ending)`. A reader returns every column as text, null where nothing stands: what the
text means is for the contract to say, not for a parser to guess.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path

import polars as pl

from entente_common.errors import DataProblem

Reader = Callable[[Path], pl.DataFrame]
_READERS: dict[str, Reader] = {}
_INSTALLED = ("csv",)


def connector(ending: str) -> Callable[[Reader], Reader]:
    """Register the decorated reader for files whose name ends in `.{ending}`."""

    def register(reader: Reader) -> Reader:
        _READERS[ending] = reader
        return reader

    return register


def read_source(source: Path) -> pl.DataFrame:
    """The raw table in `source`, every column as text.

    Raises:
        DataProblem: There is no connector for this kind of file, or it cannot be read.
    """
    ending = source.suffix.lower().removeprefix(".")
    if ending not in _INSTALLED:
        raise DataProblem(
            f"There is no connector for {source.name}.",
            hint=f"Convert the data to one of: {', '.join(_INSTALLED)}.",
        )
    importlib.import_module(f"{__package__}.{ending}")
    return _READERS[ending](source)
