"""Text becomes plain values by YAML 1.2's core schema, and nothing in it can run or grow."""

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entente_common.contracts.reader import read_yaml
from entente_common.errors import InvalidSettings


def value_of(text: str) -> Any:
    return read_yaml(text, source="file", error=InvalidSettings).document


def refusal_of(text: str) -> str:
    with pytest.raises(InvalidSettings) as caught:
        value_of(text)
    return caught.value.detail


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-5", 1e-5),
        ("1.0e-5", 1e-5),
        (".5", 0.5),
        ("-7", -7),
        ("007", 7),
        ("1_000", "1_000"),
        ("0x10", "0x10"),
        ("12:30:00", "12:30:00"),
        ("2026-11-23", "2026-11-23"),
        ("no", "no"),
        ("on", "on"),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("'1'", "1"),
        ('"true"', "true"),
        ("'null'", "null"),
        (".inf", math.inf),
        ("-.inf", -math.inf),
        ("9" * 5000, math.inf),
    ],
)
def test_scalars_are_what_yaml_1_2_says_they_are(text: str, value: object) -> None:
    found = value_of(f"key: {text}")["key"]
    assert found == value
    assert type(found) is type(value)


def test_not_a_number_is_read_as_such() -> None:
    assert math.isnan(value_of("key: .nan")["key"])


texts = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x2FF, exclude_categories=["Cc"]))
plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**17), 10**17)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=10,
)


@settings(deadline=None)
@given(plain)
def test_json_is_read_as_json(value: object) -> None:
    assert value_of(json.dumps(value, ensure_ascii=False)) == value


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("a: &x 1\nb: *x", "file:2:4: aliases (*name) are not allowed"),
        ("a: !!python/object:os.system x", "file:1:4: tags (!name) are not allowed"),
        ("a: !secret x", "tags (!name) are not allowed"),
        ("{" * 5000, "file:1:33: nested more than 32 levels deep"),
        ("a: b: c", "file:1:5: mapping values are not allowed here"),
        ("a:\n\t- b", "file:2:1: found character '\\t'"),
        ("a: 1\n---\nb: 2", "file:2:1: but found another document"),
        ("a: \0", "file: unacceptable character #x0000"),
        ("a: [", "file:1:5: "),
        ("x" * (1024 * 1024 + 1), "file is larger than 1024 KiB"),
        ("é" * (512 * 1024 + 1), "file is larger than 1024 KiB"),
    ],
)
def test_what_is_refused_is_told_with_its_place(text: str, detail: str) -> None:
    assert refusal_of(text).startswith(detail) or detail in refusal_of(text)


def test_a_key_written_twice_is_a_fault_with_both_lines() -> None:
    reading = read_yaml("a:\n  b: 1\n  b: 2\n", source="file", error=InvalidSettings)
    (fault,) = reading.faults
    assert reading.document == {"a": {"b": 1}}
    assert fault.path == ("a", "b")
    assert fault.cure == "Keep one of the two; the second is on line 3."


def test_a_key_that_is_no_text_is_a_fault() -> None:
    reading = read_yaml("a:\n  ? [1]\n  : 2\n", source="file", error=InvalidSettings)
    (fault,) = reading.faults
    assert fault.path == ("a",)


def test_every_value_has_its_line() -> None:
    reading = read_yaml("a: 1\nb:\n  - 2\n  - c: 3\n", source="file", error=InvalidSettings)
    assert reading.lines[("b", 1, "c")] == 4
    assert reading.lines[("b", 0)] == 3


@settings(deadline=None)
@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        value_of(text)
    except InvalidSettings as refusal:
        assert refusal.detail.startswith("file")  # noqa: PT017 - both outcomes are right
