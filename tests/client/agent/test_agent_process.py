"""The agent as a process: one per directory, ends in order, imports nothing that trains."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from entente_client.agent.enrol import enrol
from entente_client.agent.lock import hold_directory, is_held
from entente_client.agent.state import AgentState
from entente_client.agent.status import agent_status
from entente_common.errors import AlreadyRunning
from fakes.coordinator import FakeCoordinator, serving, until

# What `entente agent run` does, with a node that only sleeps, and errors as exit codes.
AGENT = """
import sys
from pathlib import Path
from entente_client.agent.agent import run_agent
from entente_common.errors import EntenteError
from entente_common.lifeline import hold_if_asked
from entente_common.log import configure_logging
configure_logging(process="agent")
hold_if_asked()
node = [
    sys.executable, "-c",
    "import time; from entente_common.lifeline import hold_if_asked; hold_if_asked();"
    "time.sleep(600)",
]
try:
    code = int(run_agent(Path(sys.argv[1]), node=node))
except EntenteError as error:
    print(error.code, error.hint, file=sys.stderr)
    code = int(error.exit_code)
sys.exit(code)
"""


def alive(pid: int) -> bool:
    """Whether a process is there and not merely waiting to be collected."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


class Running:
    """An agent's process."""

    def __init__(self, home: Path, *, lifeline: bool = False) -> None:
        self.home = home
        self.process = subprocess.Popen(
            [sys.executable, "-c", AGENT, str(home)],
            stdin=subprocess.PIPE if lifeline else subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "ENTENTE_LIFELINE": "1" if lifeline else "0"},
        )

    async def node_pid(self) -> int:
        await until(lambda: self._node_pid() is not None, timeout_s=30)
        return self._node_pid() or 0

    async def ended(self) -> tuple[int, str]:
        await asyncio.to_thread(self.process.wait, timeout=30)
        assert self.process.stderr is not None
        return self.process.returncode, self.process.stderr.read()

    def _node_pid(self) -> int | None:
        state = AgentState.load(self.home)
        return state.node.pid if state else None


@asynccontextmanager
async def running_agent(
    directory: Path, *, lifeline: bool = False
) -> AsyncIterator[tuple[FakeCoordinator, Running]]:
    async with serving(directory / "coordinator") as coordinator:
        await asyncio.to_thread(enrol, directory / "north", coordinator.invite("north"))
        agent = Running(directory / "north", lifeline=lifeline)
        try:
            yield coordinator, agent
        finally:
            agent.process.kill()
            await asyncio.to_thread(agent.process.wait)
            for stream in (agent.process.stdin, agent.process.stderr):
                if stream is not None:
                    stream.close()


@pytest.mark.parametrize("lifeline", [False, True], ids=["alone", "lifeline"])
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)], ids=["SIGTERM", "SIGINT"]
)
def test_a_signal_ends_agent_and_node_in_order(
    tmp_path: Path, number: signal.Signals, code: int, *, lifeline: bool
) -> None:
    async def run() -> None:
        async with running_agent(tmp_path, lifeline=lifeline) as (coordinator, agent):
            node = await agent.node_pid()
            assert coordinator.directory.present == {"north"}
            agent.process.send_signal(number)
            returncode, errors = await agent.ended()
            assert returncode == code, errors
            assert not alive(node)
            await until(lambda: coordinator.directory.events[-1] == ("left", "north"))
            state = AgentState.load(agent.home)
            assert state is not None
            assert (state.channel.state, state.node.state) == ("stopped", "stopped")

    asyncio.run(run())


def test_an_agent_leaves_with_its_parent_and_takes_the_node_along(tmp_path: Path) -> None:
    async def run() -> None:
        async with running_agent(tmp_path, lifeline=True) as (_, agent):
            node = await agent.node_pid()
            assert agent.process.stdin is not None
            agent.process.stdin.close()
            await until(lambda: agent.process.poll() is not None, timeout_s=20)
            assert agent.process.returncode == 0
            assert not alive(node)

    asyncio.run(run())


def test_a_revoked_site_stops_training_and_says_why(tmp_path: Path) -> None:
    async def run() -> None:
        async with running_agent(tmp_path) as (coordinator, agent):
            node = await agent.node_pid()
            coordinator.directory.revoked.add("north")
            returncode, errors = await agent.ended()
            assert returncode == 3
            assert "auth.forbidden" in errors
            assert not alive(node)

    asyncio.run(run())


def test_a_second_agent_in_the_directory_is_refused(tmp_path: Path) -> None:
    async def run() -> None:
        async with running_agent(tmp_path) as (coordinator, agent):
            await agent.node_pid()
            returncode, errors = await Running(agent.home).ended()
            assert returncode == AlreadyRunning.exit_code
            assert "process.already_running" in errors
            assert coordinator.directory.present == {"north"}

    asyncio.run(run())


def test_status_tells_what_runs(tmp_path: Path) -> None:
    async def run() -> None:
        async with running_agent(tmp_path) as (_, agent):
            await agent.node_pid()
            document = await asyncio.to_thread(agent_status, agent.home)
            assert document["running"]
            assert document["channel"]["state"] == "online"
            assert document["node"]["state"] == "running"
            agent.process.kill()
            await agent.ended()
            document = await asyncio.to_thread(agent_status, agent.home)
            assert not document["running"]
            assert document["node"] is None
            json.dumps(document)

    asyncio.run(run())


def test_an_agent_that_is_not_enrolled_says_how_to(tmp_path: Path) -> None:
    agent = Running(tmp_path)
    _, errors = agent.process.communicate(timeout=30)
    assert agent.process.returncode == 2
    assert "entente agent enrol" in errors


def test_the_agent_loads_nothing_that_trains() -> None:
    program = (
        "import sys; from entente_client.agent import agent, cli, enrol, status;"
        "from entente_client.lake.catalogue import Catalogue;"
        "print([m for m in ('torch', 'flwr', 'opacus', 'tenseal') if m in sys.modules])"
    )
    told = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert told.stdout.strip() == "[]"


def test_a_lock_is_free_once_its_holder_is_gone(tmp_path: Path) -> None:
    assert not is_held(tmp_path)
    with hold_directory(tmp_path):
        assert is_held(tmp_path)
        with pytest.raises(AlreadyRunning), hold_directory(tmp_path):
            pass
    assert not is_held(tmp_path)
    with hold_directory(tmp_path):
        pass
