"""A frame opens whole or not at all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entente_common.aggregation.framing import (
    NO_KEY,
    Frame,
    Kind,
    join_chunks,
    split_chunks,
)
from entente_common.errors import ProtectionViolated

frames = st.builds(
    Frame,
    kind=st.sampled_from(Kind),
    contributions=st.integers(0, 2**16 - 1),
    length=st.integers(0, 2**28),
    key=st.binary(min_size=32, max_size=32),
    body=st.binary(max_size=64),
)


@given(frames)
def test_a_frame_survives_the_wire(frame: Frame) -> None:
    assert Frame.from_bytes(frame.to_bytes(), kinds=tuple(Kind)) == frame


@given(frames, st.data())
def test_every_changed_byte_is_found(frame: Frame, data: st.DataObject) -> None:
    blob = bytearray(frame.to_bytes())
    place = data.draw(st.integers(0, len(blob) - 1))
    blob[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(ProtectionViolated):
        Frame.from_bytes(bytes(blob), kinds=tuple(Kind))


@given(frames, st.data())
def test_every_truncation_and_every_addition_is_found(frame: Frame, data: st.DataObject) -> None:
    blob = frame.to_bytes()
    cut = data.draw(st.integers(0, len(blob) - 1))
    for other in (blob[:cut], blob + b"\0"):
        with pytest.raises(ProtectionViolated):
            Frame.from_bytes(other, kinds=tuple(Kind))


@given(st.binary(max_size=200))
def test_random_bytes_are_no_frame(blob: bytes) -> None:
    with pytest.raises(ProtectionViolated):
        Frame.from_bytes(blob, kinds=tuple(Kind))


def test_a_frame_of_another_kind_is_refused() -> None:
    blob = Frame(Kind.PLAIN_SUM, 1, 0, NO_KEY, b"").to_bytes()
    with pytest.raises(ProtectionViolated, match="kind"):
        Frame.from_bytes(blob, kinds=(Kind.SEALED_SUM,))


def test_an_absurd_length_is_refused() -> None:
    blob = Frame(Kind.PLAIN_SUM, 1, 2**28 + 1, NO_KEY, b"").to_bytes()
    with pytest.raises(ProtectionViolated, match="longer"):
        Frame.from_bytes(blob, kinds=(Kind.PLAIN_SUM,))


@given(st.lists(st.binary(max_size=20), max_size=6))
def test_chunks_come_apart_as_they_were_joined(chunks: list[bytes]) -> None:
    body = join_chunks(chunks)
    assert split_chunks(body, count=len(chunks), least_bytes=0, most_bytes=20) == chunks


@given(st.binary(max_size=100), st.integers(0, 5))
def test_chunks_of_any_bytes_are_exact_or_refused(body: bytes, count: int) -> None:
    try:
        chunks = split_chunks(body, count=count, least_bytes=1, most_bytes=50)
    except ProtectionViolated:
        return
    assert join_chunks(chunks) == body
    assert len(chunks) == count
    assert all(1 <= len(chunk) <= 50 for chunk in chunks)


@pytest.mark.parametrize(
    ("body", "count"),
    [
        (join_chunks([b"abc"]), 2),
        (join_chunks([b"abc", b"abc"]), 1),
        (join_chunks([b"abc"])[:-1], 1),
        (join_chunks([b"ab"]), 1),
        (join_chunks([b"abcdef"]), 1),
    ],
)
def test_missing_left_over_and_badly_sized_chunks_are_refused(body: bytes, count: int) -> None:
    with pytest.raises(ProtectionViolated):
        split_chunks(body, count=count, least_bytes=3, most_bytes=5)
