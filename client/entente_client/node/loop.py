"""The node's loop: receive a message, refuse a foreign application, answer, send.

One message at a time, in the order they come. The loop outlives lost connections and a restarted
coordinator; it ends only when it is told to stop.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

import httpx
from flwr.app import Context, Error, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.common.constant import ErrorCode

from entente_client.node.fleet import Delivery, FleetConnection
from entente_common.errors import EntenteError, ForeignApplication
from entente_common.log import get_logger

_log = get_logger(__name__)

_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 15.0
_IDLE_PAUSE_S = 0.05
_SEND_ATTEMPTS = 8


class NodeLoop:
    """Serves one site's ClientApp to the coordinator.

    Attributes:
        application: Hash of the application bundle that matches the installed code.
    """

    def __init__(
        self,
        connect: Callable[[], AbstractContextManager[FleetConnection]],
        app: ClientApp,
        *,
        application: str,
    ) -> None:
        self.application = application
        self._connect = connect
        self._app = app

    def run(self, stop: threading.Event) -> None:
        """Serve until `stop` is set; connect again, with growing pauses, whenever it is needed."""
        pause_s = _FIRST_PAUSE_S
        while not stop.is_set():
            try:
                with self._connect() as fleet:
                    _log.info("connected to the coordinator")
                    pause_s = _FIRST_PAUSE_S
                    self._serve(fleet, stop)
            except EntenteError as error:
                _log.warning("not connected", code=error.code, reason=error.detail, cure=error.hint)
            except httpx.HTTPError as error:
                _log.warning("connection lost", reason=type(error).__name__)
            except (ValueError, TypeError, RuntimeError):
                # What Flower raises for a message that is none. The coordinator gives it out once.
                _log.exception("refused: unreadable message")
            stop.wait(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def _serve(self, fleet: FleetConnection, stop: threading.Event) -> None:
        while not stop.is_set():
            delivery = fleet.receive()
            if delivery is None:
                stop.wait(_IDLE_PAUSE_S)
                continue
            started = time.monotonic()
            reply = self.answer(delivery)
            _send(fleet, reply, seconds=time.monotonic() - started, stop=stop)

    def answer(self, delivery: Delivery) -> Message:
        """The reply to one message; an error reply when its run names a foreign application."""
        if delivery.application != self.application:
            refusal = ForeignApplication(
                f"The run names application {delivery.application[:16]}…, this site has"
                f" {self.application[:16]}… installed and runs no other."
            )
            _log.warning(
                "refused: foreign application",
                code=refusal.code,
                run=delivery.message.metadata.run_id,
                offered=delivery.application,
                installed=self.application,
            )
            return Message(
                Error(ErrorCode.INVALID_FAB, f"{refusal.code}: {refusal.detail} {refusal.hint}"),
                reply_to=delivery.message,
            )
        context = Context(
            run_id=delivery.message.metadata.run_id,
            node_id=delivery.message.metadata.dst_node_id,
            node_config={},
            state=RecordDict(),
            run_config={},
        )
        try:
            return self._app(delivery.message, context)
        except Exception as error:  # noqa: BLE001 - no message may end the node
            kind = delivery.message.metadata.message_type
            _log.exception("refused: not a message of a run", kind=kind)
            reason = f"{type(error).__name__}: {kind!r} is no message of a run."
            failure = Error(ErrorCode.CLIENT_APP_RAISED_EXCEPTION, reason)
            return Message(failure, reply_to=delivery.message)


def _send(fleet: FleetConnection, reply: Message, *, seconds: float, stop: threading.Event) -> None:
    """Send `reply`, again after lost connections; give up when its run is over."""
    for attempt in range(_SEND_ATTEMPTS):
        try:
            fleet.send(reply, seconds=seconds)
        except httpx.HTTPStatusError as error:
            _log.warning("reply not wanted any more", status=error.response.status_code)
            return
        except httpx.TransportError as error:
            _log.warning("reply not sent yet", reason=type(error).__name__)
            stop.wait(min(2**attempt * _FIRST_PAUSE_S, _LONGEST_PAUSE_S))
        else:
            return
    _log.error("reply given up", attempts=_SEND_ATTEMPTS)
