"""A site follows the protocol step by step, and refuses a coordinator that does not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from entente_common.errors import (
    DatasetMissing,
    InvalidJob,
    ProtectionViolated,
    RefusedByPolicy,
    SchemaMismatch,
)
from entente_common.identity.certificates import CertificateAuthority
from entente_common.identity.manifest import OFFER_DOMAIN, Offer, manifest_document
from entente_common.identity.statement import SignedStatement, sign, verify
from entente_common.protocol import messages as wire
from fakes.coordinator import make_authority
from fakes.members import APPLICATION, CONTRACT, Member, join_request, make_job, make_member
from fakes.rehearsal import Rehearsal

MODES = pytest.mark.parametrize("aggregation", ["plain", "encrypted"])


def offers(manifest: dict[str, Any]) -> list[SignedStatement]:
    return [SignedStatement.from_document(document) for document in manifest["offers"]]


class TestJoining:
    """A site offers to take part in exactly the job whose digest it was told."""

    def test_the_offer_is_signed_and_says_what_the_site_brings(
        self, members: list[Member], authority: CertificateAuthority
    ) -> None:
        job = make_job()
        request = join_request(job)
        run = members[0].take_part(request)
        reply = run.join()
        site, payload = verify(
            SignedStatement.from_document(reply.statement),
            ca_pem=authority.certificate_pem,
            domain=OFFER_DOMAIN,
        )
        offer = Offer.model_validate(payload)
        assert site == offer.site == "east"
        assert offer == run.offer
        assert (offer.run, offer.job_digest) == (request.run, job.digest())
        assert offer.application == APPLICATION
        card = members[0].catalogue.open("synthetic@1").card
        assert offer.dataset_version == card.version
        assert 0 < offer.examples < card.rows, "held-back rows do not weigh"

    def test_every_run_has_an_agreement_key_of_its_own(self, members: list[Member]) -> None:
        request = join_request(make_job())
        keys = {members[0].take_part(request).offer.agreement_key for _ in range(3)}
        assert len(keys) == 3

    def test_a_lie_about_the_jobs_digest_is_refused(self, members: list[Member]) -> None:
        other = make_job(rounds=3)
        with pytest.raises(ProtectionViolated, match="digest"):
            members[0].take_part(join_request(make_job(), job_digest=other.digest()))
        with pytest.raises(ProtectionViolated, match="digest"):
            members[0].take_part(join_request(make_job(), job=other.document()))

    def test_a_job_that_does_not_validate_here_is_refused(self, members: list[Member]) -> None:
        document = {**make_job().document(), "hook": "import os"}
        with pytest.raises(InvalidJob):
            members[0].take_part(join_request(make_job(), job=document))

    def test_a_job_over_unknown_features_is_refused(self, members: list[Member]) -> None:
        job = make_job(data={"contract": "synthetic@1", "features": ["x0", "age"]})
        with pytest.raises(SchemaMismatch) as caught:
            members[0].take_part(join_request(job))
        assert any("age" in str(issue) for issue in caught.value.issues)

    def test_a_job_over_data_the_site_does_not_have_is_refused(self, members: list[Member]) -> None:
        job = make_job(data={"contract": "other@1"})
        with pytest.raises(DatasetMissing):
            members[0].take_part(join_request(job))


class TestTheMembership:
    """Nothing is prepared, and no key made, for a membership that does not verify."""

    @MODES
    def test_a_site_left_out_of_the_membership_refuses_it(
        self, members: list[Member], aggregation: str
    ) -> None:
        whole = Rehearsal.joined(make_job(aggregation=aggregation), members)
        partial = {"offers": whole.manifest["offers"][:2]}
        with pytest.raises(ProtectionViolated, match="own offer"):
            whole.runs["south"].prepare(whole.prepare_request(manifest=partial))

    def test_a_ghost_of_another_authority_is_refused(
        self, members: list[Member], tmp_path: Path
    ) -> None:
        whole = Rehearsal.joined(make_job(), members)
        ghost = make_member(tmp_path, make_authority(tmp_path / "ca"), "ghost")
        statement = ghost.take_part(whole.request).join().statement
        manifest = {"offers": [*whole.manifest["offers"], statement]}
        for run in whole.runs.values():
            with pytest.raises(ProtectionViolated, match="not certified"):
                run.prepare(whole.prepare_request(manifest=manifest))
        with pytest.raises(ProtectionViolated, match="not certified"):
            whole.leader.make_key(whole.key_request(manifest=manifest))

    def test_an_offer_of_another_run_is_refused(self, members: list[Member]) -> None:
        whole = Rehearsal.joined(make_job(), members)
        old = members[1].take_part(join_request(make_job())).join().statement
        manifest = {"offers": [whole.manifest["offers"][0], old]}
        with pytest.raises(ProtectionViolated, match="differ in their run"):
            whole.runs["east"].prepare(whole.prepare_request(manifest=manifest))

    def test_a_member_with_another_application_is_refused(self, members: list[Member]) -> None:
        whole = Rehearsal.joined(make_job(), members)
        other = members[1].take_part(whole.request, application="b" * 64).join().statement
        manifest = {"offers": [whole.manifest["offers"][0], other]}
        with pytest.raises(ProtectionViolated, match="application"):
            whole.runs["east"].prepare(whole.prepare_request(manifest=manifest))

    def test_a_membership_below_the_jobs_minimum_is_refused(self, members: list[Member]) -> None:
        whole = Rehearsal.joined(make_job(min_sites=3), members)
        partial = {"offers": whole.manifest["offers"][:2]}
        with pytest.raises(ProtectionViolated, match="has 2 sites, not 3"):
            whole.runs["east"].prepare(whole.prepare_request(manifest=partial))

    def test_only_the_leader_makes_the_key(self, members: list[Member]) -> None:
        whole = Rehearsal.joined(make_job(aggregation="encrypted"), members)
        with pytest.raises(ProtectionViolated, match="leader"):
            whole.runs["north"].make_key(whole.key_request())


class TestTheKey:
    """A site takes the leader's key for its own membership, or none."""

    def test_an_encrypted_job_without_key_is_refused(self, members: list[Member]) -> None:
        whole = Rehearsal.joined(make_job(aggregation="encrypted"), members)
        with pytest.raises(ProtectionViolated, match="key does not fit the protection"):
            whole.leader.prepare(whole.prepare_request(key=None))

    def test_a_plain_job_with_a_key_is_refused(self, members: list[Member]) -> None:
        sealed = Rehearsal.joined(make_job(aggregation="encrypted"), members).key
        whole = Rehearsal.joined(make_job(), members)
        with pytest.raises(ProtectionViolated, match="key does not fit the protection"):
            whole.leader.prepare(whole.prepare_request(key=sealed))

    def test_the_key_of_another_membership_is_refused(self, members: list[Member]) -> None:
        job = make_job(aggregation="encrypted")
        whole, other = Rehearsal.joined(job, members), Rehearsal.joined(job, members)
        with pytest.raises(ProtectionViolated, match="for this membership"):
            whole.runs["north"].prepare(whole.prepare_request(key=other.key))

    def test_a_site_that_refused_may_still_be_prepared_rightly(self, members: list[Member]) -> None:
        whole = Rehearsal.joined(make_job(aggregation="encrypted"), members)
        run = whole.runs["north"]
        with pytest.raises(ProtectionViolated):
            run.prepare(whole.prepare_request(key=None))
        reply, payload = run.prepare(whole.prepare_request())
        assert reply.contribution is not None
        assert payload


