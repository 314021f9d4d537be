"""A gate lets the named calls through, nothing else, and holds empty answers until news comes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from entente_server.coordination import gates as gates_module
from entente_server.coordination.gates import Gate, gates

FLEET = (
    "activate-node",
    "deactivate-node",
    "send-node-heartbeat",
    "pull-messages",
    "push-messages",
    "get-run",
    "push-object",
    "pull-object",
    "confirm-message-received",
)
RUNTIME = (
    "send-task-heartbeat",
    "pull-task-input",
    "push-task-output",
    "push-object",
    "pull-object",
    "confirm-message-received",
    "push-messages",
    "pull-messages",
)
FLEET_PATHS = {f"/v1/fleet/{call}" for call in FLEET}
RUNTIME_PATHS = {f"/v1/runtime/{call}" for call in RUNTIME}


class Behind:
    """Plays Flower's application: remembers its requests, answers what the test says."""

    def __init__(self, answer: bytes = b"answer", *, status: int = 200) -> None:
        self.answer, self.status = answer, status
        self.requests: list[tuple[str, bytes]] = []
        self.inside = 0
        self.most_inside = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.inside += 1
        self.most_inside = max(self.most_inside, self.inside)
        scope["state"]["written"] = True
        body = (await receive())["body"]
        self.requests.append((scope["path"], body))
        await asyncio.sleep(0)
        await send({"type": "http.response.start", "status": self.status, "headers": []})
        await send({"type": "http.response.body", "body": self.answer})
        self.inside -= 1


async def call(gate: Gate, path: str, *chunks: bytes, kind: str = "http") -> tuple[int, bytes]:
    """One request through the gate; (0, b"") when the gate does not answer."""
    events = [
        {"type": "http.request", "body": chunk, "more_body": number < len(chunks)}
        for number, chunk in enumerate(chunks, start=1)
    ] or [{"type": "http.request", "body": b"", "more_body": False}]
    return await through(gate, {"type": kind, "path": path}, events)


async def through(
    gate: Gate, scope: dict[str, Any], events: list[dict[str, Any]]
) -> tuple[int, bytes]:
    told: list[Any] = []

    async def receive() -> Any:
        return events.pop(0) if events else {"type": "http.disconnect"}

    async def send(event: Any) -> None:
        told.append(event)

    await gate(scope, receive, send)
    if not told:
        return 0, b""
    return told[0]["status"], b"".join(event.get("body", b"") for event in told)


def play(scene: Callable[[Gate, Gate], Awaitable[Any]], behind: Behind) -> Any:
    async def whole() -> Any:
        return await scene(*gates(behind))

    return asyncio.run(whole())


@pytest.mark.parametrize("path", sorted(FLEET_PATHS | RUNTIME_PATHS))
def test_each_gate_serves_its_own_calls_and_not_the_others(path: str) -> None:
    async def scene(fleet: Gate, runtime: Gate) -> Any:
        return await call(fleet, path, b"q"), await call(runtime, path, b"q")

    behind = Behind()
    by_fleet, by_runtime = play(scene, behind)
    served, refused = (200, b"answer"), (404, b"")
    assert by_fleet == (served if path in FLEET_PATHS else refused)
    assert by_runtime == (served if path in RUNTIME_PATHS else refused)
    assert behind.requests == [(path, b"q")]


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/v1/control/start-run",
        "/v1/control/stream-logs",
        "/v1/runtime/acquire-task",
        "/v1/runtime/claim-task",
        "/v1/runtime/get-fab",
        "/v1/fleet/get-fab",
        "/v1/fleet/register-node",
        "/v1/fleet/unregister-node",
        "/docs",
        "/openapi.json",
        "/health",
    ],
)
def test_what_flower_serves_besides_is_not_reached(path: str) -> None:
    async def scene(fleet: Gate, runtime: Gate) -> Any:
        return [await call(gate, path) for gate in (fleet, runtime)]

    behind = Behind()
    assert play(scene, behind) == [(404, b"")] * 2
    assert behind.requests == []


