"""A coordinator's life: started, killed, started again; and what it leaves behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from entente_common.errors import ExitCode
from integration.harness import Coordinator, federation, make_job, wait_for


def children_of(pid: int) -> list[int]:
    task = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in task.read_text().split()]


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def server(*arguments: str, timeout_s: float = 60) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "entente_sdk.cli.entry", "server", "run", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)


def test_a_killed_coordinator_leaves_no_process_and_its_sites_come_back(tmp_path: Path) -> None:
    with federation(tmp_path, sites=2) as whole:
        training = {**make_job()["training"], "rounds": 5000}
        run = whole.client.submit(make_job(training=training))
        for event in whole.client.events(run.id):
            if event.kind == "round.completed":
                break
        children = children_of(whole.coordinator.child.pid)
        assert len(children) == 1, "the run's ServerApp process"
        whole.coordinator.kill()
        wait_for(lambda: not any(map(alive, children)), what="the end of the ServerApp")

        whole.coordinator.restart()
        stale = whole.client.run(run.id)
        assert stale.status == "failed"
        assert "restarted" in (stale.reason or "")
        whole.await_sites(2)
        again, _ = whole.run(make_job())
        assert again.status == "succeeded", again.reason


def test_a_stopped_coordinator_ends_its_runs_with_a_reason_and_exits_cleanly(
    tmp_path: Path,
) -> None:
    with federation(tmp_path, sites=2) as whole:
        training = {**make_job()["training"], "rounds": 5000}
        run = whole.client.submit(make_job(training=training))
        for event in whole.client.events(run.id):
            if event.kind == "round.completed":
                break
        children = children_of(whole.coordinator.child.pid)
        whole.coordinator.child.send_signal(signal.SIGTERM)
        assert whole.coordinator.child.wait(30) == 0
        assert not any(map(alive, children))
        whole.coordinator.restart()
        assert whole.client.run(run.id).reason == "The coordinator was stopped."


def test_an_empty_directory_becomes_a_coordinator_whose_secrets_are_private(
    tmp_path: Path,
) -> None:
    coordinator = Coordinator(tmp_path)
    try:
        directory = coordinator.directory
        for name in ("admin.token", "ca-key.pem", "vault.key", "entente.db"):
            assert (directory / name).stat().st_mode & 0o077 == 0, name
        assert b"ENCRYPTED" in (directory / "ca-key.pem").read_bytes()
        token = (directory / "admin.token").read_text().strip()
        for file in directory.rglob("*"):
            if file.is_file() and file.name != "admin.token":
                assert token.encode() not in file.read_bytes(), file.name
        assert token not in coordinator.text()
        command_line = Path(f"/proc/{coordinator.child.pid}/cmdline").read_bytes()
        assert token.encode() not in command_line
    finally:
        coordinator.stop()


def test_a_second_coordinator_on_the_same_directory_is_refused(tmp_path: Path) -> None:
    coordinator = Coordinator(tmp_path)
    try:
        ports = ["--api-port", "0", "--fleet-port", "0"]
        second = server("--dir", str(coordinator.directory), *ports)
        assert second.returncode == ExitCode.REFUSED
        assert "already runs" in second.stderr
        assert "Traceback" not in second.stderr
    finally:
        coordinator.stop()


def test_a_taken_port_is_named_with_the_option_that_changes_it(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        outcome = server("--dir", str(tmp_path / "c"), "--fleet-port", port)
    assert outcome.returncode == ExitCode.UNREACHABLE
    assert port in outcome.stderr
    assert "--fleet-port" in outcome.stderr
    assert "Traceback" not in outcome.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_directory_is_refused_with_its_cure(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    outcome = server("--dir", str(tmp_path / "c"))
    assert outcome.returncode == ExitCode.USAGE
    assert "--dir" in outcome.stderr


def test_a_foreign_file_as_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    directory = tmp_path / "c"
    directory.mkdir(mode=0o700)
    (directory / "entente.db").write_bytes(b"not a database" * 100)
    outcome = server("--dir", str(directory), "--api-port", "0", "--fleet-port", "0")
    assert outcome.returncode == ExitCode.USAGE
    assert "not a database of Entente" in outcome.stderr
    assert (directory / "entente.db").read_bytes() == b"not a database" * 100


def test_a_restart_keeps_ports_authority_and_token(tmp_path: Path) -> None:
    coordinator = Coordinator(tmp_path)
    try:
        directory = coordinator.directory
        first = json.loads((directory / "server.json").read_text())
        authority = (directory / "ca.pem").read_bytes()
        coordinator.stop()
        coordinator.restart()
        second = json.loads((directory / "server.json").read_text())
        assert first["ports"] == second["ports"]
        assert (directory / "ca.pem").read_bytes() == authority
        assert coordinator.client().sites() == []
    finally:
        coordinator.stop()
