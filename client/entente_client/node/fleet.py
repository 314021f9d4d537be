"""The site's connection to Flower's Fleet API, over mutual TLS.

Everything of the agent that touches Flower's internals stands in this file. It plays the part of
a SuperNode with one difference that matters: it has no code to install or run an application
bundle. It reads which bundle a run names, and leaves the judgement to its caller.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
from cryptography.hazmat.primitives.asymmetric import ec
from flwr.app import Message
from flwr.common.constant import HEARTBEAT_DEFAULT_INTERVAL
from flwr.common.serde import message_from_proto, message_to_proto
from flwr.proto.fleet_pb2 import (
    ActivateNodeRequest,
    DeactivateNodeRequest,
    PullMessagesRequest,
    PushMessagesRequest,
)
from flwr.proto.heartbeat_pb2 import SendNodeHeartbeatRequest
from flwr.proto.message_pb2 import ConfirmMessageReceivedRequest
from flwr.proto.node_pb2 import Node
from flwr.proto.run_pb2 import GetRunRequest
from flwr.supercore.heartbeat import HeartbeatSender
from flwr.supercore.inflatable.inflatable_object import (
    get_all_nested_objects,
    get_object_tree,
    iterate_object_tree,
    no_object_id_recompute,
)
from flwr.supercore.inflatable.inflatable_protobuf_utils import (
    make_pull_object_fn_protobuf,
    make_push_object_fn_protobuf,
)
from flwr.supercore.inflatable.inflatable_utils import (
    inflate_object_from_contents,
    pull_objects,
    push_objects,
)
from flwr.supercore.interceptors.http.runtime_version import RuntimeVersionHttpInterceptor
from flwr.supercore.primitives.asymmetric import public_key_to_bytes
from flwr.supernode.fleet_http_client import FleetHttpClient
from flwr.supernode.node_auth_http_interceptor import NodeAuthHttpInterceptor

from entente_common.errors import AuthenticationFailed, Unreachable, UntrustedCertificate
from entente_common.identity.atomic_file import write_atomically
from entente_common.log import get_logger

if TYPE_CHECKING:
    from flwr.proto.message_pb2 import ObjectTree

_log = get_logger(__name__)

_CALL_TIMEOUT_S = 60.0
_OBJECT_BACKOFF_S = 0.02
_OBJECT_BACKOFF_CAP_S = 1.0


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message from the coordinator.

    Attributes:
        message: Its content is complete.
        application: Hash of the application bundle its run names.
    """

    message: Message
    application: str


class FleetConnection:
    """An activated node. Make one with `connect`."""

    def __init__(self, client: FleetHttpClient, *, node_id: int) -> None:
        self._client = client
        self._node = Node(node_id=node_id)
        self._applications: dict[int, str] = {}

    def receive(self) -> Delivery | None:
        """The next message, or None when there is none.

        The coordinator may hold an empty answer for some seconds.
        """
        response = self._client.PullMessages(PullMessagesRequest(node=self._node))
        if not response.messages_list:
            return None
        header = message_from_proto(response.messages_list[0])
        message = self._inflate(header, response.message_object_trees[0])
        return Delivery(message=message, application=self._application(header.metadata.run_id))

    def send(self, reply: Message, *, seconds: float) -> None:
        """Push a reply. `seconds` is how long the work took."""
        with no_object_id_recompute():
            reply.metadata.__dict__["_message_id"] = reply.object_id
            header = message_to_proto(_without_content(reply))
            response = self._client.PushMessages(
                PushMessagesRequest(
                    node=self._node,
                    messages_list=[header],
                    message_object_trees=[get_object_tree(reply)],
                    clientapp_runtime_list=[seconds],
                )
            )
            push_objects(
                get_all_nested_objects(reply),
                make_push_object_fn_protobuf(
                    self._client.PushObject,
                    self._node,
                    reply.metadata.run_id,
                    response.session_id,
                ),
                object_ids_to_push=set(response.objects_to_push),
            )

    def beat(self) -> bool:
        """Tell the coordinator that the node lives; False when it could not be told."""
        try:
            request = SendNodeHeartbeatRequest(
                node=self._node, heartbeat_interval=HEARTBEAT_DEFAULT_INTERVAL
            )
            return bool(self._client.SendNodeHeartbeat(request).success)
        except httpx.HTTPError:
            return False

    def leave(self) -> None:
        """Sign off, as far as the coordinator can still be reached."""
        try:
            self._client.DeactivateNode(DeactivateNodeRequest(node_id=self._node.node_id))
        except httpx.HTTPError as error:
            _log.info("could not sign off", reason=type(error).__name__)

    def _inflate(self, header: Message, tree: ObjectTree) -> Message:
        run_id = header.metadata.run_id
        contents = pull_objects(
            [item.object_id for item in iterate_object_tree(tree)],
            make_pull_object_fn_protobuf(self._client.PullObject, self._node, run_id),
            initial_backoff=_OBJECT_BACKOFF_S,
            backoff_cap=_OBJECT_BACKOFF_CAP_S,
        )
        self._client.ConfirmMessageReceived(
            ConfirmMessageReceivedRequest(
                node=self._node, run_id=run_id, message_object_id=header.metadata.message_id
            )
        )
        message = inflate_object_from_contents(header.metadata.message_id, contents)
        message.metadata.__dict__["_message_id"] = header.metadata.message_id  # type: ignore[attr-defined]
        return message  # type: ignore[return-value]

    def _application(self, run_id: int) -> str:
        if run_id not in self._applications:
            run = self._client.GetRun(GetRunRequest(node=self._node, run_id=run_id)).run
            self._applications[run_id] = run.fab_hash
        return self._applications[run_id]


