"""`entente run`: start, follow and end runs, and fetch what they made."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from entente_common.contracts.job import load_job
from entente_common.contracts.run import Run
from entente_common.contracts.site import Preflight
from entente_common.errors import RunFailed
from entente_common.identity.atomic_file import write_atomically
from entente_common.privacy.statement import PrivacyStatement
from entente_sdk.cli.live import follow
from entente_sdk.cli.options import connected
from entente_sdk.cli.output import (
    Output,
    OutputOption,
    console,
    write_document,
    write_line,
    write_list,
    write_table,
)
from entente_sdk.client import Client
from entente_sdk.progress import RunProgress
from entente_sdk.quantities import bytes_text

app = typer.Typer(
    help="Start, follow and end runs; fetch their models.",
    no_args_is_help=True,
    add_completion=False,
)

RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="Identifier, run_….")]


@app.command()
@connected
def submit(
    client: Client,
    job: Annotated[Path, typer.Argument(metavar="FILE", help="Job file (YAML or JSON).")],
    *,
    watch: Annotated[bool, typer.Option("--watch", help="Follow the run to its end.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show which sites could take part; start nothing.")
    ] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Start a run of a job.

    The job is checked here first, and every fault in it is listed at once.
    """
    document = load_job(job).document()
    if dry_run:
        _write_preflight(client.preflight(document), output)
        return
    run = client.submit(document)
    if watch:
        _watch(client, run, output)
        return
    if output is Output.JSON:
        write_document("Run", run)
        return
    console().print(f"Submitted {run.name} as {run.id}.\nFollow it: entente run watch {run.id}")


@app.command(name="list")
@connected
def list_runs(client: Client, output: OutputOption = Output.TABLE) -> None:
    """List all runs."""
    runs = client.runs()
    if output is Output.JSON:
        write_list("RunList", runs)
        return
    write_table(
        ("run", "job", "status", "rounds", "sites", "created", "reason"),
        (
            (
                run.id,
                run.name,
                run.status,
                f"{run.rounds_done}/{run.rounds_total}",
                len(run.sites) or None,
                run.created_at,
                run.reason,
            )
            for run in runs
        ),
        empty="No run yet. Start one: entente run submit JOB.yaml",
    )


@app.command()
@connected
def show(client: Client, run: RunArgument, output: OutputOption = Output.TABLE) -> None:
    """Show one run: its state, metrics, privacy and digests."""
    found = client.run(run)
    if output is Output.JSON:
        write_document("Run", found)
        return
    write_table(("", ""), _facts(found), empty="")


@app.command()
@connected
def watch(client: Client, run: RunArgument, output: OutputOption = Output.TABLE) -> None:
    """Follow a run to its end; with `-o json`, one event a line.

    Ends with code 0 only when the run succeeded.
    """
    _watch(client, client.run(run), output)


@app.command()
@connected
def abort(client: Client, run: RunArgument) -> None:
    """End a run early; what its sites have sent so far is discarded."""
    client.abort(run)
    console(stderr=True).print(f"Aborted {run}.")


@app.command()
@connected
def model(
    client: Client,
    run: RunArgument,
    to: Annotated[
        Path | None,
        typer.Option("--to", metavar="FILE", help="File to write; default RUN.safetensors."),
    ] = None,
) -> None:
    """Fetch the model a run trained, in safetensors format."""
    target = to or Path(f"{run}.safetensors")
    content = client.model(run)
    write_atomically(target, content)
    console(stderr=True).print(f"Wrote {target} ({bytes_text(len(content))}).", soft_wrap=True)


def _watch(client: Client, run: Run, output: Output) -> None:
    progress = RunProgress(run_id=run.id, name=run.name, rounds_total=run.rounds_total)
    if output is Output.JSON:
        for event in client.events(run.id):
            write_line("RunEvent", event)
    else:
        follow(client.events(run.id), progress, console=console())
    ended = client.run(run.id)
    if ended.status != "succeeded":
        raise RunFailed(f"{run.id} {ended.status}: {ended.reason or 'no reason was given'}")


def _write_preflight(preflight: Preflight, output: Output) -> None:
    if output is Output.JSON:
        write_document("Preflight", preflight)
        return
    eligible = [(site.site, "yes", f"{site.rows} rows", None) for site in preflight.eligible]
    others = [(site.site, "no", site.reason, site.cure) for site in preflight.ineligible]
    write_table(
        ("site", "eligible", "because", "cure"),
        [*eligible, *others],
        empty="No site yet. Invite one: entente site invite NAME",
    )


def _facts(run: Run) -> list[tuple[str, object]]:
    metrics = "  ".join(f"{name} {value:.4f}" for name, value in (run.metrics or {}).items())
    facts: list[tuple[str, object]] = [
        ("run", run.id),
        ("job", f"{run.name}  {run.job_digest}"),
        ("status", run.status),
        ("reason", run.reason),
        ("rounds", f"{run.rounds_done} of {run.rounds_total}"),
        ("sites", ", ".join(run.sites) or None),
        ("metrics", metrics or None),
        ("created", run.created_at),
        ("started", run.started_at),
        ("ended", run.ended_at),
        ("sent by sites", bytes_text(run.bytes_up)),
        ("received by sites", bytes_text(run.bytes_down)),
        ("code", run.code_digest),
        ("model", run.model_digest),
    ]
    facts.extend(
        (
            f"privacy at {statement.site}",
            _guarantee(statement),
        )
        for statement in run.privacy
    )
    return facts


def _guarantee(statement: PrivacyStatement) -> str:
    return (
        f"epsilon {statement.epsilon:.3f}, delta {statement.delta:g} "
        f"({statement.mechanism}, {statement.accountant} accountant)"
    )
