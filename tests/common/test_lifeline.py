"""A child never outlives its parent, and an end of its own is its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from entente_common import lifeline

READY = "print('ready', flush=True)\n"
HOLD = "from entente_common import lifeline\nlifeline.hold_if_asked()\n"
WAIT = "import threading\nthreading.Event().wait(60)\n"


def start(code: str, *, asked: bool = True) -> subprocess.Popen[bytes]:
    """A Python child that runs `code`; returns once it printed a line."""
    environment = {**os.environ, lifeline.ENVIRONMENT_VARIABLE: "1" if asked else "0"}
    child = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        start_new_session=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == b"ready\n"
    return child


def end(child: subprocess.Popen[bytes]) -> None:
    child.kill()
    child.wait()
    for pipe in (child.stdin, child.stdout):
        if pipe is not None:
            pipe.close()


def test_a_child_ends_when_its_parent_lets_go() -> None:
    child = start(HOLD + READY + WAIT)
    try:
        assert child.poll() is None
        assert child.stdin is not None
        child.stdin.close()
        assert child.wait(10) == -signal.SIGTERM
    finally:
        end(child)


def test_a_child_may_shut_down_cleanly_before_it_ends() -> None:
    farewell = (
        "import signal, sys\n"
        "signal.signal(signal.SIGTERM, lambda *_: (print('bye', flush=True), sys.exit(3)))\n"
    )
    child = start(farewell + HOLD + READY + WAIT)
    try:
        out, _ = child.communicate(timeout=10)  # closes standard input first
        assert (out, child.returncode) == (b"bye\n", 3)
    finally:
        end(child)


def test_a_child_that_ignores_the_request_leaves_all_the_same() -> None:
    stubborn = (
        "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "from entente_common import lifeline\nlifeline._GRACE_S = 0.2\nlifeline.hold()\n"
    )
    child = start(stubborn + READY + WAIT)
    try:
        assert child.stdin is not None
        child.stdin.close()
        assert child.wait(10) == os.EX_UNAVAILABLE
    finally:
        end(child)


@pytest.mark.parametrize("code", [0, 7])
def test_a_child_that_ends_while_the_pipe_is_held_ends_with_its_own_code(code: int) -> None:
    child = start(HOLD + READY + f"import sys\nsys.exit({code})\n")
    try:
        assert child.wait(10) == code
    finally:
        end(child)


def test_what_a_parent_writes_does_not_end_the_child() -> None:
    child = start(HOLD + READY + WAIT)
    try:
        assert child.stdin is not None
        child.stdin.write(b"order\n" * 5000)
        child.stdin.flush()
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(0.3)
    finally:
        end(child)


def test_a_process_that_was_not_asked_ignores_its_standard_input() -> None:
    child = start(HOLD + READY + WAIT, asked=False)
    try:
        assert child.stdin is not None
        child.stdin.close()
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(0.3)
    finally:
        end(child)


def test_a_child_ends_when_its_parent_is_killed_without_warning(tmp_path: Path) -> None:
    inner = HOLD + "import os\nprint(os.getpid(), flush=True)\n" + WAIT
    outer = (
        "import subprocess, sys, threading\n"
        f"child = subprocess.Popen([sys.executable, '-c', {inner!r}],"
        " stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)\n"
        "print('ready', flush=True)\n"
        "print(child.stdout.readline().decode().strip(), flush=True)\n" + WAIT
    )
    parent = start(outer)
    try:
        assert parent.stdout is not None
        grandchild = int(parent.stdout.readline())
        parent.kill()
        parent.wait(10)
        deadline = time.monotonic() + 10
        while _lives(grandchild):
            assert time.monotonic() < deadline, "the child outlived its parent"
            time.sleep(0.05)
    finally:
        end(parent)


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