def near(paths: set[str]) -> st.SearchStrategy[str]:
    """Paths that differ from a served one by a little."""
    odd = st.sampled_from(["/", "//", ".", "/..", "/.", "%2f", "\x00", " ", "?", "#", ";", "A", ""])
    return st.builds(
        lambda path, place, piece, drop: path[:place] + piece + path[place + drop :],
        st.sampled_from(sorted(paths)),
        st.integers(0, 30),
        odd,
        st.integers(0, 2),
    )


@settings(max_examples=200, deadline=None)
@given(path=st.text(max_size=40) | near(FLEET_PATHS | RUNTIME_PATHS))
@example(path="/v1/fleet/../control/start-run")
@example(path="/V1/fleet/pull-messages")
@example(path="/v1/fleet/pull-messages/")
def test_only_the_listed_paths_pass_letter_by_letter(path: str) -> None:
    async def scene(fleet: Gate, runtime: Gate) -> Any:
        return (await call(fleet, path))[0], (await call(runtime, path))[0]

    behind = Behind()
    by_fleet, by_runtime = play(scene, behind)
    assert (by_fleet == 200) == (path in FLEET_PATHS)
    assert (by_runtime == 200) == (path in RUNTIME_PATHS)
    assert {requested for requested, _ in behind.requests} <= {path}


@pytest.mark.parametrize("kind", ["websocket", "lifespan"])
def test_nothing_but_http_is_served(kind: str) -> None:
    async def scene(fleet: Gate, _runtime: Gate) -> Any:
        return await call(fleet, "/v1/fleet/get-run", kind=kind)

    behind = Behind()
    assert play(scene, behind) == (0, b"")
    assert behind.requests == []


def test_a_body_in_pieces_arrives_whole() -> None:
    async def scene(fleet: Gate, _runtime: Gate) -> Any:
        return await call(fleet, "/v1/fleet/push-object", b"one ", b"", b"two")

    behind = Behind()
    assert play(scene, behind)[0] == 200
    assert behind.requests == [("/v1/fleet/push-object", b"one two")]


def test_a_body_beyond_the_cap_is_refused_before_it_is_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gates_module, "MAX_BODY_BYTES", 10)

    async def scene(fleet: Gate, _runtime: Gate) -> Any:
        exact = await call(fleet, "/v1/fleet/push-object", b"12345", b"67890")
        chunk = {"type": "http.request", "body": b"123456", "more_body": True}
        endless = [dict(chunk) for _ in range(100)]
        scope = {"type": "http", "path": "/v1/fleet/push-object"}
        refused = await through(fleet, scope, endless)
        return exact, refused, len(endless)

    behind = Behind()
    exact, refused, unread = play(scene, behind)
    assert exact == (200, b"answer")
    assert refused == (413, b"")
    assert unread == 98
    assert len(behind.requests) == 1


def test_a_caller_that_leaves_in_the_middle_of_its_message_leaves_no_half_of_it() -> None:
    async def scene(fleet: Gate, _runtime: Gate) -> Any:
        half = {"type": "http.request", "body": b"half", "more_body": True}
        gone = {"type": "http.disconnect"}
        return await through(fleet, {"type": "http", "path": "/v1/fleet/push-object"}, [half, gone])

    behind = Behind()
    assert play(scene, behind) == (0, b"")
    assert behind.requests == []


def test_an_empty_pull_waits_for_news_from_the_other_side() -> None:
    behind = Behind(b"")

    async def scene(fleet: Gate, runtime: Gate) -> Any:
        began = time.monotonic()
        pull = asyncio.create_task(call(fleet, "/v1/fleet/pull-messages"))
        await asyncio.sleep(0.1)
        assert not pull.done()
        behind.answer = b"a message"
        await call(runtime, "/v1/runtime/push-messages", b"m")
        return await pull, time.monotonic() - began

    answer, seconds = play(scene, behind)
    assert answer == (200, b"a message")
    assert 0.1 <= seconds < gates_module.HOLD_S / 2


def test_a_pull_of_the_other_side_is_woken_by_sites() -> None:
    behind = Behind(b"")

    async def scene(fleet: Gate, runtime: Gate) -> Any:
        pull = asyncio.create_task(call(runtime, "/v1/runtime/pull-messages"))
        await asyncio.sleep(0.05)
        behind.answer = b"a reply"
        await call(fleet, "/v1/fleet/push-object", b"o")
        return await asyncio.wait_for(pull, 2)

    assert play(scene, behind) == (200, b"a reply")


