"""What goes into a Flower record comes out of it; anything else is refused, whatever it is."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, RecordDict
from hypothesis import given, settings
from hypothesis import strategies as st

from entente_common.errors import ProtectionViolated
from entente_common.protocol import messages as wire
from entente_common.protocol.records import from_record, to_record
from fakes.runs import RUN_ID

HEADER = wire.ReleaseRequest(run=RUN_ID)
LARGE = 256 * 1024 + 1


def over_the_wire(record: RecordDict) -> RecordDict:
    """The record after Flower took it apart and put it together."""
    return RecordDict.inflate(record.deflate(), children=record.children)


@given(payload=st.binary(max_size=300))
def test_a_small_payload_travels_in_the_header_record(payload: bytes) -> None:
    record = to_record(HEADER, payload)
    assert list(record) == ["header"]
    assert from_record(over_the_wire(record)) == ("ReleaseRequest", HEADER.text(), payload)


@settings(max_examples=10, deadline=None)
@given(size=st.integers(LARGE, 2 * LARGE), seed=st.integers(0, 99))
def test_a_large_payload_travels_as_an_array(size: int, seed: int) -> None:
    payload = np.random.default_rng(seed).bytes(size)
    record = to_record(HEADER, payload)
    assert len(record.array_records) == 1
    assert from_record(over_the_wire(record)) == ("ReleaseRequest", HEADER.text(), payload)


def test_the_largest_small_payload_and_the_smallest_large_one_both_arrive() -> None:
    for size in (LARGE - 1, LARGE):
        assert from_record(to_record(HEADER, bytes(size)))[2] == bytes(size)


def record_of(config: dict[str, Any] | None, array: Array | None = None) -> RecordDict:
    record = RecordDict()
    if config is not None:
        record["header"] = ConfigRecord(config)
    if array is not None:
        record["payload"] = ArrayRecord({"payload": array})
    return record


def npy(array: np.ndarray[Any, Any], *, allow_pickle: bool = False) -> bytes:
    file = BytesIO()
    np.save(file, array, allow_pickle=allow_pickle)
    return file.getvalue()


def framed(data: bytes) -> Array:
    return Array(dtype="uint8", shape=(1,), stype="numpy.ndarray", data=data)


HEAD = {"kind": "K", "header": "{}"}


@pytest.mark.parametrize(
    "record",
    [
        record_of(None),
        record_of({}),
        record_of({"kind": "K"}),
        record_of(HEAD),
        record_of({**HEAD, "payload": "text"}),
        record_of({**HEAD, "payload": 5}),
        record_of({**HEAD, "payload": [1, 2]}),
        record_of({"kind": 1, "header": "{}", "payload": b""}),
        record_of({"kind": "K", "header": b"{}", "payload": b""}),
        record_of({"kind": "K", "header": "x" * (16 * 1024 * 1024 + 1), "payload": b""}),
        record_of(HEAD, Array(np.zeros(4, dtype=np.float32))),
        record_of(HEAD, Array(np.zeros((2, 2), dtype=np.uint8))),
        record_of(HEAD, framed(b"")),
        record_of(HEAD, framed(b"PK\x03\x04")),
        record_of(HEAD, framed(b"\x93NUMPY")),
        record_of(HEAD, framed(npy(np.zeros(9, dtype=np.uint8))[:-1])),
        record_of(HEAD, framed(npy(np.array([print], dtype=object), allow_pickle=True))),
    ],
)
def test_what_entente_does_not_send_is_refused(record: RecordDict) -> None:
    with pytest.raises(ProtectionViolated):
        from_record(record)


def test_an_array_that_claims_to_be_larger_than_memory_is_refused() -> None:
    head = npy(np.zeros(1, dtype=np.uint8)).replace(
        b"(1,), }" + b" " * 16, b"(9000000000000000000,)}"
    )
    assert b"9000000000000000000" in head
    with pytest.raises(ProtectionViolated):
        from_record(record_of(HEAD, framed(head)))


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_no_damage_to_an_array_does_more_than_refuse_it(data: st.DataObject) -> None:
    whole = bytearray(npy(np.arange(8, dtype=np.uint8)))
    for _ in range(data.draw(st.integers(1, 4))):
        # The framing is where a parser can be surprised; 136 bytes in all.
        whole[data.draw(st.integers(0, 127))] = data.draw(st.integers(0, 255))
    cut = bytes(whole[: data.draw(st.integers(0, len(whole)))])
    try:
        _, _, payload = from_record(record_of(HEAD, framed(cut)))
    except ProtectionViolated:
        return
    assert len(payload) <= len(cut)
