"""Training without differential privacy: repeatable to the bit, and it learns."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from entente_client.training.alone import fit_alone  # noqa: E402
from entente_client.training.trainer import LocalTrainer  # noqa: E402
from entente_common.errors import (  # noqa: E402
    DataProblem,
    ProtectionViolated,
    RunFailed,
    SchemaMismatch,
    UnusableValues,
)


def _trainer(prepared, *, site="north"):
    return LocalTrainer(prepared.job, prepared.design, *prepared.rows(), site=site)


@pytest.mark.parametrize("kind", ["logistic", "mlp"])
def test_the_breast_cancer_rows_are_learnt_as_well_as_by_scikit_learn(make_job, prepare, kind):
    linear_model = pytest.importorskip("sklearn.linear_model")
    prepared = prepare(make_job(kind=kind))
    fit = fit_alone(prepared.job, prepared.design, *prepared.rows())
    reference = linear_model.LogisticRegression().fit(prepared.train_x, prepared.train_y)
    expected = reference.score(prepared.holdout_x, prepared.holdout_y)
    assert fit.evaluation.metrics["accuracy"] >= expected - 0.03
    assert fit.evaluation.metrics["auroc"] >= 0.98
    assert fit.evaluation.loss == pytest.approx(fit.evaluation.metrics["log-loss"])
    assert fit.evaluation.examples == len(prepared.holdout_y)
    assert fit.privacy is None


def test_training_is_the_same_to_the_bit_whatever_ran_before(make_job, prepare):
    prepared = prepare(make_job(kind="mlp", seed=4))
    first = _trainer(prepared)
    start = first.initial_vector()
    expected = first.train(start, round_number=3)
    second = _trainer(prepared)
    torch.manual_seed(99)
    second.train(start, round_number=1)
    second.evaluate(start + 1)
    again = second.train(start, round_number=3)
    assert again.delta.tobytes() == expected.delta.tobytes()
    assert again.loss == expected.loss


@pytest.mark.parametrize("change", ["site", "round", "seed"])
def test_site_round_and_seed_each_change_the_batches(make_job, prepare, change):
    prepared = prepare(make_job(seed=1))
    base = _trainer(prepared)
    start = base.initial_vector()
    other = prepare(make_job(seed=2)) if change == "seed" else prepared
    trainer = _trainer(other, site="south" if change == "site" else "north")
    delta = trainer.train(start, round_number=2 if change == "round" else 1).delta
    assert not np.array_equal(delta, base.train(start, round_number=1).delta)


def test_sites_with_different_rows_start_from_the_same_model(make_job, prepare):
    prepared = prepare(make_job(kind="mlp", seed=7))
    north = _trainer(prepared)
    south = LocalTrainer(
        *(prepared.job, prepared.design, prepared.train_x[:50], prepared.train_y[:50]),
        *(prepared.holdout_x, prepared.holdout_y),
        site="south",
    )
    assert north.layout == south.layout
    assert north.initial_vector().tobytes() == south.initial_vector().tobytes()
    assert north.initial_vector().dtype == np.float32


def test_an_update_is_the_way_from_the_start_and_the_start_stays_untouched(make_job, prepare):
    trainer = _trainer(prepare(make_job()))
    start = trainer.initial_vector()
    kept = start.copy()
    update = trainer.train(start, round_number=1)
    np.testing.assert_array_equal(start, kept)
    assert update.delta.dtype == np.float32
    assert update.steps == 20
    assert update.seconds > 0
    before, after = trainer.evaluate(start), trainer.evaluate(start + update.delta)
    assert after.loss < before.loss


def test_one_step_is_plain_gradient_descent_on_its_batch(make_job, prepare):
    prepared = prepare(make_job(local_steps=1, batch_size=65_536))
    trainer = _trainer(prepared)
    update = trainer.train(trainer.initial_vector(), round_number=1)
    x, y = prepared.train_x, prepared.train_y
    gradient = x.T @ (0.5 - y) / len(y)
    bias = (0.5 - y).mean()
    found = trainer.layout.unflatten(update.delta)
    np.testing.assert_allclose(found["output.weight"][0], -0.05 * gradient, rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(found["output.bias"], [-0.05 * bias], rtol=1e-4)
    assert update.loss == pytest.approx(np.log(2), rel=1e-5)


def test_fedprox_with_zero_pull_is_fedavg_and_a_strong_pull_stays_near(make_job, prepare):
    deltas = {}
    for name, strategy in {
        "fedavg": {"name": "fedavg"},
        "none": {"name": "fedprox", "proximal_mu": 0.0},
        "some": {"name": "fedprox", "proximal_mu": 1.0},
        "strong": {"name": "fedprox", "proximal_mu": 10.0},
    }.items():
        trainer = _trainer(prepare(make_job(kind="mlp", strategy=strategy, local_steps=50)))
        deltas[name] = trainer.train(trainer.initial_vector(), round_number=1).delta
    assert deltas["none"].tobytes() == deltas["fedavg"].tobytes()
    lengths = {name: np.linalg.norm(delta) for name, delta in deltas.items()}
    assert lengths["strong"] < lengths["some"] < lengths["fedavg"]


def test_fewer_rows_than_a_batch_are_enough(make_job, prepare):
    prepared = prepare(make_job())
    trainer = LocalTrainer(
        *(prepared.job, prepared.design, prepared.train_x[:3], prepared.train_y[:3]),
        *(prepared.holdout_x[:0], prepared.holdout_y[:0]),
        site="small",
    )
    update = trainer.train(trainer.initial_vector(), round_number=1)
    assert np.any(update.delta != 0)
    empty = trainer.evaluate(trainer.initial_vector())
    assert (empty.loss, empty.metrics, empty.examples) == (None, {}, 0)


def test_predictions_are_probabilities_that_agree_with_the_evaluation(make_job, prepare):
    prepared = prepare(make_job())
    fit = fit_alone(prepared.job, prepared.design, *prepared.rows(), rounds=2)
    found = fit.trainer.predict(fit.vector, prepared.holdout_x)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    accuracy = np.mean(found.argmax(axis=1) == prepared.holdout_y)
    assert accuracy == fit.evaluation.metrics["accuracy"]


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_rows_that_are_not_finite_are_refused_by_count(make_job, prepare, value):
    prepared = prepare(make_job())
    prepared.train_x[[0, 5], 2] = value
    with pytest.raises(UnusableValues) as caught:
        _trainer(prepared)
    assert [issue.reason for issue in caught.value.issues] == ["2 values are not finite."]


def test_foreign_labels_missing_columns_and_no_rows_are_refused(make_job, prepare):
    prepared = prepare(make_job())
    x, y, *held_back = prepared.rows()
    job, design = prepared.job, prepared.design
    with pytest.raises(UnusableValues):
        LocalTrainer(job, design, x, y + 1, *held_back, site="north")
    with pytest.raises(SchemaMismatch):
        LocalTrainer(job, design, x[:, 1:], y, *held_back, site="north")
    with pytest.raises(DataProblem):
        LocalTrainer(job, design, x[:0], y[:0], *held_back, site="north")


def test_a_start_that_is_no_model_is_refused(make_job, prepare):
    trainer = _trainer(prepare(make_job()))
    start = trainer.initial_vector()
    broken = start.copy()
    broken[0] = np.nan
    for wrong in (start[:-1], start[None, :], broken):
        with pytest.raises(ProtectionViolated):
            trainer.train(wrong, round_number=1)
        with pytest.raises(ProtectionViolated):
            trainer.evaluate(wrong)


def test_training_that_diverges_says_so(make_job, prepare):
    trainer = _trainer(prepare(make_job(kind="mlp")))
    huge = np.full_like(trainer.initial_vector(), 1e38)
    with pytest.raises(RunFailed, match="diverged"):
        trainer.train(huge, round_number=1)


def test_a_small_network_learns_digits(make_job):
    digits = pytest.importorskip("sklearn.datasets").load_digits()
    from entente_client.training.design import Design
    from entente_common.contracts.dataset import contract_from_document
    from entente_common.contracts.job import job_from_document

    pixels = [
        {"name": f"p{place}", "type": "float", "minimum": 0.0, "maximum": 16.0}
        for place in range(64)
    ]
    label = {"name": "digit", "type": "category", "codes": list(range(10))}
    contract = contract_from_document(
        {"name": "digits", "version": 1, "label": "digit", "columns": [*pixels, label]}
    )
    job = job_from_document(
        {
            "name": "digits",
            "task": "multiclass-classification",
            "data": {"contract": "digits@1"},
            "model": {"kind": "cnn"},
            "training": {"rounds": 5, "local_steps": 40},
        }
    )
    rows = (digits.data[:1400], digits.target[:1400], digits.data[1400:], digits.target[1400:])
    fit = fit_alone(job, Design.for_job(job, contract), *rows)
    assert fit.evaluation.metrics["accuracy"] > 0.85
    assert "auroc" not in fit.evaluation.metrics
