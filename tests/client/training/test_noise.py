"""Secret random numbers have the distribution they claim, and never repeat unasked."""

import numpy as np
import pytest

from entente_client.training.noise import SecretRandom

COUNT = 200_000
stats = pytest.importorskip("scipy.stats")


def test_uniform_numbers_are_uniform():
    drawn = SecretRandom(b"test").uniform(COUNT)
    assert 0 <= drawn.min() < drawn.max() < 1
    assert stats.kstest(drawn, "uniform").pvalue > 1e-4


@pytest.mark.parametrize("count", [COUNT, COUNT + 1])
def test_gaussian_numbers_are_standard_normal_and_independent(count):
    drawn = SecretRandom(b"test").gaussian(count)
    assert drawn.shape == (count,)
    assert stats.kstest(drawn, "norm").pvalue > 1e-4
    for lag in (1, 2, count // 4, count // 2):
        correlation = np.corrcoef(drawn[:-lag], drawn[lag:])[0, 1]
        assert abs(correlation) < 5 / np.sqrt(count - lag)


def test_two_sources_never_agree_unless_given_the_same_entropy():
    assert not np.array_equal(SecretRandom().uniform(8), SecretRandom().uniform(8))
    assert not np.array_equal(SecretRandom(b"a").uniform(8), SecretRandom(b"b").uniform(8))
    assert np.array_equal(SecretRandom(b"a").uniform(8), SecretRandom(b"a").uniform(8))


def test_a_source_does_not_repeat_itself():
    source = SecretRandom(b"test")
    assert not np.array_equal(source.gaussian(8), source.gaussian(8))


def test_the_global_generators_play_no_part():
    np.random.seed(0)  # noqa: NPY002
    first = SecretRandom().uniform(8)
    np.random.seed(0)  # noqa: NPY002
    assert not np.array_equal(SecretRandom().uniform(8), first)
