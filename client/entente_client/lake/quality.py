"""The checks: does a raw table of text meet its contract?

All faults are found in one pass and told by column and count, never by value, so that a report may
be sent to a colleague or a support desk. A table that passes holds exactly the contract's columns
in the contract's order: numbers finite and in range, categories as the text of a code, the key
unique.
"""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from entente_common.contracts.dataset import Column, DatasetContract
from entente_common.errors import DataProblem, Issue, SchemaMismatch, UnusableValues

_EXACT_INTEGERS = 2**53


def admit(raw: pl.DataFrame, contract: DatasetContract) -> pl.DataFrame:
    """Turn a raw table into typed rows that meet `contract`.

    Raises:
        SchemaMismatch: Columns are missing, unknown or of another type; lists all other faults too.
        UnusableValues: Values are missing, not finite, out of range or no code, or keys repeat.
        DataProblem: There are no rows.
    """
    schema = list(_schema_issues(raw, contract))
    values: list[Issue] = []
    typed: dict[str, pl.Series] = {}
    for column in contract.columns:
        name = column.name
        if name not in raw.columns:
            continue
        text = raw[name].cast(pl.String).str.strip_chars()
        typed[name] = _typed(text, column)
        schema.extend(_type_issues(text, typed[name], column))
        values.extend(_value_issues(text, typed[name], column))
        if name == contract.key:
            values.extend(_key_issues(typed[name]))
    _refuse(contract, schema, values)
    if not raw.height:
        raise DataProblem("The table has a header but no rows.")
    return pl.DataFrame(typed)


def _refuse(contract: DatasetContract, schema: list[Issue], values: list[Issue]) -> None:
    detail = f"The table does not meet contract {contract.ref}."
    if schema:
        raise SchemaMismatch(detail, issues=[*schema, *values])
    if values:
        raise UnusableValues(detail, issues=values)


def _schema_issues(raw: pl.DataFrame, contract: DatasetContract) -> Iterator[Issue]:
    expected = [column.name for column in contract.columns]
    for name in expected:
        if name not in raw.columns:
            yield Issue(name, "The column is missing.", "Add it, or correct its name.")
    for name in raw.columns:
        if name not in expected:
            yield Issue(name, "The contract has no such column.", "Remove it from the source.")


def _typed(text: pl.Series, column: Column) -> pl.Series:
    """The series in its contract's type; null where the text does not have that type."""
    if column.type == "float":
        return text.cast(pl.Float64, strict=False)
    if column.type == "integer":
        return _whole(text)
    # Codes are all text or all numbers; a key may be any text, and then has none.
    if column.codes is not None and isinstance(column.codes[0], int):
        return _whole(text).cast(pl.String)
    return _present(text)


def _present(text: pl.Series) -> pl.Series:
    """Empty text as null."""
    return text.set(text == "", None)


def _whole(text: pl.Series) -> pl.Series:
    """Whole numbers, also when written as `63.0`; null where there is none."""
    number = text.cast(pl.Float64, strict=False)
    exact = number.is_finite() & (number == number.round(0)) & (number.abs() <= _EXACT_INTEGERS)
    return number.set(~exact.fill_null(value=False), None).cast(pl.Int64)


def _type_issues(text: pl.Series, typed: pl.Series, column: Column) -> Iterator[Issue]:
    """Text that stands there but has another type; NaN and infinity are faults of value."""
    if column.type == "category":
        return
    number = text.cast(pl.Float64, strict=False)
    unreadable = _present(text).is_not_null() & number.is_null()
    yield from _counted(unreadable, column.name, "no number", "Write numbers with a decimal point.")
    if column.type == "integer":
        broken = number.is_finite() & typed.is_null()
        yield from _counted(broken, column.name, "no whole number", "Correct or round them.")


def _value_issues(text: pl.Series, typed: pl.Series, column: Column) -> Iterator[Issue]:
    missing = _present(text).is_null()
    yield from _counted(missing, text.name, "missing", "Fill them in or remove the rows.")
    if column.type == "category":
        yield from _code_issues(missing, typed, column)
        return
    number = text.cast(pl.Float64, strict=False)
    cure = "Fill them in or remove the rows."
    yield from _counted(number.is_nan(), column.name, "NaN", cure)
    yield from _counted(number.is_infinite(), column.name, "infinite", cure)
    yield from _range_issues(number, column)


def _code_issues(missing: pl.Series, typed: pl.Series, column: Column) -> Iterator[Issue]:
    if column.codes is None:
        return
    known = typed.is_in([str(code) for code in column.codes]).fill_null(value=False)
    cure = "Use the codes of the contract."
    yield from _counted(~missing & ~known, column.name, "no code of the contract", cure)


def _range_issues(number: pl.Series, column: Column) -> Iterator[Issue]:
    unit = f" {column.unit}" if column.unit else ""
    if column.minimum is not None:
        below = number.is_finite() & (number < column.minimum)
        cure = f"Correct them; the contract allows {column.minimum:g}{unit} or more."
        yield from _counted(below, column.name, "below the contract's minimum", cure)
    if column.maximum is not None:
        above = number.is_finite() & (number > column.maximum)
        cure = f"Correct them; the contract allows {column.maximum:g}{unit} or less."
        yield from _counted(above, column.name, "above the contract's maximum", cure)


def _key_issues(key: pl.Series) -> Iterator[Issue]:
    """Repeated keys: with them, protecting a record would not protect whom the record is about."""
    present = key.drop_nulls()
    repeats = present.len() - present.n_unique()
    if repeats:
        reason = f"{repeats} of {key.len()} rows repeat the key of another row."
        yield Issue(key.name, reason, "Keep one row a key, or name another key in the contract.")


def _counted(fault: pl.Series, name: str, what: str, cure: str) -> Iterator[Issue]:
    count = int(fault.fill_null(value=False).sum())
    if count:
        verb = "is" if count == 1 else "are"
        yield Issue(name, f"{count} of {fault.len()} values {verb} {what}.", cure)
