"""The course of a run over real sites: it ends with one model at all of them, or with a reason."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import ConfigRecord, Error, Message, RecordDict

from entente_common.aggregation.plain import plain_ints
from entente_common.contracts.job import Job
from entente_common.contracts.run import RoundReport
from entente_common.errors import ProtectionViolated, RunFailed
from entente_common.identity.certificates import CertificateAuthority
from entente_common.learning.artefact import ModelArtefact
from entente_common.protocol import messages as wire
from entente_common.protocol.records import from_record, to_record
from entente_server.coordination.rounds import Outcome
from fakes.coordinator import make_authority
from fakes.members import CONTRACT, Course, Member, Tamper, make_course, make_job, make_member

SITES = ("east", "north", "south")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> CertificateAuthority:
    return make_authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def members(
    tmp_path_factory: pytest.TempPathFactory, authority: CertificateAuthority
) -> list[Member]:
    root = tmp_path_factory.mktemp("sites")
    return [
        make_member(root, authority, site, rows=40 + 20 * number, seed=number)
        for number, site in enumerate(SITES)
    ]


Begin = Callable[..., Course]


@pytest.fixture
def begin(authority: CertificateAuthority, members: list[Member]) -> Begin:
    def make(
        job: Job,
        *,
        faults: dict[tuple[str, str], Tamper] | None = None,
        sites: list[Member] | None = None,
        backwards: bool = False,
    ) -> Course:
        return make_course(
            job,
            sites or members,
            ca_pem=authority.certificate_pem,
            faults=faults,
            backwards=backwards,
        )

    return make


def silent(_reply: Message) -> None:
    """The site's answer never comes."""


def failing(reply: Message) -> Message:
    """Flower's answer in the place of a node that is gone."""
    return answered(reply, error=Error(3, "the node is gone"))


def answered(
    reply: Message, *, content: RecordDict | None = None, error: Error | None = None
) -> Message:
    """`reply` with another content, or an error instead."""
    reply.__dict__["_content"] = content
    reply.__dict__["_error"] = error
    return reply


def rewriting(change: Callable[[dict[str, Any]], Any]) -> Tamper:
    """A site that changes the header of its answer."""

    def tamper(reply: Message) -> Message:
        _, text, _ = from_record(reply.content)
        header = json.loads(text)
        change(header)
        reply.content["header"]["header"] = json.dumps(header)  # type: ignore[index]
        return reply

    return tamper


def sending(payload: bytes) -> Tamper:
    """A site that sends another payload under its header."""

    def tamper(reply: Message) -> Message:
        kind, text, _ = from_record(reply.content)
        config = ConfigRecord({"kind": kind, "header": text, "payload": payload})
        return answered(reply, content=RecordDict({"header": config}))

    return tamper


def check_outcome(course: Course, outcome: Outcome, *, sites: tuple[str, ...] = SITES) -> None:
    assert outcome.artefact is not None
    assert outcome.artefact.digest() == outcome.model_digest
    rounds = [RoundReport.model_validate(data) for data in course.told("round.completed")]
    assert [r.round for r in rounds] == [1, 2]
    assert tuple(site.site for site in rounds[-1].sites) == sites
    assert rounds[-1].metrics == outcome.metrics


@pytest.mark.parametrize("aggregation", ["plain", "encrypted"])
def test_a_run_ends_with_the_model_all_sites_hold(
    begin: Begin, members: list[Member], aggregation: str
) -> None:
    course = begin(make_job(aggregation=aggregation))
    outcome = course.course.run()
    check_outcome(course, outcome)
    kinds = [kind for kind, _ in course.events]
    assert kinds == ["run.prepared", "round.completed", "round.completed"]
    ((_, prepared),) = [event for event in course.events if event[0] == "run.prepared"]
    assert (prepared["key_id"] is None) == (aggregation == "plain")
    assert outcome.artefact is not None
    assert prepared["parameters"] == outcome.artefact.layout.size
    for member in members:
        kept = member.directory / "models" / course.run / "model.safetensors"
        assert ModelArtefact.from_bytes(kept.read_bytes()).digest() == outcome.model_digest


