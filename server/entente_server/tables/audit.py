"""The audit trail: one row for every change, written in the transaction of the change."""

from __future__ import annotations

from sqlmodel import Field, SQLModel


class AuditRow(SQLModel, table=True):
    """Who did what to what, and when. Entries are numbered from 0 without gaps."""

    __tablename__ = "audit"

    index: int = Field(primary_key=True)
    at: str
    actor: str
    action: str
    subject: str
    detail: str


class AuditNodeRow(SQLModel, table=True):
    """A perfect subtree of the tree over the entries; level 0 holds the leaves."""

    __tablename__ = "audit_node"

    level: int = Field(primary_key=True)
    offset: int = Field(primary_key=True)
    hash: bytes


class AuditCheckpointRow(SQLModel, table=True):
    """A signed checkpoint that was given out."""

    __tablename__ = "audit_checkpoint"

    size: int = Field(primary_key=True)
    at: str
    note: str
