"""Every site of a run holds the same model at every step, whatever its rows are."""

from __future__ import annotations

import numpy as np
import pytest

from entente_client.node.site_model import SiteModel
from entente_common.errors import DataProblem, EntenteError
from fakes.members import Member, make_job


def model(member: Member, **changes: object) -> SiteModel:
    job = make_job(**changes)  # type: ignore[arg-type]
    return SiteModel(job, member.catalogue.open("synthetic@1"), site=member.site)


def test_sites_begin_with_one_model_and_stay_with_it(members: list[Member]) -> None:
    models = [model(member, model={"kind": "mlp", "hidden": [4]}) for member in members]
    moments = np.mean([m.moments() for m in models], axis=0).astype(np.float32)
    digests = set()
    for held in models:
        held.standardise(moments)
        held.apply(np.full(held.layout.size, 0.125, dtype=np.float32))
        digests.add(held.artefact().digest())
    assert len(digests) == 1


def test_training_leaves_the_common_parameters_as_they_are(members: list[Member]) -> None:
    held = model(members[0])
    before = held.artefact().digest()
    first = held.train(round_number=1)
    again = held.train(round_number=1)
    assert held.artefact().digest() == before
    assert np.array_equal(first.delta, again.delta)
    assert not np.array_equal(first.delta, held.train(round_number=2).delta)


def test_training_on_makes_the_model_better(members: list[Member]) -> None:
    held = model(members[2], training={"rounds": 9, "local_steps": 20, "optimizer": {"lr": 0.2}})
    held.standardise(held.moments())
    before = held.evaluate().loss
    for number in range(1, 6):
        held.apply(held.train(round_number=number).delta)
    after = held.evaluate().loss
    assert before is not None
    assert after is not None
    assert after < before


def test_moments_are_asked_for_only_where_the_job_standardises(members: list[Member]) -> None:
    held = model(members[0])
    assert held.moments_length == len(held.moments()) == 6, "three numeric columns, two moments"
    none = {"contract": "synthetic@1", "preprocess": {"scale": "none"}}
    assert model(members[0], data=none).moments_length == 0


def test_held_back_rows_are_not_trained_on(members: list[Member]) -> None:
    rows = members[0].catalogue.open("synthetic@1").card.rows
    held = model(members[0])
    assert held.examples + held.evaluate().examples == rows


def test_a_model_that_does_not_fit_the_columns_is_refused(members: list[Member]) -> None:
    cnn = {"kind": "cnn", "image": [1, 8, 8], "channels": [2], "hidden": 4}
    none = {"contract": "synthetic@1", "preprocess": {"scale": "none"}}
    with pytest.raises(EntenteError) as caught:
        model(members[0], model=cnn, data=none)
    assert not isinstance(caught.value, DataProblem)
