"""The coordinator's REST application over a real database; Flower and run processes are played."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from sqlmodel import select
from starlette.testclient import TestClient

from entente_common.audit.keys import SignerKey
from entente_common.contracts.dataset import DatasetCard
from entente_common.contracts.job import Job
from entente_common.contracts.site import Coordinator
from entente_common.identity.certificates import fingerprint, make_csr
from entente_common.identity.keys import PrivateKey, generate_key
from entente_server.app import create_app
from entente_server.audit.log import AuditLog
from entente_server.coordination.launcher import Record
from entente_server.kit.access import ensure_admin_token
from entente_server.kit.database import Database
from entente_server.runs.desk import RunDesk
from entente_server.runs.service import RunService
from entente_server.settings import ServerDirectory
from entente_server.sites.service import SiteService
from entente_server.tables import AuditRow, SiteRow
from fakes.coordinator import make_authority
from fakes.runs import DIGEST

CODE = "sha256:" + "c" * 64


@dataclass
class MemoryNodes:
    """Plays Flower's registry of nodes."""

    known: dict[bytes, int] = field(default_factory=dict)
    forgotten: list[int] = field(default_factory=list)
    idle: set[int] = field(default_factory=set)

    def register_node(self, public_key: bytes, *, site: str) -> int:
        return self.known.setdefault(public_key, 10**18 + len(self.known))

    def forget_node(self, node_id: int) -> None:
        self.forgotten.append(node_id)
        self.idle.add(node_id)

    def is_active(self, node_id: int) -> bool:
        return node_id not in self.idle


@dataclass
class PlayedRuns:
    """Plays the launcher: tells `events` of each run, then ends or waits to be cancelled."""

    events: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)
    stays: bool = False
    failure: Exception | None = None
    launched: list[tuple[str, Mapping[str, int]]] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    goes_on: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, run_id: str, job: Job, *, nodes: Mapping[str, int], record: Record) -> None:
        self.launched.append((run_id, nodes))
        try:
            if self.failure is not None:
                raise self.failure
            for kind, data in self.events:
                await record(kind, data)
            if self.stays:
                await self.goes_on.wait()
        except asyncio.CancelledError:
            self.cancelled.append(run_id)
            raise


def whole_run(*, rounds: int = 2, status: str = "succeeded") -> list[tuple[str, dict[str, Any]]]:
    """What a run's process tells, from start to end."""
    site = {"site": "north", "examples": 90, "train_s": 0.1, "bytes_up": 500}
    reports = [
        {
            "round": number,
            "sites": [site],
            "metrics": {"auroc": 0.5 + number / 10},
            "seconds": 0.4,
            "bytes_up": 500,
            "bytes_down": 700,
        }
        for number in range(1, rounds + 1)
    ]
    ended = {"status": status, "reason": None, "model_digest": DIGEST, "privacy": []}
    return [
        ("run.started", {"sites": ["north"], "protection": "plain", "privacy_unit": "none"}),
        ("run.prepared", {"key_id": None, "manifest_digest": DIGEST, "parameters": 3}),
        *(("round.completed", report) for report in reports),
        ("run.finished", ended),
    ]


def job_document(**changes: Any) -> dict[str, Any]:
    """A job that `Api.admit` makes sites eligible for."""
    return {
        "name": "short",
        "task": "binary-classification",
        "data": {"contract": "heart@1"},
        "model": {"kind": "logistic"},
        "training": {"rounds": 2},
        "protection": {"aggregation": "plain", "min_sites": 1},
        **changes,
    }


def make_card(**changes: Any) -> DatasetCard:
    fields = {
        "dataset": "heart",
        "contract": "heart@1",
        "contract_digest": DIGEST,
        "version": DIGEST,
        "rows": 120,
        "columns": 11,
    }
    return DatasetCard.model_validate(fields | changes)


class Api:
    """A coordinator's application and everything behind it."""

    def __init__(self, root: Path, *, runs: PlayedRuns | None = None) -> None:
        self.root = root
        self.directory = ServerDirectory(root)
        self.authority = make_authority(root)
        self.database = Database(self.directory.database)
        ensure_admin_token(self.database, self.directory.admin_token)
        self.token = self.directory.admin_token.read_text().strip()
        self.nodes = MemoryNodes()
        self.played = runs or PlayedRuns(events=whole_run())
        address = "127.0.0.1:9"
        self.sites = SiteService(
            self.database,
            authority=self.authority,
            nodes=self.nodes,
            coordinator=Coordinator(enrolment=address, channel=address, fleet=address),
        )
        self.runs = RunService(self.database)
        self.desk = RunDesk(
            runs=self.runs,
            sites=self.sites,
            launcher=self.played,  # type: ignore[arg-type]
            directory=self.directory,
            code_digest=CODE,
        )
        self.audit_log = AuditLog(self.database, signer=SignerKey.generate("entente/test"))
        self.app: FastAPI = create_app(
            database=self.database,
            site_service=self.sites,
            desk=self.desk,
            audit_log=self.audit_log,
            code_digest=CODE,
        )

    def client(self, *, token: str | None = None) -> TestClient:
        """A client with the admin's token, or the one given; "" sends none."""
        shown = self.token if token is None else token
        headers = {"Authorization": f"Bearer {shown}"} if shown else {}
        return TestClient(self.app, headers=headers, raise_server_exceptions=False)

    async def enrol(self, site: str, *, key: PrivateKey | None = None) -> bytes:
        """Invite and enrol `site`; return its certificate."""
        invitation = self.sites.invite(site, ttl_s=600, actor="test")
        csr = make_csr(key or generate_key())
        enrolled = await self.sites.enrol(token=invitation.token, csr_pem=csr, version="1")
        return enrolled.certificate_pem

    async def greet(
        self, site: str, certificate: bytes, *, cards: list[DatasetCard] | None = None
    ) -> None:
        await self.sites.hello(
            site=site,
            fingerprint=fingerprint(certificate),
            version="1",
            code_digest=CODE,
            cards=[make_card()] if cards is None else cards,
        )

    def admit(self, *sites: str) -> None:
        """Enrol `sites` and bring them online with a dataset for `job_document`."""

        async def come() -> None:
            for site in sites:
                await self.greet(site, await self.enrol(site))

        asyncio.run(come())

    def audit(self) -> list[AuditRow]:
        with self.database.transaction() as session:
            return list(session.exec(select(AuditRow).order_by(AuditRow.index)).all())  # type: ignore[arg-type]

    def site_row(self, name: str) -> SiteRow | None:
        with self.database.transaction() as session:
            return session.exec(select(SiteRow).where(SiteRow.name == name)).first()

    def break_audit(self) -> None:
        """From now on the audit trail takes no more rows."""
        with self.database.engine.begin() as connection:
            connection.exec_driver_sql(
                "CREATE TRIGGER no_audit BEFORE INSERT ON audit"
                " BEGIN SELECT RAISE(ABORT, 'the audit trail is full'); END"
            )
