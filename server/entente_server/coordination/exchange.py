"""One exchange: a question to some sites, and their answers as they arrive."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from flwr.app import Message

from entente_common.contracts.problem import Problem
from entente_common.errors import EntenteError
from entente_common.protocol.messages import Failure, Header, HeaderT, parse_header
from entente_common.protocol.records import from_record, to_record
from entente_server.coordination.grid import RunGrid

Question = tuple[Header, bytes]


@dataclass(frozen=True, slots=True)
class Answer:
    """What one site answered, or why it did not.

    Attributes:
        failure: Why there is no usable answer; None when there is one.
        bytes_up: Size of header and payload.
        seconds: From the question to this answer.
    """

    site: str
    header: str
    payload: bytes
    failure: str | None
    bytes_up: int
    seconds: float

    def read(self, kind: type[HeaderT]) -> HeaderT:
        """The header as `kind`.

        Raises:
            ProtectionViolated: It is malformed.
        """
        return parse_header(kind, self.header)


class Switchboard:
    """Asks sites questions through Flower's Grid.

    Attributes:
        nodes: Flower's node id of each site that may be addressed. No other node ever is.
    """

    def __init__(self, grid: RunGrid, *, nodes: Mapping[str, int]) -> None:
        self.nodes = dict(nodes)
        self._grid = grid
        self.bytes_down = 0

    def ask(
        self, kind: str, questions: Mapping[str, Question], *, timeout_s: float
    ) -> Iterator[Answer]:
        """Yield one `Answer` for every site in `questions`, silent ones last.

        Args:
            kind: The Flower message type.
            questions: Header and payload for each site.
            timeout_s: How long to wait for all answers.
        """
        started = time.monotonic()
        by_node = {self.nodes[site]: site for site in questions}
        messages = []
        for site, (header, payload) in questions.items():
            self.bytes_down += len(header.text()) + len(payload)
            messages.append(
                Message(to_record(header, payload), self.nodes[site], kind, ttl=timeout_s + 60)
            )
        silent = dict(by_node)
        for reply in self._grid.stream(messages, timeout_s=timeout_s):
            seconds = time.monotonic() - started
            node_id = _sender(reply, messages)
            if node_id in silent:
                yield _answer(silent.pop(node_id), reply, seconds=seconds)
        for site in silent.values():
            yield _no_answer(site, f"no answer within {timeout_s:.0f} s", seconds=timeout_s)


def _sender(reply: Message, messages: list[Message]) -> int:
    # Flower answers in the place of a node that is gone; such a reply names only its question.
    asked = {m.metadata.message_id: m.metadata.dst_node_id for m in messages}
    return asked.get(reply.metadata.reply_to_message_id, reply.metadata.src_node_id)


def _answer(site: str, reply: Message, *, seconds: float) -> Answer:
    if reply.has_error():
        return _no_answer(site, reply.error.reason or "the node did not answer", seconds=seconds)
    try:
        kind, header, payload = from_record(reply.content)
        if kind == Failure.__name__:
            problem = Problem.model_validate(parse_header(Failure, header).problem)
            return _no_answer(site, _sentence(problem), seconds=seconds)
    except (EntenteError, ValueError) as error:
        return _no_answer(site, f"malformed answer: {error}", seconds=seconds)
    return Answer(
        site=site,
        header=header,
        payload=payload,
        failure=None,
        bytes_up=len(header) + len(payload),
        seconds=seconds,
    )


def _sentence(problem: Problem) -> str:
    faults = [
        f"{fault.pointer.strip('/').replace('/', '.')}: {fault.detail}" for fault in problem.errors
    ]
    return " ".join(part for part in (problem.detail or problem.title, *faults) if part)


def _no_answer(site: str, failure: str, *, seconds: float) -> Answer:
    return Answer(site=site, header="", payload=b"", failure=failure, bytes_up=0, seconds=seconds)
