"""The agent's end of the site channel: announce the site, send heartbeats, come back after a break.

Faults are of two kinds. A broken link is waited out, with growing pauses, for as long as it takes.
A refusal that waiting cannot cure (revoked, expired, attended by another agent, never trusted in
the first place) ends `run` with its error, so that a person hears of it.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import grpc

from entente_client.agent.rpc_error import error_of_call, error_of_refusal
from entente_client.agent.site_identity import SiteIdentity
from entente_common import __version__
from entente_common.canonical import canonical_json
from entente_common.clock import rfc3339, utc_now
from entente_common.contracts.dataset import DatasetCard
from entente_common.errors import EntenteError, InternalError, Unreachable, UntrustedCertificate
from entente_common.log import get_logger
from entente_common.protocol.generated.site_pb2 import Bye, Heartbeat, Hello, SiteMessage
from entente_common.protocol.generated.site_pb2_grpc import SiteChannelStub

_ANSWER_TIMEOUT_S = 20.0
_BYE_TIMEOUT_S = 1.0
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 30.0
_INTERVALS_S: Final = (0.05, 600.0)  # the coordinator's wish is held within these
_log = get_logger(__name__)


class ChannelWatcher(Protocol):
    """Hears what becomes of the channel."""

    def online(self) -> None:
        """The coordinator has welcomed the site."""

    def offline(self, reason: EntenteError) -> None:
        """The connection is gone; another attempt follows."""


@dataclass(frozen=True, slots=True)
class SiteChannel:
    """Keeps one site present at its coordinator.

    Attributes:
        identity: Who the site is.
        cards: Reads the site's present dataset cards; it may block.
        code_digest: Digest of the code at the site.
        watcher: Hears of every change.
    """

    identity: SiteIdentity
    cards: Callable[[], Sequence[DatasetCard]]
    code_digest: str
    watcher: ChannelWatcher

    async def run(self, stop: asyncio.Event) -> None:
        """Attend until `stop` is set.

        Raises:
            EntenteError: A refusal that waiting cannot cure.
        """
        pause_s, known = _FIRST_PAUSE_S, False
        while not stop.is_set():
            self.identity.check()
            session = _Session(self)
            try:
                await _until_stopped(session.attend(stop), stop)
            except EntenteError as fault:
                known = known or session.welcomed
                if not _passes(fault, known=known):
                    raise
                pause_s = _FIRST_PAUSE_S if session.welcomed else pause_s
                self.watcher.offline(fault)
                _log.warning(
                    "channel offline",
                    code=fault.code, detail=fault.detail, retry_s=round(pause_s, 1),
                )  # fmt: skip
            # Spread the return of many sites after the coordinator restarts.
            await _wait(stop, timeout_s=pause_s * random.uniform(0.5, 1.0))  # noqa: S311
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)


class _Session:
    """One stream, from Hello to its end."""

    def __init__(self, channel: SiteChannel) -> None:
        self._channel = channel
        self._identity = channel.identity
        self._announced = b""
        self._interval_s = _INTERVALS_S[0]
        self.welcomed = False

    async def attend(self, stop: asyncio.Event) -> None:
        identity = self._identity
        credentials = grpc.ssl_channel_credentials(
            identity.ca_pem, identity.key_pem(), identity.certificate_pem
        )
        async with grpc.aio.secure_channel(identity.coordinator.channel, credentials) as link:
            call = SiteChannelStub(link).Attend()  # type: ignore[no-untyped-call]
            try:
                await self._converse(call, stop)
            except grpc.RpcError as fault:
                raise await self._diagnose(fault) from None
            except asyncio.InvalidStateError:
                # What grpc raises for a write after the other side has ended the stream.
                raise Unreachable("The coordinator ended the connection.") from None
            finally:
                call.cancel()

    async def _converse(self, call: Any, stop: asyncio.Event) -> None:  # noqa: ANN401 - grpc
        reading: asyncio.Future[Any] = asyncio.ensure_future(call.read())
        stopping = asyncio.ensure_future(stop.wait())
        try:
            reading = await self._ask(call, await self._hello(), reading)
            while True:
                done, _ = await asyncio.wait(
                    {reading, stopping},
                    timeout=self._interval_s,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if reading in done:  # unasked: a refusal or the end
                    self._take(reading.result(), expected="")
                if stopping in done:
                    await self._say_bye(call)
                    return
                reading = await self._ask(call, await self._sign_of_life(), reading)
        finally:
            reading.cancel()
            stopping.cancel()

    async def _ask(
        self,
        call: Any,  # noqa: ANN401 - grpc, untyped
        message: SiteMessage,
        reading: asyncio.Future[Any],
    ) -> asyncio.Future[Any]:
        expected = "welcome" if message.WhichOneof("message") == "hello" else "ack"
        try:
            async with asyncio.timeout(_ANSWER_TIMEOUT_S):
                await call.write(message)
                answer = await reading
        except TimeoutError:
            raise Unreachable("The coordinator stopped answering.") from None
        self._take(answer, expected=expected)
        following: asyncio.Future[Any] = asyncio.ensure_future(call.read())
        return following

    def _take(self, answer: Any, *, expected: str) -> None:  # noqa: ANN401 - grpc, untyped
        if answer is grpc.aio.EOF:
            raise Unreachable("The coordinator ended the connection.")
        kind = answer.WhichOneof("message")
        if kind == "refusal":
            raise error_of_refusal(answer.refusal)
        if kind != expected:
            raise InternalError(f"The coordinator sent {kind!r} where none was due.")
        if kind == "welcome":
            self._be_welcome(answer.welcome)

    def _be_welcome(self, welcome: Any) -> None:  # noqa: ANN401 - grpc, untyped
        low, high = _INTERVALS_S
        self._interval_s = min(max(welcome.heartbeat_interval_s, low), high)
        if not self.welcomed:
            self.welcomed = True
            _log.info("channel online", site=welcome.site)
            self._channel.watcher.online()

    async def _hello(self) -> SiteMessage:
        self._announced = await self._cards_json()
        return SiteMessage(
            hello=Hello(
                version=__version__,
                code_digest=self._channel.code_digest,
                cards_json=self._announced,
            )
        )

    async def _sign_of_life(self) -> SiteMessage:
        try:
            changed = await self._cards_json() != self._announced
        except EntenteError as fault:
            # A dataset that is damaged now was announced when it was whole; the site stays.
            _log.warning("dataset cards unreadable", code=fault.code, detail=fault.detail)
            changed = False
        if changed:
            return await self._hello()
        return SiteMessage(heartbeat=Heartbeat(at=rfc3339(utc_now())))

    async def _cards_json(self) -> bytes:
        cards = await asyncio.to_thread(self._channel.cards)
        return canonical_json([card.model_dump(mode="json") for card in cards])

    async def _say_bye(self, call: Any) -> None:  # noqa: ANN401 - grpc, untyped
        try:
            async with asyncio.timeout(_BYE_TIMEOUT_S):
                await call.write(SiteMessage(bye=Bye()))
                await call.done_writing()
                await call.read()
        except (TimeoutError, grpc.RpcError, asyncio.InvalidStateError):
            _log.debug("channel bye unheard")

    async def _diagnose(self, fault: Any) -> EntenteError:  # noqa: ANN401 - grpc, untyped
        return await asyncio.to_thread(
            error_of_call,
            fault,
            address=self._identity.coordinator.channel,
            tls=self._identity.ssl_context,
        )


def _passes(fault: EntenteError, *, known: bool) -> bool:
    """Whether waiting may cure `fault`.

    A coordinator once `known` may show a wrong certificate for a while, behind a proxy that is
    being set up; one never met is more likely the wrong one.
    """
    if isinstance(fault, UntrustedCertificate):
        return known
    return isinstance(fault, (Unreachable, InternalError))


async def _until_stopped(work: Coroutine[Any, Any, None], stop: asyncio.Event) -> None:
    """Await `work`; once `stop` is set it has a moment to end by itself and is then cancelled."""
    working, stopping = asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.wait({working}, timeout=2 * _BYE_TIMEOUT_S)
        if working.done():
            working.result()
    finally:
        stopping.cancel()
        working.cancel()


async def _wait(stop: asyncio.Event, *, timeout_s: float) -> None:
    try:
        async with asyncio.timeout(timeout_s):
            await stop.wait()
    except TimeoutError:
        return
