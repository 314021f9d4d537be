"""A node answers every message, with a reply or a refusal, and keeps its data out of both."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from flwr.app import ConfigRecord, Context, Message, RecordDict

from entente_client.lake.catalogue import Catalogue
from entente_client.node.client_app import SiteRuns, make_client_app
from entente_common.contracts.problem import Problem, error_from_problem
from entente_common.errors import DatasetMissing, InternalError, InvalidJob, ProtectionViolated
from entente_common.learning.artefact import ModelArtefact
from entente_common.protocol import messages as wire
from entente_common.protocol.records import from_record, to_record
from fakes.members import Member, claim_task, join_request, make_job
from fakes.rehearsal import Rehearsal

JOB = make_job(min_sites=1, rounds=1)


@pytest.fixture
def runs(members: list[Member]) -> SiteRuns:
    return members[0].runs()


def message(kind: str, content: RecordDict) -> Message:
    claim_task()
    asked = Message(content, 1, kind)
    asked.metadata.__dict__["_message_id"] = "m"
    return asked


def ask(runs: SiteRuns, kind: str, header: wire.Header, payload: bytes = b"") -> tuple[str, str]:
    found, text, _ = from_record(runs.answer(message(kind, to_record(header, payload))).content)
    return found, text


def refused(runs: SiteRuns, kind: str, content: wire.Header | RecordDict) -> Exception:
    record = content if isinstance(content, RecordDict) else to_record(content)
    found, text, payload = from_record(runs.answer(message(kind, record)).content)
    assert (found, payload) == ("Failure", b"")
    return error_from_problem(Problem.model_validate(wire.parse_header(wire.Failure, text).problem))


def test_a_node_goes_a_whole_run_and_keeps_its_model(members: list[Member]) -> None:
    runs, member = members[0].runs(), members[0]
    request = join_request(JOB)
    kind, text = ask(runs, wire.JOIN, request)
    assert kind == "JoinReply"
    statement = wire.parse_header(wire.JoinReply, text).statement
    whole = Rehearsal(JOB, {member.site: runs.run(request.run)}, request, {"offers": [statement]})
    app = make_client_app(runs)
    for step, header in [(wire.PREPARE, whole.prepare_request)]:
        reply = app(message(step, to_record(header())), context())
        _, text, payload = from_record(reply.content)
        contribution = wire.parse_header(wire.PrepareReply, text).contribution
        assert contribution is not None
        whole.given = {member.site: (contribution, payload)}
        whole.last = whole.summed()
    reply = app(message(wire.ROUND, to_record(whole.round_request(1), whole.last[1])), context())
    _, text, payload = from_record(reply.content)
    whole.given = {member.site: (wire.parse_header(wire.RoundReply, text).contribution, payload)}
    whole.last = whole.summed()
    reply = app(message(wire.FINISH, to_record(whole.finish_request(), whole.last[1])), context())
    digest = wire.parse_header(wire.FinishReply, from_record(reply.content)[1]).model_digest
    kept = member.directory / "models" / request.run / "model.safetensors"
    assert ModelArtefact.from_bytes(kept.read_bytes()).digest() == digest
    assert kept.stat().st_mode & 0o077 == 0
    release = wire.ReleaseRequest(run=request.run)
    reply = app(message(wire.RELEASE, to_record(release)), context())
    kind, text, parameters = from_record(reply.content)
    assert kind == "ReleaseReply"
    assert len(parameters) == 4 * ModelArtefact.from_bytes(kept.read_bytes()).layout.size


def context() -> Context:
    return Context(run_id=1, node_id=1, node_config={}, state=RecordDict(), run_config={})


def test_a_run_is_joined_once(runs: SiteRuns) -> None:
    request = join_request(JOB)
    assert ask(runs, wire.JOIN, request)[0] == "JoinReply"
    error = refused(runs, wire.JOIN, request)
    assert isinstance(error, ProtectionViolated)
    assert "already joined" in error.detail


@pytest.mark.parametrize("kind", [wire.PREPARE, wire.RELEASE, wire.FINISH, wire.ROUND, wire.KEY])
def test_a_run_the_node_never_joined_is_refused_with_its_cure(runs: SiteRuns, kind: str) -> None:
    run = join_request(JOB).run
    aggregate = wire.Aggregate(stage="moments", key_id=None, sites=())
    headers: dict[str, wire.Header] = {
        wire.KEY: wire.KeyRequest(run=run, manifest={}),
        wire.PREPARE: wire.PrepareRequest(run=run, manifest={}, key=None),
        wire.ROUND: wire.RoundRequest(run=run, round=1, aggregate=None),
        wire.FINISH: wire.FinishRequest(run=run, aggregate=aggregate),
        wire.RELEASE: wire.ReleaseRequest(run=run),
    }
    error = refused(runs, kind, headers[kind])
    assert isinstance(error, ProtectionViolated)
    assert "restarted" in error.hint


@pytest.mark.parametrize(
    "content",
    [
        RecordDict(),
        RecordDict({"header": ConfigRecord({"kind": "x", "header": "{", "payload": b""})}),
        to_record(wire.ReleaseRequest(run="run_" + "0" * 26)),
    ],
    ids=["empty", "half", "another"],
)
@pytest.mark.parametrize("kind", [wire.JOIN, wire.ROUND])
def test_a_message_that_cannot_be_read_is_refused(
    runs: SiteRuns, kind: str, content: RecordDict
) -> None:
    assert isinstance(refused(runs, kind, content), ProtectionViolated)


def test_a_refusal_tells_its_whole_reason(runs: SiteRuns) -> None:
    job = JOB.document()
    job["training"] = {**job["training"], "rounds": 0}
    error = refused(runs, wire.JOIN, join_request(JOB, job=job))
    assert isinstance(error, InvalidJob)
    assert any("rounds" in issue.path for issue in error.issues)
    missing = make_job(data={"contract": "other@1"})
    assert isinstance(refused(runs, wire.JOIN, join_request(missing)), DatasetMissing)


def test_an_unexpected_failure_tells_its_class_and_nothing_of_its_text(
    runs: SiteRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise KeyError("Jane Doe, 1961")

    monkeypatch.setattr(Catalogue, "open", broken)
    error = refused(runs, wire.JOIN, join_request(JOB))
    assert isinstance(error, InternalError)
    assert "KeyError in query.join" in error.detail
    assert "Jane" not in f"{error.detail} {error.hint} {error.issues}"


def test_a_node_forgets_the_oldest_of_many_runs(runs: SiteRuns) -> None:
    requests = [join_request(JOB) for _ in range(9)]
    for request in requests:
        assert ask(runs, wire.JOIN, request)[0] == "JoinReply"
    with pytest.raises(ProtectionViolated, match="no state"):
        runs.run(requests[0].run)
    for request in requests[1:]:
        assert runs.run(request.run).job == JOB


def test_a_models_place_is_below_the_models(members: list[Member], tmp_path: Path) -> None:
    before = set(members[0].directory.rglob("*"))
    document = join_request(JOB).model_dump() | {"run": "../../identity"}
    header = ConfigRecord(
        {"kind": "JoinRequest", "header": str(document).replace("'", '"'), "payload": b""}
    )
    error = refused(members[0].runs(), wire.JOIN, RecordDict({"header": header}))
    assert isinstance(error, ProtectionViolated)
    assert set(members[0].directory.rglob("*")) == before