class TestTheOrderOfSteps:
    """join, prepare, rounds one by one, finish once, release last."""

    @MODES
    def test_a_second_preparation_is_refused(self, members: list[Member], aggregation: str) -> None:
        whole = Rehearsal.prepared(make_job(aggregation=aggregation), members)
        for run in whole.runs.values():
            with pytest.raises(ProtectionViolated, match="already prepared"):
                run.prepare(whole.prepare_request())

    def test_nothing_happens_before_preparation(self, members: list[Member]) -> None:
        whole = Rehearsal.joined(make_job(), members)
        aggregate = {"stage": "moments", "key_id": None, "sites": ("east", "north")}
        with pytest.raises(ProtectionViolated, match="not prepared"):
            whole.leader.round(whole.round_request(1), b"")
        with pytest.raises(ProtectionViolated, match="not prepared"):
            whole.leader.finish(
                wire.FinishRequest.model_validate({"run": whole.run, "aggregate": aggregate}), b""
            )

    @pytest.mark.parametrize("number", [2, 3, 10_000])
    def test_a_round_that_is_skipped_to_is_refused(
        self, members: list[Member], number: int
    ) -> None:
        whole = Rehearsal.prepared(make_job(), members)
        with pytest.raises(ProtectionViolated, match=f"Round {number} was asked for after round 0"):
            whole.leader.round(whole.round_request(number), whole.last[1])

    @MODES
    def test_a_round_that_is_asked_for_twice_is_refused(
        self, members: list[Member], aggregation: str
    ) -> None:
        whole = Rehearsal.prepared(make_job(aggregation=aggregation), members)
        request, payload = whole.round_request(1), whole.last[1]
        whole.leader.round(request, payload)
        with pytest.raises(ProtectionViolated, match="Round 1 was asked for after round 1"):
            whole.leader.round(request, payload)

    def test_more_rounds_than_the_job_has_are_refused(self, members: list[Member]) -> None:
        whole = Rehearsal.prepared(make_job(), members).go()
        with pytest.raises(ProtectionViolated, match="Round 3 was asked for after round 2"):
            whole.leader.round(whole.round_request(3), whole.last[1])

    def test_an_end_before_the_last_round_is_refused(self, members: list[Member]) -> None:
        whole = Rehearsal.prepared(make_job(), members)
        whole.go_round(1)
        with pytest.raises(ProtectionViolated, match="ended after round 1"):
            whole.leader.finish(whole.finish_request(), whole.last[1])

    def test_a_second_end_is_refused_and_the_model_stays(self, members: list[Member]) -> None:
        whole = Rehearsal.prepared(make_job(), members).go()
        reply = whole.leader.finish(whole.finish_request(), whole.last[1])
        with pytest.raises(ProtectionViolated, match="ended after round 2"):
            whole.leader.finish(whole.finish_request(), whole.last[1])
        assert whole.leader.artefact().digest() == reply.model_digest

    def test_a_model_is_not_released_before_the_end(self, members: list[Member]) -> None:
        whole = Rehearsal.prepared(make_job(), members).go()
        with pytest.raises(ProtectionViolated, match="not finished"):
            whole.leader.release()

    def test_a_model_the_job_keeps_at_the_sites_is_not_released(
        self, members: list[Member]
    ) -> None:
        whole = Rehearsal.prepared(make_job(release={"to": ["sites"]}), members).go()
        whole.leader.finish(whole.finish_request(), whole.last[1])
        with pytest.raises(RefusedByPolicy, match="does not release"):
            whole.leader.release()
        assert whole.leader.artefact().parameters.size

    def test_the_released_parameters_are_the_model_named_at_the_end(
        self, members: list[Member]
    ) -> None:
        whole = Rehearsal.prepared(make_job(), members).go()
        named = whole.leader.finish(whole.finish_request(), whole.last[1])
        reply, parameters = whole.leader.release()
        assert reply.model_digest == named.model_digest
        artefact = whole.leader.artefact()
        assert np.array_equal(np.frombuffer(parameters, dtype="<f4"), artefact.parameters)
        assert reply.preprocessing == artefact.preprocessing


