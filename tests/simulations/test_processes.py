"""No process of a demo outlives it, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from entente_common.errors import RunFailed
from entente_simulations.demo.processes import ProcessGroup

PYTHON = (sys.executable, "-c")
PATIENT = "import time; time.sleep(600)"
STUBBORN = (
    "import signal, subprocess, sys, time\n"
    "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    f"child = subprocess.Popen([sys.executable, '-c', {PATIENT!r}])\n"
    "print(child.pid, flush=True)\n"
    "time.sleep(600)\n"
)
PARENT = (
    "import sys, time\n"
    "from pathlib import Path\n"
    "from entente_simulations.demo.processes import ProcessGroup\n"
    "held = 'from entente_common import lifeline; import time;'\n"
    "held += 'lifeline.hold_if_asked(); time.sleep(600)'\n"
    "with ProcessGroup(logs=Path(sys.argv[1]), program=(sys.executable, '-c')) as group:\n"
    "    print(group.start('child', held).pid, flush=True)\n"
    "    time.sleep(600)\n"
)


def test_leaving_the_block_ends_every_process(tmp_path: Path) -> None:
    with ProcessGroup(logs=tmp_path, program=PYTHON) as group:
        children = [group.start(name, PATIENT) for name in ("one", "two")]
        assert [child.exit_code for child in children] == [None, None]

    assert [child.exit_code for child in children] == [-signal.SIGTERM, -signal.SIGTERM]


def test_an_error_in_the_block_ends_every_process_too(tmp_path: Path) -> None:
    started = []

    def interrupted() -> None:
        with ProcessGroup(logs=tmp_path, program=PYTHON) as group:
            started.append(group.start("one", PATIENT))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()

    assert [child.exit_code for child in started] == [-signal.SIGTERM]


def test_a_process_that_will_not_end_is_killed_with_all_it_started(tmp_path: Path) -> None:
    with ProcessGroup(logs=tmp_path, program=PYTHON, grace_s=0.3) as group:
        child = group.start("stubborn", STUBBORN)
        grandchild = int(_eventually(lambda: child.log.read_text().strip()))

    assert child.exit_code == -signal.SIGKILL
    assert _eventually(lambda: not _lives(grandchild))


def test_the_first_process_ends_last(tmp_path: Path) -> None:
    note = (
        "import signal, sys, time\n"
        "def leave(*_):\n"
        "    open(sys.argv[1], 'a').write(sys.argv[2] + ' ')\n"
        "    sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, leave)\n"
        "print('ready', flush=True)\n"
        "time.sleep(600)\n"
    )
    order = tmp_path / "order"
    with ProcessGroup(logs=tmp_path, program=PYTHON) as group:
        children = [group.start(name, note, str(order), name) for name in ("server", "site")]
        for child in children:
            _eventually(lambda child=child: "ready" in child.log.read_text())

    assert order.read_text().split() == ["site", "server"]


def test_killing_the_parent_ends_its_children(tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    with parent.stdout:
        child = int(parent.stdout.readline())
        parent.kill()
        parent.wait()

    assert _eventually(lambda: not _lives(child))


def test_a_command_that_fails_is_told_with_the_end_of_its_log(tmp_path: Path) -> None:
    with ProcessGroup(logs=tmp_path, program=PYTHON) as group:
        child = group.start("site enrol", "import sys; sys.exit('the token is spent')")
        with pytest.raises(RunFailed) as caught:
            child.wait(timeout_s=60)

    assert "site enrol ended with code 1" in caught.value.detail
    assert "the token is spent" in caught.value.detail
    assert str(tmp_path / "site-enrol.log") in caught.value.hint


def test_a_command_that_takes_too_long_is_told(tmp_path: Path) -> None:
    with ProcessGroup(logs=tmp_path, program=PYTHON) as group:
        child = group.start("slow", PATIENT)
        with pytest.raises(RunFailed, match="did not finish"):
            child.wait(timeout_s=0.1)


def test_interrupts_mean_what_they_meant_before(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT)

    with ProcessGroup(logs=tmp_path, program=PYTHON) as group:
        group.start("one", PATIENT)

    assert signal.getsignal(signal.SIGINT) is before


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat")
    # A zombie has ended; who reaps it is not the demo's affair.
    return not state.exists() or state.read_text().rpartition(")")[2].split()[0] != "Z"


def _eventually(check: Callable[[], object], *, within_s: float = 20.0) -> object:
    deadline = time.monotonic() + within_s
    while not (found := check()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
    return found
