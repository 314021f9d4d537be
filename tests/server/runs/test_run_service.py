"""A run moves forward only, its events have no gaps, and its end is its last word."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from entente_common.contracts.job import job_from_document
from entente_common.contracts.run import Run, RunStatus
from entente_common.errors import NotFound
from entente_server.runs.service import RunService
from fakes.api import CODE, Api, job_document, whole_run
from fakes.runs import DIGEST

JOB = job_from_document(job_document())


@pytest.fixture
def runs(api: Api) -> RunService:
    return api.runs


def create(runs: RunService, *sites: str) -> Run:
    return runs.create(JOB, sites=list(sites) or ["north"], code_digest=CODE, actor="admin")


def tell(runs: RunService, run: Run, events: list[tuple[str, dict[str, Any]]]) -> None:
    for kind, data in events:
        runs.record(run.id, kind, data)


def test_a_new_run_is_pending_and_carries_its_whole_job(runs: RunService) -> None:
    run = create(runs, "south", "north")
    assert run == runs.get(run.id)
    assert (run.status, run.sites, run.rounds_total) == ("pending", ("north", "south"), 2)
    assert run.job == JOB.document()
    assert run.job_digest == JOB.digest()
    assert runs.events(run.id, after=0) == []


def test_a_run_follows_its_events_to_the_end(runs: RunService) -> None:
    run = create(runs)
    seen = []
    for kind, data in whole_run():
        runs.record(run.id, kind, data)
        seen.append((runs.get(run.id).status, runs.get(run.id).rounds_done))
    assert seen == [
        ("running", 0),
        ("running", 0),
        ("running", 1),
        ("running", 2),
        ("succeeded", 2),
    ]
    ended = runs.get(run.id)
    assert ended.metrics == {"auroc": 0.7}
    assert (ended.bytes_up, ended.bytes_down) == (1000, 1400)
    assert ended.model_digest == DIGEST
    assert ended.started_at is not None
    assert ended.ended_at is not None


def test_the_end_is_told_without_what_is_only_for_the_record(runs: RunService) -> None:
    run = create(runs)
    tell(runs, run, whole_run())
    last = runs.events(run.id, after=0)[-1]
    assert last.kind == "run.finished"
    assert last.data == {"status": "succeeded", "reason": None, "model_digest": DIGEST}


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    story=st.lists(st.sampled_from(whole_run()), max_size=6),
    end=st.sampled_from(["succeeded", "failed", "aborted"]),
    sequel=st.lists(st.sampled_from(whole_run(status="failed")), min_size=1, max_size=4),
)
def test_nothing_moves_a_run_that_has_ended(
    api: Api, story: list[Any], end: RunStatus, sequel: list[Any]
) -> None:
    runs = api.runs
    run = create(runs)
    tell(runs, run, story)
    runs.finish(run.id, status=end, reason="the end")
    ended, told = runs.get(run.id), runs.events(run.id, after=0)
    assert ended.ended
    assert [event.seq for event in told] == list(range(1, len(told) + 1))
    assert [event.kind for event in told].index("run.finished") == len(told) - 1
    tell(runs, run, sequel)
    runs.finish(run.id, status="aborted", reason="again")
    assert runs.get(run.id) == ended
    assert runs.events(run.id, after=0) == told


def test_events_follow_a_place_in_the_stream(runs: RunService) -> None:
    run, other = create(runs), create(runs)
    tell(runs, run, whole_run())
    tell(runs, other, whole_run()[:2])
    assert [event.seq for event in runs.events(run.id, after=3)] == [4, 5]
    assert runs.events(run.id, after=99) == []
    assert [event.seq for event in runs.events(other.id, after=0)] == [1, 2]


def test_events_that_come_at_the_same_time_are_numbered_without_gaps(runs: RunService) -> None:
    run = create(runs)
    faults: list[Exception] = []
    start = threading.Barrier(4)

    def work() -> None:
        start.wait()
        try:
            for _ in range(10):
                runs.record(run.id, "site.dropped", {"site": "north", "reason": "test"})
        except Exception as error:  # noqa: BLE001 - the test looks at it
            faults.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    assert [event.seq for event in runs.events(run.id, after=0)] == list(range(1, 41))


def test_an_unknown_run_is_not_found(runs: RunService) -> None:
    for call in (
        lambda: runs.get("run_none"),
        lambda: runs.events("run_none", after=0),
        lambda: runs.record("run_none", "run.started", {}),
    ):
        with pytest.raises(NotFound, match="run_none"):
            call()


def test_runs_stand_newest_first(runs: RunService) -> None:
    made = [create(runs).id for _ in range(3)]
    listed = [run.id for run in runs.list_runs()]
    assert sorted(listed) == sorted(made)
    assert listed == sorted(listed, reverse=True)


def test_runs_an_earlier_process_left_open_are_closed_once(runs: RunService) -> None:
    pending, running, ended = create(runs), create(runs), create(runs)
    tell(runs, running, whole_run()[:3])
    tell(runs, ended, whole_run())
    assert sorted(runs.close_stale()) == sorted([pending.id, running.id])
    assert runs.close_stale() == []
    for run in (pending, running):
        closed = runs.get(run.id)
        assert closed.status == "failed"
        assert "Submit the job again" in (closed.reason or "")
        assert runs.events(run.id, after=0)[-1].kind == "run.finished"
    assert runs.get(ended.id).status == "succeeded"


def test_submission_and_end_are_audited_once_each(api: Api) -> None:
    run = create(api.runs)
    tell(api.runs, run, whole_run())
    tell(api.runs, run, whole_run())
    told = [(row.actor, row.action) for row in api.audit() if row.subject == run.id]
    assert told == [("admin", "run.submitted"), ("coordinator", "run.finished")]


def test_a_run_neither_begins_nor_ends_without_its_audit_row(api: Api) -> None:
    run = create(api.runs)
    api.break_audit()
    with pytest.raises(Exception, match="audit trail is full"):
        create(api.runs)
    assert [found.id for found in api.runs.list_runs()] == [run.id]
    with pytest.raises(Exception, match="audit trail is full"):
        api.runs.finish(run.id, status="failed", reason="x")
    assert api.runs.get(run.id).status == "pending"
    assert api.runs.events(run.id, after=0) == []


def test_an_event_that_cannot_be_understood_leaves_no_trace(runs: RunService) -> None:
    run = create(runs)
    with pytest.raises(KeyError):
        runs.record(run.id, "round.completed", {"round": 1})
    assert runs.events(run.id, after=0) == []
    assert runs.get(run.id) == run
