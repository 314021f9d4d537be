"""A scenario as plain values: who holds what, under which contract, and what is run.

The data is public and ships with scikit-learn. Only its division among institutions is made up; it
is fixed by a seed.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import yaml


class ScenarioName(StrEnum):
    """The scenarios to choose from."""

    HOSPITALS = "hospitals"
    DIGITS = "digits"


@dataclass(frozen=True, slots=True)
class SiteTable:
    """The rows one site holds.

    Attributes:
        site: The site's name.
        header: Column names.
        rows: Values, one sequence a row, in the order of the header.
        classes: Rows of each class.
    """

    site: str
    header: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]
    classes: Mapping[str, int]

    def write_csv(self, path: Path) -> None:
        """Write the rows as a CSV file with a header."""
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(self.header)
            writer.writerows(self.rows)


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """One run of the demo.

    Attributes:
        key: Short name: "plain", "encrypted" or "private".
        title: What people call it.
        purpose: One sentence: what it is there to show.
        job: The job document.
    """

    key: str
    title: str
    purpose: str
    job: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Scenario:
    """Everything a demo needs to begin.

    Attributes:
        name: Which scenario.
        title: Heading of the report.
        question: What the institutions want to learn, in plain words.
        source: Where the data comes from.
        unit: What one row is, in the plural.
        contract: The dataset contract, a document.
        tables: Each site's rows.
        runs: What is run, in order.
        headline: The metric in which models are compared.
        tolerance: How far the federated model may stay behind the centralised one in it.
    """

    name: ScenarioName
    title: str
    question: str
    source: str
    unit: str
    contract: Mapping[str, Any]
    tables: tuple[SiteTable, ...]
    runs: tuple[PlannedRun, ...]
    headline: str
    tolerance: float


def write_yaml(document: Mapping[str, Any], path: Path) -> None:
    """Write a document in the form people edit."""
    text = yaml.safe_dump(dict(document), sort_keys=False, allow_unicode=True, width=100)
    path.write_text(text, encoding="utf-8")
