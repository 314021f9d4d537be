"""One run at one site, from the offer to the release.

The order of steps is fixed: join → (key) → prepare → round 1 … n → finish → (release). A step out
of order, a job other than the one whose digest was offered, or a sum that does not fit is refused.
The model in between never leaves the site unless the job releases it.
"""

from __future__ import annotations

import hashlib
from typing import Any

from entente_client.agent.site_identity import SiteIdentity
from entente_client.lake.catalogue import Catalogue
from entente_client.node import group_key
from entente_client.node.protection import Protection
from entente_client.node.site_model import SiteModel
from entente_common.aggregation.fixedpoint import FixedPoint
from entente_common.aggregation.he import GroupKey
from entente_common.contracts.job import Job, job_from_document
from entente_common.errors import ProtectionViolated, RefusedByPolicy
from entente_common.identity.agreement import AgreementKey
from entente_common.identity.manifest import OFFER_DOMAIN, Membership, Offer, verify_manifest
from entente_common.identity.statement import sign
from entente_common.learning.artefact import ModelArtefact
from entente_common.protocol import messages as wire

_MOMENTS_CODEC = FixedPoint(clip=1.0)


class SiteRun:
    """The site's side of one run.

    Raises:
        InvalidJob: The job does not validate here, or does not fit the dataset's contract.
        ProtectionViolated: The job has another digest than the coordinator states.
        DatasetMissing: The site has no dataset for the job's contract.
    """

    def __init__(
        self,
        request: wire.JoinRequest,
        *,
        identity: SiteIdentity,
        catalogue: Catalogue,
        application: str,
    ) -> None:
        self.job = _accepted_job(request)
        self._identity = identity
        dataset = catalogue.open(self.job.data.contract)
        self._model = SiteModel(self.job, dataset, site=identity.site)
        self._agreement = AgreementKey.generate()
        self.offer = Offer(
            run=request.run,
            site=identity.site,
            job_digest=request.job_digest,
            contract_digest=dataset.contract.digest(),
            application=application,
            layout_digest=self._model.layout.digest(),
            dataset_version=dataset.card.version,
            agreement_key=self._agreement.public_bytes().hex(),
            examples=self._model.examples,
        )
        self._protection: Protection | None = None
        self._rounds_done = 0
        self._finished = False

    def join(self) -> wire.JoinReply:
        """Sign this site's offer."""
        statement = sign(
            self.offer.model_dump(mode="json"),
            private_key=self._identity.private_key,
            certificate_pem=self._identity.certificate_pem,
            domain=OFFER_DOMAIN,
        )
        return wire.JoinReply(statement=statement.document(), layout=self._model.layout.document())

    def make_key(self, request: wire.KeyRequest) -> tuple[wire.KeyReply, bytes]:
        """As leader, make the group key and seal it for every member.

        Raises:
            ProtectionViolated: The manifest does not verify, or this site is not its leader.
        """
        membership = self._verified(request.manifest)
        if membership.leader != self._identity.site:
            raise ProtectionViolated("Only the leader of the membership makes the group key.")
        key = GroupKey.generate()
        statement = group_key.seal_for(membership, key, identity=self._identity)
        return wire.KeyReply(statement=statement.document()), key.public_context()

    def prepare(self, request: wire.PrepareRequest) -> tuple[wire.PrepareReply, bytes]:
        """Accept the membership and its key; give protected moments where the job needs them.

        Raises:
            ProtectionViolated: Membership or key do not verify, or the run is already prepared.
        """
        if self._protection is not None:
            raise ProtectionViolated("The run is already prepared; its membership is fixed.")
        membership = self._verified(request.manifest)
        self._protection = Protection(
            site=self._identity.site,
            membership=membership,
            min_sites=self.job.protection.min_sites,
            key=self._open_key(membership, request.key),
        )
        if not self._model.moments_length:
            return wire.PrepareReply(contribution=None), b""
        contribution, payload = self._protection.protect(
            self._model.moments(),
            codec=_MOMENTS_CODEC,
            stage=wire.MOMENTS,
            seed=self._seed(wire.MOMENTS),
        )
        return wire.PrepareReply(contribution=contribution), payload

    def round(self, request: wire.RoundRequest, payload: bytes) -> tuple[wire.RoundReply, bytes]:
        """Apply the last sum, evaluate the model it gives, train on, protect the update.

        Raises:
            ProtectionViolated: The round is out of order, or the sum does not fit.
        """
        protection = self._prepared()
        if request.round != self._rounds_done + 1 or request.round > self.job.training.rounds:
            raise ProtectionViolated(
                f"Round {request.round} was asked for after round {self._rounds_done}."
            )
        self._apply(request.aggregate, payload, protection=protection)
        evaluation = self._model.evaluate()
        update = self._model.train(round_number=request.round)
        self._rounds_done = request.round
        stage = wire.stage_of_round(request.round)
        contribution, protected = protection.protect(
            update.delta, codec=self._update_codec(), stage=stage, seed=self._seed(stage)
        )
        report = self._model.report(evaluation, update=update, bytes_up=len(protected))
        return wire.RoundReply(report=report, contribution=contribution), protected

    def finish(self, request: wire.FinishRequest, payload: bytes) -> wire.FinishReply:
        """Apply the last sum; name the final model.

        Raises:
            ProtectionViolated: The run is not at its end, or the sum does not fit.
        """
        protection = self._prepared()
        if self._rounds_done != self.job.training.rounds or self._finished:
            raise ProtectionViolated(f"The run was ended after round {self._rounds_done}.")
        self._apply(request.aggregate, payload, protection=protection)
        self._finished = True
        return wire.FinishReply(
            report=self._model.report(self._model.evaluate(), update=None, bytes_up=0),
            model_digest=self.artefact().digest(),
            privacy=self._model.privacy(),
        )

    def release(self) -> tuple[wire.ReleaseReply, bytes]:
        """Hand over the final model.

        Raises:
            RefusedByPolicy: The job does not release the model to the coordinator.
            ProtectionViolated: The run is not finished.
        """
        if "coordinator" not in self.job.release.to:
            raise RefusedByPolicy("The job does not release its model to the coordinator.")
        artefact = self.artefact()
        reply = wire.ReleaseReply(
            model_digest=artefact.digest(), preprocessing=dict(artefact.preprocessing)
        )
        return reply, artefact.parameters.astype("<f4").tobytes()

    def artefact(self) -> ModelArtefact:
        """The final model.

        Raises:
            ProtectionViolated: The run is not finished.
        """
        if not self._finished:
            raise ProtectionViolated("The run is not finished; there is no model to release.")
        return self._model.artefact()

    def _verified(self, manifest: dict[str, Any]) -> Membership:
        return verify_manifest(
            manifest,
            ca_pem=self._identity.ca_pem,
            min_sites=self.job.protection.min_sites,
            own=self.offer,
        )

    def _open_key(self, membership: Membership, sealed: dict[str, Any] | None) -> GroupKey | None:
        encrypted = self.job.protection.aggregation == "encrypted"
        if encrypted != (sealed is not None):
            raise ProtectionViolated("The key does not fit the protection the job asks for.")
        if sealed is None:
            return None
        return group_key.open_sealed(
            sealed, membership=membership, identity=self._identity, agreement=self._agreement
        )

    def _prepared(self) -> Protection:
        if self._protection is None:
            raise ProtectionViolated("The run was not prepared at this site.")
        return self._protection

    def _apply(
        self, aggregate: wire.Aggregate | None, payload: bytes, *, protection: Protection
    ) -> None:
        """Take the sum of the last stage into the model."""
        first = self._rounds_done == 0
        expected = not first or self._model.moments_length > 0
        if expected != (aggregate is not None):
            raise ProtectionViolated("A sum is missing, or one was sent that no stage made.")
        if aggregate is None:
            return
        mean = protection.open(
            aggregate,
            payload,
            codec=_MOMENTS_CODEC if first else self._update_codec(),
            stage=wire.MOMENTS if first else wire.stage_of_round(self._rounds_done),
            length=self._model.moments_length if first else self._model.layout.size,
        )
        if first:
            self._model.standardise(mean)
        else:
            self._model.apply(mean)

    def _update_codec(self) -> FixedPoint:
        return FixedPoint(clip=self.job.protection.clip)

    def _seed(self, stage: str) -> bytes:
        # Rounding only: it hides nothing, so a public seed is right, and it makes runs repeatable.
        text = f"entente/rounding/v1|{self.job.seed}|{self._identity.site}|{stage}"
        return hashlib.sha256(text.encode()).digest()


def _accepted_job(request: wire.JoinRequest) -> Job:
    job = job_from_document(request.job)
    if job.digest() != request.job_digest:
        raise ProtectionViolated("The job does not have the digest the coordinator states.")
    return job
