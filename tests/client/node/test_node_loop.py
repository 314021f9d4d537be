"""A node's loop outlives what goes wrong around it, and runs nothing but its own application."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field

import httpx
import pytest
from flwr.app import Context, Message, RecordDict
from flwr.clientapp import ClientApp

from entente_client.node import loop as loop_module
from entente_client.node.client_app import make_client_app
from entente_client.node.fleet import Delivery
from entente_client.node.loop import NodeLoop
from entente_common.errors import Unreachable
from entente_common.protocol import messages as wire
from fakes.members import APPLICATION, Member, claim_task

REQUEST = httpx.Request("POST", "https://coordinator.test/v1/fleet/push-messages")


def delivery(kind: str = wire.JOIN, *, application: str = APPLICATION) -> Delivery:
    claim_task()
    message = Message(RecordDict(), 1, kind)
    message.metadata.__dict__["_message_id"] = kind
    return Delivery(message=message, application=application)


def status_error(status: int) -> httpx.HTTPStatusError:
    return httpx.HTTPStatusError("no", request=REQUEST, response=httpx.Response(status))


@dataclass
class PlayedFleet:
    """Plays `FleetConnection`: a script of what arrives, and what becomes of each reply.

    When the script is at its end, the loop is told to stop.
    """

    stop: threading.Event
    arrivals: list[Delivery | Exception | None] = field(default_factory=list)
    sendings: list[Exception | None] = field(default_factory=list)
    connections: list[Exception | None] = field(default_factory=list)
    sent: list[Message] = field(default_factory=list)
    connected: int = 0
    left: int = 0

    @contextmanager
    def connect(self) -> Iterator[PlayedFleet]:
        fault = self.connections.pop(0) if self.connections else None
        if fault is not None:
            raise fault
        self.connected += 1
        try:
            yield self
        finally:
            self.left += 1

    def receive(self) -> Delivery | None:
        if not self.arrivals:
            self.stop.set()
            return None
        arrival = self.arrivals.pop(0)
        if isinstance(arrival, Exception):
            raise arrival
        return arrival

    def send(self, reply: Message, *, seconds: float) -> None:
        assert seconds >= 0
        fault = self.sendings.pop(0) if self.sendings else None
        if fault is not None:
            raise fault
        self.sent.append(reply)


@pytest.fixture
def fleet(monkeypatch: pytest.MonkeyPatch) -> PlayedFleet:
    for pause in ("_FIRST_PAUSE_S", "_LONGEST_PAUSE_S", "_IDLE_PAUSE_S"):
        monkeypatch.setattr(loop_module, pause, 0.001)
    return PlayedFleet(threading.Event())


class Echo:
    """A ClientApp that answers everything and remembers it."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.app = ClientApp()

        @self.app.query("join")
        def answer(message: Message, _context: Context) -> Message:
            self.asked.append(message.metadata.message_type)
            return Message(RecordDict(), reply_to=message)


def serve(fleet: PlayedFleet, app: ClientApp) -> None:
    reach: Callable[[], AbstractContextManager[PlayedFleet]] = fleet.connect
    loop = NodeLoop(reach, app, application=APPLICATION)  # type: ignore[arg-type]
    runner = threading.Thread(target=loop.run, args=(fleet.stop,))
    runner.start()
    runner.join(20)
    assert not runner.is_alive(), "the loop did not stop"


def test_messages_are_answered_in_the_order_they_come(fleet: PlayedFleet) -> None:
    echo = Echo()
    fleet.arrivals = [delivery(), None, delivery(), delivery()]
    serve(fleet, echo.app)
    assert echo.asked == [wire.JOIN] * 3
    assert [reply.has_error() for reply in fleet.sent] == [False] * 3
    assert (fleet.connected, fleet.left) == (1, 1)


def test_a_foreign_application_is_refused_and_not_run(fleet: PlayedFleet) -> None:
    echo = Echo()
    fleet.arrivals = [delivery(application="b" * 64), delivery(application="")]
    serve(fleet, echo.app)
    assert echo.asked == []
    for reply in fleet.sent:
        assert reply.has_error()
        assert "application.foreign" in reply.error.reason
        assert "Install the same Entente version" in reply.error.reason


@pytest.mark.parametrize("kind", ["query.other", "evaluate", "train.other"])
def test_a_message_that_belongs_to_no_run_does_not_end_the_node(
    fleet: PlayedFleet, members: list[Member], kind: str
) -> None:
    odd = delivery()
    odd.message.metadata.__dict__["_message_type"] = kind
    fleet.arrivals = [odd, delivery()]
    serve(fleet, make_client_app(members[0].runs()))
    first, second = fleet.sent
    assert first.has_error()
    assert not second.has_error(), "the node goes on"


@pytest.mark.parametrize(
    "fault",
    [
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("slow"),
        status_error(503),
        Unreachable("no answer"),
    ],
    ids=lambda fault: type(fault).__name__,
)
def test_a_lost_connection_is_made_again(fleet: PlayedFleet, fault: Exception) -> None:
    echo = Echo()
    fleet.arrivals = [delivery(), fault, delivery()]
    fleet.connections = [fault, None, fault]
    serve(fleet, echo.app)
    assert len(echo.asked) == 2
    assert (fleet.connected, fleet.left) == (2, 2)


def test_a_reply_is_sent_again_until_it_arrives(fleet: PlayedFleet) -> None:
    echo = Echo()
    fleet.arrivals = [delivery()]
    fleet.sendings = [httpx.ReadError("cut"), httpx.ConnectTimeout("slow"), None]
    serve(fleet, echo.app)
    assert len(echo.asked) == 1, "the work is done once"
    assert len(fleet.sent) == 1


def test_a_reply_nobody_wants_any_more_is_dropped(fleet: PlayedFleet) -> None:
    fleet.arrivals = [delivery(), delivery()]
    fleet.sendings = [status_error(404), None]
    serve(fleet, Echo().app)
    assert len(fleet.sent) == 1
    assert fleet.connected == 1


def test_a_reply_that_cannot_be_sent_is_given_up_in_the_end(fleet: PlayedFleet) -> None:
    fleet.arrivals = [delivery(), delivery()]
    fleet.sendings = [httpx.ReadError("cut")] * 8
    serve(fleet, Echo().app)
    assert len(fleet.sent) == 1, "the second reply"


def test_the_loop_stops_when_it_is_told_to(fleet: PlayedFleet) -> None:
    fleet.connections = [Unreachable("no")] * 100_000
    threading.Timer(0.1, fleet.stop.set).start()
    began = time.monotonic()
    serve(fleet, Echo().app)
    assert time.monotonic() - began < 5
