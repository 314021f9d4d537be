"""Runs over a real federation: real processes, TLS, Flower, Opacus and TenSEAL."""

from __future__ import annotations

import numpy as np
import pytest

from entente_common.contracts.run import RoundReport
from entente_common.errors import Conflict, InvalidJob, NotFound
from entente_common.learning.artefact import ModelArtefact
from integration.harness import Federation, make_job


def aggregation(mode: str) -> dict[str, object]:
    return {"aggregation": mode, "min_sites": 2}


def test_an_encrypted_run_ends_with_the_model_of_the_plain_run_bit_for_bit(
    shared: Federation,
) -> None:
    plain, _ = shared.run(make_job(protection=aggregation("plain")))
    encrypted, _ = shared.run(make_job(protection=aggregation("encrypted")))
    assert plain.status == encrypted.status == "succeeded"
    assert plain.model_digest == encrypted.model_digest
    first = ModelArtefact.from_bytes(shared.client.model(plain.id))
    second = ModelArtefact.from_bytes(shared.client.model(encrypted.id))
    assert np.array_equal(first.parameters, second.parameters)
    assert first.digest() == plain.model_digest


def test_the_same_job_gives_the_same_model_and_another_seed_another(shared: Federation) -> None:
    first, _ = shared.run(make_job())
    again, _ = shared.run(make_job())
    other, _ = shared.run(make_job(seed=8))
    assert first.model_digest == again.model_digest
    assert first.model_digest != other.model_digest


def test_events_tell_every_round_of_every_site_in_order(shared: Federation) -> None:
    run, events = shared.run(make_job())
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    kinds = [event.kind for event in events]
    assert kinds == ["run.started", "run.prepared", *["round.completed"] * 3, "run.finished"]
    rounds = [RoundReport.model_validate(e.data) for e in events if e.kind == "round.completed"]
    assert [report.round for report in rounds] == [1, 2, 3]
    for report in rounds:
        assert [site.site for site in report.sites] == ["site-0", "site-1", "site-2"]
        assert report.bytes_up > 0
        assert report.bytes_down > 0
    losses = [report.metrics["log-loss"] for report in rounds]
    assert losses == sorted(losses, reverse=True), "the model should get better every round"
    assert run.rounds_done == run.rounds_total == 3
    assert run.metrics == rounds[-1].metrics


def test_a_private_run_states_an_epsilon_under_its_limit_for_every_site(
    shared: Federation,
) -> None:
    privacy = {"unit": "record", "epsilon": 6.0, "delta": 1e-5}
    run, events = shared.run(make_job(privacy=privacy, protection=aggregation("encrypted")))
    assert run.status == "succeeded", run.reason
    assert [statement.site for statement in run.privacy] == ["site-0", "site-1", "site-2"]
    for statement in run.privacy:
        assert 0 < statement.epsilon <= 6.0
        assert statement.delta == 1e-5
        assert statement.accountant
        assert statement.assumptions
        assert statement.excluded, "what the figure does not cover must be said"
    rounds = [RoundReport.model_validate(e.data) for e in events if e.kind == "round.completed"]
    for site in ("site-0", "site-1", "site-2"):
        spent = [s.epsilon for report in rounds for s in report.sites if s.site == site]
        assert spent == sorted(spent), "spent privacy never shrinks"
    assert all(s.train_loss is None for report in rounds for s in report.sites)


def test_fedprox_runs_and_differs_from_fedavg(shared: Federation) -> None:
    training = make_job()["training"]
    proximal = {**training, "strategy": {"name": "fedprox", "proximal_mu": 1.0}}
    averaged, _ = shared.run(make_job())
    pulled, _ = shared.run(make_job(training=proximal))
    assert pulled.status == "succeeded", pulled.reason
    assert pulled.model_digest != averaged.model_digest


@pytest.mark.parametrize(
    "model",
    [
        {"kind": "mlp", "hidden": [8]},
        {"kind": "cnn", "image": [1, 4, 4], "channels": [4], "hidden": 8},
    ],
    ids=["mlp", "cnn"],
)
def test_deep_models_run_encrypted(shared: Federation, model: dict[str, object]) -> None:
    run, _ = shared.run(make_job(model=model, protection=aggregation("encrypted")))
    assert run.status == "succeeded", run.reason
    artefact = ModelArtefact.from_bytes(shared.client.model(run.id))
    assert artefact.job["model"]["kind"] == model["kind"]


def test_standardisation_comes_from_the_pooled_rows_of_all_sites(shared: Federation) -> None:
    run, _ = shared.run(make_job(protection=aggregation("encrypted")))
    preprocessing = ModelArtefact.from_bytes(shared.client.model(run.id)).preprocessing
    means = []
    for site in shared.sites.values():
        rows = np.loadtxt(shared.root / f"{site.name}.csv", delimiter=",", skiprows=1, usecols=0)
        means.append(rows.mean())
    # The pooled mean of the training rows lies among the sites' own, and is none of them.
    assert min(means) - 0.2 < preprocessing["centre"][0] < max(means) + 0.2
    assert all(abs(preprocessing["centre"][0] - mean) > 1e-6 for mean in means)


def test_a_job_that_keeps_its_model_at_the_sites_gives_the_coordinator_none(
    shared: Federation,
) -> None:
    run, _ = shared.run(make_job(release={"to": ["sites"]}))
    assert run.status == "succeeded"
    with pytest.raises(NotFound, match="holds no model"):
        shared.client.model(run.id)
    for site in shared.sites.values():
        stored = site.directory / "models" / run.id / "model.safetensors"
        assert ModelArtefact.from_bytes(stored.read_bytes()).digest() == run.model_digest


def test_an_aborted_run_ends_at_once_and_releases_nothing(shared: Federation) -> None:
    training = {**make_job()["training"], "rounds": 2000}
    run = shared.client.submit(make_job(training=training))
    for event in shared.client.events(run.id):
        if event.kind == "round.completed":
            break
    aborted = shared.client.abort(run.id)
    assert aborted.status == "aborted"
    assert 0 < aborted.rounds_done < 2000
    with pytest.raises(Conflict, match="has ended"):
        shared.client.abort(run.id)
    again, _ = shared.run(make_job())
    assert again.status == "succeeded", "the sites are free for the next run"


def test_a_job_no_site_can_serve_is_refused_with_every_reason(shared: Federation) -> None:
    with pytest.raises(Conflict) as caught:
        shared.client.submit(make_job(data={"contract": "unknown@1"}))
    for site in shared.sites:
        assert f"{site}: It holds no dataset for unknown@1." in caught.value.detail


def test_a_wrong_job_is_refused_with_all_faults_at_once(shared: Federation) -> None:
    with pytest.raises(InvalidJob) as caught:
        shared.client.submit(make_job(training={"rounds": 0, "batchsize": 4}))
    assert {issue.path for issue in caught.value.issues} >= {
        "training.rounds",
        "training.batchsize",
    }


def test_a_feature_the_contract_lacks_ends_the_run_with_the_reason(shared: Federation) -> None:
    run, events = shared.run(make_job(data={"contract": "synthetic@1", "features": ["x0", "age"]}))
    assert run.status == "failed"
    assert "age" in (run.reason or "")
    assert [event.kind for event in events if event.kind == "site.dropped"] != []