def aggregate_changes(whole: Rehearsal) -> list[dict[str, Any]]:
    """Everything a coordinator could say of a sum that it does not hold."""
    return [
        {"stage": "moments"},
        {"stage": "round-2"},
        {"stage": "round-1 "},
        {"key_id": "sha256:" + "0" * 64},
        {"key_id": None if whole.key is not None else "sha256:x"},
        {"sites": ("north", "south")},
        {"sites": ("east", "north")},
        {"sites": ("east",)},
        {"sites": ()},
        {"sites": ("east", "north", "ghost")},
        {"sites": ("east", "north", "south", "south")},
        {"sites": ("east", "east", "north")},
    ]


class TestSums:
    """A sum counts only if it is the last stage's, under the run's key, with this site in it."""

    @MODES
    @pytest.mark.parametrize("case", range(12))
    def test_a_sum_that_is_not_what_it_says_is_refused(
        self, members: list[Member], aggregation: str, case: int
    ) -> None:
        whole = Rehearsal.prepared(make_job(aggregation=aggregation), members)
        whole.go_round(1)
        assert whole.last[0] is not None
        aggregate = whole.last[0].model_dump() | aggregate_changes(whole)[case]
        run = whole.runs["east"]
        with pytest.raises(ProtectionViolated):
            run.round(whole.round_request(2, aggregate=aggregate), whole.last[1])
        run.round(whole.round_request(2), whole.last[1])  # the true one still counts

    @MODES
    def test_a_sum_below_the_jobs_minimum_is_not_opened(
        self, members: list[Member], aggregation: str
    ) -> None:
        whole = Rehearsal.prepared(make_job(aggregation=aggregation, min_sites=3), members)
        whole.go_round(1)
        aggregate, payload = whole.summed("east", "north")
        assert aggregate is not None
        with pytest.raises(ProtectionViolated, match="fewer than 3"):
            whole.leader.round(whole.round_request(2, aggregate=aggregate.model_dump()), payload)

    @MODES
    def test_a_single_update_passed_off_as_a_sum_is_not_opened(
        self, members: list[Member], aggregation: str
    ) -> None:
        # Else a site that works with the coordinator could read another's update.
        whole = Rehearsal.prepared(make_job(aggregation=aggregation), members)
        whole.go_round(1)
        assert whole.last[0] is not None
        alone = whole.given["north"][1]
        with pytest.raises(ProtectionViolated):
            whole.leader.round(whole.round_request(2), alone)
        _, sum_of_one = whole.summed("north")
        with pytest.raises(ProtectionViolated):
            whole.leader.round(whole.round_request(2), sum_of_one)

    @MODES
    @pytest.mark.parametrize("damage", ["empty", "cut", "junk", "longer"])
    def test_a_damaged_sum_is_refused(
        self, members: list[Member], aggregation: str, damage: str
    ) -> None:
        whole = Rehearsal.prepared(make_job(aggregation=aggregation), members)
        payload = whole.last[1]
        damaged = {"empty": b"", "cut": payload[:-1], "junk": b"junk", "longer": payload + b"\0"}
        with pytest.raises(ProtectionViolated):
            whole.leader.round(whole.round_request(1), damaged[damage])

    def test_a_sum_of_another_run_is_refused_under_encryption(self, members: list[Member]) -> None:
        job = make_job(aggregation="encrypted")
        whole, other = Rehearsal.prepared(job, members), Rehearsal.prepared(job, members)
        with pytest.raises(ProtectionViolated):
            whole.leader.round(whole.round_request(1), other.last[1])

    def test_a_missing_sum_is_refused(self, members: list[Member]) -> None:
        whole = Rehearsal.prepared(make_job(), members)
        with pytest.raises(ProtectionViolated, match="A sum is missing"):
            whole.leader.round(whole.round_request(1, aggregate=None), b"")
        whole.go_round(1)
        with pytest.raises(ProtectionViolated, match="A sum is missing"):
            whole.leader.round(whole.round_request(2, aggregate=None), b"")

    def test_a_sum_no_stage_made_is_refused(self, members: list[Member]) -> None:
        data = {"contract": "synthetic@1", "preprocess": {"scale": "none"}}
        whole = Rehearsal.prepared(make_job(data=data), members)
        assert whole.last == (None, b"")
        moments = Rehearsal.prepared(make_job(), members).last
        assert moments[0] is not None
        request = whole.round_request(1, aggregate=moments[0].model_dump())
        with pytest.raises(ProtectionViolated, match="no stage made"):
            whole.leader.round(request, moments[1])
        whole.go()


