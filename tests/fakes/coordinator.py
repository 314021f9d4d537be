"""A coordinator in memory: a real site channel over real TLS, its directory without a database."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from entente_common.clock import rfc3339, utc_now
from entente_common.contracts.dataset import DatasetCard
from entente_common.contracts.site import Coordinator, Invitation
from entente_common.errors import EnrolmentRefused, EntenteError, PermissionRefused
from entente_common.identity.certificates import (
    CertificateAuthority,
    fingerprint,
    public_key_of,
)
from entente_common.identity.keys import public_pem
from entente_common.identity.keystore import Vault
from entente_server.sitechannel.directory import Enrolled
from entente_server.sitechannel.service import SiteChannelServer
from entente_server.sitechannel.tls import ServerTls


@dataclass
class MemoryDirectory:
    """A `SiteDirectory` that remembers everything it was told."""

    authority: CertificateAuthority
    invited: dict[str, str] = field(default_factory=dict)
    expired: set[str] = field(default_factory=set)
    revoked: set[str] = field(default_factory=set)
    present: set[str] = field(default_factory=set)
    cards: dict[str, list[DatasetCard]] = field(default_factory=dict)
    fingerprints: dict[str, str] = field(default_factory=dict)
    events: list[tuple[str, str]] = field(default_factory=list)
    failure: Exception | None = None

    async def enrol(self, *, token: str, csr_pem: bytes, version: str) -> Enrolled:
        if self.failure:
            raise self.failure
        if token in self.expired:
            raise EnrolmentRefused("The invitation has expired.")
        if token not in self.invited:
            raise EnrolmentRefused("The token is unknown or was used already.")
        site = self.invited[token]
        certificate = self.authority.sign_site(csr_pem, site=site)
        del self.invited[token]
        self.fingerprints[site] = fingerprint(certificate)
        return Enrolled(
            site=site,
            certificate_pem=certificate,
            public_key_pem=public_pem(public_key_of(certificate)),
        )

    async def hello(
        self,
        *,
        site: str,
        fingerprint: str,
        version: str,
        code_digest: str,
        cards: list[DatasetCard],
    ) -> None:
        self._check(site)
        self.events.append(("hello", site))
        self.present.add(site)
        self.cards[site] = cards
        self.fingerprints[site] = fingerprint

    async def seen(self, site: str) -> None:
        self._check(site)
        self.events.append(("seen", site))

    async def left(self, site: str) -> None:
        self.events.append(("left", site))
        self.present.discard(site)

    def count(self, kind: str) -> int:
        return sum(1 for event, _ in self.events if event == kind)

    def _check(self, site: str) -> None:
        if self.failure:
            raise self.failure
        if site in self.revoked:
            raise PermissionRefused(f"The site {site!r} was revoked.")


@dataclass
class FakeCoordinator:
    """A running site channel with its authority and directory."""

    authority: CertificateAuthority
    directory: MemoryDirectory
    server: SiteChannelServer

    @property
    def channel(self) -> str:
        return f"127.0.0.1:{self.server.channel_port}"

    @property
    def enrolment(self) -> str:
        return f"127.0.0.1:{self.server.enrolment_port}"

    def invite(self, site: str, *, valid_s: float = 3600.0, **changes: object) -> Invitation:
        """An invitation for `site`; `changes` replace its fields."""
        token = secrets.token_urlsafe(32)
        self.directory.invited[token] = site
        document = {
            "site": site,
            "coordinator": Coordinator(
                enrolment=self.enrolment, channel=self.channel, fleet="127.0.0.1:9"
            ).model_dump(),
            "ca_pem": self.authority.certificate_pem.decode(),
            "token": token,
            "expires_at": rfc3339(utc_now() + timedelta(seconds=valid_s)),
        }
        return Invitation.model_validate(document | changes)


def make_authority(directory: Path) -> CertificateAuthority:
    directory.mkdir(parents=True, exist_ok=True)
    return CertificateAuthority.create_or_load(directory, Vault.open_or_create(directory))


@asynccontextmanager
async def serving(
    directory: Path,
    *,
    ports: tuple[int, int] = (0, 0),
    heartbeat_interval_s: float = 0.2,
    memory: MemoryDirectory | None = None,
    hosts: tuple[str, ...] = ("127.0.0.1",),
    days: int = 30,
) -> AsyncIterator[FakeCoordinator]:
    """A coordinator with the authority in `directory`, until the block ends."""
    authority = make_authority(directory)
    certificate, key = authority.issue_server(hosts, days=days)
    memory = memory or MemoryDirectory(authority)
    server = SiteChannelServer(
        memory,
        tls=ServerTls(certificate_pem=certificate, key_pem=key, ca_pem=authority.certificate_pem),
        host="127.0.0.1",
        enrolment_port=ports[0],
        channel_port=ports[1],
        heartbeat_interval_s=heartbeat_interval_s,
    )
    await server.start()
    try:
        yield FakeCoordinator(authority=authority, directory=memory, server=server)
    finally:
        await server.stop()


async def until(condition: Callable[[], bool], *, timeout_s: float = 10.0) -> None:
    """Wait for `condition`; fail when it does not come true in time."""
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 - tests watch from outside
            await asyncio.sleep(0.01)


@dataclass
class Listener:
    """A `ChannelWatcher` that remembers what it heard."""

    heard: list[str] = field(default_factory=list)
    reasons: list[EntenteError] = field(default_factory=list)

    def online(self) -> None:
        self.heard.append("online")

    def offline(self, reason: EntenteError) -> None:
        self.heard.append("offline")
        self.reasons.append(reason)
