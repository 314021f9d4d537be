"""The supervisor of the node: the process that holds torch, speaks Flower and trains.

Invariants: the node lives only while the agent does (lifeline, even after kill -9); a node that
ends is started again, with growing pauses; after `run` returns no process of the node is left.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final, Protocol

from entente_common.errors import DataDirectoryProblem
from entente_common.identity.atomic_file import make_private_directory
from entente_common.lifeline import ENVIRONMENT_VARIABLE
from entente_common.log import get_logger

LOG_FILE: Final = Path("logs") / "node.log"
_LARGEST_LOG_BYTES = 10 << 20
_log = get_logger(__name__)


class NodeWatcher(Protocol):
    """Hears what becomes of the node."""

    def started(self, *, pid: int) -> None:
        """The node's process is there."""

    def ended(self, *, returncode: int) -> None:
        """The node's process is gone; negative numbers are signals."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the supervisor waits, in seconds.

    Attributes:
        first_pause_s: Before the first restart; doubles with each.
        longest_pause_s: The limit of that.
        settled_s: A node that lived this long starts the pauses anew.
        grace_s: From SIGTERM to SIGKILL.
    """

    first_pause_s: float = 1.0
    longest_pause_s: float = 60.0
    settled_s: float = 60.0
    grace_s: float = 15.0


def node_command(directory: Path) -> tuple[str, ...]:
    """How the node of `directory` is started."""
    return (sys.executable, "-m", "entente_client.node", "--dir", str(directory))


@dataclass(frozen=True, slots=True)
class NodeSupervisor:
    """Keeps one node process alive.

    Attributes:
        directory: The agent's directory; the node's output goes to `logs/node.log` in it.
        command: How the node is started.
        watcher: Hears of every start and end.
        patience: Pauses and grace.
    """

    directory: Path
    command: Sequence[str]
    watcher: NodeWatcher
    patience: Patience = field(default_factory=Patience)

    async def run(self, stop: asyncio.Event) -> None:
        """Keep the node running until `stop` is set, then end it.

        Raises:
            DataDirectoryProblem: The log cannot be written.
        """
        pause_s = self.patience.first_pause_s
        while not stop.is_set():
            lived_s = await self._one_life(stop)
            if stop.is_set():
                return
            if lived_s >= self.patience.settled_s:
                pause_s = self.patience.first_pause_s
            try:
                async with asyncio.timeout(pause_s):
                    await stop.wait()
            except TimeoutError:
                pause_s = min(pause_s * 2, self.patience.longest_pause_s)

    async def _one_life(self, stop: asyncio.Event) -> float:
        clock = asyncio.get_running_loop()
        born = clock.time()
        node = await self._start()
        self.watcher.started(pid=node.pid)
        _log.info("node started", pid=node.pid)
        ended = asyncio.ensure_future(node.wait())
        stopping = asyncio.ensure_future(stop.wait())
        try:
            await asyncio.wait({ended, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            returncode = await self._end(node)
        self.watcher.ended(returncode=returncode)
        if not stop.is_set():
            _log.warning("node ended", returncode=returncode, log=str(self.directory / LOG_FILE))
        return clock.time() - born

    async def _start(self) -> asyncio.subprocess.Process:
        with _open_log(self.directory / LOG_FILE) as log:
            return await asyncio.create_subprocess_exec(
                *self.command,
                stdin=asyncio.subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=_environment(),
                # Ctrl-C in a terminal is for the agent, which then ends the node in order.
                start_new_session=True,
            )

    async def _end(self, node: asyncio.subprocess.Process) -> int:
        """End the node and everything it started; return its exit code."""
        if node.returncode is None:
            _signal(node.pid, signal.SIGTERM, group=False)
            try:
                async with asyncio.timeout(self.patience.grace_s):
                    await node.wait()
            except TimeoutError:
                _log.warning("node killed", pid=node.pid, grace_s=self.patience.grace_s)
        _signal(node.pid, signal.SIGKILL, group=True)
        return await node.wait()


def _environment() -> Mapping[str, str]:
    return {**os.environ, ENVIRONMENT_VARIABLE: "1"}


def _signal(pid: int, number: signal.Signals, *, group: bool) -> None:
    try:
        if group:
            os.killpg(pid, number)
        else:
            os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return  # nothing of the node is left


def _open_log(path: Path) -> BinaryIO:
    make_private_directory(path.parent)
    try:
        if path.exists() and path.stat().st_size > _LARGEST_LOG_BYTES:
            path.replace(path.with_suffix(".log.1"))
        return path.open("ab")
    except OSError as fault:
        raise DataDirectoryProblem(f"{path} cannot be written: {fault.strerror}.") from fault