def test_encryption_changes_nothing_of_the_model(begin: Begin) -> None:
    plain = begin(make_job(aggregation="plain")).course.run()
    encrypted = begin(make_job(aggregation="encrypted")).course.run()
    assert plain.model_digest == encrypted.model_digest
    assert plain.metrics == encrypted.metrics


def test_the_order_of_answers_changes_nothing_of_the_model(begin: Begin) -> None:
    forwards = begin(make_job()).course.run()
    backwards = begin(make_job(), backwards=True).course.run()
    assert forwards.model_digest == backwards.model_digest


def test_messages_follow_the_protocol_and_go_to_members_only(begin: Begin) -> None:
    course = begin(make_job(aggregation="encrypted"))
    course.course.run()
    every = [1, 2, 3]
    expected = [(wire.JOIN, every), (wire.KEY, [1]), (wire.PREPARE, every)]
    expected += [(wire.ROUND, every)] * 2 + [(wire.FINISH, every), (wire.RELEASE, [1])]
    assert course.grid.asked == [(kind, node) for kind, nodes in expected for node in nodes]


def test_without_standardisation_no_moments_are_summed(begin: Begin) -> None:
    data = {"contract": "synthetic@1", "preprocess": {"scale": "none"}}
    seen: list[Any] = []

    def look(reply: Message) -> Message:
        seen.append(wire.parse_header(wire.PrepareReply, from_record(reply.content)[1]))
        return reply

    course = begin(make_job(data=data), faults={(wire.PREPARE, "east"): look})
    check_outcome(course, course.course.run())
    assert [reply.contribution for reply in seen] == [None]


def test_a_job_that_keeps_its_model_at_the_sites_releases_none(begin: Begin) -> None:
    course = begin(make_job(release={"to": ["sites"]}))
    outcome = course.course.run()
    assert outcome.artefact is None
    assert outcome.model_digest.startswith("sha256:")
    assert all(kind != wire.RELEASE for kind, _ in course.grid.asked)


def test_a_private_run_carries_every_sites_statement(begin: Begin) -> None:
    privacy = {"unit": "record", "epsilon": 8.0, "delta": 1e-5}
    outcome = begin(make_job(aggregation="encrypted", privacy=privacy)).course.run()
    assert [statement.site for statement in outcome.privacy] == list(SITES)
    assert all(0 < statement.epsilon <= 8.0 for statement in outcome.privacy)


@pytest.mark.parametrize("aggregation", ["plain", "encrypted"])
@pytest.mark.parametrize("kind", [wire.PREPARE, wire.ROUND])
@pytest.mark.parametrize("fault", [silent, failing], ids=["silent", "gone"])
def test_a_run_goes_on_without_a_site_that_fails_in_the_middle(
    begin: Begin, aggregation: str, kind: str, fault: Tamper
) -> None:
    course = begin(make_job(aggregation=aggregation), faults={(kind, "south"): fault})
    outcome = course.course.run()
    check_outcome(course, outcome, sites=("east", "north"))
    (dropped,) = course.told("site.dropped")
    assert dropped["site"] == "south"
    assert dropped["reason"]
    after = course.grid.asked.index((kind, 3))
    assert all(node != 3 for _, node in course.grid.asked[after + 1 :])


@pytest.mark.parametrize("kind", [wire.FINISH])
def test_a_site_that_fails_at_the_end_is_left_out_of_the_end(begin: Begin, kind: str) -> None:
    course = begin(make_job(), faults={(kind, "south"): silent})
    check_outcome(course, course.course.run(), sites=("east", "north"))


def test_a_sum_without_a_site_is_divided_by_the_weights_of_the_others(begin: Begin) -> None:
    """One round over two of three members: the model moves by the mean of those two."""
    given: dict[str, tuple[wire.Contribution, bytes]] = {}

    def noting(site: str) -> Tamper:
        def note(reply: Message) -> Message:
            _, text, payload = from_record(reply.content)
            contribution = wire.parse_header(wire.RoundReply, text).contribution
            given[site] = contribution, payload
            return reply

        return note

    job = make_job(rounds=1)
    faults: dict[tuple[str, str], Tamper] = {
        (wire.ROUND, "east"): noting("east"),
        (wire.ROUND, "north"): noting("north"),
        (wire.ROUND, "south"): silent,
    }
    outcome = begin(job, faults=faults).course.run()
    assert outcome.artefact is not None
    length = outcome.artefact.layout.size
    weights = {site: contribution.weight for site, (contribution, _) in given.items()}
    assert sum(weights.values()) < 0.9, "the third member's share is missing from the sum"
    total = sum(plain_ints(payload, length=length) for _, payload in given.values())
    scale = 2**22 - 1
    mean = total * job.protection.clip / (scale * sum(weights.values()))
    # A logistic model starts from zero.
    assert outcome.artefact.parameters == pytest.approx(mean, abs=1e-6)
    assert np.abs(mean).max() > 1e-3


