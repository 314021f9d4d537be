"""The directory of sites over the database, and who is here right now.

A site is online while it attends the site channel and its Flower node is active: only then can a
run reach it.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from datetime import datetime, timedelta
from typing import Protocol

from sqlmodel import Session, col, select

from entente_common.clock import rfc3339, utc_now
from entente_common.contracts.dataset import DatasetCard
from entente_common.contracts.site import Coordinator, Invitation, Site
from entente_common.errors import EnrolmentRefused, NotFound, PermissionRefused
from entente_common.identity.certificates import (
    CertificateAuthority,
    check_site_name,
    expires_at,
    fingerprint,
    public_key_of,
)
from entente_common.identity.keys import public_pem
from entente_common.ids import new_id
from entente_server.audit.trail import audit
from entente_server.kit.access import hash_token
from entente_server.kit.database import Database, to_json
from entente_server.sitechannel.directory import Enrolled
from entente_server.tables import InvitationRow, SiteRow

TOKEN_PREFIX = "ent_enr_"  # noqa: S105 - a prefix, so that leaked tokens can be found by scanners


class Nodes(Protocol):
    """What the directory needs of Flower."""

    def register_node(self, public_key: bytes, *, site: str) -> int:
        """Register a SuperNode key; return its node id."""
        ...

    def forget_node(self, node_id: int) -> None:
        """Remove a SuperNode key; a node that is connected with it is cut off."""
        ...

    def is_active(self, node_id: int) -> bool:
        """Whether the node is connected."""
        ...


class SiteService:
    """Implements `SiteDirectory` for the site channel, and serves the API."""

    def __init__(
        self,
        database: Database,
        *,
        authority: CertificateAuthority,
        nodes: Nodes,
        coordinator: Coordinator,
    ) -> None:
        self._database = database
        self._authority = authority
        self._nodes = nodes
        self._coordinator = coordinator
        self._present: set[str] = set()

    def invite(self, site: str, *, ttl_s: int, actor: str) -> Invitation:
        """Make a one-time invitation for `site`, valid for `ttl_s` seconds.

        For a site that is enrolled it renews: with it the site gets a new key and certificate.

        Raises:
            InvalidSettings: `site` cannot name a site.
        """
        check_site_name(site)
        token = TOKEN_PREFIX + secrets.token_urlsafe(32)
        now = utc_now()
        with self._database.transaction() as session:
            row = InvitationRow(
                id=new_id("inv"),
                site=site,
                token_hash=hash_token(token),
                created_at=rfc3339(now),
                expires_at=rfc3339(now + timedelta(seconds=ttl_s)),
            )
            session.add(row)
            audit(session, actor=actor, action="site.invited", subject=site, invitation=row.id)
        return Invitation(
            site=site,
            coordinator=self._coordinator,
            ca_pem=self._authority.certificate_pem.decode(),
            token=token,
            expires_at=row.expires_at,
        )

    def list_sites(self) -> list[Site]:
        """All enrolled sites by name, then open invitations."""
        now = rfc3339(utc_now())
        with self._database.snapshot() as session:
            rows = session.exec(select(SiteRow).order_by(SiteRow.name)).all()
            enrolled = {row.name for row in rows}
            invitations = session.exec(
                select(InvitationRow)
                .where(col(InvitationRow.used_at).is_(None), InvitationRow.expires_at > now)
                .order_by(InvitationRow.site)
            ).all()
        invited = {row.site: row.id for row in invitations if row.site not in enrolled}
        return [self._present_site(row) for row in rows] + [
            Site(id=identifier, name=name, status="invited") for name, identifier in invited.items()
        ]

    def remove(self, site: str, *, actor: str) -> None:
        """Revoke `site`: its node is cut off at once, its channel at its next heartbeat.

        Raises:
            NotFound: No site of that name is enrolled.
        """
        with self._database.transaction() as session:
            row = _find(session, site)
            if row is None:
                raise NotFound(f"No site named {site!r} is enrolled.")
            session.delete(row)
            audit(session, actor=actor, action="site.removed", subject=site)
            self._nodes.forget_node(int(row.node_id))

    def node_ids(self, sites: list[str]) -> dict[str, int]:
        """Flower's node id of each of `sites`."""
        with self._database.snapshot() as session:
            rows = session.exec(select(SiteRow).where(col(SiteRow.name).in_(sites))).all()
        return {row.name: int(row.node_id) for row in rows}

    async def enrol(self, *, token: str, csr_pem: bytes, version: str) -> Enrolled:
        """See `SiteDirectory.enrol`."""
        return await asyncio.to_thread(self._enrol, token, csr_pem, version)

    async def hello(
        self,
        *,
        site: str,
        fingerprint: str,
        version: str,
        code_digest: str,
        cards: list[DatasetCard],
    ) -> None:
        """See `SiteDirectory.hello`."""
        await asyncio.to_thread(self._hello, site, fingerprint, version, code_digest, cards)
        self._present.add(site)

    async def seen(self, site: str) -> None:
        """See `SiteDirectory.seen`."""
        await asyncio.to_thread(self._seen, site)

    async def left(self, site: str) -> None:
        """See `SiteDirectory.left`."""
        self._present.discard(site)

    def _enrol(self, token: str, csr_pem: bytes, version: str) -> Enrolled:
        now = utc_now()
        with self._database.transaction() as session:
            invitation = _open_invitation(session, token, now=now)
            site = invitation.site
            certificate_pem = self._authority.sign_site(csr_pem, site=site)
            key_pem = public_pem(public_key_of(certificate_pem))
            invitation.used_at = rfc3339(now)
            session.add(invitation)
            former = _find(session, site)
            if former is not None:
                self._nodes.forget_node(int(former.node_id))
            row = SiteRow(
                id=new_id("site") if former is None else former.id,
                name=site,
                # Before the commit: a node without a site is harmless, the reverse is not.
                node_id=str(self._nodes.register_node(key_pem, site=site)),
                certificate_pem=certificate_pem.decode(),
                certificate_expires_at=rfc3339(expires_at(certificate_pem)),
                enrolled_at=rfc3339(now),
                version=version,
            )
            session.merge(row)
            audit(
                session,
                actor=f"site:{site}",
                action="site.enrolled",
                subject=site,
                certificate=fingerprint(certificate_pem),
            )
        return Enrolled(site=site, certificate_pem=certificate_pem, public_key_pem=key_pem)

    def _hello(
        self,
        site: str,
        presented: str,
        version: str,
        code_digest: str,
        cards: list[DatasetCard],
    ) -> None:
        documents = to_json([card.model_dump(mode="json") for card in cards])
        with self._database.transaction() as session:
            row = _enrolled(session, site)
            if fingerprint(row.certificate_pem.encode()) != presented:
                raise PermissionRefused(f"The certificate of {site!r} was replaced.")
            if (row.version, row.code_digest, row.cards) != (version, code_digest, documents):
                row.version, row.code_digest, row.cards = version, code_digest, documents
                audit(
                    session,
                    actor=f"site:{site}",
                    action="site.announced",
                    subject=site,
                    code_digest=code_digest,
                    datasets=len(cards),
                )
            row.last_seen_at = rfc3339(utc_now())
            session.add(row)

    def _seen(self, site: str) -> None:
        with self._database.transaction() as session:
            row = _enrolled(session, site)
            row.last_seen_at = rfc3339(utc_now())
            session.add(row)

    def _present_site(self, row: SiteRow) -> Site:
        online = row.name in self._present and self._nodes.is_active(int(row.node_id))
        return Site(
            id=row.id,
            name=row.name,
            status="online" if online else "offline",
            last_seen_at=row.last_seen_at,
            certificate_expires_at=row.certificate_expires_at,
            version=row.version,
            code_digest=row.code_digest,
            datasets=tuple(DatasetCard.model_validate(card) for card in json.loads(row.cards)),
        )


def _find(session: Session, site: str) -> SiteRow | None:
    return session.exec(select(SiteRow).where(SiteRow.name == site)).first()


def _enrolled(session: Session, site: str) -> SiteRow:
    row = _find(session, site)
    if row is None:
        raise PermissionRefused(f"No site named {site!r} is enrolled.")
    return row


def _open_invitation(session: Session, token: str, *, now: datetime) -> InvitationRow:
    query = select(InvitationRow).where(InvitationRow.token_hash == hash_token(token))
    invitation = session.exec(query).first()
    if invitation is None:
        raise EnrolmentRefused("The enrolment token is not known to this coordinator.")
    if invitation.used_at is not None:
        raise EnrolmentRefused("The enrolment token was already used.")
    if invitation.expires_at <= rfc3339(now):
        raise EnrolmentRefused(f"The enrolment token expired at {invitation.expires_at}.")
    return invitation
