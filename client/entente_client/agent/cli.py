"""`entente agent`: enrol a site, run its agent, look at its state, manage its datasets."""

from __future__ import annotations

import json
import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from entente_client.cli_data import data_app

app = typer.Typer(
    add_completion=False,
    name="agent",
    help="Run a site: enrol, attend, train on local data.",
    no_args_is_help=True,
)
app.add_typer(data_app, name="data")

Directory = Annotated[
    Path, typer.Option("--dir", help="The agent's directory; it holds keys and data.")
]


class Output(StrEnum):
    """How a result is printed."""

    TABLE = "table"
    JSON = "json"


OutputOption = Annotated[Output, typer.Option("--output", "-o", help="How to print the result.")]


@app.command()
def enrol(
    *,
    directory: Directory,
    invitation: Annotated[
        Path, typer.Option("--invitation", help="The file from the coordinator's admin.")
    ],
    output: OutputOption = Output.TABLE,
) -> None:
    """Join a coordinator with an invitation. The site's key is made here and stays here."""
    _quieten_grpc()
    from entente_client.agent.enrol import enrol as enrol_site
    from entente_common.contracts.site import load_invitation

    settings = enrol_site(directory, load_invitation(invitation))
    if output is Output.JSON:
        typer.echo(settings.model_dump_json(indent=2))
        return
    typer.echo(f"Enrolled as {settings.site} with {settings.coordinator.channel}.")
    typer.echo(f"Next: entente agent data add … --dir {directory}")
    typer.echo(f"      entente agent run --dir {directory}")


@app.command()
def run(
    *,
    directory: Directory,
    verbose: Annotated[bool, typer.Option("--verbose", help="Log more.")] = False,
) -> None:
    """Attend at the coordinator and train when asked, until stopped by a signal."""
    _quieten_grpc()
    from entente_client.agent.agent import run_agent
    from entente_common.lifeline import hold_if_asked
    from entente_common.log import configure_logging

    configure_logging(process="agent", verbose=verbose)
    hold_if_asked()
    raise typer.Exit(int(run_agent(directory)))


@app.command()
def status(*, directory: Directory, output: OutputOption = Output.TABLE) -> None:
    """Show who this site is, whether its agent runs, and which datasets it holds."""
    from entente_client.agent.status import agent_status

    document = agent_status(directory)
    if output is Output.JSON:
        typer.echo(json.dumps(document, indent=2))
        return
    for name, value in _lines(document):
        typer.echo(f"{name:<12} {value}")


def _lines(document: dict[str, Any]) -> list[tuple[str, str]]:
    certificate, channel, node = document["certificate"], document["channel"], document["node"]
    lines = [
        ("site", document["site"]),
        ("coordinator", document["coordinator"]["channel"]),
        ("certificate", ("EXPIRED " if certificate["expired"] else "until ")
         + certificate["expires_at"]),
        ("agent", "running" if document["running"] else "stopped"),
    ]  # fmt: skip
    if channel:
        reason = f" ({channel['reason']})" if channel["reason"] else ""
        lines.append(("channel", f"{channel['state']} since {channel['since']}{reason}"))
    if node:
        lines.append(("node", f"{node['state']}, started {node['starts']} times"))
    return lines + [
        ("dataset", f"{card['dataset']}: {card['contract']}, {card['rows']} rows")
        for card in document["datasets"]
    ]


def _quieten_grpc() -> None:
    """Keep gRPC's C core from writing to the terminal; its faults reach people as errors."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