def test_too_few_sites_end_the_run_with_every_reason(begin: Begin) -> None:
    faults: dict[tuple[str, str], Tamper] = {
        (wire.ROUND, "north"): silent,
        (wire.ROUND, "south"): failing,
    }
    course = begin(make_job(min_sites=2), faults=faults)
    with pytest.raises(RunFailed, match="1 sites are left, the job needs 2") as caught:
        course.course.run()
    assert "north: no answer within" in caught.value.detail
    assert "south: the node is gone" in caught.value.detail
    assert [data["site"] for data in course.told("site.dropped")] == ["south", "north"]
    assert all(kind != wire.FINISH for kind, _ in course.grid.asked)


def test_a_run_that_needs_all_ends_with_the_first_loss(begin: Begin) -> None:
    course = begin(make_job(min_sites=3), faults={(wire.PREPARE, "north"): silent})
    with pytest.raises(RunFailed, match="2 sites are left, the job needs 3"):
        course.course.run()
    assert all(kind != wire.ROUND for kind, _ in course.grid.asked)


def test_a_leader_that_fails_over_the_key_ends_the_run(begin: Begin) -> None:
    course = begin(make_job(aggregation="encrypted"), faults={(wire.KEY, "east"): silent})
    with pytest.raises(RunFailed, match=r"east was needed for query\.key"):
        course.course.run()


def test_a_site_whose_data_does_not_fit_says_why_and_is_left_out(
    begin: Begin, members: list[Member], authority: CertificateAuthority, tmp_path: Path
) -> None:
    other = {**CONTRACT, "name": "another"}
    west = make_member(tmp_path, authority, "west", contract=other)
    course = begin(make_job(), sites=[*members, west])
    check_outcome(course, course.course.run())
    (dropped,) = course.told("site.dropped")
    assert dropped["site"] == "west"
    assert "synthetic@1" in dropped["reason"]


def test_sites_that_disagree_on_the_final_model_release_nothing(begin: Begin) -> None:
    lie = rewriting(lambda header: header.update(model_digest="sha256:other"))
    course = begin(make_job(), faults={(wire.FINISH, "north"): lie})
    with pytest.raises(RunFailed, match="different models"):
        course.course.run()
    assert all(kind != wire.RELEASE for kind, _ in course.grid.asked)


@pytest.mark.parametrize("payload", [b"", b"\0" * 4, np.ones(6, dtype="<f4").tobytes()])
def test_a_released_model_that_is_not_the_one_agreed_on_is_refused(
    begin: Begin, payload: bytes
) -> None:
    course = begin(make_job(), faults={(wire.RELEASE, "east"): sending(payload)})
    with pytest.raises(ProtectionViolated, match="released"):
        course.course.run()


@pytest.mark.parametrize(
    "change",
    [
        lambda header: header["contribution"].update(stage="round-9"),
        lambda header: header["contribution"].update(weight=1.0),
        lambda header: header["contribution"].update(length=1),
        lambda header: header["contribution"].update(key_id="sha256:other"),
        lambda header: header.update(contribution=5),
        lambda header: header.clear(),
    ],
)
@pytest.mark.parametrize("kind", [wire.PREPARE, wire.ROUND])
def test_a_contribution_that_does_not_fit_costs_its_site_the_run_and_nobody_else(
    begin: Begin, kind: str, change: Callable[[dict[str, Any]], Any]
) -> None:
    course = begin(make_job(), faults={(kind, "east"): rewriting(change)})
    check_outcome(course, course.course.run(), sites=("north", "south"))
    assert [data["site"] for data in course.told("site.dropped")] == ["east"]


