"""Differential privacy: the noise, the sampling, the clipping and the accounts are what they claim.

Each ingredient of the proof is checked on its own, against something independent where there is
one: a loop over single records for clipping, Opacus's accountant for epsilon.
"""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
accountants = pytest.importorskip("opacus.accountants")

from entente_client.training import dp as dp_module  # noqa: E402
from entente_client.training.alone import fit_alone  # noqa: E402
from entente_client.training.budget import ORDERS, PrivacyMeter, plan_privacy  # noqa: E402
from entente_client.training.noise import SecretRandom  # noqa: E402
from entente_client.training.trainer import LocalTrainer  # noqa: E402
from entente_common.errors import PrivacyBudgetExceeded  # noqa: E402

EPSILON_8 = {"unit": "record", "epsilon": 8.0, "delta": 1e-5, "max_grad_norm": 1.0}


class Silent:
    """A secret source whose noise is zero, so that what lies below it can be seen."""

    def __init__(self, coins=None):
        self.coins = coins
        self.asked = []

    def uniform(self, count):
        return np.zeros(count) if self.coins is None else self.coins

    def gaussian(self, count):
        self.asked.append(count)
        return np.zeros(count)


class CoinsAlone(SecretRandom):
    """The coins of a real source, without its noise."""

    def gaussian(self, count):
        return np.zeros(count)


def _trainer(prepared, *, entropy=None, rows=slice(None), site="north"):
    x, y, *held_back = prepared.rows()
    return LocalTrainer(
        prepared.job, prepared.design, x[rows], y[rows], *held_back, site=site, entropy=entropy
    )


def _with_secret(trainer, secret):
    trainer._private._secret = secret
    return trainer


def _opacus_epsilon(plan, *, steps, **orders):
    accountant = accountants.RDPAccountant()
    for _ in range(steps):
        accountant.step(noise_multiplier=plan.noise_multiplier, sample_rate=plan.sample_rate)
    return accountant.get_epsilon(delta=plan.delta, **orders)


@pytest.mark.parametrize("epsilon", [0.05, 1.0, 50.0])
@pytest.mark.parametrize("rows", [20, 20_000])
def test_the_noise_spends_the_epsilon_asked_for_and_never_more(make_job, epsilon, rows):
    job = make_job(privacy={**EPSILON_8, "epsilon": epsilon}, rounds=3, local_steps=7)
    plan = plan_privacy(job, rows=rows)
    assert plan.sample_rate == min(1.0, 32 / rows)
    assert plan.steps == 21
    spent = _opacus_epsilon(plan, steps=21, alphas=list(ORDERS))
    assert epsilon * 0.99 < spent <= epsilon


def test_a_bound_that_holds_for_opacus_orders_alone_is_the_same(make_job):
    plan = plan_privacy(make_job(privacy=EPSILON_8), rows=400)
    assert _opacus_epsilon(plan, steps=plan.steps) == pytest.approx(
        _opacus_epsilon(plan, steps=plan.steps, alphas=list(ORDERS))
    )


def test_the_bound_agrees_with_an_independent_kind_of_accountant(make_job):
    plan = plan_privacy(make_job(privacy=EPSILON_8, rounds=5), rows=2000)
    tighter = accountants.PRVAccountant()
    tighter.history = [(plan.noise_multiplier, plan.sample_rate, plan.steps)]
    epsilon = tighter.get_epsilon(delta=plan.delta)
    # PRV is tighter than RDP by up to a fifth; much more would mean a fault in one of them.
    assert 0.75 * 8.0 < epsilon <= 8.0


def test_a_promise_no_noise_can_keep_is_refused_before_training(make_job, prepare):
    with pytest.raises(PrivacyBudgetExceeded, match="No noise level"):
        plan_privacy(make_job(privacy={**EPSILON_8, "epsilon": 1e-4}), rows=400)
    with pytest.raises(PrivacyBudgetExceeded, match="below 1/"):
        _trainer(prepare(make_job(privacy={**EPSILON_8, "delta": 0.005})))


