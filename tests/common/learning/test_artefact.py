"""A model artefact comes back as it was stored, and any change to the model is noticed."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load, save

from entente_common.aggregation.layout import TensorLayout
from entente_common.errors import InvalidDocument
from entente_common.learning.artefact import ModelArtefact

LAYOUT = TensorLayout(names=("bias", "weight"), shapes=((2,), (2, 3)))
ARTEFACT = ModelArtefact(
    layout=LAYOUT,
    parameters=np.arange(8, dtype=np.float32) / 3,
    preprocessing={"kind": "standardise", "centre": [0.25, -1.0]},
    job={"name": "short", "seed": 7},
)


def same(first: ModelArtefact, second: ModelArtefact) -> bool:
    return (
        first.layout == second.layout
        and first.parameters.tobytes() == second.parameters.tobytes()
        and first.preprocessing == second.preprocessing
        and first.job == second.job
    )


@st.composite
def artefacts(draw: st.DrawFn) -> ModelArtefact:
    names = draw(st.lists(st.text("abc._", min_size=1, max_size=5), min_size=1, unique=True))
    extents = st.lists(st.integers(1, 4), max_size=3).map(tuple)
    layout = TensorLayout(names=tuple(sorted(names)), shapes=tuple(draw(extents) for _ in names))
    floats = st.floats(width=32, allow_nan=False)
    values = draw(st.lists(floats, min_size=layout.size, max_size=layout.size))
    return ModelArtefact(
        layout=layout,
        parameters=np.array(values, dtype=np.float32),
        preprocessing=draw(st.dictionaries(st.text(max_size=3), st.integers(-9, 9), max_size=3)),
        job=draw(st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=3)),
    )


@settings(max_examples=60, deadline=None)
@given(artefact=artefacts())
def test_an_artefact_survives_its_file(artefact: ModelArtefact) -> None:
    again = ModelArtefact.from_bytes(artefact.to_bytes())
    assert same(again, artefact)
    assert again.digest() == artefact.digest()


def test_other_tools_read_the_tensors_without_entente() -> None:
    tensors = load(ARTEFACT.to_bytes())
    assert {name: array.shape for name, array in tensors.items()} == {
        "bias": (2,),
        "weight": (2, 3),
    }
    assert np.array_equal(tensors["weight"].ravel(), ARTEFACT.parameters[2:])


@pytest.mark.parametrize(
    "changes",
    [
        {"parameters": np.nextafter(ARTEFACT.parameters, np.float32(9))},
        {"parameters": -0.0 * ARTEFACT.parameters},
        {"preprocessing": {"kind": "standardise", "centre": [0.25, -1.1]}},
        {"layout": TensorLayout(names=("bias", "weight"), shapes=((2,), (3, 2)))},
        {"layout": TensorLayout(names=("bias", "weights"), shapes=((2,), (2, 3)))},
    ],
    ids=["one-ulp", "zeros", "preprocessing", "shape", "name"],
)
def test_another_model_has_another_digest(changes: dict[str, Any]) -> None:
    assert replace(ARTEFACT, **changes).digest() != ARTEFACT.digest()


def test_the_digest_names_the_model_and_not_the_job_that_made_it() -> None:
    # A plain and an encrypted job must be able to show that they made the same model.
    assert replace(ARTEFACT, job={"name": "other"}).digest() == ARTEFACT.digest()


def test_big_endian_parameters_are_the_same_model() -> None:
    other = replace(ARTEFACT, parameters=ARTEFACT.parameters.astype(">f4"))
    assert other.digest() == ARTEFACT.digest()


def metadata_of(data: bytes) -> dict[str, str]:
    length = int.from_bytes(data[:8], "little")
    found: dict[str, str] = json.loads(data[8 : 8 + length])["__metadata__"]
    return found


def rewritten(
    *, tensors: dict[str, np.ndarray[Any, Any]] | None = None, **metadata: str | None
) -> bytes:
    """The artefact's file with other tensors or metadata; None removes an entry."""
    data = ARTEFACT.to_bytes()
    entries = {**metadata_of(data), **metadata}
    kept = {name: text for name, text in entries.items() if text is not None}
    return bytes(save(tensors or load(data), metadata=kept))


def test_a_changed_parameter_is_noticed() -> None:
    tensors = load(ARTEFACT.to_bytes())
    tensors["bias"] = tensors["bias"] + np.float32(1)
    with pytest.raises(InvalidDocument, match="was changed"):
        ModelArtefact.from_bytes(rewritten(tensors=tensors))


def test_changed_preprocessing_is_noticed() -> None:
    with pytest.raises(InvalidDocument, match="was changed"):
        ModelArtefact.from_bytes(rewritten(preprocessing='{"kind": "none"}'))


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_flipped_bit_is_noticed_or_changes_nothing_of_the_model(data: st.DataObject) -> None:
    whole = bytearray(ARTEFACT.to_bytes())
    whole[data.draw(st.integers(0, len(whole) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    try:
        read = ModelArtefact.from_bytes(bytes(whole))
    except InvalidDocument:
        return
    assert read.digest() == ARTEFACT.digest()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not a model",
        ARTEFACT.to_bytes()[:-1],
        ARTEFACT.to_bytes() + b"\0",
        bytes(save({"bias": np.zeros(2, dtype=np.float32)})),
        *(rewritten(**{name: None}) for name in ("digest", "layout", "preprocessing", "job")),
        *(
            rewritten(**{name: text})
            for name in ("layout", "preprocessing", "job")
            for text in ("", "{", "[]", "3", "null", "[" * 100_000)
        ),
        rewritten(layout='{"tensors": []}'),
        rewritten(layout=json.dumps(TensorLayout(("bias",), ((2,),)).document())),
        rewritten(preprocessing='{"centre": NaN}'),
        rewritten(tensors={"bias": np.zeros(2, dtype=np.float32)}),
    ],
    ids=lambda data: f"{len(data)}-bytes",
)
def test_what_is_no_artefact_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidDocument):
        ModelArtefact.from_bytes(data)
