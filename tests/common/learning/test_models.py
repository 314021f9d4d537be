"""Models are the same at every site for the same job, and building them leaves no trace."""

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from entente_common.errors import InvalidJob

torch = pytest.importorskip("torch")

from entente_common.learning.models.registry import build_model  # noqa: E402
from entente_common.learning.models.weights import load_tensors, model_tensors  # noqa: E402

LOGISTIC = SimpleNamespace(kind="logistic")
MLP = SimpleNamespace(kind="mlp", hidden=(8, 4))
CNN = SimpleNamespace(kind="cnn", image=(1, 8, 8), channels=(4, 8), hidden=16)
SPECS = pytest.mark.parametrize("spec", [LOGISTIC, MLP, CNN], ids=lambda spec: spec.kind)


def _tensors(spec, *, seed=3, outputs=1):
    return model_tensors(build_model(spec, inputs=64, outputs=outputs, seed=seed))


@SPECS
def test_the_same_seed_gives_the_same_bits(spec):
    first, second = _tensors(spec), _tensors(spec)
    assert list(first) == list(second)
    assert all(first[name].tobytes() == second[name].tobytes() for name in first)


@pytest.mark.parametrize("spec", [MLP, CNN], ids=lambda spec: spec.kind)
def test_another_seed_gives_another_start(spec):
    first, second = _tensors(spec, seed=3), _tensors(spec, seed=4)
    assert any(not np.array_equal(first[name], second[name]) for name in first)


@SPECS
def test_building_neither_reads_nor_changes_the_global_generators(spec):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = _tensors(spec)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(6)
    second = _tensors(spec)
    assert all(np.array_equal(first[name], second[name]) for name in first)


@SPECS
@pytest.mark.parametrize("outputs", [1, 5])
def test_a_model_gives_one_logit_an_output_for_every_row(spec, outputs):
    model = build_model(spec, inputs=64, outputs=outputs, seed=0)
    assert model(torch.zeros(7, 64)).shape == (7, outputs)


@pytest.mark.parametrize("spec", [MLP, CNN], ids=lambda spec: spec.kind)
def test_initial_values_fill_the_range_of_their_fan_in_and_are_finite(spec):
    for name, values in _tensors(spec).items():
        assert np.all(np.isfinite(values)), name
    first = next(iter(_tensors(spec).values()))
    bound = 1 / np.sqrt(np.prod(first.shape[1:]))
    assert bound * 0.8 < np.abs(first).max() <= bound


@SPECS
def test_tensors_are_loaded_into_the_parameters_themselves(spec):
    model = build_model(spec, inputs=64, outputs=1, seed=0)
    identities = [id(parameter) for parameter in model.parameters()]
    wanted = {name: np.full_like(values, 0.25) for name, values in model_tensors(model).items()}
    load_tensors(model, wanted)
    assert [id(parameter) for parameter in model.parameters()] == identities
    assert all(np.all(values == 0.25) for values in model_tensors(model).values())


def test_given_tensors_are_copies_that_later_training_does_not_change():
    model = build_model(LOGISTIC, inputs=4, outputs=1, seed=0)
    taken = model_tensors(model)
    load_tensors(model, {name: values + 1 for name, values in taken.items()})
    assert all(np.all(values == 0) for values in taken.values())


@pytest.mark.parametrize("change", ["missing", "extra", "shape"])
def test_tensors_of_another_model_are_refused(change):
    model = build_model(LOGISTIC, inputs=4, outputs=1, seed=0)
    tensors = model_tensors(model)
    if change == "missing":
        tensors.pop("output.bias")
    elif change == "extra":
        tensors["other"] = np.zeros(1, dtype=np.float32)
    else:
        tensors["output.bias"] = np.zeros(2, dtype=np.float32)
    with pytest.raises((KeyError, ValueError)):
        load_tensors(model, tensors)


def test_an_image_of_another_size_and_too_many_poolings_are_told_at_once():
    spec = SimpleNamespace(kind="cnn", image=(1, 4, 4), channels=(4, 4, 4), hidden=8)
    with pytest.raises(InvalidJob) as caught:
        build_model(spec, inputs=64, outputs=1, seed=0)
    assert [issue.path for issue in caught.value.issues] == ["model.image", "model.channels"]


@pytest.mark.parametrize("kind", ["nonsense", "weights", "registry"])
def test_an_unknown_kind_is_an_invalid_job(kind):
    with pytest.raises(InvalidJob):
        build_model(SimpleNamespace(kind=kind), inputs=2, outputs=1, seed=0)


def test_the_registry_and_the_metrics_do_not_import_torch():
    code = (
        "import sys, entente_common.learning.models.registry, entente_common.learning.metrics;"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
