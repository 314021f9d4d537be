"""The reader of server-sent events (WHATWG HTML, §9.2.6): bytes in, events out.

It is a pure fold over chunks of bytes. Chunks may cut a line, or a character, anywhere. Lines end
with LF or CRLF; only these, because JSON text may hold any other separator Unicode knows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from entente_common.errors import InternalError

LINE_LIMIT_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class ServerSentEvent:
    """One dispatched event.

    Attributes:
        id: The last id the stream named, "" when it named none.
        kind: The event's type, "message" when the stream gives none.
        data: Its data lines, joined by line feeds.
    """

    id: str
    kind: str
    data: str


def read_events(chunks: Iterable[bytes]) -> Iterator[ServerSentEvent]:
    """Events of a `text/event-stream`; an event the stream's end cuts short is dropped.

    Raises:
        InternalError: A line exceeds `LINE_LIMIT_BYTES` or is not UTF-8.
    """
    last_id, kind, data = "", "", list[str]()
    for line in _lines(chunks):
        if not line:
            if data:
                yield ServerSentEvent(last_id, kind or "message", "\n".join(data))
            kind, data = "", []
            continue
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            data.append(value)
        elif name == "event":
            kind = value
        elif name == "id" and "\0" not in value:
            last_id = value


def _lines(chunks: Iterable[bytes]) -> Iterator[str]:
    pending = b""
    for chunk in chunks:
        *whole, pending = (pending + chunk).split(b"\n")
        for line in whole:
            yield _text(line)
        if len(pending) > LINE_LIMIT_BYTES:
            raise InternalError("The event stream sent a line without an end.")


def _text(line: bytes) -> str:
    try:
        return line.removesuffix(b"\r").decode("utf-8")
    except UnicodeDecodeError as error:
        raise InternalError("The event stream is not UTF-8 text.") from error
