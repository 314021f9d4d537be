"""The `entente` command: its groups, and how it ends.

Every way to end has its exit code (`ExitCode`). An `EntenteError` is told as what, why and next;
any other exception is a defect, shown as one line, or as a traceback with `--verbose`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

import click
import typer

from entente_common import __version__
from entente_common.errors import EntenteError, ExitCode, InternalError
from entente_sdk.cli.lazy import Deferred, LazyGroup

VERBOSE = "--verbose"


class Entente(LazyGroup):
    """The root group: each noun's module is imported when the noun is called."""

    groups = {  # noqa: RUF012 - read-only table of the class
        "demo": Deferred(
            "entente_simulations.demo.cli:app",
            "Run a whole federation on this machine and write a report.",
            "server,agent,he,demo",
        ),
        "server": Deferred("entente_server.cli:app", "Run the coordinator.", "server,he"),
        "agent": Deferred(
            "entente_client.agent.cli:app", "Enrol and run a site; register its data.", "agent,he"
        ),
        "site": Deferred("entente_sdk.cli.site:app", "Invite sites and see who is there."),
        "job": Deferred("entente_sdk.cli.job:app", "Write and check job files."),
        "run": Deferred("entente_sdk.cli.run:app", "Start, follow and end runs; fetch models."),
        "audit": Deferred(
            "entente_sdk.cli.audit:app", "Export the audit trail; verify an export, offline."
        ),
    }


app = typer.Typer(
    cls=Entente,
    help="Entente: institutions that may not pool their data train models together.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    epilog="Exit codes: 0 ok, 1 run failed, 2 usage, 3 authentication, 4 not found, 5 refused, "
    "6 privacy budget, 7 unreachable, 70 defect, 130 interrupted.",
)


@app.callback()
def root(
    *,
    verbose: Annotated[
        bool, typer.Option(VERBOSE, help="Show tracebacks of defects; may stand anywhere.")
    ] = False,
) -> None:
    """Entente: institutions that may not pool their data train models together."""
    # `main` looks for the option itself, because it may stand anywhere.
    del verbose


@app.command(name="version")
def show_version() -> None:
    """Print the version of Entente and of the libraries that do the work."""
    lines = [f"entente {__version__}"]
    for library in ("flwr", "torch", "opacus", "tenseal"):
        try:
            lines.append(f"{library} {version(library)}")
        except PackageNotFoundError:
            lines.append(f"{library} not installed")
    sys.stdout.write("\n".join(lines) + "\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    verbose = VERBOSE in given
    try:
        return _invoke(given)
    except EntenteError as error:
        return _explain(error, verbose=verbose)
    except (KeyboardInterrupt, click.Abort):
        sys.stderr.write("\ninterrupted\n")
        return ExitCode.INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the outermost edge: a defect must be told as one
        defect = InternalError(f"{type(error).__name__}: {error}")
        defect.__cause__ = error
        return _explain(defect, verbose=verbose)


def _invoke(arguments: list[str]) -> int:
    command = typer.main.get_command(app)
    try:
        result = command.main(args=arguments, prog_name="entente", standalone_mode=False)
    except click.NoSuchOption as error:
        if error.option_name != VERBOSE:
            return _refuse(error)
        # The option belongs to every command, also to those that do not name it themselves.
        return _invoke([word for word in arguments if word != VERBOSE])
    except click.ClickException as error:
        return _refuse(error)
    return result if isinstance(result, int) else ExitCode.OK


def _refuse(error: click.ClickException) -> int:
    """Show a mistake on the command line."""
    from typer import rich_utils

    rich_utils.rich_format_error(error)
    return error.exit_code


def _explain(error: EntenteError, *, verbose: bool) -> int:
    from entente_sdk.cli.output import write_error

    if verbose:
        import traceback

        traceback.print_exception(error)
    write_error(error)
    return int(error.exit_code)


if __name__ == "__main__":
    sys.exit(main())
