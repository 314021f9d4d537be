"""The site channel's two listeners: enrolment (server TLS) and attendance (mutual TLS)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import grpc

from entente_common.errors import PortTaken
from entente_common.log import get_logger
from entente_common.protocol.generated.site_pb2_grpc import (
    add_EnrolmentServicer_to_server,
    add_SiteChannelServicer_to_server,
)
from entente_server.sitechannel.attendance import AttendanceService
from entente_server.sitechannel.directory import SiteDirectory
from entente_server.sitechannel.enrolment import EnrolmentService
from entente_server.sitechannel.tls import ServerTls

HEARTBEAT_INTERVAL_S = 10.0
_LARGEST_MESSAGE_BYTES = 1 << 20
_MOST_ENROLMENTS = 64  # at once; strangers can reach that port
_STOP_GRACE_S = 2.0
_OPTIONS = (
    # Without this two coordinators could share a port, and a site would meet either.
    ("grpc.so_reuseport", 0),
    ("grpc.max_receive_message_length", _LARGEST_MESSAGE_BYTES),
)
_ADD_ENROLMENT: Callable[..., None] = add_EnrolmentServicer_to_server
_ADD_ATTENDANCE: Callable[..., None] = add_SiteChannelServicer_to_server
_log = get_logger(__name__)


class SiteChannelServer:
    """Serves the site channel inside the coordinator's event loop.

    Args:
        directory: Who may come and who is there.
        tls: Certificates.
        host: Address to listen on.
        enrolment_port: Port for newcomers; 0 picks a free one.
        channel_port: Port for enrolled sites; 0 picks a free one.
        heartbeat_interval_s: How often a site must say that it is there.
    """

    def __init__(
        self,
        directory: SiteDirectory,
        *,
        tls: ServerTls,
        host: str,
        enrolment_port: int,
        channel_port: int,
        heartbeat_interval_s: float = HEARTBEAT_INTERVAL_S,
    ) -> None:
        self._tls = tls
        self._host = f"[{host}]" if ":" in host else host
        self._enrolment_port = enrolment_port
        self._channel_port = channel_port
        self._enrolment = EnrolmentService(directory, ca_pem=tls.ca_pem)
        self._attendance = AttendanceService(directory, heartbeat_interval_s=heartbeat_interval_s)
        self._servers: list[Any] = []

    @property
    def enrolment_port(self) -> int:
        """The enrolment port; the one in use once started."""
        return self._enrolment_port

    @property
    def channel_port(self) -> int:
        """The channel port; the one in use once started."""
        return self._channel_port

    async def start(self) -> None:
        """Listen on both ports.

        Raises:
            PortTaken: One of the ports is in use; neither is then listened on.
        """
        try:
            self._enrolment_port = await self._listen(
                self._enrolment_port,
                self._tls.enrolment_credentials(),
                partial(_ADD_ENROLMENT, self._enrolment),
                most_calls=_MOST_ENROLMENTS,
            )
            self._channel_port = await self._listen(
                self._channel_port,
                self._tls.channel_credentials(),
                partial(_ADD_ATTENDANCE, self._attendance),
                most_calls=None,
            )
        except PortTaken:
            await self.stop()
            raise
        _log.info(
            "sitechannel listening",
            host=self._host, enrolment=self._enrolment_port, channel=self._channel_port,
        )  # fmt: skip

    async def stop(self) -> None:
        """End all streams, so that the directory sees every site leave, and stop listening."""
        self._attendance.close()
        for server in self._servers:
            await server.stop(_STOP_GRACE_S)
        self._servers.clear()

    async def _listen(
        self,
        port: int,
        credentials: Any,  # noqa: ANN401 - grpc, untyped
        add_service: Callable[..., None],
        *,
        most_calls: int | None,
    ) -> int:
        server = grpc.aio.server(options=_OPTIONS, maximum_concurrent_rpcs=most_calls)
        add_service(server)
        try:
            bound = server.add_secure_port(f"{self._host}:{port}", credentials)
        except RuntimeError as fault:
            raise PortTaken(f"{self._host}:{port} cannot be listened on.") from fault
        await server.start()
        self._servers.append(server)
        return int(bound)
