"""Named kinds of field that several documents share.

Each carries its own rule (pattern, range) and, under `x-expected` in its JSON Schema, the words by
which a person is told that rule. A field marked `x-secret` is never quoted back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

ApiVersion = Annotated[Literal["entente/v1"], Field(description="The format of the document.")]

_SLUG = r"[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?"
_MOMENT = r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?(?:Z|[+-]\d{2}:\d{2})"
_HOST = r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}))"


def _words(expected: str) -> dict[str, Any]:
    return {"x-expected": expected}


Slug = Annotated[
    str,
    Field(
        pattern=rf"^{_SLUG}$",
        examples=["heart"],
        json_schema_extra=_words(
            "1 to 63 lowercase letters, digits and hyphens, beginning with a letter "
            "and not ending with a hyphen"
        ),
    ),
]
"""A name that is safe in a URL, a file name and a certificate."""

ContractRef = Annotated[
    str,
    Field(
        pattern=rf"^{_SLUG}@[1-9][0-9]{{0,5}}$",
        examples=["heart@1"],
        json_schema_extra=_words("a contract's name and version, such as `heart@1`"),
    ),
]
"""A dataset contract by name and version."""

ColumnName = Annotated[
    str,
    Field(
        pattern=r"^[^\s\x00-\x1f\x7f](?:[^\x00-\x1f\x7f]{0,126}[^\s\x00-\x1f\x7f])?$",
        examples=["column"],
        json_schema_extra=_words(
            "a column's name: 1 to 128 characters on one line, no space at either end"
        ),
    ),
]
"""A column's name as it stands in the header of the data."""

Note = Annotated[
    str,
    Field(
        pattern=r"^[^\x00-\x08\x0b-\x1f\x7f]*$",
        max_length=4000,
        json_schema_extra=_words("text of at most 4000 characters"),
    ),
]
"""Free text for people."""

Digest = Annotated[
    str,
    Field(
        pattern=r"^sha256:[0-9a-f]{64}$",
        examples=["sha256:" + "0" * 64],
        json_schema_extra=_words("`sha256:` followed by 64 hexadecimal digits"),
    ),
]
"""A SHA-256 digest as `entente_common.canonical` writes it."""

Moment = Annotated[
    str,
    Field(
        pattern=rf"^{_MOMENT}$",
        examples=["2026-01-01T00:00:00.000Z"],
        json_schema_extra=_words("a moment in RFC 3339, such as `2026-11-23T09:30:00.000Z`"),
    ),
]
"""A moment in RFC 3339, as `entente_common.clock.rfc3339` writes it."""

Address = Annotated[
    str,
    Field(
        pattern=rf"^{_HOST}:[0-9]{{1,5}}$",
        examples=["127.0.0.1:9443"],
        json_schema_extra=_words("an address as `host:port`, such as `coordinator.example:9443`"),
    ),
]
"""A host and a port; an IPv6 host stands in square brackets."""


def _distinct(entries: tuple[Any, ...]) -> tuple[Any, ...]:
    repeated = repeated_entries(entries)
    if repeated:
        reason = f"names {', '.join(f'`{text}`' for text in repeated)} more than once."
        raise PydanticCustomError("repeated", "{reason}", {"reason": reason})
    return entries


def repeated_entries(entries: Iterable[object]) -> list[str]:
    """The text of every entry that occurs more than once, each named once, in order."""
    counts = Counter(str(entry) for entry in entries)
    return [text for text, count in counts.items() if count > 1]


Distinct = AfterValidator(_distinct)
"""Marks a list whose entries must differ."""


class WireModel(BaseModel):
    """A model that processes send each other.

    Frozen. A reader ignores members it does not know, so that a newer sender may add some; numbers
    are finite, because JSON holds no others.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)
