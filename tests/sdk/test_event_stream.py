"""Server-sent events survive any cut of the network, and nothing but events comes out."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entente_common.errors import InternalError
from entente_sdk import events
from entente_sdk.events import ServerSentEvent, read_events

LINE_END = st.sampled_from(["\n", "\r\n"])


@given(
    values=st.lists(st.text(max_size=30), min_size=1, max_size=5),
    end=LINE_END,
    cuts=st.lists(st.integers(0, 400), max_size=12),
)
def test_every_way_to_cut_the_stream_gives_the_same_events(
    values: list[str], end: str, cuts: list[int]
) -> None:
    lines = []
    for place, value in enumerate(values, start=1):
        lines += [f"id: {place}", "event: note", f"data: {json.dumps(value, ensure_ascii=False)}"]
        lines += [": a comment", ""]
    whole = "".join(line + end for line in lines).encode()
    places = sorted({min(cut, len(whole)) for cut in cuts} | {0, len(whole)})
    chunks = [whole[a:b] for a, b in itertools.pairwise(places)]

    found = list(read_events(chunks))

    assert [json.loads(event.data) for event in found] == values
    assert [event.id for event in found] == [str(n) for n in range(1, len(values) + 1)]
    assert {event.kind for event in found} == {"note"}


def test_separators_of_unicode_do_not_end_a_line() -> None:
    (event,) = read_events(["data: a\u2028b\u0085c\x0bd\n\n".encode()])

    assert event.data == "a\u2028b\u0085c\x0bd"


def test_data_lines_are_joined() -> None:
    (event,) = read_events([b"data: one\ndata:two\n\n"])

    assert event == ServerSentEvent("", "message", "one\ntwo")


def test_an_event_that_the_end_cuts_short_is_dropped() -> None:
    assert list(read_events([b"data: whole\n\ndata: half\n"])) == [
        ServerSentEvent("", "message", "whole")
    ]


def test_a_line_without_an_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "LINE_LIMIT_BYTES", 100)

    with pytest.raises(InternalError):
        list(read_events([b"x" * 60, b"x" * 60]))


def test_bytes_that_are_not_text_are_refused() -> None:
    with pytest.raises(InternalError):
        list(read_events([b"data: \xff\n\n"]))
