"""Runs and their events. Structured values are JSON text, moments RFC 3339 text in UTC."""

from __future__ import annotations

from sqlmodel import Field, SQLModel


class RunRow(SQLModel, table=True):
    """One execution of a job."""

    __tablename__ = "run"

    id: str = Field(primary_key=True)
    name: str
    job: str
    job_digest: str
    code_digest: str
    status: str = Field(index=True)
    reason: str | None = None
    created_at: str
    started_at: str | None = None
    ended_at: str | None = None
    sites: str
    rounds_total: int
    rounds_done: int = 0
    model_digest: str | None = None
    metrics: str | None = None
    privacy: str = "[]"
    bytes_up: int = 0
    bytes_down: int = 0


class RunEventRow(SQLModel, table=True):
    """One event of a run, numbered from 1."""

    __tablename__ = "run_event"

    run_id: str = Field(primary_key=True, foreign_key="run.id")
    seq: int = Field(primary_key=True)
    at: str
    kind: str
    data: str
