"""Members of a run without processes or network: real identities, real data, real node parts.

Only Flower's transport is played: `MemoryGrid` carries messages to the sites in this process.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from flwr.app import Message
from flwr.supercore.task_identity import TaskIdentity

from entente_client.agent.settings import AgentSettings
from entente_client.agent.site_identity import SiteIdentity, write_identity
from entente_client.lake.catalogue import Catalogue
from entente_client.node.client_app import SiteRuns, make_runs
from entente_client.node.site_run import SiteRun
from entente_common.clock import rfc3339, utc_now
from entente_common.contracts.job import Job, job_from_document
from entente_common.contracts.site import Coordinator
from entente_common.identity.certificates import CertificateAuthority, make_csr
from entente_common.identity.keys import generate_key
from entente_common.identity.keystore import Vault
from entente_common.ids import new_id
from entente_common.protocol import messages as wire
from entente_server.coordination.exchange import Switchboard
from entente_server.coordination.rounds import RunCourse, RunOrder

APPLICATION = "a" * 64
FEATURES = ("x0", "x1", "x2")
CONTRACT = {
    "name": "synthetic",
    "version": 1,
    "label": "y",
    "columns": [
        *({"name": name, "type": "float", "minimum": -8, "maximum": 8} for name in FEATURES),
        {"name": "colour", "type": "category", "codes": ["red", "blue"]},
        {"name": "y", "type": "category", "codes": ["no", "yes"]},
    ],
}

Tamper = Callable[[Message], Message | None]


@dataclass(frozen=True)
class Member:
    """One enrolled site with its data."""

    identity: SiteIdentity
    directory: Path

    @property
    def site(self) -> str:
        return self.identity.site

    @property
    def catalogue(self) -> Catalogue:
        return Catalogue(self.directory / "datasets")

    def take_part(self, request: wire.JoinRequest, *, application: str = APPLICATION) -> SiteRun:
        return SiteRun(
            request, identity=self.identity, catalogue=self.catalogue, application=application
        )

    def runs(self) -> SiteRuns:
        return make_runs(self.directory, identity=self.identity, application=APPLICATION)


def make_member(
    root: Path,
    authority: CertificateAuthority,
    site: str,
    *,
    rows: int = 60,
    seed: int = 0,
    contract: Mapping[str, Any] = CONTRACT,
) -> Member:
    """A site as enrolment and `entente agent data add` leave it."""
    directory = root / site
    directory.mkdir(parents=True)
    identity = _enrolled(directory, authority, site)
    agreed = root / f"{site}.json"
    agreed.write_text(json.dumps(contract))
    source = _write_rows(root / f"{site}.csv", rows=rows, seed=seed)
    Catalogue(directory / "datasets").add("data", contract=agreed, source=source)
    return Member(identity=identity, directory=directory)


def _enrolled(directory: Path, authority: CertificateAuthority, site: str) -> SiteIdentity:
    key = generate_key()
    vault = Vault.open_or_create(directory)
    (directory / "identity").mkdir()
    write_identity(
        directory / "identity",
        private_key=key,
        vault=vault,
        certificate_pem=authority.sign_site(make_csr(key), site=site),
        ca_pem=authority.certificate_pem,
    )
    address = "127.0.0.1:9"
    AgentSettings(
        site=site,
        coordinator=Coordinator(enrolment=address, channel=address, fleet=address),
        enrolled_at=rfc3339(utc_now()),
    ).store(directory)
    return SiteIdentity.load(directory)


def _write_rows(path: Path, *, rows: int, seed: int) -> Path:
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, rows)
    x = np.clip(random.normal(size=(rows, len(FEATURES))) + 0.9 * labels[:, None], -8, 8)
    colours = np.where(random.random(rows) < 0.5, "red", "blue")
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*FEATURES, "colour", "y"])
        for values, colour, label in zip(x, colours, labels, strict=True):
            writer.writerow([*(f"{v:.6f}" for v in values), colour, ("no", "yes")[label]])
    return path


def make_job(
    *, aggregation: str = "plain", min_sites: int = 2, rounds: int = 2, **changes: Any
) -> Job:
    """A short job over the synthetic contract; `changes` replace whole sections."""
    return job_from_document(
        {
            "name": "short",
            "task": "binary-classification",
            "data": {"contract": "synthetic@1"},
            "model": {"kind": "logistic"},
            "training": {"rounds": rounds, "local_steps": 3, "batch_size": 8},
            "protection": {"aggregation": aggregation, "min_sites": min_sites},
            "seed": 7,
            **changes,
        }
    )


def join_request(agreed: Job, **changes: Any) -> wire.JoinRequest:
    """An invitation to a fresh run of the job agreed on; `changes` make it a lie."""
    fields = {"run": new_id("run"), "job": agreed.document(), "job_digest": agreed.digest()}
    return wire.JoinRequest.model_validate(fields | changes)


@dataclass
class MemoryGrid:
    """Plays `RunGrid.stream`: hands each message to its site and yields the replies.

    Attributes:
        sites: The sites' runs by node id.
        faults: What happens to the reply of a node to a kind of message; a fault that gives None
            makes the site silent.
        asked: (kind, node id) of every message, in order.
    """

    sites: Mapping[int, SiteRuns]
    faults: dict[tuple[str, int], Tamper] = field(default_factory=dict)
    asked: list[tuple[str, int]] = field(default_factory=list)
    backwards: bool = False

    def stream(self, messages: Iterable[Message], *, timeout_s: float) -> Iterator[Message]:
        assert timeout_s > 0
        ordered = list(messages)
        for number, message in enumerate(ordered):
            kind, node = message.metadata.message_type, message.metadata.dst_node_id
            message.metadata.__dict__["_message_id"] = f"{len(self.asked)}-{number}"
            self.asked.append((kind, node))
        for message in reversed(ordered) if self.backwards else ordered:
            reply = self._answer(message)
            if reply is not None:
                yield reply

    def _answer(self, message: Message) -> Message | None:
        kind, node = message.metadata.message_type, message.metadata.dst_node_id
        reply = self.sites[node].answer(message)
        fault = self.faults.get((kind, node))
        return reply if fault is None else fault(reply)


@dataclass
class Course:
    """A run over members in memory, ready to go."""

    run: str
    course: RunCourse
    grid: MemoryGrid
    events: list[tuple[str, Mapping[str, Any]]]

    def told(self, kind: str) -> list[Mapping[str, Any]]:
        return [data for told, data in self.events if told == kind]


def claim_task() -> None:
    """Let this process make Flower messages, as a claimed ServerApp task does."""
    TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id = 1, 1, 1


def make_course(
    job: Job,
    members: Iterable[Member],
    *,
    ca_pem: bytes,
    faults: Mapping[tuple[str, str], Tamper] | None = None,
    backwards: bool = False,
) -> Course:
    """A `RunCourse` over real sites; `faults` by (message type, site)."""
    claim_task()
    members = list(members)
    nodes = {member.site: number for number, member in enumerate(members, start=1)}
    grid = MemoryGrid(
        {nodes[member.site]: member.runs() for member in members},
        {(kind, nodes[site]): fault for (kind, site), fault in (faults or {}).items()},
        backwards=backwards,
    )
    events: list[tuple[str, Mapping[str, Any]]] = []
    order = RunOrder(run=new_id("run"), job=job, job_digest=job.digest(), ca_pem=ca_pem)
    switchboard = Switchboard(grid, nodes=nodes)  # type: ignore[arg-type]
    course = RunCourse(order, switchboard, lambda kind, data: events.append((kind, data)))
    return Course(order.run, course, grid, events)
