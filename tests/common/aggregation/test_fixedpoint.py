"""Fixed-point sums: unbiased, repeatable, and unable to overflow for any set of honest sites."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entente_common.aggregation.fixedpoint import FixedPoint
from entente_common.errors import ProtectionViolated, RunFailed

counts = st.lists(st.integers(1, 2**40), min_size=1, max_size=40)
seeds = st.binary(max_size=16)


def extremes(length: int, clip: float) -> np.ndarray:
    """Coordinates that push as far as they can, and beyond."""
    pattern = np.array([clip, -clip, 10 * clip, -10 * clip, np.nextafter(clip, 0), 0.0])
    return np.resize(pattern, length)


@given(counts, st.data(), seeds, st.integers(2, 23), st.floats(1e-6, 1e6))
def test_no_set_of_sites_can_overflow(
    examples: list[int], data: st.DataObject, seed: bytes, bits: int, clip: float
) -> None:
    codec = FixedPoint(bits=bits, clip=clip)
    present = data.draw(st.sets(st.sampled_from(range(len(examples))), min_size=1))
    weights = [examples[site] / sum(examples) for site in present]
    update = extremes(12, clip)
    encoded = [
        codec.encode(update, weight=w, seed=seed + bytes([i])) for i, w in enumerate(weights)
    ]
    total = np.sum([e.values for e in encoded], axis=0)
    assert np.abs(total).max() <= codec.scale
    # and what decodes never exceeds the public bound
    if sum(weights) > 0 and all(w * codec.scale >= 1 for w in weights):
        mean = codec.decode(total, weight_total=sum(weights))
        assert np.abs(mean).max() <= clip * (1 + 1e-6)


@given(st.lists(st.floats(-3, 3), min_size=1, max_size=50), counts, seeds)
def test_the_decoded_mean_is_within_one_unit_per_site_of_the_weighted_mean(
    coordinates: list[float], examples: list[int], seed: bytes
) -> None:
    codec = FixedPoint(clip=2.0)
    weights = [n / sum(examples) for n in examples]
    update = np.array(coordinates)
    total = np.zeros(len(update), dtype=np.int64)
    for site, weight in enumerate(weights):
        total += codec.encode(update, weight=weight, seed=seed + bytes([site])).values
    mean = codec.decode(total, weight_total=sum(weights))
    unit = codec.clip / codec.scale
    assert np.abs(mean - np.clip(update, -2, 2)).max() <= len(weights) * unit + 1e-6


@given(st.integers(-(2**22 - 1), 2**22 - 1), seeds)
def test_whole_numbers_are_encoded_as_they_are(number: int, seed: bytes) -> None:
    codec = FixedPoint(clip=float(2**22 - 1))
    encoded = codec.encode(np.array([float(number)]), weight=1.0, seed=seed)
    assert encoded.values.tolist() == [number]


def test_rounding_is_unbiased() -> None:
    codec = FixedPoint(bits=4, clip=7.0)
    encoded = codec.encode(np.full(200_000, 2.3), weight=1.0, seed=b"unbiased")
    assert set(encoded.values.tolist()) == {2, 3}
    # Five standard deviations of the mean of 200 000 coins with p = 0.3.
    assert abs(encoded.values.mean() - 2.3) < 5 * np.sqrt(0.3 * 0.7 / 200_000)


def test_the_seed_alone_decides_the_rounding() -> None:
    codec = FixedPoint(clip=1.0)
    update = np.linspace(-1, 1, 1001, dtype=np.float32)
    first = codec.encode(update, weight=0.37, seed=b"a").values
    np.testing.assert_array_equal(first, codec.encode(update, weight=0.37, seed=b"a").values)
    assert (first != codec.encode(update, weight=0.37, seed=b"b").values).any()


def test_known_answer() -> None:
    # Guards runs that were recorded: another stream of roundings would break their repetition.
    values = FixedPoint(clip=2.0).encode(np.linspace(-3, 3, 1000), weight=0.3, seed=b"kat").values
    digest = hashlib.sha256(values.astype("<i8").tobytes()).hexdigest()
    assert digest == "e85eba327475b95c4949cbd0c736b51ff2fcbe54ffddd28fc6242eedf8880882"


def test_clipped_coordinates_are_counted() -> None:
    encoded = FixedPoint(clip=1.0).encode(np.array([0.5, 1.0, 1.5, -2.0]), weight=1.0, seed=b"")
    assert encoded.clipped == 2
    assert np.abs(encoded.values).max() == FixedPoint(clip=1.0).scale


def test_an_empty_vector_stays_empty() -> None:
    codec = FixedPoint(clip=1.0)
    encoded = codec.encode(np.zeros(0), weight=1.0, seed=b"")
    assert codec.decode(encoded.values, weight_total=1.0).shape == (0,)


@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf])
def test_an_update_that_is_not_finite_is_refused_with_its_cure(poison: float) -> None:
    with pytest.raises(RunFailed, match="1 of 3 coordinates") as caught:
        FixedPoint(clip=1.0).encode(np.array([0.0, poison, 1.0]), weight=1.0, seed=b"")
    assert "training.optimizer.lr" in caught.value.hint


@pytest.mark.parametrize("weight", [-0.1, 1.0000001, np.nan, np.inf])
def test_a_weight_out_of_range_is_refused(weight: float) -> None:
    codec = FixedPoint(clip=1.0)
    with pytest.raises(ProtectionViolated):
        codec.encode(np.zeros(1), weight=weight, seed=b"")
    with pytest.raises(ProtectionViolated):
        codec.decode(np.zeros(1, dtype=np.int64), weight_total=weight)


def test_a_sum_without_weight_or_beyond_its_weight_is_refused() -> None:
    codec = FixedPoint(clip=1.0)
    with pytest.raises(ProtectionViolated, match="no weight"):
        codec.decode(np.zeros(1, dtype=np.int64), weight_total=0.0)
    reach = codec.scale // 2
    codec.decode(np.array([reach]), weight_total=0.5)
    with pytest.raises(ProtectionViolated, match="exceeds"):
        codec.decode(np.array([reach + 1]), weight_total=0.5)


@pytest.mark.parametrize(("bits", "clip"), [(1, 1.0), (24, 1.0), (23, 0.0), (23, np.inf)])
def test_a_codec_that_cannot_work_is_refused(bits: int, clip: float) -> None:
    with pytest.raises(ValueError):
        FixedPoint(bits=bits, clip=clip)
