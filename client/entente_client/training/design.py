"""The design matrix: from a site's data frame to the numbers a model reads.

The design follows from the contract and the job alone, never from the rows, so every site builds
the same columns in the same order: numeric features as they stand, categories as one column a code
(1 where the row has that code, else 0), in the contract's order of codes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from entente_common.contracts.dataset import Column, DatasetContract
from entente_common.contracts.job import Job
from entente_common.errors import InvalidJob, Issue, SchemaMismatch, UnusableValues

Matrix = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]

_BINARY_CLASSES = 2


class Design:
    """Which columns become which inputs, and which column is the label.

    Args:
        contract: The agreed columns.
        features: Feature names in the order wanted; None takes every column that is neither label
            nor key, in the contract's order.
        label: The label column; None takes the contract's.

    Raises:
        SchemaMismatch: The contract does not offer these columns in a usable form; all issues at
            once.
    """

    __slots__ = ("_columns", "classes", "column_names", "contract", "features", "label")

    contract: DatasetContract
    features: tuple[str, ...]
    label: str
    classes: tuple[str, ...]
    """The label's codes as text, in the order of class indices."""
    column_names: tuple[str, ...]
    """Names of the matrix columns: `age` for a number, `sex=1` for a code."""

    def __init__(
        self, contract: DatasetContract, features: Sequence[str] | None, label: str | None
    ) -> None:
        self.contract = contract
        self.label = contract.label if label is None else label
        self.features = (
            tuple(features)
            if features is not None
            else tuple(column.name for column in contract.feature_columns(label=label))
        )
        if issues := list(_column_issues(contract, self.features, self.label)):
            raise SchemaMismatch(f"Contract {contract.ref} does not fit the job.", issues=issues)
        known = {column.name: column for column in contract.columns}
        self._columns = tuple(known[name] for name in self.features)
        self.classes = _codes(known[self.label])
        self.column_names = tuple(name for column in self._columns for name in _names(column))

    @classmethod
    def for_job(cls, job: Job, contract: DatasetContract) -> Design:
        """The design of a job over the contract it names.

        Raises:
            SchemaMismatch: The job names columns that the contract does not offer.
            InvalidJob: The job names another contract, or its task does not fit the label.
        """
        if job.data.contract != contract.ref:
            issue = Issue(
                "data.contract",
                f"The job asks for {job.data.contract}, not {contract.ref}.",
                "Use the contract the job names.",
            )
            raise InvalidJob("The job names another contract.", issues=[issue])
        design = cls(contract, job.data.features, job.data.label)
        classes = len(design.classes)
        if job.task == "binary-classification" and classes != _BINARY_CLASSES:
            issue = Issue(
                "task",
                f"Column {design.label} has {classes} classes.",
                "Use the task multiclass-classification.",
            )
            raise InvalidJob("The task does not fit the label.", issues=[issue])
        return design

    @property
    def outputs(self) -> int:
        """Number of logits: 1 for two classes, else one a class."""
        return 1 if len(self.classes) == _BINARY_CLASSES else len(self.classes)

    @property
    def inputs(self) -> int:
        """Number of columns of the matrix."""
        return len(self.column_names)

    @property
    def numeric_positions(self) -> npt.NDArray[np.int64]:
        """Positions of the numeric features among the matrix columns, rising."""
        numeric = [column.type != "category" for column in self._columns for _ in _names(column)]
        return np.flatnonzero(numeric).astype(np.int64)

    @property
    def numeric_ranges(self) -> Matrix:
        """Public (minimum, maximum) of each numeric feature, shape `(numeric features, 2)`."""
        bounds = [
            (column.minimum, column.maximum)
            for column in self._columns
            if column.type != "category"
        ]
        return np.asarray(bounds, dtype=np.float64).reshape(-1, 2)

    def encode(self, frame: pl.DataFrame) -> tuple[Matrix, Labels]:
        """Turn rows that met the contract into a `(n, inputs)` matrix and `(n,)` class indices.

        Raises:
            SchemaMismatch: A column is missing.
            UnusableValues: A row holds an unknown code or a value that is no finite number.
        """
        wanted = (*self.features, self.label)
        if missing := [name for name in wanted if name not in frame.columns]:
            issues = [Issue(name, "The column is missing.", "Add it.") for name in missing]
            raise SchemaMismatch("The rows lack columns of the contract.", issues=issues)
        blocks = [self._block(frame, column) for column in self._columns]
        matrix = np.hstack(blocks) if blocks else np.empty((frame.height, 0))
        labels = _indices(frame, self.contract.column(self.label))
        return matrix.astype(np.float64, copy=False), labels

    def _block(self, frame: pl.DataFrame, column: Column) -> Matrix:
        if column.type == "category":
            return np.eye(len(_codes(column)), dtype=np.float64)[_indices(frame, column)]
        values = frame[column.name].cast(pl.Float64, strict=False).to_numpy().astype(np.float64)
        _refuse(column.name, int(np.count_nonzero(~np.isfinite(values))), "no finite number")
        return values.reshape(-1, 1)


def _column_issues(
    contract: DatasetContract, features: tuple[str, ...], label: str
) -> Iterator[Issue]:
    known = {column.name: column for column in contract.columns}
    if label not in known:
        yield Issue("data.label", f"There is no column {label}.", "Name a column of the contract.")
    elif known[label].type != "category":
        yield Issue("data.label", f"Column {label} has no classes.", "Name a category column.")
    if not features:
        yield Issue("data.features", "There is no feature.", "Name at least one column.")
    for name in features:
        path = f"data.features.{name}"
        if name not in known:
            yield Issue(path, "There is no such column.", "Name a column of the contract.")
        elif name in {label, contract.key}:
            yield Issue(path, "The label or the key cannot be a feature.", "Remove it.")


def _codes(column: Column) -> tuple[str, ...]:
    return tuple(str(code) for code in column.codes or ())


def _names(column: Column) -> tuple[str, ...]:
    """Names of the matrix columns that `column` becomes."""
    if column.type != "category":
        return (column.name,)
    return tuple(f"{column.name}={code}" for code in _codes(column))


def _indices(frame: pl.DataFrame, column: Column) -> Labels:
    """Place of each row's code among the column's codes."""
    place = {code: index for index, code in enumerate(_codes(column))}
    values = frame[column.name].cast(pl.String)
    found = values.replace_strict(place, default=-1, return_dtype=pl.Int64).to_numpy()
    _refuse(column.name, int(np.count_nonzero(found < 0)), "not a code of the contract")
    return found.astype(np.int64)


def _refuse(name: str, count: int, fault: str) -> None:
    if count:
        issue = Issue(name, f"{count} values are {fault}.", "Correct them.")
        raise UnusableValues("The rows hold values that cannot be used.", issues=[issue])
