"""One entry of the audit trail, and the bytes that the tree holds of it.

A leaf is the canonical JSON (RFC 8785) of the entry's six fields, nothing else: whoever reads the
entry can compute the leaf, and two entries that differ in anything have different leaves.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from entente_common.audit.merkle import leaf_hash
from entente_common.canonical import canonical_json
from entente_common.errors import InvalidDocument

TEXT_LIMIT = 512
DETAIL_LIMIT_BYTES = 64 * 1024
DEPTH_LIMIT = 16
# The integers that JSON numbers carry exactly (RFC 8785 §3.2.2.3, RFC 7493 §2.2).
INTEGER_LIMIT = 2**53 - 1

_FIELDS = {"index", "at", "actor", "action", "subject", "detail"}
_AT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", re.ASCII)
_ACTION = re.compile(r"[a-z][a-z0-9_-]*(?:\.[a-z][a-z0-9_-]*)*", re.ASCII)
_SURROGATES = re.compile("[\ud800-\udfff]")
_BEYOND_BMP = re.compile("[^\x00-\uffff]")
# Canonical JSON for values without fractions and with keys below U+10000, by the C encoder.
_encode = json.JSONEncoder(
    ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False
).encode


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Who did what to what, and when.

    Attributes:
        index: Its place in the log, from 0.
        at: RFC 3339 in UTC with milliseconds, as `clock.rfc3339` writes it.
        actor: Who did it.
        action: What was done, such as `run.submitted`.
        subject: What it was done to.
        detail: More, as a JSON object, which nobody changes any more; numbers finite, whole ones
            within ±(2^53 - 1).
    """

    index: int
    at: str
    actor: str
    action: str
    subject: str
    detail: dict[str, Any]

    def __post_init__(self) -> None:
        """Hold every entry to one form, wherever it comes from.

        Raises:
            InvalidDocument: A field is not as said above.
        """
        if type(self.index) is not int or not 0 <= self.index <= INTEGER_LIMIT:
            raise _invalid("index", "is no place in a log: write a whole number from 0")
        _check_time(self.at)
        _check_line("actor", self.actor)
        _check_line("subject", self.subject)
        _check_line("action", self.action)
        if not _ACTION.fullmatch(self.action):
            raise _invalid("action", "is not of the form noun.verb")
        if not isinstance(self.detail, dict):
            raise _invalid("detail", "is not an object")
        _check_value(self.detail, depth=DEPTH_LIMIT)

    @classmethod
    def from_document(cls, document: object) -> AuditEntry:
        """Read an entry from parsed JSON.

        Raises:
            InvalidDocument: It is not exactly an entry.
        """
        if not isinstance(document, dict) or document.keys() != _FIELDS:
            raise InvalidDocument(
                f"An audit entry has exactly the fields {', '.join(sorted(_FIELDS))}."
            )
        return cls(**document)

    def document(self) -> dict[str, Any]:
        """The entry as JSON."""
        return {
            "index": self.index,
            "at": self.at,
            "actor": self.actor,
            "action": self.action,
            "subject": self.subject,
            "detail": self.detail,
        }

    def leaf_bytes(self) -> bytes:
        """What the tree holds of it: its canonical JSON."""
        document = self.document()
        if _is_simple(self.detail):
            return _encode(document).encode()
        return canonical_json(document)

    def leaf_hash(self) -> bytes:
        """Its leaf in the tree, 32 bytes."""
        return leaf_hash(self.leaf_bytes())


def _check_time(at: object) -> None:
    if isinstance(at, str) and _AT.fullmatch(at):
        try:
            datetime.fromisoformat(at)
        except ValueError:
            pass
        else:
            return
    raise _invalid("at", "is no moment such as 2026-11-23T09:30:00.000Z")


def _check_line(name: str, value: object) -> None:
    if not isinstance(value, str) or not value.isprintable() or not 0 < len(value) <= TEXT_LIMIT:
        raise _invalid(name, f"is not one line of 1 to {TEXT_LIMIT} printable characters")


def _check_value(value: object, *, depth: int) -> None:
    """Refuse what canonical JSON cannot carry unchanged."""
    if isinstance(value, str):
        if not value.isascii() and _SURROGATES.search(value):
            raise _invalid("detail", "holds half characters (lone surrogates)")
    elif isinstance(value, dict | list):
        _check_parts(value, depth=depth)
    elif isinstance(value, int | float):
        # An integral fraction is written as an integer, so it is held to the same limit.
        whole = isinstance(value, int) or not math.isfinite(value) or value.is_integer()
        if whole and not abs(value) <= INTEGER_LIMIT:
            raise _invalid("detail", "holds a number beyond ±(2^53 - 1): write it as text")
    elif value is not None:
        raise _invalid("detail", f"holds a {type(value).__name__}, which is no JSON")


def _check_parts(value: dict[str, Any] | list[Any], *, depth: int) -> None:
    if depth == 0:
        raise _invalid("detail", f"is nested more than {DEPTH_LIMIT} levels deep")
    if isinstance(value, list):
        for part in value:
            _check_value(part, depth=depth - 1)
        return
    for key, part in value.items():
        if not isinstance(key, str):
            raise _invalid("detail", "has a key that is no text")
        _check_value(key, depth=depth)
        _check_value(part, depth=depth - 1)


def _is_simple(value: object) -> bool:
    """Whether the plain encoder writes `value` canonically: no fractions, keys below U+10000.

    RFC 8785 sorts keys by UTF-16 units (§3.2.3), Python by code points: they agree below U+10000.
    """
    if isinstance(value, dict):
        return all(
            (key.isascii() or not _BEYOND_BMP.search(key)) and _is_simple(part)
            for key, part in value.items()
        )
    if isinstance(value, list):
        return all(map(_is_simple, value))
    return value is None or isinstance(value, str | int)


def _invalid(name: str, reason: str) -> InvalidDocument:
    return InvalidDocument(f"The {name} of an audit entry {reason}.")
