"""`entente agent data`: register, check and list the datasets of a site.

Nothing here talks to the network. Faults are told by column and count, never by value.
"""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from entente_client.lake.catalogue import Catalogue
    from entente_common.contracts.dataset import DatasetCard

data_app = typer.Typer(
    add_completion=False,
    name="data",
    help="Register, check and list this site's datasets.",
    no_args_is_help=True,
)

_FOLDER = "datasets"


class Output(StrEnum):
    """How results are printed."""

    TABLE = "table"
    JSON = "json"


_Directory = Annotated[Path, typer.Option("--dir", help="The agent's data directory.")]
_Contract = Annotated[Path, typer.Option("--contract", help="The contract file (YAML or JSON).")]
_Source = Annotated[Path, typer.Option("--source", help="The rows: a CSV file with a header.")]
_Output = Annotated[Output, typer.Option("--output", "-o", help="How to print the result.")]


@data_app.command("add")
def add(
    name: Annotated[str, typer.Argument(help="The dataset's name at this site.")],
    contract: _Contract,
    source: _Source,
    directory: _Directory,
    output: _Output = Output.TABLE,
) -> None:
    """Check rows against a contract and register them; replaces a dataset of the same name."""
    card = _catalogue(directory).add(name, contract=contract, source=source)
    _print([card], output)


@data_app.command("check")
def check(contract: _Contract, source: _Source, output: _Output = Output.TABLE) -> None:
    """Check rows against a contract and keep nothing."""
    from entente_client.lake.connectors.registry import read_source
    from entente_client.lake.quality import admit
    from entente_common.contracts.dataset import load_contract

    agreed = load_contract(contract)
    frame = admit(read_source(source), agreed)
    if output is Output.JSON:
        typer.echo(json.dumps({"contract": agreed.ref, "rows": frame.height}))
    else:
        typer.echo(f"{frame.height} rows meet contract {agreed.ref}.")


@data_app.command("list")
def list_datasets(directory: _Directory, output: _Output = Output.TABLE) -> None:
    """List the registered datasets: exactly what the coordinator is told of them."""
    _print(_catalogue(directory).cards(), output)


def _catalogue(directory: Path) -> Catalogue:
    from entente_client.lake.catalogue import Catalogue

    return Catalogue(directory / _FOLDER)


def _print(cards: list[DatasetCard], output: Output) -> None:
    if output is Output.JSON:
        items = [card.model_dump(mode="json") for card in cards]
        typer.echo(json.dumps({"items": items, "next_cursor": None}, indent=2))
        return
    if not cards:
        typer.echo("No datasets. Register one with `entente agent data add`.")
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("dataset", "contract", "rows", "columns", "version")
    for card in cards:
        table.add_row(
            card.dataset, card.contract, str(card.rows), str(card.columns), card.version[:19]
        )
    Console().print(table)
