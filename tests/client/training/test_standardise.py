"""Standardisation over sites is that of the pooled rows, within a public range."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entente_client.training.design import Design
from entente_client.training.standardise import Standardiser, local_moments
from entente_common.contracts.dataset import contract_from_document
from entente_common.errors import ProtectionViolated

CONTRACT = contract_from_document(
    {
        "name": "ward",
        "version": 1,
        "label": "ill",
        "columns": [
            {"name": "age", "type": "integer", "minimum": 0, "maximum": 120},
            {"name": "ward", "type": "category", "codes": ["north", "south"]},
            {"name": "dose", "type": "float", "minimum": -5.0, "maximum": 10.0},
            {"name": "ill", "type": "category", "codes": [0, 1]},
        ],
    }
)
DESIGN = Design(CONTRACT, None, None)


def _rows(count, *, seed):
    rng = np.random.default_rng(seed)
    ward = rng.integers(0, 2, count)
    age = rng.integers(0, 121, count)
    dose = rng.uniform(-5, 10, count)
    return np.column_stack((age, 1 - ward, ward, dose)).astype(np.float64)


@settings(max_examples=50)
@given(st.lists(st.integers(1, 50), min_size=1, max_size=5), st.integers(0, 2**32))
def test_the_weighted_mean_of_the_sites_moments_is_the_pooled_moments(sizes, seed):
    sites = [_rows(size, seed=seed + place) for place, size in enumerate(sizes)]
    averaged = np.average([local_moments(x, DESIGN) for x in sites], axis=0, weights=sizes)
    pooled = local_moments(np.vstack(sites), DESIGN)
    np.testing.assert_allclose(averaged, pooled, atol=1e-6)


@given(st.integers(1, 50), st.integers(0, 2**32))
def test_moments_stay_within_their_public_range(size, seed):
    moments = local_moments(_rows(size, seed=seed), DESIGN)
    assert moments.shape == (4,)
    assert moments.dtype == np.float32
    assert np.all(np.abs(moments) <= 1)
    assert np.all(moments[2:] >= 0)


def test_pooled_rows_come_out_with_mean_zero_and_spread_one_and_codes_untouched():
    x = _rows(4000, seed=7)
    scaled = Standardiser.from_moments(local_moments(x, DESIGN), DESIGN).apply(x)
    np.testing.assert_allclose(scaled[:, [0, 3]].mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(scaled[:, [0, 3]].std(axis=0), 1, atol=1e-5)
    np.testing.assert_array_equal(scaled[:, [1, 2]], x[:, [1, 2]])


@pytest.mark.parametrize("value", [-5.0, 0.1, 10.0])
def test_a_constant_column_becomes_almost_zero(value):
    x = _rows(30, seed=3)
    x[:, 3] = value
    moments = local_moments(x, DESIGN)
    # As coarse as fixed-point sums make it.
    rounded = np.round(moments * 2**20) / 2**20
    scaled = Standardiser.from_moments(rounded, DESIGN).apply(x)
    assert np.all(np.abs(scaled[:, 3]) < 0.01)


def test_values_beyond_the_public_range_cannot_carry_more_than_the_range():
    x = _rows(10, seed=1)
    x[0, 0] = 1e12
    assert np.all(np.abs(local_moments(x, DESIGN)) <= 1)


@pytest.mark.parametrize(
    "vector", [np.zeros(3), np.zeros((4, 1)), np.full(4, np.nan), np.full(4, np.inf), np.full(4, 2)]
)
def test_what_is_no_vector_of_moments_is_refused(vector):
    with pytest.raises(ProtectionViolated):
        Standardiser.from_moments(vector, DESIGN)


def test_rounding_just_past_the_range_is_forgiven():
    scale = Standardiser.from_moments(np.array([-1.0001, 1.0, 1.0001, 1.0]), DESIGN)
    assert np.all(np.isfinite(scale.centre))
    assert np.all(scale.spread > 0)


def test_the_identity_changes_nothing():
    x = _rows(5, seed=2)
    np.testing.assert_array_equal(Standardiser.identity(DESIGN).apply(x), x)


def test_the_document_restores_the_scale():
    scale = Standardiser.from_moments(local_moments(_rows(50, seed=4), DESIGN), DESIGN)
    document = scale.document()
    assert document["columns"] == ["age", "ward=north", "ward=south", "dose"]
    x = _rows(5, seed=5)
    again = (x - np.array(document["centre"])) / np.array(document["spread"])
    np.testing.assert_array_equal(again, scale.apply(x))


def test_a_design_without_numbers_needs_no_moments():
    design = Design(CONTRACT, ["ward"], None)
    moments = local_moments(np.eye(2), design)
    assert moments.shape == (0,)
    np.testing.assert_array_equal(
        Standardiser.from_moments(moments, design).apply(np.eye(2)), np.eye(2)
    )