@contextmanager
def connect(
    *,
    address: str,
    tls: ssl.SSLContext,
    private_key: ec.EllipticCurvePrivateKey,
    memory: Path,
) -> Iterator[FleetConnection]:
    """Activate this site's node at the coordinator, and sign it off at the end.

    Args:
        address: `host:port` of the fleet listener.
        tls: Presents the site's certificate and trusts only its coordinator's authority.
        private_key: The site's identity key; the coordinator knows the public half.
        memory: File that keeps the node's number between processes.

    Raises:
        Unreachable: Nothing answers at `address`.
        UntrustedCertificate: The TLS handshake failed.
        AuthenticationFailed: The coordinator does not know this node.
    """
    public_key = private_key.public_key()
    client = FleetHttpClient(
        f"https://{address}",
        interceptors=[
            RuntimeVersionHttpInterceptor(component_name="SuperNode"),
            NodeAuthHttpInterceptor(private_key, public_key),
        ],
        verify=tls,
        timeout=_CALL_TIMEOUT_S,
    )
    with client:
        request = ActivateNodeRequest(
            public_key=public_key_to_bytes(public_key),
            heartbeat_interval=HEARTBEAT_DEFAULT_INTERVAL,
        )
        try:
            node_id = _activate(client, request, memory=memory)
        except httpx.HTTPError as error:
            raise translate(error, address=address) from error
        connection = FleetConnection(client, node_id=node_id)
        heart = HeartbeatSender(connection.beat)
        heart.start()
        try:
            yield connection
        finally:
            heart.stop()
            connection.leave()


def _activate(client: FleetHttpClient, request: ActivateNodeRequest, *, memory: Path) -> int:
    """Activate the node; return its number.

    Flower takes a node that ended without signing off for connected until its heartbeats are
    overdue, and refuses to activate it. Such a node signs off its former self first.
    """
    try:
        node_id = client.ActivateNode(request).node_id
    except httpx.HTTPStatusError as error:
        former = memory.read_text().strip() if memory.exists() else ""
        if error.response.status_code != httpx.codes.PRECONDITION_FAILED or not former.isdigit():
            raise
        client.DeactivateNode(DeactivateNodeRequest(node_id=int(former)))
        node_id = client.ActivateNode(request).node_id
    write_atomically(memory, f"{node_id}\n".encode())
    return int(node_id)


def translate(
    error: httpx.HTTPError, *, address: str
) -> Unreachable | UntrustedCertificate | AuthenticationFailed:
    """What a transport error of the Fleet API means to a person."""
    if isinstance(error, httpx.HTTPStatusError):
        return AuthenticationFailed(
            f"The coordinator at {address} does not accept this node"
            f" (HTTP {error.response.status_code}).",
            hint="The site may have been removed; ask the admin for a new invitation.",
        )
    if isinstance(error.__cause__, ssl.SSLError) or "SSL" in str(error):
        return UntrustedCertificate(f"TLS with {address} failed: {error}")
    return Unreachable(f"No answer from {address}: {type(error).__name__}.")


def _without_content(message: Message) -> Message:
    from flwr.app.message import remove_content_from_message

    return remove_content_from_message(message)
