"""What commands write: results on stdout, everything else on stderr.

With `-o json`, stdout holds exactly one JSON document, or one document a line for a stream; both
carry `apiVersion` and `kind`. Text from the network never reaches the terminal as control codes.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any

import typer
from pydantic import BaseModel
from rich.console import Console
from rich.table import Table
from rich.text import Text

from entente_common.errors import EntenteError

API_VERSION = "entente/v1"
_PIPE_WIDTH = 160


class Output(StrEnum):
    """How a result is written."""

    TABLE = "table"
    JSON = "json"


OutputOption = Annotated[
    Output, typer.Option("--output", "-o", help="Write a table for people, or JSON for programs.")
]


def console(*, stderr: bool = False) -> Console:
    """A console that shows text as it is: no markup, no emoji; `NO_COLOR` is respected."""
    made = Console(stderr=stderr, markup=False, highlight=False, emoji=False)
    if not made.is_terminal:
        made.width = max(made.width, _PIPE_WIDTH)
    return made


def write_document(kind: str, document: BaseModel | Mapping[str, Any]) -> None:
    """Write one JSON document to stdout."""
    sys.stdout.write(json.dumps(_labelled(kind, document), indent=2, ensure_ascii=False) + "\n")


def write_line(kind: str, document: BaseModel | Mapping[str, Any]) -> None:
    """Write one document of a JSON stream to stdout, at once."""
    sys.stdout.write(json.dumps(_labelled(kind, document), ensure_ascii=False) + "\n")
    sys.stdout.flush()


def write_list(kind: str, documents: Sequence[BaseModel]) -> None:
    """Write a list as one JSON document to stdout."""
    items = [document.model_dump(mode="json") for document in documents]
    write_document(kind, {"items": items})


def write_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str) -> None:
    """Write a table to stdout; without rows, say `empty`, which names the next command."""
    listed = [[plain(_cell(value)) for value in row] for row in rows]
    if not listed:
        console().print(empty)
        return
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 3, 0, 0))
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in listed:
        table.add_row(*row)
    console().print(table)


def write_error(error: EntenteError) -> None:
    """Say on stderr what happened, why, and what to do next."""
    text = Text()
    text.append("error: ", style="bold red").append(f"{error.title} ({error.code})")
    if error.detail:
        text.append("\n  why:  ", style="bold").append(plain(error.detail))
    for issue in error.issues:
        text.append("\n        - ").append(plain(str(issue)))
    text.append("\n  next: ", style="bold").append(plain(error.hint))
    console(stderr=True).print(text, soft_wrap=True)


def plain(text: str) -> str:
    """`text` with everything but printable characters and line feeds made visible and harmless."""
    return "".join(
        letter if letter.isprintable() or letter == "\n" else "\N{REPLACEMENT CHARACTER}"
        for letter in text
    )


def _cell(value: object) -> str:
    if value is None:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _labelled(kind: str, document: BaseModel | Mapping[str, Any]) -> dict[str, Any]:
    body = document.model_dump(mode="json") if isinstance(document, BaseModel) else dict(document)
    return {"apiVersion": API_VERSION, "kind": kind, **body}