@pytest.mark.parametrize("length", [0, 1, 2**40, 2**53])
def test_a_site_that_lies_about_the_size_of_its_moments_costs_no_memory_and_nobody_else(
    begin: Begin, length: int
) -> None:
    lie = rewriting(lambda header: header["contribution"].update(length=length))
    course = begin(make_job(), faults={(wire.PREPARE, "east"): lie})
    check_outcome(course, course.course.run(), sites=("north", "south"))


@pytest.mark.parametrize(
    "content",
    [
        RecordDict(),
        RecordDict({"header": ConfigRecord({"kind": "RoundReply", "header": "{"})}),
        to_record(wire.Failure(problem={"title": 5})),
        to_record(wire.Failure(problem={"title": "Refused", "status": 409, "detail": "too late"})),
    ],
    ids=["empty", "half", "malformed-failure", "failure"],
)
def test_an_answer_that_cannot_be_read_costs_its_site_the_run(
    begin: Begin, content: RecordDict
) -> None:
    def garbled(reply: Message) -> Message:
        return answered(reply, content=content)

    course = begin(make_job(), faults={(wire.ROUND, "north"): garbled})
    check_outcome(course, course.course.run(), sites=("east", "south"))


def test_a_report_in_anothers_name_is_told_under_the_sites_own(begin: Begin) -> None:
    lie = rewriting(lambda header: header["report"].update(site="ghost"))
    course = begin(make_job(), faults={(wire.ROUND, "north"): lie, (wire.FINISH, "north"): lie})
    check_outcome(course, course.course.run())


def test_a_site_that_answers_with_anothers_offer_ends_the_run(begin: Begin) -> None:
    stolen: list[str] = []

    def keep(reply: Message) -> Message:
        stolen.append(from_record(reply.content)[1])
        return reply

    def replay(reply: Message) -> Message:
        header = wire.parse_header(wire.JoinReply, stolen[0])
        return answered(reply, content=to_record(header))

    faults: dict[tuple[str, str], Tamper] = {
        (wire.JOIN, "east"): keep,
        (wire.JOIN, "north"): replay,
    }
    with pytest.raises(ProtectionViolated, match="twice"):
        begin(make_job(), faults=faults).course.run()


def test_an_offer_of_a_site_that_was_not_asked_ends_the_run(
    begin: Begin, members: list[Member], authority: CertificateAuthority, tmp_path: Path
) -> None:
    outsider = make_member(tmp_path, authority, "outsider").runs()
    questions: list[Message] = []

    course = begin(make_job(), sites=members[:2])
    asked = course.grid._answer

    def answer(message: Message) -> Message | None:
        questions.append(message)
        return asked(message)

    course.grid._answer = answer  # type: ignore[method-assign]

    def swapped(reply: Message) -> Message:
        return answered(reply, content=outsider.answer(questions[-1]).content)

    course.grid.faults[wire.JOIN, 2] = swapped
    with pytest.raises(ProtectionViolated, match="offer of another"):
        course.course.run()


def test_a_layout_other_than_the_signed_one_ends_the_run(begin: Begin) -> None:
    lie = rewriting(lambda header: header["layout"]["tensors"][0].update(shape=[2, 2]))
    course = begin(make_job(), faults={(wire.JOIN, "east"): lie})
    with pytest.raises(ProtectionViolated, match="another model layout"):
        course.course.run()


@pytest.mark.parametrize("statement", [{}, {"payload": {}}, {"payload": 5}])
def test_a_leader_that_answers_without_a_key_ends_the_run_plainly(
    begin: Begin, statement: dict[str, Any]
) -> None:
    lie = rewriting(lambda header: header.update(statement=statement))
    course = begin(make_job(aggregation="encrypted"), faults={(wire.KEY, "east"): lie})
    with pytest.raises(ProtectionViolated):
        course.course.run()


def test_a_forged_group_key_is_refused_by_every_member(begin: Begin) -> None:
    def forge(header: dict[str, Any]) -> None:
        header["statement"]["payload"]["key_id"] = "sha256:" + "0" * 64

    course = begin(make_job(aggregation="encrypted"), faults={(wire.KEY, "east"): rewriting(forge)})
    with pytest.raises(RunFailed, match="signature"):
        course.course.run()
    assert len(course.told("site.dropped")) == 3
