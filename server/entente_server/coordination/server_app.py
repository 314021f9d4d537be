"""The ServerApp process: drives one run through Flower, and tells its parent what happens.

The coordinator starts it with an order as one JSON line on standard input, and keeps that pipe
open as its lifeline. Every event of the run leaves as one JSON line on standard output. The token
of the run comes in the order, never as an argument.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from entente_common import lifeline
from entente_common.contracts.job import job_from_document
from entente_common.errors import EntenteError, InternalError, RunFailed
from entente_common.log import configure_logging, get_logger
from entente_common.protocol.flower import prepare_flower

_log = get_logger(__name__)


def main() -> int:
    """Run the order on standard input; return the exit code."""
    events = _claim_standard_output()
    configure_logging(process="serverapp")
    order = json.loads(sys.stdin.buffer.readline())
    lifeline.hold()
    prepare_flower(Path(order["flower_home"]))

    def emit(kind: str, data: Mapping[str, Any]) -> None:
        events.write(json.dumps({"kind": kind, "data": data}).encode() + b"\n")
        events.flush()

    try:
        result = _run(order, emit)
    except EntenteError as error:
        _log.warning("run failed", code=error.code, reason=error.detail)
        result = {"status": "failed", "reason": _reason(error)}
    except Exception as error:  # noqa: BLE001 - the run must end in a state with a reason
        _log.exception("run failed")
        bug = InternalError(f"{type(error).__name__} in the run's process; see its log.")
        result = {"status": "failed", "reason": bug.detail}
    emit("run.finished", result)
    return 0


def _reason(error: EntenteError) -> str:
    """What a person should read of an error that ended the run."""
    faults = [str(issue) for issue in error.issues]
    cure = [] if isinstance(error, RunFailed) else [error.hint]
    return " ".join([error.detail or error.title, *faults, *cure])


def _claim_standard_output() -> BinaryIO:
    """Keep standard output for events; whatever else prints goes to standard error."""
    events = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return events


def _run(
    order: Mapping[str, Any], emit: Callable[[str, Mapping[str, Any]], None]
) -> dict[str, Any]:
    from entente_server.coordination.exchange import Switchboard
    from entente_server.coordination.rounds import RunCourse, RunOrder
    from entente_server.coordination.task import claimed_task

    job = job_from_document(order["job"])
    with claimed_task(address=order["runtime_address"], token=order["token"]) as grid:
        emit(
            "run.started",
            {
                "sites": sorted(order["nodes"]),
                "protection": job.protection.aggregation,
                "privacy_unit": job.privacy.unit,
            },
        )
        course = RunCourse(
            RunOrder(
                run=order["run"],
                job=job,
                job_digest=order["job_digest"],
                ca_pem=order["ca_pem"].encode(),
            ),
            Switchboard(grid, nodes=order["nodes"]),
            emit,
        )
        outcome = course.run()
    if outcome.artefact is not None:
        from entente_common.identity.atomic_file import PRIVATE, write_atomically

        write_atomically(Path(order["model_path"]), outcome.artefact.to_bytes(), mode=PRIVATE)
    return {
        "status": "succeeded",
        "reason": None,
        "model_digest": outcome.model_digest,
        "metrics": dict(outcome.metrics),
        "privacy": [statement.model_dump(mode="json") for statement in outcome.privacy],
    }


if __name__ == "__main__":
    sys.exit(main())
