"""Dataset contracts and cards: what sites agree their data means, and what they tell of it.

A contract is public and holds no data. Its numeric ranges are promises made before anyone looks at
a row, which is what lets sites scale their values without revealing them. The label's codes give
the order of the classes; of two, the second is the positive one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path as FilePath
from typing import Annotated, Any

from pydantic import Field

from entente_common.contracts.column import Column, ColumnType
from entente_common.contracts.document import Document, Finding, admit, admit_text
from entente_common.contracts.faults import Path
from entente_common.contracts.fields import (
    ApiVersion,
    ColumnName,
    ContractRef,
    Digest,
    Note,
    Slug,
    WireModel,
)
from entente_common.contracts.reader import read_text
from entente_common.contracts.spelling import nearest
from entente_common.errors import InvalidContract, Issue, SchemaMismatch

__all__ = [
    "Column",
    "ColumnType",
    "DatasetCard",
    "DatasetContract",
    "contract_from_document",
    "load_contract",
    "parse_contract",
]


class DatasetContract(Document):
    """What every site's copy of a dataset must look like.

    Raises:
        pydantic.ValidationError: A field or a rule between fields is broken. Read documents
            through `parse_contract`, `load_contract` or `contract_from_document`, which name
            every fault.
    """

    api_version: ApiVersion = Field(default="entente/v1", alias="apiVersion")
    name: Slug = Field(description="The dataset's name.")
    version: int = Field(
        ge=1, le=999_999, examples=[1], description="Counts up with every change of the contract."
    )
    description: Note = Field(default="", description="What the dataset is.")
    label: ColumnName = Field(description="The column to predict; a category.")
    key: ColumnName | None = Field(
        default=None,
        description="The column that identifies a record; never a feature, never leaves the site.",
    )
    columns: Annotated[tuple[Column, ...], Field(strict=False)] = Field(
        min_length=2,
        max_length=10_000,
        examples=[[{"name": "age", "type": "float"}, {"name": "disease", "type": "category"}]],
        description="The columns, in their order.",
    )

    @property
    def ref(self) -> str:
        """The contract by name and version, as a job names it: `heart@1`."""
        return f"{self.name}@{self.version}"

    def column(self, name: str) -> Column:
        """The column called `name`.

        Raises:
            SchemaMismatch: The contract has no such column.
        """
        for column in self.columns:
            if column.name == name:
                return column
        meant = nearest(name, (column.name for column in self.columns))
        cure = f"Did you mean `{meant}`?" if meant else "Name a column of the contract."
        raise SchemaMismatch(
            f"The contract {self.ref} has no column `{name}`.",
            hint=cure,
            issues=[Issue(name, f"is no column of {self.ref}.", cure)],
        )

    def feature_columns(self, *, label: str | None = None) -> tuple[Column, ...]:
        """Every column that is neither key nor label (`label`, or the contract's own)."""
        apart = {label or self.label, self.key}
        return tuple(column for column in self.columns if column.name not in apart)

    def findings(self) -> Iterator[Finding]:
        """Everything that does not hold between this contract's fields."""
        yield from _names(self)
        yield from _label(self)
        yield from _key(self)
        for place, column in enumerate(self.columns):
            yield from column.findings(("columns", place), is_key=column.name == self.key)


class DatasetCard(WireModel):
    """What a site publishes of a dataset it holds; never a row, never a value.

    Attributes:
        dataset: The dataset's name at the site.
        contract: The contract it meets, as `heart@1`.
        contract_digest: Digest of that contract.
        version: Digest of the data, so that two versions can be told apart.
        rows: Records it holds, 0 or more.
        columns: Columns it holds, 1 or more.
    """

    dataset: Slug
    contract: ContractRef
    contract_digest: Digest
    version: Digest
    rows: int = Field(ge=0)
    columns: int = Field(ge=1)


def parse_contract(text: str, *, source: str) -> DatasetContract:
    """The contract written in `text` (YAML or JSON, at most 1 MiB).

    Args:
        text: The contract file's content.
        source: What to call the text in messages, usually the file's path.

    Raises:
        InvalidContract: With every fault at once: path, line, reason and cure of each.
    """
    return admit_text(DatasetContract, text, source=source, error=InvalidContract)


def load_contract(path: FilePath) -> DatasetContract:
    """The contract in the file at `path` (YAML or JSON, UTF-8, at most 1 MiB).

    Raises:
        InvalidContract: The file cannot be read, or with every fault at once.
    """
    return parse_contract(read_text(path, error=InvalidContract), source=str(path))


def contract_from_document(document: Mapping[str, Any]) -> DatasetContract:
    """The contract in a JSON document that is already parsed.

    Raises:
        InvalidContract: With every fault at once: path, reason and cure of each.
    """
    return admit(DatasetContract, document, source="The contract", error=InvalidContract)


def _names(contract: DatasetContract) -> Iterator[Finding]:
    seen: dict[str, int] = {}
    for place, column in enumerate(contract.columns):
        first = seen.setdefault(column.name, place)
        if first != place:
            yield Finding(
                ("columns", place, "name"),
                f'is "{column.name}", as columns.{first}.name already is.',
                "Give each column a name of its own.",
                rests_on=(("columns", first, "name"),),
            )


def _label(contract: DatasetContract) -> Iterator[Finding]:
    rests_on = _names_of(contract)
    label = _find(contract, contract.label)
    if label is None:
        yield _no_such_column(contract, ("label",), contract.label)
    elif contract.columns[label].type != "category":
        yield Finding(
            ("columns", label, "type"),
            f'is "{contract.columns[label].type}", but this is the label.',
            "Write `category`, with the classes as `codes`.",
            rests_on=(("label",), *rests_on),
        )
    if not contract.feature_columns():
        yield Finding(
            ("columns",),
            "holds nothing but label and key.",
            "Add at least one column to learn from.",
            rests_on=(("label",), ("key",)),
        )


def _key(contract: DatasetContract) -> Iterator[Finding]:
    if contract.key is None:
        return
    if contract.key == contract.label:
        yield Finding(
            ("key",),
            f'is "{contract.key}", which is the label.',
            "Name the column that identifies a record, or leave `key` out.",
            rests_on=(("label",),),
        )
    elif _find(contract, contract.key) is None:
        yield _no_such_column(contract, ("key",), contract.key)


def _find(contract: DatasetContract, name: str) -> int | None:
    names = [column.name for column in contract.columns]
    return names.index(name) if name in names else None


def _names_of(contract: DatasetContract) -> tuple[Path, ...]:
    return tuple(("columns", place, "name") for place in range(len(contract.columns)))


def _no_such_column(contract: DatasetContract, path: Path, name: str) -> Finding:
    meant = nearest(name, (column.name for column in contract.columns))
    cure = f"Did you mean `{meant}`?" if meant else "Name one of `columns`."
    return Finding(path, f'is "{name}", which is no column.', cure, rests_on=_names_of(contract))
