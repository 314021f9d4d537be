"""An audit entry has one canonical form, and no other reading."""

import hashlib
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from entente_common.audit.entry import DEPTH_LIMIT, INTEGER_LIMIT, TEXT_LIMIT, AuditEntry
from entente_common.clock import rfc3339, utc_now
from entente_common.errors import InvalidDocument
from fakes.audit_log import entry_at

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
NUMBERS = st.integers(-INTEGER_LIMIT, INTEGER_LIMIT) | st.floats(-1e15, 1e15)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda parts: st.lists(parts, max_size=3) | st.dictionaries(TEXT, parts, max_size=3),
    max_leaves=8,
)
DETAILS = st.dictionaries(TEXT, VALUES, max_size=4)
LINES = st.text(
    st.characters(exclude_categories=["C", "Z"]) | st.just(" "), min_size=1, max_size=TEXT_LIMIT
)
GOOD = entry_at(3).document()


def nested(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels - 1):
        value = {"a": value}
    return value


FAULTS: dict[str, dict[str, Any]] = {
    "index below 0": {"index": -1},
    "index beyond JSON": {"index": INTEGER_LIMIT + 1},
    "index true": {"index": True},
    "index a fraction": {"index": 3.0},
    "index text": {"index": "3"},
    "no text for time": {"at": 3},
    "time without milliseconds": {"at": "2026-11-23T09:30:00Z"},
    "time in a zone": {"at": "2026-11-23T09:30:00.000+00:00"},
    "a day that is none": {"at": "2026-02-30T09:30:00.000Z"},
    "digits of another script": {"at": "٢026-11-23T09:30:00.000Z"},
    "actor empty": {"actor": ""},
    "actor null": {"actor": None},
    "actor of two lines": {"actor": "a\nb"},
    "actor with a control code": {"actor": "a\x1b[2J"},
    "actor half a character": {"actor": "\ud800"},
    "actor too long": {"actor": "a" * (TEXT_LIMIT + 1)},
    "subject empty": {"subject": ""},
    "subject too long": {"subject": "a" * (TEXT_LIMIT + 1)},
    "action in capitals": {"action": "Run.Submitted"},
    "action of dots": {"action": "run..submitted"},
    "detail a list": {"detail": []},
    "detail null": {"detail": None},
    "detail text": {"detail": "{}"},
    "detail with NaN": {"detail": {"a": float("nan")}},
    "detail with infinity": {"detail": {"a": [float("inf")]}},
    "detail with a number too large": {"detail": {"a": 2**53}},
    "detail with a fraction too large": {"detail": {"a": 1e300}},
    "detail with half a character": {"detail": {"a": "\udfff"}},
    "detail with half a character in a key": {"detail": {"\ud800": 1}},
    "detail with a key that is no text": {"detail": {1: 1}},
    "detail with bytes": {"detail": {"a": b"x"}},
    "detail with a tuple": {"detail": {"a": (1,)}},
    "detail too deep": {"detail": nested(DEPTH_LIMIT + 1)},
}


@given(DETAILS, LINES)
def test_a_leaf_is_the_canonical_json_of_the_entry(detail: dict[str, Any], actor: str) -> None:
    entry = entry_at(3, detail=detail, actor=actor)
    assert entry.leaf_bytes() == rfc8785.dumps(entry.document())
    assert entry.leaf_hash() == hashlib.sha256(b"\x00" + entry.leaf_bytes()).digest()


@given(DETAILS)
def test_an_entry_survives_its_own_json(detail: dict[str, Any]) -> None:
    import json

    entry = entry_at(3, detail=detail)
    again = AuditEntry.from_document(json.loads(entry.leaf_bytes()))
    assert again.leaf_bytes() == entry.leaf_bytes()


def test_a_leaf_is_known_to_the_byte() -> None:
    assert entry_at(3).leaf_bytes() == (
        b'{"action":"run.submitted","actor":"site:a","at":"2026-11-23T09:30:00.000Z",'
        b'"detail":{"epsilon":0.5,"rounds":3,"sites":"a, b"},"index":3,"subject":"run_0003"}'
    )


@pytest.mark.parametrize("field", GOOD)
def test_every_field_is_in_the_leaf(field: str) -> None:
    other = {
        "index": 4,
        "at": "2026-11-23T09:30:00.001Z",
        "actor": "site:b",
        "action": "run.ended",
        "subject": "run_0004",
        "detail": {"rounds": 4},
    }
    changed = AuditEntry.from_document(GOOD | {field: other[field]})
    assert changed.leaf_hash() != entry_at(3).leaf_hash()


def test_the_present_moment_fits() -> None:
    entry_at(0, at=rfc3339(utc_now()), detail=nested(DEPTH_LIMIT))


@pytest.mark.parametrize("change", FAULTS.values(), ids=FAULTS)
def test_an_entry_that_is_none_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(InvalidDocument, match=f"The {next(iter(change))} of an audit entry"):
        AuditEntry.from_document(GOOD | change)


@pytest.mark.parametrize(
    "document",
    [None, [], "x", {}, GOOD | {"more": 1}, {k: v for k, v in GOOD.items() if k != "at"}],
    ids=["null", "list", "text", "empty", "a field more", "a field less"],
)
def test_a_document_of_another_shape_is_refused(document: object) -> None:
    with pytest.raises(InvalidDocument, match="exactly the fields"):
        AuditEntry.from_document(document)
