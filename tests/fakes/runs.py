"""Runs, events and sites as a coordinator would send them."""

from __future__ import annotations

from typing import Any

DIGEST = "sha256:" + "0" * 64
MOMENT = "2026-01-01T00:00:00.000Z"
RUN_ID = "run_01JD3V9K6Q8X0000000000000A"
JOB = """\
name: first
task: binary-classification
data: {contract: heart@1}
model: {kind: logistic}
"""


def run_document(**changes: Any) -> dict[str, Any]:
    document = {
        "id": RUN_ID,
        "name": "first",
        "job": {},
        "job_digest": DIGEST,
        "code_digest": DIGEST,
        "status": "succeeded",
        "created_at": MOMENT,
        "rounds_total": 2,
        "rounds_done": 2,
        "sites": ["north", "south"],
    }
    return {**document, **changes}


def site_document(**changes: Any) -> dict[str, Any]:
    card = {
        "dataset": "heart",
        "contract": "heart@1",
        "contract_digest": DIGEST,
        "version": DIGEST,
        "rows": 120,
        "columns": 11,
    }
    document = {"id": "site_1", "name": "north", "status": "online", "datasets": [card]}
    return {**document, **changes}


def round_document(number: int) -> dict[str, Any]:
    site = {"site": "north", "examples": 90, "train_s": 0.1, "bytes_up": 500}
    measured = {"holdout_examples": 30, "holdout_loss": 0.5 / number, "epsilon": 1.0 * number}
    return {
        "round": number,
        "sites": [{**site, **measured}],
        "metrics": {"auroc": 0.9},
        "seconds": 0.4,
        "bytes_up": 500,
        "bytes_down": 700,
    }


def event_documents(*, status: str = "succeeded") -> list[dict[str, Any]]:
    """A whole run of two rounds, six events."""
    started = {"sites": ["north", "south"], "protection": "encrypted", "privacy_unit": "record"}
    kinds: list[tuple[str, dict[str, Any]]] = [
        ("run.started", started),
        ("run.prepared", {"key_id": "k", "manifest_digest": DIGEST, "parameters": 31}),
        ("round.completed", round_document(1)),
        ("site.dropped", {"site": "south", "reason": "no answer"}),
        ("round.completed", round_document(2)),
        ("run.finished", {"status": status, "reason": None, "model_digest": DIGEST}),
    ]
    return [
        {"seq": place, "at": MOMENT, "kind": kind, "data": data}
        for place, (kind, data) in enumerate(kinds, start=1)
    ]
