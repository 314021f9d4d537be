"""What scenarios have in common: a contract over numbers, rows divided by it, a job varied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from entente_simulations.demo.partition import label_skewed
from entente_simulations.demo.scenarios.scenario import PlannedRun, SiteTable

_RECORD = "record"
_PARTITION_SEED = 7
_JOB_SEED = 42


def contract_document(
    *,
    name: str,
    description: str,
    ranges: Mapping[str, tuple[float, float]],
    label: str,
    codes: Sequence[object],
) -> dict[str, Any]:
    """A contract over a record number, features within public ranges, and a label."""
    features = [
        {"name": feature, "type": "float", "minimum": low, "maximum": high}
        for feature, (low, high) in ranges.items()
    ]
    return {
        "apiVersion": "entente/v1",
        "name": name,
        "version": 1,
        "description": description,
        "key": _RECORD,
        "label": label,
        "columns": [
            {"name": _RECORD, "type": "integer"},
            *features,
            {"name": label, "type": "category", "codes": list(codes)},
        ],
    }


def divide(
    values: NDArray[np.float64],
    labels: NDArray[np.int64],
    *,
    contract: Mapping[str, Any],
    sites: Sequence[str],
    concentration: float,
    min_rows_per_class: int,
) -> tuple[SiteTable, ...]:
    """Deal the rows out to the sites, each with its own mix of classes.

    Args:
        values: Features, one row a record, in the contract's order.
        labels: Class of each record, an index into the label's codes.
        contract: A document made by `contract_document`.
        sites: Names of the sites.
        concentration: How alike the mixes are, see `label_skewed`.
        min_rows_per_class: Fewest rows of each class at each site.
    """
    header = tuple(str(column["name"]) for column in contract["columns"])
    codes = contract["columns"][-1]["codes"]
    parts = label_skewed(
        labels,
        sites=len(sites),
        concentration=concentration,
        min_rows_per_class=min_rows_per_class,
        seed=_PARTITION_SEED,
    )
    return tuple(
        SiteTable(
            site=site,
            header=header,
            rows=tuple((int(row), *values[row].tolist(), codes[labels[row]]) for row in part),
            classes={
                str(code): int(np.sum(labels[part] == index)) for index, code in enumerate(codes)
            },
        )
        for site, part in zip(sites, parts, strict=True)
    )


def plain_and_encrypted(
    job: Mapping[str, Any], *, name: str, sites: int
) -> tuple[PlannedRun, PlannedRun]:
    """The same job twice: once with the updates in the clear, once encrypted."""
    return (
        PlannedRun(
            key="plain",
            title="Plain",
            purpose="The reference: the coordinator sees every site's update and adds them up.",
            job=variant(job, name=f"{name}-plain", aggregation="plain", sites=sites),
        ),
        PlannedRun(
            key="encrypted",
            title="Encrypted",
            purpose="The same training, but the coordinator adds up ciphertexts that it cannot "
            "read.",
            job=variant(job, name=f"{name}-encrypted", sites=sites),
        ),
    )


def variant(
    job: Mapping[str, Any],
    *,
    name: str,
    sites: int,
    aggregation: str = "encrypted",
    privacy: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """`job` under another name and protection; all variants share one seed."""
    return {
        "apiVersion": job["apiVersion"],
        "name": name,
        **job,
        "privacy": dict(privacy or {"unit": "none"}),
        "protection": {"aggregation": aggregation, "min_sites": sites},
        "seed": _JOB_SEED,
    }
