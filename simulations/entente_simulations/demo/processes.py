"""The demo's child processes, none of which outlives it.

Every child is a real `entente` command in a session of its own, so that Ctrl-C reaches the demo
alone and the demo ends them in order. Each also holds a lifeline: should the demo itself be killed,
the pipe to its standard input closes and it leaves.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from entente_common.errors import RunFailed
from entente_common.lifeline import ENVIRONMENT_VARIABLE

GRACE_S = 20.0
"""Longer than an agent's own patience with its node, so that each ends what it started."""
ENTENTE = (sys.executable, "-m", "entente_sdk.cli.entry")
_KILL_WAIT_S = 5.0
_LOG_TAIL_LINES = 8


class Child:
    """One process, writing to a log of its own.

    Args:
        name: What people call it.
        command: Program and arguments.
        log: The file that takes its output.
    """

    def __init__(self, name: str, command: Sequence[str], *, log: Path) -> None:
        self.name = name
        self.log = log
        environment = {**os.environ, ENVIRONMENT_VARIABLE: "1", "PYTHONUNBUFFERED": "1"}
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                env=environment,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """Its exit code once it has ended."""
        return self._process.poll()

    def wait(self, *, timeout_s: float) -> None:
        """Wait for it to end well.

        Raises:
            RunFailed: It ended with another code than 0, or not in time.
        """
        try:
            code = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired as error:
            raise RunFailed(
                f"{self.name} did not finish within {timeout_s:.0f} s.", hint=self._where()
            ) from error
        if code != 0:
            raise self.failure()

    def failure(self) -> RunFailed:
        """The error that tells of its end."""
        return RunFailed(
            f"{self.name} ended with code {self.exit_code}.\n{self._tail()}", hint=self._where()
        )

    def ask_to_end(self) -> None:
        """Ask it to shut down cleanly, and cut its lifeline."""
        if self.exit_code is None:
            self._process.terminate()
        stdin: IO[bytes] | None = self._process.stdin
        if stdin is not None:
            with suppress(OSError):
                stdin.close()

    def end(self, *, deadline: float) -> None:
        """Wait until `deadline` (monotonic seconds), then kill it and all it started."""
        try:
            self._process.wait(max(deadline - time.monotonic(), 0.0))
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            self._process.wait(_KILL_WAIT_S)

    def _where(self) -> str:
        return f"Read its log: {self.log}"

    def _tail(self) -> str:
        text = self.log.read_text(encoding="utf-8", errors="replace")
        return "\n".join(text.splitlines()[-_LOG_TAIL_LINES:])


class ProcessGroup:
    """All children of a demo. Leaving its `with` block ends every one of them.

    Args:
        logs: Directory for their logs.
        program: What every command line begins with.
        grace_s: How long they may take to shut down before they are killed.
    """

    def __init__(
        self, *, logs: Path, program: Sequence[str] = ENTENTE, grace_s: float = GRACE_S
    ) -> None:
        self._logs = logs
        self._program = tuple(program)
        self._grace_s = grace_s
        self._children: list[Child] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self, name: str, *arguments: str) -> Child:
        """Start the program with these arguments; its log is named after `name`."""
        log = self._logs / f"{name.replace(' ', '-')}.log"
        child = Child(name, (*self._program, *arguments), log=log)
        self._children.append(child)
        return child

    def stop(self) -> None:
        """End all children, the first one (on which the others depend) last.

        Interrupts are held off meanwhile: it takes seconds, and half of it would leave processes.
        """
        held = {number: signal.signal(number, signal.SIG_IGN) for number in _INTERRUPTS}
        try:
            for wave in (self._children[1:], self._children[:1]):
                for child in wave:
                    child.ask_to_end()
                deadline = time.monotonic() + self._grace_s
                for child in wave:
                    child.end(deadline=deadline)
            self._children.clear()
        finally:
            for number, handler in held.items():
                signal.signal(number, handler)


_INTERRUPTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
