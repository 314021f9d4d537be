"""The run's course on the coordinator: join, agree on a key, prepare, rounds, finish, release.

The coordinator folds protected vectors and relays sealed keys. Under encryption it holds neither
a key nor a model: sums go back to the sites as ciphertexts. Sites that fail are left out for the
rest of the run; below the job's `min_sites` the run ends and nothing more is folded.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from entente_common.aggregation.layout import TensorLayout
from entente_common.contracts.job import Job
from entente_common.contracts.run import SiteRound
from entente_common.errors import ProtectionViolated, RunFailed
from entente_common.identity.manifest import (
    Membership,
    manifest_document,
    verify_manifest,
)
from entente_common.identity.statement import SignedStatement
from entente_common.learning.artefact import ModelArtefact
from entente_common.privacy.statement import PrivacyStatement
from entente_common.protocol import messages as wire
from entente_server.coordination.exchange import Answer, Question, Switchboard
from entente_server.coordination.fold import Fold
from entente_server.coordination.report import RoundReports

Emit = Callable[[str, Mapping[str, Any]], None]
_Sum = tuple[wire.Aggregate | None, bytes]
_FLOAT_BYTES = 4


@dataclass(frozen=True, slots=True)
class RunOrder:
    """What to run.

    Attributes:
        run: Our id of the run.
        ca_pem: The authority that certifies sites.
    """

    run: str
    job: Job
    job_digest: str
    ca_pem: bytes


@dataclass(frozen=True, slots=True)
class _Prepared:
    """What stands once the sites have joined.

    Attributes:
        manifest: The membership as the sites signed it.
        layout: The model's layout.
        key: The leader's statement with the sealed keys; None in plain mode.
        public_context: What ciphertexts are added under; None in plain mode.
    """

    manifest: dict[str, Any]
    membership: Membership
    layout: TensorLayout
    key: dict[str, Any] | None
    public_context: bytes | None

    @property
    def key_id(self) -> str | None:
        """Names the group key."""
        return None if self.key is None else str(self.key["payload"]["key_id"])

    def fold(self, stage: str, *, length: int) -> Fold:
        """An empty sum for `stage`."""
        return Fold(
            stage,
            membership=self.membership,
            length=length,
            public_context=self.public_context,
            key_id=self.key_id,
        )


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended well.

    Attributes:
        model_digest: The model all sites agree on.
        metrics: Its metrics, weighted over the sites' held-back rows.
        privacy: One statement a site, in the order of their names; empty without a promise.
        artefact: The model; None when the job keeps it from the coordinator.
    """

    model_digest: str
    metrics: Mapping[str, float]
    privacy: Sequence[PrivacyStatement]
    artefact: ModelArtefact | None


