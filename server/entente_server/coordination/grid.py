"""Flower's Grid, as a ServerApp process of ours uses it: replies one by one, as they arrive."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import cast

from flwr.app import Error, Message
from flwr.app.message import make_message
from flwr.app.metadata import Metadata
from flwr.common.constant import ErrorCode
from flwr.common.serde import message_from_proto
from flwr.proto.message_pb2 import ConfirmMessageReceivedRequest, ObjectTree
from flwr.proto.runtime_pb2 import PullAppMessagesRequest
from flwr.supercore.inflatable.inflatable_object import iterate_object_tree
from flwr.supercore.inflatable.inflatable_protobuf_utils import make_pull_object_fn_protobuf
from flwr.supercore.inflatable.inflatable_utils import (
    ObjectPullError,
    inflate_object_from_contents,
    pull_objects,
)
from flwr.superlink.grid import HttpGrid

_OBJECT_BACKOFF_S = 0.01
_OBJECT_BACKOFF_CAP_S = 1.0
_FIRST_PAUSE_S = 0.01
_LONGEST_PAUSE_S = 1.0


class RunGrid(HttpGrid):
    """`HttpGrid` with quick pulls. Public methods keep Flower's meaning."""

    def stream(self, messages: Iterable[Message], *, timeout_s: float) -> Iterator[Message]:
        """Push `messages` and yield each reply as it arrives, until all came or time is up.

        The runtime gate holds empty pulls, so the loop turns only when there is news; its own
        pauses matter only where a pull returns at once.
        """
        started = time.monotonic()
        waiting = {message_id for message_id in self.push_messages(messages) if message_id}
        while waiting and (elapsed_s := time.monotonic() - started) < timeout_s:
            replies = list(self.pull_messages(waiting))
            for reply in replies:
                waiting.discard(reply.metadata.reply_to_message_id)
                yield reply
            if not replies:
                time.sleep(min(max(_FIRST_PAUSE_S, elapsed_s / 20), _LONGEST_PAUSE_S))

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Replies to `message_ids` that have arrived."""
        response = self._runtime_client.PullMessages(
            PullAppMessagesRequest(message_ids=list(message_ids))
        )
        for proto, tree in zip(response.messages_list, response.message_object_trees, strict=True):
            yield self._inflate(message_from_proto(proto), tree)

    def _inflate(self, header: Message, tree: ObjectTree) -> Message:
        message_id = header.metadata.message_id
        run_id = header.metadata.run_id
        try:
            contents = pull_objects(
                [item.object_id for item in iterate_object_tree(tree)],
                make_pull_object_fn_protobuf(self._runtime_client.PullObject, self.node, run_id),
                initial_backoff=_OBJECT_BACKOFF_S,
                backoff_cap=_OBJECT_BACKOFF_CAP_S,
            )
        except ObjectPullError as error:
            return _incomplete(header.metadata, str(error))
        self._runtime_client.ConfirmMessageReceived(
            ConfirmMessageReceivedRequest(
                node=self.node, run_id=run_id, message_object_id=message_id
            )
        )
        message = cast("Message", inflate_object_from_contents(message_id, contents))
        message.metadata.__dict__["_message_id"] = message_id
        return message


def _incomplete(metadata: Metadata, reason: str) -> Message:
    """Stand-in for a reply whose objects never arrived in full."""
    return make_message(metadata=metadata, error=Error(ErrorCode.MESSAGE_UNAVAILABLE, reason))
