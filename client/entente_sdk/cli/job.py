"""`entente job`: write and check job files, without any coordinator."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from entente_common.contracts.job import Job, job_schema, load_job, parse_job
from entente_common.contracts.reader import SIZE_LIMIT_BYTES
from entente_sdk.cli.job_template import ModelKind, job_template
from entente_sdk.cli.output import Output, OutputOption, write_document, write_table

app = typer.Typer(help="Write and check job files.", no_args_is_help=True, add_completion=False)

_STDIN = Path("-")

JobFile = Annotated[
    Path, typer.Argument(metavar="FILE", help="Job file, YAML or JSON; - reads standard input.")
]


@app.command()
def init(
    model: Annotated[ModelKind, typer.Option(help="Kind of model to begin with.")] = ModelKind.MLP,
) -> None:
    """Print a job file to begin with: entente job init > job.yaml."""
    sys.stdout.write(job_template(model))


@app.command()
def validate(file: JobFile, output: OutputOption = Output.TABLE) -> None:
    """Check a job file and name every fault at once; with -o json, print the job resolved."""
    job = _read(file)
    if output is Output.JSON:
        write_document("ValidJob", {"digest": job.digest(), "job": job.document()})
        return
    write_table(("job", "is"), _summary(job), empty="")


@app.command()
def schema() -> None:
    """Print the JSON Schema of job files, for editors and programs."""
    sys.stdout.write(json.dumps(job_schema(), indent=2, ensure_ascii=False) + "\n")


@app.command()
def digest(file: JobFile) -> None:
    """Print the digest of a job: equal for two files that say the same."""
    sys.stdout.write(_read(file).digest() + "\n")


def _read(file: Path) -> Job:
    if file != _STDIN:
        return load_job(file)
    # One byte more than allowed is enough to refuse the text as too large.
    content = sys.stdin.buffer.read(SIZE_LIMIT_BYTES + 1)
    return parse_job(content.decode("utf-8", errors="replace"), source="standard input")


def _summary(job: Job) -> list[tuple[str, str]]:
    training, protection, privacy = job.training, job.protection, job.privacy
    columns = job.data.features
    return [
        ("name", job.name),
        ("status", "valid"),
        ("learns", f"{job.task} from {job.data.contract}"),
        ("features", "all of the contract" if columns is None else str(len(columns))),
        ("model", job.model.kind),
        ("training", f"{training.rounds} rounds of {training.local_steps} local steps"),
        ("strategy", training.strategy.name),
        (
            "privacy",
            "none"
            if privacy.unit == "none"
            else f"epsilon {privacy.epsilon:g}, delta {privacy.delta:g} for each record",
        ),
        ("protection", f"{protection.aggregation}, at least {protection.min_sites} sites"),
        ("released to", ", ".join(job.release.to)),
        ("digest", job.digest()),
    ]
