"""Attendance: which sites are there, each held by one open stream.

Invariants:

- The site is the one in the verified client certificate; messages cannot claim another.
- A site attends once. A newer stream of the same site ends the older one with `AlreadyRunning`:
  after a broken link the site is back at once, and a copied identity shows itself.
- `left` is called once for every site that was there, however its stream ended, and never for a
  stream that was replaced.
- A site silent for three heartbeat intervals is gone.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import grpc
from pydantic import TypeAdapter, ValidationError

from entente_common.clock import utc_now
from entente_common.contracts.dataset import DatasetCard
from entente_common.errors import (
    AlreadyRunning,
    EntenteError,
    InvalidDocument,
    Issue,
    UntrustedCertificate,
)
from entente_common.identity.certificates import expires_at, fingerprint, site_of
from entente_common.log import get_logger
from entente_common.protocol.generated.site_pb2 import Ack, CoordinatorMessage, Hello, Welcome
from entente_server.sitechannel.directory import SiteDirectory
from entente_server.sitechannel.refusal import explain, refusal_message

_SILENT_INTERVALS = 3
_MOST_CARDS = 1000
_LONGEST_VERSION = 64  # characters
_LONGEST_DIGEST = 128  # characters
_CARDS = TypeAdapter(list[DatasetCard])
_SAME_VERSION = "Install the coordinator's version of Entente at the site."
_log = get_logger(__name__)


@dataclass(slots=True)
class _Session:
    """One open stream. `end` is set from outside: to an error to send, or None to just end."""

    site: str
    fingerprint: str
    expires_at: datetime
    peer: str
    end: asyncio.Future[EntenteError | None] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    def end_with(self, error: EntenteError | None) -> None:
        if not self.end.done():
            self.end.set_result(error)


class _Ended(Exception):
    """The stream is over; nothing more is to be said on it."""


class AttendanceService:
    """The gRPC service `SiteChannel` over a directory of sites."""

    def __init__(self, directory: SiteDirectory, *, heartbeat_interval_s: float) -> None:
        self._directory = directory
        self._interval_s = heartbeat_interval_s
        self._present: dict[str, _Session] = {}

    async def Attend(  # noqa: N802 - the name in site.proto
        self,
        _messages: object,
        context: Any,  # noqa: ANN401 - grpc, untyped
    ) -> None:
        """Hold one site's stream until it leaves, falls silent, is refused or replaced."""
        session: _Session | None = None
        try:
            session = _session(context)
            while True:
                message = await self._next(session, context)
                await context.write(await self._answer(session, message))
        except _Ended:
            pass
        except Exception as fault:  # noqa: BLE001 - the edge: every fault becomes an answer
            site = session.site if session else None
            error = explain(fault, call="Attend", peer=context.peer(), site=site)
            await context.write(refusal_message(error))
        finally:
            if session is not None:
                await self._leave(session)

    def close(self) -> None:
        """End all streams; the sites will come back when a coordinator listens again."""
        for session in list(self._present.values()):
            session.end_with(None)

    async def _next(self, session: _Session, context: Any) -> Any:  # noqa: ANN401 - grpc, untyped
        reading = asyncio.ensure_future(context.read())
        try:
            done, _ = await asyncio.wait(
                {reading, session.end},
                timeout=_SILENT_INTERVALS * self._interval_s,
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            if not reading.done():
                reading.cancel()
        if session.end in done:
            error = session.end.result()
            raise _Ended if error is None else error
        if reading not in done:
            _log.warning("site silent", site=session.site, peer=session.peer)
            raise _Ended
        message = reading.result()
        if message is grpc.aio.EOF or message.WhichOneof("message") == "bye":
            raise _Ended
        return message

    async def _answer(self, session: _Session, message: Any) -> CoordinatorMessage:  # noqa: ANN401
        if utc_now() > session.expires_at:
            raise UntrustedCertificate(
                "The site's certificate has expired.",
                hint="Ask the coordinator's admin for a new invitation and enrol again.",
            )
        kind = message.WhichOneof("message")
        if kind == "hello":
            return await self._welcome(session, message.hello)
        if kind != "heartbeat":
            raise InvalidDocument("The site sent an unknown message.", hint=_SAME_VERSION)
        if self._present.get(session.site) is not session:
            raise InvalidDocument("The site did not introduce itself.", hint=_SAME_VERSION)
        await self._directory.seen(session.site)
        return CoordinatorMessage(ack=Ack())

    async def _welcome(self, session: _Session, hello: Hello) -> CoordinatorMessage:
        await self._directory.hello(
            site=session.site,
            fingerprint=session.fingerprint,
            version=_short(hello.version, "version", limit=_LONGEST_VERSION),
            code_digest=_short(hello.code_digest, "code_digest", limit=_LONGEST_DIGEST),
            cards=_cards(hello.cards_json),
        )
        before = self._present.get(session.site)
        self._present[session.site] = session
        if before is None:
            _log.info("site online", site=session.site, peer=session.peer, version=hello.version)
        elif before is not session:
            before.end_with(
                AlreadyRunning(
                    f"Another agent attends as {session.site!r}.",
                    hint="Run one agent per site. If no second one is yours, its key was copied: "
                    "have the coordinator's admin revoke the site and enrol it anew.",
                )
            )
        return CoordinatorMessage(
            welcome=Welcome(site=session.site, heartbeat_interval_s=self._interval_s)
        )

    async def _leave(self, session: _Session) -> None:
        if self._present.get(session.site) is not session:
            return
        del self._present[session.site]
        _log.info("site offline", site=session.site, peer=session.peer)
        try:
            await self._directory.left(session.site)
        except EntenteError as fault:
            explain(fault, call="Attend", peer=session.peer, site=session.site)


def _session(context: Any) -> _Session:  # noqa: ANN401 - grpc, untyped
    certificates = context.auth_context().get("x509_pem_cert", [])
    if not certificates:
        raise UntrustedCertificate("The site showed no certificate.")
    return _Session(
        site=site_of(certificates[0]),
        fingerprint=fingerprint(certificates[0]),
        expires_at=expires_at(certificates[0]),
        peer=context.peer(),
    )


def _short(text: str, name: str, *, limit: int) -> str:
    if len(text) > limit:
        raise InvalidDocument(
            issues=[Issue(name, f"It has {len(text)} characters.", f"Send at most {limit}.")]
        )
    return text


def _cards(cards_json: bytes) -> list[DatasetCard]:
    try:
        cards = _CARDS.validate_json(cards_json or b"[]")
    except ValidationError as fault:
        issues = [
            Issue("cards." + ".".join(map(str, e["loc"])), e["msg"] + ".", "")
            for e in fault.errors(include_input=False, include_url=False)
        ]
        raise InvalidDocument(
            "The site's dataset cards are malformed.", issues=issues, hint=_SAME_VERSION
        ) from None
    if len(cards) > _MOST_CARDS:
        raise InvalidDocument(f"The site publishes more than {_MOST_CARDS} datasets.")
    return cards
