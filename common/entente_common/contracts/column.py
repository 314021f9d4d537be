"""One column of a dataset contract: its type, and the values it may hold."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from entente_common.contracts.document import Finding, Section
from entente_common.contracts.faults import Path
from entente_common.contracts.fields import ColumnName, Note, repeated_entries
from entente_common.contracts.spelling import listed

ColumnType = Literal["float", "integer", "category"]

_TextCode = Annotated[
    str,
    Field(
        pattern=r"^[^\x00-\x1f\x7f]{1,128}$",
        json_schema_extra={"x-expected": "quoted text of 1 to 128 characters"},
    ),
]
_NumberCode = Annotated[
    int,
    Field(
        ge=-(2**53) + 1,
        le=2**53 - 1,
        json_schema_extra={"x-expected": "a whole number"},
    ),
]
_Codes = Annotated[
    tuple[_TextCode | _NumberCode, ...], Field(strict=False, min_length=2, max_length=1000)
]


class Column(Section):
    """One column of a dataset.

    Attributes:
        name: Its name in the header of the data.
        type: `float`, `integer`, or `category` (one of `codes`).
        unit: The unit of its values, for example `mmHg`; numbers only.
        minimum: Smallest value that may occur, in `unit`; every numeric feature states it.
        maximum: Largest value that may occur, in `unit`; every numeric feature states it.
        codes: Values that may occur in a category, in their order.
        description: What it means.
    """

    name: ColumnName = Field(description="The column's name in the header of the data.")
    type: ColumnType = Field(examples=["float"], description="What its values are.")
    unit: Annotated[str, Field(min_length=1, max_length=64)] | None = Field(
        default=None, description="The unit of a number, for example `mmHg`."
    )
    minimum: float | None = Field(
        default=None, description="Smallest value that may occur, in `unit`."
    )
    maximum: float | None = Field(
        default=None, description="Largest value that may occur, in `unit`."
    )
    codes: _Codes | None = Field(
        default=None, description="Values that may occur in a category, in their order."
    )
    description: Note = Field(default="", description="What it means.")

    def findings(self, at: Path, *, is_key: bool) -> Iterator[Finding]:
        """Everything that does not hold between this column's fields.

        Args:
            at: Where the column stands in its contract.
            is_key: Whether it identifies records; then its values need no bounds or codes.
        """
        if self.type == "category":
            yield from _category(self, at, coded=not is_key)
        else:
            yield from _number(self, at, bounded=not is_key)


def _category(column: Column, at: Path, *, coded: bool) -> Iterator[Finding]:
    kind = ((*at, "type"),)
    for field in ("unit", "minimum", "maximum"):
        if getattr(column, field) is not None:
            yield Finding(
                (*at, field), "goes with numbers only.", "Remove it, or change `type`.", kind
            )
    if column.codes is None:
        if coded:
            yield Finding(
                (*at, "codes"), "is missing.", "Add `codes`: every value that may occur.", kind
            )
        return
    repeated = repeated_entries(column.codes)
    if repeated:
        yield Finding(
            (*at, "codes"),
            f"holds {listed(repeated, last='and')} more than once.",
            'Name each code once; `1` and `"1"` are the same in a file.',
        )
    if len({type(code) for code in column.codes}) > 1:
        yield Finding(
            (*at, "codes"),
            "mixes text and numbers.",
            "Quote every code, or none.",
        )


def _number(column: Column, at: Path, *, bounded: bool) -> Iterator[Finding]:
    kind = ((*at, "type"),)
    if column.codes is not None:
        yield Finding(
            (*at, "codes"),
            "goes with categories only.",
            "Remove it, or write `type: category`.",
            kind,
        )
    bounds = {"minimum": column.minimum, "maximum": column.maximum}
    for field, bound in bounds.items():
        if bound is None and bounded:
            yield Finding(
                (*at, field),
                "is missing.",
                f"Add `{field}`: the public bound that no value of `{column.name}` passes.",
                (*kind, (*at, "name")),
            )
        elif bound is not None and column.type == "integer" and not bound.is_integer():
            yield Finding(
                (*at, field),
                f"is {bound:g}, but the column holds whole numbers.",
                "Write a whole number.",
                kind,
            )
    if column.minimum is not None and column.maximum is not None:
        yield from _ordered(column.minimum, column.maximum, at)


def _ordered(minimum: float, maximum: float, at: Path) -> Iterator[Finding]:
    if minimum >= maximum:
        yield Finding(
            (*at, "maximum"),
            f"is {maximum:g}, not above the minimum {minimum:g}.",
            "Write a maximum greater than the minimum.",
            ((*at, "minimum"),),
        )
