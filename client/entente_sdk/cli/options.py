"""The four options that say which coordinator a command talks to."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Concatenate, ParamSpec

import typer

from entente_sdk.client import Client
from entente_sdk.connection import (
    CA_FILE_VARIABLE,
    SERVER_DIR_VARIABLE,
    TOKEN_FILE_VARIABLE,
    URL_VARIABLE,
    find_connection,
)

_Parameters = ParamSpec("_Parameters")
_PANEL = "Coordinator"


def _option(name: str, metavar: str, text: str) -> Any:  # noqa: ANN401 - typer's own return type
    return typer.Option(name, metavar=metavar, help=text, rich_help_panel=_PANEL)


_OPTIONS = {
    "url": Annotated[
        str | None, _option("--url", "URL", f"Address of its API. (env {URL_VARIABLE})")
    ],
    "token_file": Annotated[
        Path | None,
        _option("--token-file", "FILE", f"File with the access token. (env {TOKEN_FILE_VARIABLE})"),
    ],
    "ca_file": Annotated[
        Path | None,
        _option("--ca-file", "FILE", f"Authority that vouches for it. (env {CA_FILE_VARIABLE})"),
    ],
    "server_dir": Annotated[
        Path | None,
        _option(
            "--server-dir",
            "DIR",
            f"Directory of a coordinator on this machine: address, token and authority at once. "
            f"(env {SERVER_DIR_VARIABLE})",
        ),
    ],
}


def connected(
    command: Callable[Concatenate[Client, _Parameters], None],
) -> Callable[..., None]:
    """Give `command` the connection options, and a client in place of its first parameter."""

    @functools.wraps(command)
    def connect(*args: Any, **options: Any) -> None:  # noqa: ANN401 - typer passes the values
        connection = find_connection(**{name: options.pop(name) for name in _OPTIONS})
        with Client.to(connection) as client:
            command(client, *args, **options)

    own = list(inspect.signature(command, eval_str=True).parameters.values())[1:]
    shared = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
        for name, annotation in _OPTIONS.items()
    ]
    # Typer reads this signature to make the options.
    connect.__signature__ = inspect.Signature([*own, *shared])  # type: ignore[attr-defined]
    return connect
