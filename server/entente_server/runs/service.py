"""Runs in the database: submission, events, state.

State only moves forward: pending → running → succeeded | failed | aborted. Every event is stored
with the state it causes in one transaction, and the last event of every run is `run.finished`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sqlmodel import Session, col, func, select

from entente_common.clock import rfc3339, utc_now
from entente_common.contracts import run as wire
from entente_common.contracts.job import Job
from entente_common.errors import NotFound
from entente_common.ids import new_id
from entente_server.audit.trail import audit
from entente_server.kit.database import Database, to_json
from entente_server.tables import RunEventRow, RunRow

_OPEN = ("pending", "running")


class RunService:
    """Creates runs and records what happens to them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, job: Job, *, sites: list[str], code_digest: str, actor: str) -> wire.Run:
        """Store a pending run of `job` at `sites`."""
        row = RunRow(
            id=new_id("run"),
            name=job.name,
            job=to_json(job.document()),
            job_digest=job.digest(),
            code_digest=code_digest,
            status="pending",
            created_at=rfc3339(utc_now()),
            sites=to_json(sorted(sites)),
            rounds_total=job.training.rounds,
        )
        with self._database.transaction() as session:
            session.add(row)
            audit(
                session,
                actor=actor,
                action="run.submitted",
                subject=row.id,
                job_digest=row.job_digest,
                sites=", ".join(sorted(sites)),
            )
        return _present(row)

    def list_runs(self) -> list[wire.Run]:
        """All runs, the newest first."""
        with self._database.snapshot() as session:
            rows = session.exec(select(RunRow).order_by(col(RunRow.id).desc())).all()
        return [_present(row) for row in rows]

    def get(self, run_id: str) -> wire.Run:
        """The run of that id.

        Raises:
            NotFound: There is none.
        """
        with self._database.snapshot() as session:
            return _present(_row(session, run_id))

    def events(self, run_id: str, *, after: int) -> list[wire.RunEvent]:
        """Events of a run with numbers above `after`, in order.

        Raises:
            NotFound: There is no such run.
        """
        with self._database.snapshot() as session:
            _row(session, run_id)
            rows = session.exec(
                select(RunEventRow)
                .where(RunEventRow.run_id == run_id, RunEventRow.seq > after)
                .order_by(col(RunEventRow.seq))
            ).all()
        return [
            wire.RunEvent(seq=row.seq, at=row.at, kind=row.kind, data=json.loads(row.data))
            for row in rows
        ]

    def record(self, run_id: str, kind: str, data: Mapping[str, Any]) -> None:
        """Store an event and the change of state it causes. An ended run takes no more events."""
        with self._database.transaction() as session:
            row = _row(session, run_id)
            if row.status not in _OPEN:
                return
            last = session.exec(
                select(func.max(RunEventRow.seq)).where(RunEventRow.run_id == run_id)
            ).one()
            at = rfc3339(utc_now())
            told = dict(data)
            if kind == wire.RUN_FINISHED:
                told = {name: data.get(name) for name in ("status", "reason", "model_digest")}
            event = RunEventRow(
                run_id=run_id, seq=(last or 0) + 1, at=at, kind=kind, data=to_json(told)
            )
            session.add(event)
            _move(row, kind, data, at=at)
            session.add(row)
            if kind == wire.RUN_FINISHED:
                audit(
                    session,
                    actor="coordinator",
                    action="run.finished",
                    subject=run_id,
                    status=row.status,
                    model_digest=row.model_digest,
                )

    def finish(self, run_id: str, *, status: wire.RunStatus, reason: str) -> None:
        """End a run that has not ended."""
        self.record(run_id, wire.RUN_FINISHED, {"status": status, "reason": reason})

    def note(self, run_id: str, *, actor: str, action: str) -> None:
        """Leave a trace of a person's act on a run."""
        with self._database.transaction() as session:
            audit(session, actor=actor, action=action, subject=run_id)

    def close_stale(self) -> list[str]:
        """End the runs that an earlier process of this coordinator left open; return their ids."""
        with self._database.snapshot() as session:
            rows = session.exec(select(RunRow).where(col(RunRow.status).in_(_OPEN))).all()
        for row in rows:
            self.finish(
                row.id,
                status="failed",
                reason="The coordinator was restarted during the run. Submit the job again.",
            )
        return [row.id for row in rows]


def _move(row: RunRow, kind: str, data: Mapping[str, Any], *, at: str) -> None:
    if kind == wire.RUN_STARTED:
        row.status, row.started_at = "running", at
    elif kind == wire.ROUND_COMPLETED:
        row.rounds_done = int(data["round"])
        row.metrics = to_json(data["metrics"])
        row.bytes_up += int(data["bytes_up"])
        row.bytes_down += int(data["bytes_down"])
    elif kind == wire.RUN_FINISHED:
        row.status, row.reason, row.ended_at = data["status"], data.get("reason"), at
        row.model_digest = data.get("model_digest")
        row.privacy = to_json(list(data.get("privacy", [])))


def _row(session: Session, run_id: str) -> RunRow:
    row = session.get(RunRow, run_id)
    if row is None:
        raise NotFound(f"There is no run {run_id!r}.", hint="List the runs: `entente run list`.")
    return row


def _present(row: RunRow) -> wire.Run:
    return wire.Run.model_validate(
        {
            **row.model_dump(),
            "job": json.loads(row.job),
            "sites": json.loads(row.sites),
            "metrics": None if row.metrics is None else json.loads(row.metrics),
            "privacy": json.loads(row.privacy),
        }
    )