def test_epsilon_rises_round_by_round_to_what_opacus_says(make_job, prepare):
    prepared = prepare(make_job(privacy=EPSILON_8, rounds=3, local_steps=5))
    trainer = _trainer(prepared)
    plan = plan_privacy(prepared.job, rows=trainer.examples)
    spent = [trainer.privacy().epsilon]
    vector = trainer.initial_vector()
    for number in (1, 2, 3):
        vector = vector + trainer.train(vector, round_number=number).delta
        statement = trainer.privacy()
        assert statement.steps == 5 * number
        expected = _opacus_epsilon(plan, steps=5 * number, alphas=list(ORDERS))
        assert statement.epsilon == pytest.approx(expected, rel=1e-9)
        spent.append(statement.epsilon)
    assert spent[0] == 0
    assert spent == sorted(spent)
    assert 7.9 < spent[-1] <= 8.0


def test_a_round_more_than_the_job_has_is_refused_before_a_row_is_read(make_job, prepare):
    prepared = prepare(make_job(privacy=EPSILON_8, rounds=2, local_steps=3))
    trainer = _trainer(prepared)
    start = trainer.initial_vector()
    trainer.train(start, round_number=1)
    # The same round again is a new release of the same rows, and is charged as one.
    trainer.train(start, round_number=1)
    secret = Silent()
    _with_secret(trainer, secret)
    with pytest.raises(PrivacyBudgetExceeded):
        trainer.train(start, round_number=2)
    assert not secret.asked
    assert trainer.privacy().steps == 6
    assert trainer.privacy().epsilon <= 8.0


def test_a_round_that_breaks_off_stays_charged(make_job, prepare, monkeypatch):
    trainer = _trainer(prepare(make_job(privacy=EPSILON_8, local_steps=4)))

    def fail(logits, labels):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(dp_module, "loss_of", fail)
    _with_secret(trainer, Silent())
    with pytest.raises(RuntimeError):
        trainer.train(trainer.initial_vector(), round_number=1)
    assert trainer.privacy().steps == 1


@pytest.mark.parametrize("kind", ["logistic", "mlp"])
def test_a_step_is_the_sum_of_clipped_gradients_over_the_expected_batch(make_job, prepare, kind):
    privacy = {**EPSILON_8, "max_grad_norm": 0.7}
    prepared = prepare(make_job(kind=kind, privacy=privacy, local_steps=1, lr=1.0, batch_size=8))
    rows = slice(0, 40)
    coins = np.where(np.arange(40) % 3 == 0, 0.0, 0.999)
    trainer = _with_secret(_trainer(prepared, rows=rows), Silent(coins))
    start = trainer.initial_vector() + np.float32(0.3)
    delta = trainer.train(start, round_number=1).delta
    expected = np.zeros_like(start, dtype=np.float64)
    clipped = 0
    for place in np.flatnonzero(coins < 8 / 40):
        gradient = _gradient(prepared, start, prepared.train_x[place], prepared.train_y[place])
        norm = np.linalg.norm(gradient)
        clipped += norm > 0.7
        expected += gradient * min(1.0, 0.7 / norm)
    assert clipped
    np.testing.assert_allclose(delta, -expected / 8, rtol=1e-3, atol=1e-5)


def _gradient(prepared, start, x, y):
    """The gradient of one record's loss by torch alone, on a model without any hook."""
    from entente_common.aggregation.layout import TensorLayout
    from entente_common.learning.models.registry import build_model
    from entente_common.learning.models.weights import load_tensors, model_tensors

    model = build_model(prepared.job.model, inputs=prepared.design.inputs, outputs=1, seed=0)
    layout = TensorLayout.of(model_tensors(model))
    load_tensors(model, layout.unflatten(start))
    logit = model(torch.tensor(x[None, :], dtype=torch.float32))[0, 0]
    torch.nn.functional.softplus((1 - 2 * int(y)) * logit).backward()
    return layout.flatten({name: p.grad.numpy() for name, p in model.named_parameters()})


