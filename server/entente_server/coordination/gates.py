"""What of the SuperLink may be reached, from where, and how an empty answer waits.

A gate is a thin ASGI application in front of Flower's. It lets named paths through, answers 404
to everything else, and turns polling into long polling: an empty answer to a pull is held until
something was pushed on the other side, or for a few seconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.requests import ClientDisconnect

from entente_common.log import get_logger
from entente_server.kit.bell import Bell

_log = get_logger(__name__)

Scope = MutableMapping[str, Any]
Event = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

HOLD_S = 5.0
MAX_BODY_BYTES = 64 * 1024 * 1024

_UNAUTHENTICATED = frozenset({401, 403})
# Flower answers 412 to a node it does not know, and to one it takes for connected.
_UNKNOWN_CALLER = {"activate-node": _UNAUTHENTICATED | {412}}

_FLEET_PATHS = frozenset(
    f"/v1/fleet/{call}"
    for call in (
        "activate-node", "deactivate-node", "send-node-heartbeat", "pull-messages",
        "push-messages", "get-run", "push-object", "pull-object", "confirm-message-received",
    )
)  # fmt: skip
_RUNTIME_PATHS = frozenset(
    f"/v1/runtime/{call}"
    for call in (
        "send-task-heartbeat", "pull-task-input", "push-task-output", "push-object",
        "pull-object", "confirm-message-received", "push-messages", "pull-messages",
    )
)  # fmt: skip


class Gate:
    """Lets `paths` of `app` through; holds empty pulls until `inbound` rings.

    Attributes:
        name: Named in the log when something is refused.
    """

    def __init__(
        self,
        app: App,
        *,
        name: str,
        paths: frozenset[str],
        inbound: Bell,
        outbound: Bell,
        turn: asyncio.Lock,
    ) -> None:
        self.name = name
        self._app = app
        self._paths = paths
        self._inbound = inbound
        self._outbound = outbound
        self._turn = turn
        self._hold_s = HOLD_S

    def release(self) -> None:
        """Answer all pulls that wait, and hold none from now on: the coordinator stops."""
        self._hold_s = 0.0
        self._inbound.ring()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI request."""
        if scope["type"] != "http":
            return
        path = scope["path"]
        if path not in self._paths:
            _log.warning("refused: path is not served here", gate=self.name, path=path)
            await _answer(send, status=404)
            return
        try:
            body = await _read(receive, limit=MAX_BODY_BYTES)
        except ClientDisconnect:
            return
        if body is None:
            _log.warning("refused: request is too large", gate=self.name, path=path)
            await _answer(send, status=413)
            return
        news = self._inbound.next_ring
        answer = await self._call(scope, body)
        if answer.is_empty and path.endswith("/pull-messages"):
            await news.wait(timeout_s=self._hold_s)
            answer = await self._call(scope, body)
        if answer.status in _UNKNOWN_CALLER.get(path.rpartition("/")[2], _UNAUTHENTICATED):
            _log.warning(
                "refused: caller is not registered", gate=self.name, path=path, status=answer.status
            )
        if path.endswith(("/push-messages", "/push-object")):
            self._outbound.ring()
        await answer.replay(send)

    async def _call(self, scope: Scope, body: bytes) -> _Answer:
        answer = _Answer()
        pending: list[Event] = [{"type": "http.request", "body": body, "more_body": False}]
        answered = asyncio.Event()

        async def receive() -> Event:
            if pending:
                return pending.pop()
            await answered.wait()
            return {"type": "http.disconnect"}

        # A scope of its own for each call: the application behind writes into it.
        own_scope = dict(scope, state=dict(scope.get("state") or {}))
        async with self._turn:
            await self._app(own_scope, receive, answer.record)
        answered.set()
        return answer


class _Answer:
    """One response of the application behind the gate."""

    def __init__(self) -> None:
        self._events: list[Event] = []

    async def record(self, event: Event) -> None:
        self._events.append(event)

    async def replay(self, send: Send) -> None:
        for event in self._events:
            await send(event)

    @property
    def status(self) -> int:
        return int(self._events[0]["status"]) if self._events else 500

    @property
    def is_empty(self) -> bool:
        # An empty pull is an empty protobuf message: no bytes at all.
        return self.status == 200 and not any(event.get("body") for event in self._events)


async def _read(receive: Receive, *, limit: int) -> bytes | None:
    chunks: list[bytes] = []
    size = 0
    while True:
        event = await receive()
        if event["type"] != "http.request":
            # Half a message may read as another one: it goes nowhere.
            raise ClientDisconnect
        chunk = event.get("body", b"")
        size += len(chunk)
        if size > limit:
            return None
        chunks.append(chunk)
        if not event.get("more_body"):
            return b"".join(chunks)


async def _answer(send: Send, *, status: int) -> None:
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def gates(app: App) -> tuple[Gate, Gate]:
    """The fleet gate (for sites) and the runtime gate (for our ServerApps) of one SuperLink."""
    to_sites, to_server_apps = Bell(), Bell()
    # One request at a time: nearly every call of Flower's writes to SQLite, and writers that meet
    # there sleep.
    turn = asyncio.Lock()
    fleet = Gate(
        app, name="fleet", paths=_FLEET_PATHS, inbound=to_sites, outbound=to_server_apps, turn=turn
    )
    runtime = Gate(
        app,
        name="runtime",
        paths=_RUNTIME_PATHS,
        inbound=to_server_apps,
        outbound=to_sites,
        turn=turn,
    )
    return fleet, runtime
