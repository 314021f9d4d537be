"""The database: whole transactions, one after the other, in a private file."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from sqlalchemy.exc import IntegrityError
from sqlmodel import func, select

from entente_common.errors import DataDirectoryProblem
from entente_server.audit.trail import audit
from entente_server.kit.database import Database
from entente_server.tables import AuditRow, RunEventRow


def rows(database: Database) -> int:
    with database.snapshot() as session:
        return session.exec(select(func.count()).select_from(AuditRow)).one()


def note(database: Database) -> None:
    with database.transaction() as session:
        audit(session, actor="a", action="b", subject="c")


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database(tmp_path / "entente.db")


def test_a_transaction_that_fails_leaves_nothing(database: Database) -> None:
    def fail() -> None:
        with database.transaction() as session:
            audit(session, actor="a", action="b", subject="c")
            session.flush()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert rows(database) == 0
    note(database)
    assert rows(database) == 1


def test_what_a_transaction_read_still_holds_when_it_writes(database: Database) -> None:
    """Each of many threads adds one to the number of rows it saw; none sees the same number."""
    seen: list[int] = []

    def work() -> None:
        for _ in range(5):
            with database.transaction() as session:
                count = session.exec(select(func.count()).select_from(AuditRow)).one()
                audit(session, actor="a", action="b", subject=str(count))
            seen.append(count)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(seen) == list(range(20))


def test_readers_do_not_wait_for_a_writer_and_see_none_of_its_work(database: Database) -> None:
    note(database)
    with database.transaction() as session:
        audit(session, actor="a", action="b", subject="c")
        session.flush()
        assert rows(database) == 1
    assert rows(database) == 2


def test_a_reader_sees_one_moment(database: Database) -> None:
    query = select(func.count()).select_from(AuditRow)
    with database.snapshot() as session:
        before = session.exec(query).one()
        note(database)
        assert session.exec(query).one() == before
    assert rows(database) == before + 1


def test_an_event_of_no_run_is_refused_by_the_database_itself(database: Database) -> None:
    with pytest.raises(IntegrityError, match="FOREIGN KEY"), database.transaction() as session:
        session.add(RunEventRow(run_id="run_none", seq=1, at="", kind="x", data="{}"))


def test_the_file_is_for_its_owner_alone_and_outlives_the_process(tmp_path: Path) -> None:
    path = tmp_path / "entente.db"
    first = Database(path)
    assert path.stat().st_mode & 0o077 == 0
    note(first)
    first.close()
    assert rows(Database(path)) == 1


def test_a_foreign_file_is_refused_with_its_cure(tmp_path: Path) -> None:
    path = tmp_path / "entente.db"
    path.write_bytes(b"something else" * 100)
    with pytest.raises(DataDirectoryProblem, match="not a database") as caught:
        Database(path)
    assert "--dir" in caught.value.hint