class TestWholeRuns:
    """An honest run ends with the same model everywhere."""

    @MODES
    def test_all_sites_end_with_one_model(self, members: list[Member], aggregation: str) -> None:
        whole = Rehearsal.prepared(make_job(aggregation=aggregation), members).go()
        replies = finished(whole, list(whole.runs))
        assert len({reply.model_digest for reply in replies}) == 1
        assert [reply.report.site for reply in replies] == ["east", "north", "south"]
        assert all(reply.privacy is None for reply in replies)

    def test_a_round_without_one_site_moves_the_others_alike(self, members: list[Member]) -> None:
        whole = Rehearsal.prepared(make_job(), members)
        whole.go_round(1, sites=["east", "north"])
        whole.go_round(2, sites=["east", "north"])
        replies = finished(whole, ["east", "north"])
        assert len({reply.model_digest for reply in replies}) == 1
        assert whole.last[0] is not None
        with pytest.raises(ProtectionViolated):
            whole.runs["south"].round(whole.round_request(1), whole.last[1])

    def test_contributions_weigh_as_the_offers_say(self, members: list[Member]) -> None:
        whole = Rehearsal.prepared(make_job(), members)
        whole.go_round(1)
        examples = {site: run.offer.examples for site, run in whole.runs.items()}
        for site, (contribution, _) in whole.given.items():
            assert contribution.weight == examples[site] / sum(examples.values())

    def test_a_report_holds_counts_and_measures_of_this_site(self, members: list[Member]) -> None:
        whole = Rehearsal.prepared(make_job(), members)
        reply, payload = whole.leader.round(whole.round_request(1), whole.last[1])
        report = reply.report
        assert (report.site, report.examples) == ("east", whole.leader.offer.examples)
        assert report.bytes_up == len(payload)
        assert report.train_loss is not None
        assert report.holdout_examples > 0
        assert 0 <= report.metrics["accuracy"] <= 1
        assert report.epsilon is None

    def test_spent_privacy_grows_by_the_round_and_is_stated_at_the_end(
        self, members: list[Member]
    ) -> None:
        privacy = {"unit": "record", "epsilon": 8.0, "delta": 1e-5}
        whole = Rehearsal.prepared(make_job(privacy=privacy), members)
        spent = []
        for number in (1, 2):
            request, payload = whole.round_request(number), whole.last[1]
            for site, run in whole.runs.items():
                reply, protected = run.round(request, payload)
                whole.given[site] = reply.contribution, protected
                if site == "east":
                    spent.append(reply.report.epsilon or 0.0)
                    assert reply.report.train_loss is None, "it would tell more than was promised"
            whole.last = whole.summed()
        statement = whole.leader.finish(whole.finish_request(), whole.last[1]).privacy
        assert statement is not None
        assert 0 < spent[0] < spent[1] <= statement.epsilon <= 8.0

    def test_a_membership_forged_with_a_sites_own_old_offer_is_refused(
        self, members: list[Member]
    ) -> None:
        whole = Rehearsal.joined(make_job(), members)
        again = members[0].take_part(whole.request)  # the same run, another agreement key
        manifest = manifest_document(
            [SignedStatement.from_document(again.join().statement), *offers(whole.manifest)[1:]]
        )
        with pytest.raises(ProtectionViolated, match="own offer"):
            whole.leader.prepare(whole.prepare_request(manifest=manifest))

    def test_offers_need_the_sites_key_not_only_its_certificate(
        self, members: list[Member]
    ) -> None:
        whole = Rehearsal.joined(make_job(), members)
        impostor = sign(
            whole.runs["north"].offer.model_dump(mode="json"),
            private_key=members[2].identity.private_key,
            certificate_pem=members[1].identity.certificate_pem,
            domain=OFFER_DOMAIN,
        )
        manifest = manifest_document([offers(whole.manifest)[0], impostor])
        with pytest.raises(ProtectionViolated, match="signature"):
            whole.leader.prepare(whole.prepare_request(manifest=manifest))


def test_sites_with_another_text_of_the_contract_do_not_run_together(
    members: list[Member], authority: CertificateAuthority, tmp_path: Path
) -> None:
    columns: list[dict[str, Any]] = [dict(column) for column in CONTRACT["columns"]]  # type: ignore[attr-defined]
    columns[0]["maximum"] = 9
    west = make_member(tmp_path, authority, "west", contract={**CONTRACT, "columns": columns})
    whole = Rehearsal.joined(make_job(), [*members, west])
    with pytest.raises(ProtectionViolated, match="differ in their contract digest"):
        whole.leader.prepare(whole.prepare_request())


def finished(whole: Rehearsal, sites: Sequence[str]) -> list[wire.FinishReply]:
    return [whole.runs[site].finish(whole.finish_request(), whole.last[1]) for site in sites]
