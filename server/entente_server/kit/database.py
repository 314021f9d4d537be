"""The coordinator's database: one transaction a request, audit included."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.exc import DatabaseError
from sqlmodel import Session, create_engine

from entente_common.errors import DataDirectoryProblem
from entente_server import tables

_BUSY_TIMEOUT_MS = 10_000


class Database:
    """SQLite with write-ahead log and foreign keys."""

    def __init__(self, path: Path) -> None:
        existed = path.exists()
        metadata = tables.AuditRow.metadata
        self._engine = create_engine(f"sqlite:///{path}")
        event.listen(self._engine, "connect", _configure)
        try:
            metadata.create_all(self._engine)
        except DatabaseError as error:
            raise DataDirectoryProblem(
                f"{path} is not a database of Entente.",
                hint="Restore it from a backup, or start with an empty --dir.",
            ) from error
        if not existed:
            path.chmod(0o600)

    @property
    def engine(self) -> Engine:
        """The SQLAlchemy engine."""
        return self._engine

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """A session that commits at the end, or leaves everything as it was.

        Transactions take turns from their first word on, so that what one reads still holds when
        it writes: an invitation is spent once, events are numbered without gaps.
        """
        with self._session("BEGIN IMMEDIATE") as session:
            yield session

    @contextmanager
    def snapshot(self) -> Iterator[Session]:
        """A session for reading alone, of one moment; it waits for nobody."""
        with self._session("BEGIN") as session:
            yield session

    @contextmanager
    def _session(self, begin: str) -> Iterator[Session]:
        with Session(self._engine, expire_on_commit=False) as session, session.begin():
            # Said aloud: left alone, Python's driver begins only at the first write.
            session.connection().exec_driver_sql(begin)
            yield session

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()


def to_json(value: Mapping[str, Any] | list[Any]) -> str:
    """Structured value as stored text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _configure(connection: sqlite3.Connection, _record: object) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute(f"PRAGMA busy_timeout={_BUSY_TIMEOUT_MS}")
    cursor.close()
