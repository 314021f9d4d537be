"""`entente server`: run a coordinator."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Annotated

import typer

from entente_common.errors import ExitCode, MissingDependency
from entente_common.lifeline import hold_if_asked
from entente_common.log import configure_logging
from entente_server.settings import ServerSettings

app = typer.Typer(help="Run the coordinator.", no_args_is_help=True, add_completion=False)


@app.callback()
def group() -> None:
    """Run the coordinator."""


@app.command("run")
def run(
    *,
    directory: Annotated[
        Path, typer.Option("--dir", help="Data directory; made if absent.")
    ] = Path("entente-server"),
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    public_host: Annotated[
        str | None, typer.Option(help="Name under which sites reach it; default: the host.")
    ] = None,
    api_port: Annotated[int, typer.Option(min=0, max=65535, help="REST API; 0: any free.")] = 8443,
    fleet_port: Annotated[int, typer.Option(min=0, max=65535, help="Flower, for sites.")] = 8444,
    channel_port: Annotated[int, typer.Option(min=0, max=65535, help="Site channel.")] = 8445,
    enrolment_port: Annotated[int, typer.Option(min=0, max=65535, help="Enrolment.")] = 8446,
    verbose: Annotated[bool, typer.Option("--verbose", help="Log more.")] = False,
) -> None:
    """Run a coordinator until SIGTERM or Ctrl-C.

    An empty directory becomes a new coordinator: its certificate authority, database and first
    access token (`admin.token`) are made there.
    """
    configure_logging(process="coordinator", verbose=verbose)
    hold_if_asked()
    settings = ServerSettings(
        directory=directory.absolute(),
        host=host,
        public_host=public_host or host,
        ports={
            "api": api_port,
            "fleet": fleet_port,
            "channel": channel_port,
            "enrolment": enrolment_port,
        },
    )
    try:
        interrupted = asyncio.run(_until_signal(settings))
    except ModuleNotFoundError as error:
        raise MissingDependency(
            f"{error.name} is not installed.", hint="Install `pip install 'entente[server,he]'`."
        ) from error
    if interrupted:
        raise typer.Exit(ExitCode.INTERRUPTED)


async def _until_signal(settings: ServerSettings) -> bool:
    """Serve until a signal comes; tell whether it was Ctrl-C."""
    from entente_server.coordinator import serve

    stop = asyncio.Event()
    received: list[signal.Signals] = []

    def on_signal(number: signal.Signals) -> None:
        received.append(number)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, on_signal, number)
    await serve(settings, stop)
    return signal.SIGINT in received