def test_the_noise_of_a_step_has_the_calibrated_deviation(make_job, prepare):
    privacy = {**EPSILON_8, "max_grad_norm": 0.5}
    job = make_job(kind="mlp", privacy=privacy, local_steps=1, rounds=10, lr=1.0)
    prepared = prepare(job)
    start = _trainer(prepared).initial_vector()
    quiet = _with_secret(_trainer(prepared), CoinsAlone(b"one"))
    noisy = _with_secret(_trainer(prepared), SecretRandom(b"one"))
    found = noisy.train(start, round_number=1).delta - quiet.train(start, round_number=1).delta
    plan = plan_privacy(job, rows=noisy.examples)
    expected = plan.noise_multiplier * 0.5 / plan.expected_batch
    assert found.size > 900
    assert found.std() == pytest.approx(expected, rel=0.1)
    assert abs(found.mean()) < 5 * expected / np.sqrt(found.size)


def test_every_record_joins_a_batch_by_its_own_coin(make_job, prepare):
    trainer = _trainer(prepare(make_job(privacy=EPSILON_8)), entropy=b"coins")
    loop, rows = trainer._private, trainer.examples
    drawn = np.zeros((2000, rows), dtype=bool)
    for line in drawn:
        line[loop._draw(rows)] = True
    rate = 32 / rows
    sizes = drawn.sum(axis=1)
    # Binomial sizes, not constant ones; five standard errors.
    assert sizes.mean() == pytest.approx(32, abs=5 * np.sqrt(32 * (1 - rate) / 2000))
    assert sizes.var() == pytest.approx(32 * (1 - rate), rel=0.2)
    share = drawn.mean(axis=0)
    assert np.all(np.abs(share - rate) < 6 * np.sqrt(rate * (1 - rate) / 2000))


@pytest.mark.parametrize("kind", ["logistic", "mlp"])
def test_an_empty_batch_is_a_step_of_noise_alone(make_job, prepare, kind):
    prepared = prepare(make_job(kind=kind, privacy=EPSILON_8, local_steps=3))
    secret = Silent(np.full(len(prepared.train_y), 0.999))
    trainer = _with_secret(_trainer(prepared), secret)
    update = trainer.train(trainer.initial_vector(), round_number=1)
    assert not np.any(update.delta)
    assert sum(secret.asked) == 3 * trainer.layout.size
    assert trainer.privacy().steps == 3


@pytest.mark.parametrize("kind", ["logistic", "mlp"])
@pytest.mark.parametrize("start_value", [0.0, 1.0, 1e30])
def test_no_single_record_moves_a_step_by_more_than_the_bound(make_job, prepare, kind, start_value):
    # Rows and starts chosen to overflow: unguarded, one record would turn the sum into NaN.
    prepared = prepare(make_job(kind=kind, privacy=EPSILON_8, local_steps=1, lr=1.0, batch_size=4))
    prepared.train_x[0] = 1e30
    prepared.train_x[1] = 1e38

    def step_without(*missing):
        coins = np.zeros(60)
        coins[list(missing)] = 0.999
        trainer = _with_secret(_trainer(prepared, rows=slice(0, 60)), Silent(coins))
        start = trainer.initial_vector() + np.float32(start_value)
        return trainer.train(start, round_number=1).delta.astype(np.float64)

    whole = step_without()
    for place in range(4):
        # In units of the divisor, the 4 records expected, one record is worth at most the norm.
        assert 4 * np.linalg.norm(whole - step_without(place)) <= 1.0 + 1e-4


def test_noise_follows_neither_the_seed_nor_the_global_generators(make_job, prepare):
    prepared = prepare(make_job(privacy=EPSILON_8, seed=11))
    deltas = []
    for _ in range(2):
        torch.manual_seed(0)
        np.random.seed(0)  # noqa: NPY002
        trainer = _trainer(prepared)
        deltas.append(trainer.train(trainer.initial_vector(), round_number=1).delta)
    assert np.all(deltas[0] != deltas[1])


