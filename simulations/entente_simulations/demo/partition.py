"""Dividing labelled rows among sites that do not see the same mix of cases."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_MAX_DRAWS = 1000


def label_skewed(
    labels: NDArray[np.int64],
    *,
    sites: int,
    concentration: float,
    min_rows_per_class: int,
    seed: int,
) -> tuple[NDArray[np.int64], ...]:
    """Rows of each site, each row at exactly one site (Yurochkin et al. 2019, §4).

    The rows of every class are dealt out by shares drawn from a symmetric Dirichlet distribution;
    a draw that leaves a site almost without a class is drawn again.

    Args:
        labels: Class of each row.
        sites: Number of sites, at least 1.
        concentration: Above 0; small values make the mixes differ more.
        min_rows_per_class: Fewest rows of each class at each site.
        seed: The same seed gives the same partition.

    Returns:
        For each site, its row numbers in ascending order.

    Raises:
        ValueError: No acceptable draw was found, because the demand is too high.
    """
    draws = np.random.default_rng(seed)
    classes = np.unique(labels)
    for _ in range(_MAX_DRAWS):
        shares = draws.dirichlet(np.full(sites, concentration), size=len(classes))
        owners = np.empty(len(labels), dtype=np.int64)
        smallest = len(labels)
        for label, share in zip(classes, shares, strict=True):
            rows = draws.permutation(np.flatnonzero(labels == label))
            cuts = np.rint(np.cumsum(share)[:-1] * len(rows)).astype(np.int64)
            dealt = np.split(rows, cuts)
            for site, part in enumerate(dealt):
                owners[part] = site
            smallest = min(smallest, *(len(part) for part in dealt))
        if smallest >= min_rows_per_class:
            return tuple(np.flatnonzero(owners == site) for site in range(sites))
    raise ValueError(
        f"no partition gives each of {sites} sites {min_rows_per_class} rows of every class"
    )