def test_pushes_of_its_own_side_do_not_wake_a_pull(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gates_module, "HOLD_S", 0.3)
    behind = Behind(b"")

    async def scene(fleet: Gate, _runtime: Gate) -> Any:
        began = time.monotonic()
        pull = asyncio.create_task(call(fleet, "/v1/fleet/pull-messages"))
        await asyncio.sleep(0.05)
        await call(fleet, "/v1/fleet/push-messages", b"m")
        return await pull, time.monotonic() - began

    answer, seconds = play(scene, behind)
    assert answer == (200, b"")
    assert seconds >= 0.3


def test_a_pull_without_news_is_answered_empty_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gates_module, "HOLD_S", 0.1)

    async def scene(fleet: Gate, _runtime: Gate) -> Any:
        return await call(fleet, "/v1/fleet/pull-messages")

    behind = Behind(b"")
    assert play(scene, behind) == (200, b"")
    assert len(behind.requests) == 2


def test_news_that_comes_while_the_pull_is_answered_is_not_missed() -> None:
    class Late(Behind):
        """Flower finds nothing; the message comes before its empty answer is out."""

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            first = not self.requests
            if scope["path"].endswith("pull-messages") and not first:
                self.answer = b"a message"
            await super().__call__(scope, receive, send)
            if first:
                fleet_and_runtime[1]._outbound.ring()

    behind = Late(b"")
    fleet_and_runtime: list[Gate] = []

    async def scene(fleet: Gate, runtime: Gate) -> Any:
        fleet_and_runtime.extend((fleet, runtime))
        return await asyncio.wait_for(call(fleet, "/v1/fleet/pull-messages"), 2)

    assert play(scene, behind) == (200, b"a message")


@pytest.mark.parametrize(
    ("path", "answer", "status"),
    [
        ("/v1/fleet/pull-messages", b"full", 200),
        ("/v1/fleet/pull-messages", b"", 401),
        ("/v1/fleet/pull-messages", b"", 500),
        ("/v1/fleet/send-node-heartbeat", b"", 200),
        ("/v1/fleet/push-messages", b"", 200),
    ],
)
def test_nothing_but_an_empty_pull_is_held(path: str, answer: bytes, status: int) -> None:
    async def scene(fleet: Gate, _runtime: Gate) -> Any:
        return await asyncio.wait_for(call(fleet, path), gates_module.HOLD_S / 2)

    behind = Behind(answer, status=status)
    assert play(scene, behind) == (status, answer)
    assert len(behind.requests) == 1


def test_a_gate_that_is_released_answers_those_who_wait_and_holds_no_more() -> None:
    async def scene(fleet: Gate, _runtime: Gate) -> Any:
        pull = asyncio.create_task(call(fleet, "/v1/fleet/pull-messages"))
        await asyncio.sleep(0.05)
        fleet.release()
        first = await asyncio.wait_for(pull, 1)
        return first, await asyncio.wait_for(call(fleet, "/v1/fleet/pull-messages"), 1)

    assert play(scene, Behind(b"")) == ((200, b""), (200, b""))


def test_flower_gets_one_request_at_a_time_from_both_gates_together() -> None:
    async def scene(fleet: Gate, runtime: Gate) -> Any:
        calls = [call(fleet, "/v1/fleet/get-run") for _ in range(5)]
        calls += [call(runtime, "/v1/runtime/pull-task-input") for _ in range(5)]
        return await asyncio.gather(*calls)

    behind = Behind()
    assert play(scene, behind) == [(200, b"answer")] * 10
    assert behind.most_inside == 1


def test_waiting_pulls_keep_nobody_else_from_flower() -> None:
    behind = Behind(b"")

    async def scene(fleet: Gate, runtime: Gate) -> Any:
        pulls = [asyncio.create_task(call(fleet, "/v1/fleet/pull-messages")) for _ in range(3)]
        await asyncio.sleep(0.05)
        other = await asyncio.wait_for(call(runtime, "/v1/runtime/send-task-heartbeat"), 1)
        fleet.release()
        await asyncio.gather(*pulls)
        return other

    assert play(scene, behind) == (200, b"")
