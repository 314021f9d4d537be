"""`entente demo`: stage a federation, write its report, and say what was shown."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
from rich.console import Console

from entente_sdk.cli.output import console as make_console
from entente_sdk.quantities import seconds_text
from entente_simulations.demo.claims import insist
from entente_simulations.demo.perform import perform
from entente_simulations.demo.results import DemoResults
from entente_simulations.demo.scenarios.registry import make_scenario
from entente_simulations.demo.scenarios.scenario import ScenarioName
from entente_simulations.demo.workspace import Workspace, open_workspace

app = typer.Typer(
    help="Run a whole federation on this machine and write a report.", add_completion=False
)


@app.callback(invoke_without_command=True)
def demo(
    *,
    scenario: Annotated[ScenarioName, typer.Option(help="What to stage.")] = ScenarioName.HOSPITALS,
    directory: Annotated[
        Path, typer.Option("--dir", metavar="DIR", help="Where to write; new or a demo's own.")
    ] = Path("entente-demo"),
    rounds: Annotated[
        int | None,
        typer.Option(min=1, max=1000, metavar="N", help="Rounds of each run, not the scenario's."),
    ] = None,
    keep: Annotated[
        bool,
        typer.Option("--keep", help="Keep the data directories of coordinator and sites."),
    ] = False,
) -> None:
    """Run a whole federation on this machine and write a report.

    A coordinator and an agent for each site start as processes of their own, enrol, and train
    together on public data: plain, encrypted and, for the hospitals, with differential privacy.
    Everything ends with the demo, and with Ctrl-C.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGHUP, _interrupt)
    console = make_console(stderr=True)
    staged = make_scenario(scenario, rounds=rounds)
    with open_workspace(directory.absolute()) as workspace:
        console.print(staged.title, style="bold")
        console.print(staged.question)
        results = perform(staged, workspace, console=console)
        _write(results, workspace)
        _conclude(results, console)
        if not keep:
            workspace.remove_working_files()
        sys.stdout.write(f"{workspace.report}\n")
    insist(results.claims)


def _write(results: DemoResults, workspace: Workspace) -> None:
    from entente_simulations.demo.report.page import render

    text = json.dumps(results.document(), indent=2, ensure_ascii=False)
    workspace.results.write_text(text + "\n", encoding="utf-8")
    workspace.report.write_text(render(results), encoding="utf-8")


def _conclude(results: DemoResults, console: Console) -> None:
    console.print("")
    for claim in results.claims:
        verdict, style = ("shown    ", "green") if claim.holds else ("NOT SHOWN", "bold red")
        console.print(verdict, style=style, end="  ")
        console.print(f"{claim.statement} {claim.evidence}", soft_wrap=True)
    console.print(f"Took {seconds_text(results.seconds)}. The report:", style="dim")


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    """End on SIGTERM and SIGHUP as on Ctrl-C, so that no process is left."""
    raise KeyboardInterrupt
