"""The node is there while the agent is, comes back when it falls, and is never left behind."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from entente_client.agent.supervisor import LOG_FILE, NodeSupervisor, Patience
from entente_common.errors import DataDirectoryProblem
from fakes.coordinator import until

QUICK = Patience(first_pause_s=0.05, longest_pause_s=0.1, settled_s=60, grace_s=0.5)


@dataclass
class Watch:
    """A `NodeWatcher` that remembers."""

    pids: list[int] = field(default_factory=list)
    returncodes: list[int] = field(default_factory=list)

    def started(self, *, pid: int) -> None:
        self.pids.append(pid)

    def ended(self, *, returncode: int) -> None:
        self.returncodes.append(returncode)


def python(program: str) -> tuple[str, ...]:
    return (sys.executable, "-c", textwrap.dedent(program))


def alive(pid: int) -> bool:
    """Whether a process is there and not merely waiting to be collected."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def start(
    directory: Path, command: tuple[str, ...], *, patience: Patience = QUICK
) -> tuple[asyncio.Event, Watch, asyncio.Task[None]]:
    stop, watch = asyncio.Event(), Watch()
    supervisor = NodeSupervisor(
        directory=directory, command=command, watcher=watch, patience=patience
    )
    return stop, watch, asyncio.create_task(supervisor.run(stop))


def test_a_node_that_falls_is_started_again(tmp_path: Path) -> None:
    async def run() -> None:
        stop, watch, task = start(tmp_path, python("raise SystemExit(3)"))
        await until(lambda: len(watch.pids) >= 3)
        stop.set()
        await asyncio.wait_for(task, 5)
        assert set(watch.returncodes[:2]) == {3}
        assert len(set(watch.pids)) == len(watch.pids)

    asyncio.run(run())


def test_pauses_between_starts_grow(tmp_path: Path) -> None:
    async def run() -> list[float]:
        moments: list[float] = []

        class Clock(Watch):
            """Notes when the node starts."""

            def started(self, *, pid: int) -> None:
                super().started(pid=pid)
                moments.append(time.monotonic())

        stop, watch = asyncio.Event(), Clock()
        patience = Patience(first_pause_s=0.1, longest_pause_s=10, grace_s=1)
        supervisor = NodeSupervisor(
            directory=tmp_path, command=("/bin/true",), watcher=watch, patience=patience
        )
        task = asyncio.create_task(supervisor.run(stop))
        await until(lambda: len(moments) == 4)
        stop.set()
        await task
        return moments

    moments = asyncio.run(run())
    assert moments[3] - moments[2] >= 0.4
    assert moments[2] - moments[1] >= 0.2


def test_a_stop_ends_the_node_in_order(tmp_path: Path) -> None:
    program = """
        import signal, sys, time
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        print("ready", flush=True)
        time.sleep(60)
    """

    async def run() -> Watch:
        stop, watch, task = start(tmp_path, python(program))
        await until(lambda: (tmp_path / LOG_FILE).exists())
        await until(lambda: "ready" in (tmp_path / LOG_FILE).read_text())
        stop.set()
        await asyncio.wait_for(task, 5)
        return watch

    watch = asyncio.run(run())
    assert watch.returncodes == [0]
    assert not alive(watch.pids[0])


def test_a_stubborn_node_and_its_children_are_killed(tmp_path: Path) -> None:
    program = """
        import signal, subprocess, sys, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        print(child.pid, flush=True)
        time.sleep(60)
    """

    async def run() -> tuple[Watch, int]:
        stop, watch, task = start(tmp_path, python(program))
        await until(lambda: (tmp_path / LOG_FILE).exists())
        await until(lambda: (tmp_path / LOG_FILE).read_text().endswith("\n"))
        grandchild = int((tmp_path / LOG_FILE).read_text())
        stop.set()
        await asyncio.wait_for(task, 5)
        return watch, grandchild

    watch, grandchild = asyncio.run(run())
    assert watch.returncodes == [-signal.SIGKILL]
    deadline = time.monotonic() + 5
    while alive(grandchild) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not alive(grandchild)


def test_a_cancelled_supervisor_leaves_no_node(tmp_path: Path) -> None:
    async def run() -> int:
        _, watch, task = start(tmp_path, python("import time; time.sleep(60)"))
        await until(lambda: len(watch.pids) == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return watch.pids[0]

    assert not alive(asyncio.run(run()))


def test_a_node_leaves_when_the_agent_is_killed(tmp_path: Path) -> None:
    node = (
        "import time; from entente_common.lifeline import hold_if_asked; hold_if_asked();"
        "print('ready', flush=True); time.sleep(60)"
    )
    agent = f"""
        import asyncio, sys
        from pathlib import Path
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from test_supervisor import Watch
        from entente_client.agent.supervisor import NodeSupervisor

        class Loud(Watch):
            def started(self, *, pid):
                print(pid, flush=True)

        supervisor = NodeSupervisor(
            directory=Path({str(tmp_path)!r}), command=(sys.executable, "-c", {node!r}),
            watcher=Loud())
        asyncio.run(supervisor.run(asyncio.Event()))
    """
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(
        python(agent), stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        deadline = time.monotonic() + 20
        while "ready" not in (tmp_path / LOG_FILE).read_text() and time.monotonic() < deadline:
            time.sleep(0.02)
        process.kill()
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not alive(pid)


def test_a_large_log_is_set_aside(tmp_path: Path) -> None:
    log = tmp_path / LOG_FILE
    log.parent.mkdir()
    with log.open("wb") as file:
        file.truncate(11 << 20)

    async def run() -> None:
        stop, watch, task = start(tmp_path, ("/bin/true",))
        await until(lambda: len(watch.returncodes) >= 1)
        stop.set()
        await task

    asyncio.run(run())
    assert log.stat().st_size < 1000
    assert log.with_suffix(".log.1").stat().st_size == 11 << 20


def test_a_log_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("")

    async def run() -> None:
        _, _, task = start(tmp_path, ("/bin/true",))
        await asyncio.wait_for(task, 5)

    with pytest.raises(DataDirectoryProblem):
        asyncio.run(run())
