"""Faults of a document's fields, told in words a person can act on.

Pydantic finds the faults; this file says them. A fault is looked up in the document's JSON Schema
rather than in pydantic's own message: the schema knows the keys that would have been valid, the
whole range of a number and the allowed values of a choice, and it tells which parts of pydantic's
location are keys of the document and which only name a branch of a union.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from entente_common.contracts.schema import Node, Place
from entente_common.contracts.spelling import excerpt, listed, nearest

Path = tuple[str | int, ...]

REMOVE: Final = object()
"""The stand-in of a field that is best taken out: its default, or nothing, is valid."""

_ECHO_LIMIT = 40
_KEY_LIMIT = 128
_WHY = {
    "greater_than": "too small",
    "greater_than_equal": "too small",
    "less_than": "too large",
    "less_than_equal": "too large",
    "finite_number": "not a finite number",
    "literal_error": "not allowed",
    "string_pattern_mismatch": "not of the right form",
    "string_unicode": "not valid Unicode",
    "string_too_short": "too short",
    "string_too_long": "too long",
}
"""What pydantic's error types mean, after `which is`."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One field that is wrong.

    Attributes:
        path: Keys and list places from the document's root.
        reason: What is wrong, a sentence.
        cure: What to write instead, a sentence.
        stand_in: A valid value with which the checking can go on, or `REMOVE`.
        guessed: Whether the stand-in is likely what was meant, so that faults behind it are real.
    """

    path: Path
    reason: str
    cure: str
    stand_in: object = REMOVE
    guessed: bool = False


def dotted(path: Path) -> str:
    """`path` as people write it: `training.optimizer.lr`, `columns.3.codes`."""
    return ".".join(excerpt(str(key), limit=_KEY_LIMIT) for key in path) or "document"


def faults_of(refusal: ValidationError, schema: Node, *, most: int) -> list[Fault]:
    """The faults in `refusal`, one a field, in the order of the fields.

    Args:
        refusal: What pydantic refused.
        schema: The JSON Schema of the model that was validated.
        most: How many to tell, 1 or more.
    """
    top = Place.top(schema)
    found: dict[Path, Fault] = {}
    for detail in refusal.errors(include_url=False):
        if not _echoes_entries(detail):
            fault = _fault(detail, top)
            found.setdefault(fault.path, fault)
        if len(found) == most:
            break
    return list(found.values())


def _echoes_entries(detail: ErrorDetails) -> bool:
    """Whether a list is said to be too short only because some of its entries are faulty."""
    return detail["type"] == "too_short" and len(detail["input"]) >= detail["ctx"]["min_length"]


def _fault(detail: ErrorDetails, top: Place) -> Fault:
    path, places = _locate(detail["loc"], top)
    match detail["type"]:
        case "extra_forbidden" | "invalid_key":
            return _unknown_key(path, places[-2], top)
        case "union_tag_invalid" | "union_tag_not_found":
            return _wrong_branch(path, places[-1], detail["input"])
        case "missing" if isinstance(path[-1], int):
            return _wrong(path[:-1], places[-2], detail)
        case "missing":
            return _missing(path, places[-1])
        case _:
            return _wrong(path, places[-1], detail)


def _locate(location: tuple[int | str, ...], top: Place) -> tuple[Path, list[Place]]:
    """The document's path for pydantic's `location`, and the places from the top down along it."""
    path: list[str | int] = []
    places = [top]
    for key in location:
        if places[-1].is_branch(key):
            places[-1] = places[-1].child(key)
        else:
            path.append(key)
            places.append(places[-1].child(key))
    return tuple(path), places


def _missing(path: Path, place: Place) -> Fault:
    cure = f"Add `{path[-1]}`: {place.expectation()}."
    return Fault(path, "is missing.", cure, stand_in=place.stand_in())


def _unknown_key(path: Path, parent: Place, top: Place) -> Fault:
    key = str(path[-1])
    cure = (
        _belongs_to_other_branch(key, parent)
        or _meant(key, parent.keys)
        or _belongs_elsewhere(key, top)
        or f"The keys here are {listed(parent.keys, last='and')}."
    )
    return Fault(path, "is not a known key.", cure)


def _belongs_to_other_branch(key: str, parent: Place) -> str:
    if parent.union is None:
        return ""
    tag = parent.union.tag
    owners = [value for value, branch in parent.union.branches.items() if key in branch.keys]
    if not owners:
        return ""
    return (
        f"Write {listed(f'{tag}: {owner}' for owner in owners)}, with which it goes, or remove it."
    )


def _belongs_elsewhere(key: str, top: Place) -> str:
    homes = {path for path, _ in top.leaves() if path[-1] == key and len(path) > 1}
    return f"Write it as `{dotted(homes.pop())}`." if len(homes) == 1 else ""


def _wrong_branch(path: Path, union: Place, value: object) -> Fault:
    """A mapping whose tag is missing or names no branch."""
    tag, written = str(union.tag), value if isinstance(value, Mapping) else {}
    place = (*path, tag)
    if tag in written:
        meant = nearest(str(written[tag]), union.branches)
        reason = f"is {_echo(written[tag])}, which is not known."
        cure = f"{_meant_value(meant)} Write {listed(union.branches)}.".strip()
    else:
        meant = _branch_with(union, written)
        reason = "is missing."
        cure = f"Add `{tag}`: {listed([meant] if meant else union.branches)}."
    stand_in = meant or next(iter(union.branches))
    return Fault(place, reason, cure, stand_in=stand_in, guessed=meant is not None)


def _branch_with(union: Place, written: Mapping[Any, Any]) -> str | None:
    """The only branch that knows one of the keys written, if it is the only one."""
    fits = [
        value
        for value, branch in union.branches.items()
        if any(key in branch.keys for key in written)
    ]
    return fits[0] if len(fits) == 1 else None


def _wrong(path: Path, place: Place, detail: ErrorDetails) -> Fault:
    value = detail["input"]
    if detail["type"] == "repeated":
        return Fault(path, str(detail["ctx"]["reason"]), "Name each once.")
    reason = "has no value." if value is None else _reason(place, detail)
    meant = nearest(value, map(str, place.allowed)) if isinstance(value, str) else None
    cure = f"{_meant_value(meant)} Write {place.expectation()}.".strip()
    return Fault(path, reason, cure)


def _reason(place: Place, detail: ErrorDetails) -> str:
    kind, value = detail["type"], detail["input"]
    if kind in {"too_short", "too_long", "missing"}:
        return f"has {len(value)} entr{'y' if len(value) == 1 else 'ies'}."
    shown = "a value" if place.secret else _echo(value)
    if kind.endswith("_type"):
        return f"is {shown}, not {place.noun}."
    return f"is {shown}, which is {_WHY.get(kind, 'not valid')}."


def _meant(word: str, names: tuple[str, ...]) -> str:
    name = nearest(word, names)
    return f"Did you mean `{name}`?" if name else ""


def _meant_value(value: str | None) -> str:
    return f"Did you mean `{value}`?" if value else ""


def _echo(value: object) -> str:
    """`value` as it may be quoted back: a scalar, cut to a readable length."""
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    return excerpt(json.dumps(value, ensure_ascii=False, default=str), limit=_ECHO_LIMIT)