def test_given_entropy_repeats_a_run_for_tests(make_job, prepare):
    prepared = prepare(make_job(privacy=EPSILON_8))
    first, second = (_trainer(prepared, entropy=b"same") for _ in range(2))
    start = first.initial_vector()
    assert np.array_equal(
        first.train(start, round_number=1).delta, second.train(start, round_number=1).delta
    )


def test_no_loss_on_training_rows_leaves_a_private_round(make_job, prepare):
    trainer = _trainer(prepare(make_job(privacy=EPSILON_8)))
    assert trainer.train(trainer.initial_vector(), round_number=1).loss is None


def test_the_statement_names_its_parameters_assumptions_and_limits(make_job, prepare):
    trainer = _trainer(prepare(make_job(privacy=EPSILON_8)), site="north")
    statement = trainer.privacy()
    assert (statement.site, statement.unit, statement.mechanism) == ("north", "record", "dp-sgd")
    assert (statement.accountant, statement.delta) == ("rdp", 1e-5)
    told = " ".join(statement.assumptions)
    assert "adding or removing one" in told
    assert "Poisson" in told
    left_out = " ".join(statement.excluded)
    for word in ("standardisation", "metrics", "numbers of"):
        assert word in left_out


def test_fedprox_under_privacy_pulls_without_touching_the_accounts(make_job, prepare):
    lengths, spent = [], []
    for mu in (0.0, 10.0):
        strategy = {"name": "fedprox", "proximal_mu": mu}
        prepared = prepare(make_job(privacy=EPSILON_8, strategy=strategy, rounds=1))
        trainer = _trainer(prepared, entropy=b"same")
        delta = trainer.train(trainer.initial_vector(), round_number=1).delta
        lengths.append(np.linalg.norm(delta))
        spent.append(trainer.privacy().epsilon)
    assert lengths[1] < lengths[0]
    assert spent[0] == spent[1]


def test_the_meter_counts_before_the_step_and_never_forgets(make_job):
    plan = plan_privacy(make_job(privacy=EPSILON_8, rounds=1, local_steps=2), rows=400)
    meter = PrivacyMeter(plan)
    assert meter.epsilon == 0
    meter.charge()
    assert 0 < meter.epsilon < 8
    meter.require(steps=1)
    with pytest.raises(PrivacyBudgetExceeded):
        meter.require(steps=2)


def test_breast_cancer_is_learnt_at_epsilon_8(make_job, prepare):
    prepared = prepare(make_job(privacy=EPSILON_8, lr=0.2))
    fit = fit_alone(prepared.job, prepared.design, *prepared.rows())
    assert fit.privacy.epsilon <= 8.0
    assert fit.evaluation.metrics["auroc"] > 0.96
    assert fit.evaluation.metrics["accuracy"] > 0.88


def test_a_private_convolutional_network_trains_with_empty_batches_too(make_job):
    from types import SimpleNamespace

    from entente_client.training.dp import PrivateLoop
    from entente_client.training.loop import Rows
    from entente_client.training.strategies.registry import strategy_for
    from entente_common.learning.models.registry import build_model

    spec = SimpleNamespace(kind="cnn", image=(1, 8, 8), channels=(4,), hidden=8)
    job = make_job(privacy=EPSILON_8, local_steps=3, batch_size=1)
    plan = plan_privacy(job, rows=6)
    module = build_model(spec, inputs=64, outputs=3, seed=0)
    loop = PrivateLoop(module, plan=plan, meter=PrivacyMeter(plan), secret=SecretRandom(b"cnn"))
    rows = Rows(torch.rand(6, 64), torch.tensor([0, 1, 2, 0, 1, 2]))
    sizes = {len(loop._draw(6)) for _ in range(50)}
    assert 0 in sizes
    for _ in range(5):
        loop.train(rows, training=job.training, strategy=strategy_for(job.training.strategy))
    assert all(torch.all(torch.isfinite(p)) for p in module.parameters())
