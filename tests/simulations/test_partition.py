"""Every record is at exactly one site, and every site sees every class."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entente_simulations.demo.partition import label_skewed

LABELS = np.repeat(np.arange(3), [60, 90, 30])


@given(
    sites=st.integers(1, 5),
    concentration=st.floats(0.5, 50),
    smallest=st.integers(0, 2),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_partition_deals_every_row_out_once(
    sites: int, concentration: float, smallest: int, seed: int
) -> None:
    def deal() -> tuple[np.ndarray, ...]:
        return label_skewed(
            LABELS,
            sites=sites,
            concentration=concentration,
            min_rows_per_class=smallest,
            seed=seed,
        )

    parts = deal()

    assert len(parts) == sites
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(LABELS)))
    for part in parts:
        assert np.bincount(LABELS[part], minlength=3).min() >= smallest
    assert all(np.array_equal(a, b) for a, b in zip(parts, deal(), strict=True))


def test_a_small_concentration_makes_sites_differ_more() -> None:
    labels = np.repeat([0, 1], 500)

    def spread(concentration: float) -> float:
        gaps = []
        for seed in range(20):
            parts = label_skewed(
                labels, sites=3, concentration=concentration, min_rows_per_class=1, seed=seed
            )
            shares = [labels[part].mean() for part in parts]
            gaps.append(max(shares) - min(shares))
        return float(np.mean(gaps))

    assert spread(0.5) > 3 * spread(100.0)


def test_a_demand_that_cannot_be_met_is_refused() -> None:
    with pytest.raises(ValueError, match="no partition"):
        label_skewed(LABELS, sites=4, concentration=1.0, min_rows_per_class=31, seed=1)