class RunCourse:
    """Drives one run over a switchboard, telling `emit` what happens."""

    def __init__(self, order: RunOrder, switchboard: Switchboard, emit: Emit) -> None:
        self._order = order
        self._job = order.job
        self._switchboard = switchboard
        self._emit = emit
        self._sites: list[str] = sorted(switchboard.nodes)
        self._reports = RoundReports(emit)

    def run(self) -> Outcome:
        """Go the whole course.

        Raises:
            RunFailed: Too few sites are left, or the sites disagree on the model.
            ProtectionViolated: A site broke the protocol in a way that ends the run.
        """
        prepared = self._join()
        self._emit(
            "run.prepared",
            {
                "key_id": prepared.key_id,
                "manifest_digest": prepared.membership.digest,
                "parameters": prepared.layout.size,
            },
        )
        last = self._prepare(prepared)
        for number in range(1, self._job.training.rounds + 1):
            last = self._round(number, prepared, last)
        return self._finish(prepared, last)

    def _ask(self, kind: str, questions: Mapping[str, Question]) -> list[Answer]:
        """Ask; leave out who fails; fail the run when too few are left."""
        timeout_s = float(self._job.training.round_timeout_s)
        answers = []
        for answer in self._switchboard.ask(kind, questions, timeout_s=timeout_s):
            failure = answer.failure or _fault(answer, wire.REPLIES[kind])
            if failure is None:
                answers.append(answer)
            else:
                self._drop(answer.site, failure)
        self._require_enough()
        return answers

    def _ask_all(self, kind: str, header: wire.Header, payload: bytes = b"") -> list[Answer]:
        return self._ask(kind, dict.fromkeys(self._sites, (header, payload)))

    def _ask_one(self, kind: str, site: str, header: wire.Header) -> Answer:
        answers = self._ask(kind, {site: (header, b"")})
        if not answers:
            raise RunFailed(f"{site} was needed for {kind} and failed.")
        return answers[0]

    def _drop(self, site: str, reason: str) -> None:
        self._sites.remove(site)
        self._reports.failures[site] = reason
        self._emit("site.dropped", {"site": site, "reason": reason})

    def _require_enough(self) -> None:
        if len(self._sites) < self._job.protection.min_sites:
            reasons = "; ".join(f"{s}: {r}" for s, r in sorted(self._reports.failures.items()))
            raise RunFailed(
                f"{len(self._sites)} sites are left, the job needs"
                f" {self._job.protection.min_sites}. {reasons}"
            )

    def _join(self) -> _Prepared:
        request = wire.JoinRequest(
            run=self._order.run, job=self._job.document(), job_digest=self._order.job_digest
        )
        replies = {a.site: a.read(wire.JoinReply) for a in self._ask_all(wire.JOIN, request)}
        ordered = [replies[site] for site in self._sites]
        statements = [SignedStatement.from_document(reply.statement) for reply in ordered]
        layout = TensorLayout.from_document(ordered[0].layout)
        if statements[0].payload.get("layout_digest") != layout.digest():
            raise ProtectionViolated("A site signed another model layout than it showed.")
        manifest = manifest_document(statements)
        membership = verify_manifest(
            manifest, ca_pem=self._order.ca_pem, min_sites=self._job.protection.min_sites
        )
        if membership.sites != tuple(self._sites):
            raise ProtectionViolated("A site answered with the offer of another.")
        key, public_context = self._agree_on_key(manifest, membership)
        return _Prepared(manifest, membership, layout, key, public_context)

    def _agree_on_key(
        self, manifest: dict[str, Any], membership: Membership
    ) -> tuple[dict[str, Any] | None, bytes | None]:
        if self._job.protection.aggregation != "encrypted":
            return None, None
        request = wire.KeyRequest(run=self._order.run, manifest=manifest)
        answer = self._ask_one(wire.KEY, membership.leader, request)
        statement = answer.read(wire.KeyReply).statement
        if not isinstance(SignedStatement.from_document(statement).payload.get("key_id"), str):
            raise ProtectionViolated("The leader's statement names no group key.")
        return statement, answer.payload

    def _prepare(self, prepared: _Prepared) -> _Sum:
        request = wire.PrepareRequest(
            run=self._order.run, manifest=prepared.manifest, key=prepared.key
        )
        given = [
            (answer, contribution)
            for answer in self._ask_all(wire.PREPARE, request)
            if (contribution := answer.read(wire.PrepareReply).contribution) is not None
        ]
        if not given:
            return None, b""
        # The coordinator does not know the contract; the length is what most sites make of it.
        lengths = Counter(contribution.length for _, contribution in given)
        length = min(lengths, key=lambda size: (-lengths[size], size))
        fold = prepared.fold(wire.MOMENTS, length=length)
        for answer, contribution in given:
            self._add(fold, answer, contribution)
        self._require_enough()
        return fold.result()

    def _round(self, number: int, prepared: _Prepared, last: _Sum) -> _Sum:
        started = time.monotonic()
        bytes_before = self._switchboard.bytes_down
        request = wire.RoundRequest(run=self._order.run, round=number, aggregate=last[0])
        fold = prepared.fold(wire.stage_of_round(number), length=prepared.layout.size)
        answers = self._ask_all(wire.ROUND, request, last[1])
        reports: dict[str, SiteRound] = {}
        for answer in answers:
            reply = answer.read(wire.RoundReply)
            if self._add(fold, answer, reply.contribution):
                reports[answer.site] = reply.report
        self._require_enough()
        self._reports.trained(
            number,
            reports=reports,
            seconds=time.monotonic() - started,
            bytes_up={answer.site: answer.bytes_up for answer in answers},
            bytes_down=self._switchboard.bytes_down - bytes_before,
        )
        return fold.result()

    def _finish(self, prepared: _Prepared, last: _Sum) -> Outcome:
        aggregate, payload = last
        if aggregate is None:
            raise RunFailed("The run ended without a round.")
        request = wire.FinishRequest(run=self._order.run, aggregate=aggregate)
        answers = self._ask_all(wire.FINISH, request, payload)
        replies = {answer.site: answer.read(wire.FinishReply) for answer in answers}
        self._reports.evaluated({site: reply.report for site, reply in replies.items()})
        digests = {reply.model_digest for reply in replies.values()}
        if len(digests) != 1:
            raise RunFailed("The sites ended with different models; nothing is released.")
        digest = digests.pop()
        released = "coordinator" in self._job.release.to
        return Outcome(
            model_digest=digest,
            metrics=self._reports.last_metrics,
            privacy=[r.privacy for _, r in sorted(replies.items()) if r.privacy is not None],
            artefact=self._released(prepared.layout, digest) if released else None,
        )

    def _released(self, layout: TensorLayout, digest: str) -> ModelArtefact:
        site = self._sites[0]
        answer = self._ask_one(wire.RELEASE, site, wire.ReleaseRequest(run=self._order.run))
        if len(answer.payload) != _FLOAT_BYTES * layout.size:
            raise ProtectionViolated("The released model does not have the agreed layout.")
        artefact = ModelArtefact(
            layout=layout,
            parameters=np.frombuffer(answer.payload, dtype="<f4").astype(np.float32),
            preprocessing=answer.read(wire.ReleaseReply).preprocessing,
            job=self._job.document(),
        )
        if artefact.digest() != digest:
            raise ProtectionViolated(f"{site} released another model than the sites agreed on.")
        return artefact

    def _add(self, fold: Fold, answer: Answer, contribution: wire.Contribution) -> bool:
        """Fold a contribution; leave its site out when it does not fit."""
        try:
            fold.add(answer.site, contribution, answer.payload)
        except ProtectionViolated as error:
            self._drop(answer.site, error.detail)
            return False
        return True


def _fault(answer: Answer, kind: type[wire.Header]) -> str | None:
    """What is wrong with an answer that should hold a `kind`; None when nothing is."""
    try:
        answer.read(kind)
    except ProtectionViolated as error:
        return error.detail
    return None
