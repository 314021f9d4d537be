"""A run step by step: real sites, and a coordinator that the test plays, honest or not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from entente_client.node.site_run import SiteRun
from entente_common.aggregation.he import CiphertextSum
from entente_common.aggregation.plain import PlainSum
from entente_common.contracts.job import Job
from entente_common.identity.manifest import manifest_document
from entente_common.identity.statement import SignedStatement
from entente_common.protocol import messages as wire
from fakes.members import Member, join_request

Sum = tuple[wire.Aggregate | None, bytes]


@dataclass
class Rehearsal:
    """Real `SiteRun`s of one job, and what an honest coordinator would say to them next."""

    job: Job
    runs: dict[str, SiteRun]
    request: wire.JoinRequest
    manifest: dict[str, Any]
    key: dict[str, Any] | None = None
    public_context: bytes | None = None
    given: dict[str, tuple[wire.Contribution, bytes]] = field(default_factory=dict)
    last: Sum = (None, b"")

    @classmethod
    def joined(cls, job: Job, members: Sequence[Member]) -> Rehearsal:
        """All members joined, and under encryption the leader made the key."""
        request = join_request(job)
        runs = {member.site: member.take_part(request) for member in members}
        statements = [SignedStatement.from_document(run.join().statement) for run in runs.values()]
        whole = cls(job, runs, request, manifest_document(statements))
        if job.protection.aggregation == "encrypted":
            reply, whole.public_context = whole.leader.make_key(whole.key_request())
            whole.key = reply.statement
        return whole

    @classmethod
    def prepared(cls, job: Job, members: Sequence[Member]) -> Rehearsal:
        """All members are ready for round 1."""
        whole = cls.joined(job, members)
        for site, run in whole.runs.items():
            reply, payload = run.prepare(whole.prepare_request())
            if reply.contribution is not None:
                whole.given[site] = reply.contribution, payload
        whole.last = whole.summed()
        return whole

    @property
    def run(self) -> str:
        return self.request.run

    @property
    def leader(self) -> SiteRun:
        return next(iter(self.runs.values()))

    def key_request(self, **changes: Any) -> wire.KeyRequest:
        return wire.KeyRequest.model_validate(
            {"run": self.run, "manifest": self.manifest} | changes
        )

    def prepare_request(self, **changes: Any) -> wire.PrepareRequest:
        fields = {"run": self.run, "manifest": self.manifest, "key": self.key}
        return wire.PrepareRequest.model_validate(fields | changes)

    def round_request(self, number: int, **changes: Any) -> wire.RoundRequest:
        aggregate = None if self.last[0] is None else self.last[0].model_dump()
        fields = {"run": self.run, "round": number, "aggregate": aggregate}
        return wire.RoundRequest.model_validate(fields | changes)

    def finish_request(self, **changes: Any) -> wire.FinishRequest:
        assert self.last[0] is not None
        fields = {"run": self.run, "aggregate": self.last[0].model_dump()}
        return wire.FinishRequest.model_validate(fields | changes)

    def go_round(self, number: int, *, sites: Sequence[str] | None = None) -> None:
        """One round at all sites, or at those named."""
        request, payload = self.round_request(number), self.last[1]
        self.given = {}
        for site in sites or self.runs:
            reply, protected = self.runs[site].round(request, payload)
            self.given[site] = reply.contribution, protected
        self.last = self.summed()

    def go(self) -> Rehearsal:
        """All rounds of the job."""
        for number in range(1, self.job.training.rounds + 1):
            self.go_round(number)
        return self

    def summed(self, *sites: str) -> Sum:
        """The sum of what `sites`, or all, gave in this stage."""
        chosen = [site for site in self.runs if site in (sites or self.given)]
        if not self.given:
            return None, b""
        first = self.given[chosen[0]][0]
        total: PlainSum | CiphertextSum = (
            PlainSum(length=first.length, limit=len(self.runs))
            if self.public_context is None
            else CiphertextSum(self.public_context, length=first.length, limit=len(self.runs))
        )
        for site in chosen:
            total.add(self.given[site][1])
        aggregate = wire.Aggregate(stage=first.stage, key_id=first.key_id, sites=tuple(chosen))
        return aggregate, total.serialise()
