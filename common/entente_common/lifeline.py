"""Children that never outlive their parent.

A parent keeps the write end of the child's standard input open. When the parent ends in any way,
kill -9 included, the pipe closes and the child leaves.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import BinaryIO

ENVIRONMENT_VARIABLE = "ENTENTE_LIFELINE"
_GRACE_S = 10.0


def hold(stream: BinaryIO | None = None) -> None:
    """End this process soon after `stream` (default: standard input) reaches its end.

    The process first gets SIGTERM, so that it may shut down cleanly, and leaves for certain after
    ten seconds.
    """
    # The bare descriptor: a thread inside a buffered reader makes the interpreter abort at exit.
    descriptor = (sys.stdin.buffer if stream is None else stream).fileno()

    def watch() -> None:
        while os.read(descriptor, 4096):
            pass
        os.kill(os.getpid(), signal.SIGTERM)
        threading.Event().wait(_GRACE_S)
        os._exit(os.EX_UNAVAILABLE)

    threading.Thread(target=watch, name="lifeline", daemon=True).start()


def hold_if_asked() -> None:
    """Hold the lifeline when the parent set `ENTENTE_LIFELINE=1`."""
    if os.environ.get(ENVIRONMENT_VARIABLE) == "1":
        hold()
