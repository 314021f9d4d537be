"""The demo as people run it: one command, real processes, and nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from entente_common.errors import ExitCode

_COMMAND = [sys.executable, "-m", "entente_sdk.cli.entry", "demo"]


def processes_of(directory: Path) -> list[int]:
    """Processes that name `directory` on their command line or work for one that does."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                command = (entry / "cmdline").read_bytes()
                standard_error = str((entry / "fd" / "2").readlink())
            except OSError:
                continue
            if os.fsencode(directory) in command or standard_error.startswith(str(directory)):
                found.append(int(entry.name))
    return found


def test_the_hospitals_demo_shows_its_claims_and_leaves_a_report(tmp_path: Path) -> None:
    directory = tmp_path / "demo"
    outcome = subprocess.run(
        [*_COMMAND, "--dir", str(directory), "--rounds", "4"],
        capture_output=True,
        text=True,
        timeout=230,
        check=False,
    )
    assert outcome.returncode == 0, outcome.stderr
    assert outcome.stdout.strip() == str(directory / "report.html")
    results = json.loads((directory / "results.json").read_text())
    assert all(claim["holds"] for claim in results["claims"]), results["claims"]
    digests = {run["key"]: run["run"]["model_digest"] for run in results["runs"]}
    assert digests["plain"] == digests["encrypted"] != digests["private"]
    for word in ("http://", "https://", "<script", "src="):
        assert word not in (directory / "report.html").read_text(), "the report asks for nothing"
    assert processes_of(directory) == []


@pytest.mark.parametrize("moment_s", [1.0, 12.0], ids=["starting", "running"])
def test_ctrl_c_at_any_moment_leaves_no_process(tmp_path: Path, moment_s: float) -> None:
    directory = tmp_path / "demo"
    demo = subprocess.Popen(
        [*_COMMAND, "--dir", str(directory)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    time.sleep(moment_s)
    assert demo.poll() is None
    os.killpg(demo.pid, signal.SIGINT)
    _, told = demo.communicate(timeout=60)
    assert demo.returncode == ExitCode.INTERRUPTED, told
    assert "Traceback" not in told
    assert processes_of(directory) == []


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_digits_demo_shows_equal_accuracy_plain_and_encrypted(tmp_path: Path) -> None:
    directory = tmp_path / "demo"
    outcome = subprocess.run(
        [*_COMMAND, "--scenario", "digits", "--dir", str(directory)],
        capture_output=True,
        text=True,
        timeout=580,
        check=False,
    )
    assert outcome.returncode == 0, outcome.stderr
    results = json.loads((directory / "results.json").read_text())
    assert all(claim["holds"] for claim in results["claims"]), results["claims"]
