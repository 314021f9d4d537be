"""One process per agent directory, held by a lock that dies with its holder."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from entente_common.errors import AlreadyRunning, DataDirectoryProblem

_LOCK_FILE = "agent.lock"


@contextmanager
def hold_directory(directory: Path) -> Iterator[None]:
    """Own `directory` until the block ends or the process dies; the kernel frees the lock.

    Raises:
        AlreadyRunning: Another process owns it.
        DataDirectoryProblem: The directory cannot be written.
    """
    handle = _open(directory)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRunning(f"Another agent process uses {directory}.") from None
        yield
    finally:
        os.close(handle)


def is_held(directory: Path) -> bool:
    """Whether a process owns `directory` at this moment."""
    if not (directory / _LOCK_FILE).exists():
        return False
    try:
        with hold_directory(directory):
            return False
    except AlreadyRunning:
        return True


def _open(directory: Path) -> int:
    try:
        return os.open(directory / _LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as fault:
        raise DataDirectoryProblem(f"{directory} cannot be used: {fault.strerror}.") from fault
