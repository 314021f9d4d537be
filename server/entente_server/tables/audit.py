"""The audit trail: one row for every change, written in the transaction of the change."""

from __future__ import annotations

from sqlmodel import Field, SQLModel


class AuditRow(SQLModel, table=True):
    """Who did what to what, and when."""

    __tablename__ = "audit"

    index: int | None = Field(default=None, primary_key=True)
    at: str
    actor: str
    action: str
    subject: str
    detail: str
