"""The layout orders tensors, survives the wire and refuses what a hostile peer could send."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from entente_common.aggregation.layout import MAX_PARAMETERS, MAX_TENSORS, TensorLayout
from entente_common.errors import ProtectionViolated

tensors = st.dictionaries(
    st.text(min_size=1, max_size=8),
    hnp.arrays(
        np.float32,
        hnp.array_shapes(min_dims=0, max_dims=3, max_side=4),
        elements=st.floats(width=32, allow_nan=False),
    ),
    min_size=1,
    max_size=5,
)


@given(tensors)
def test_flattening_and_unflattening_give_the_same_tensors(
    given_tensors: dict[str, np.ndarray],
) -> None:
    layout = TensorLayout.of(given_tensors)
    vector = layout.flatten(given_tensors)
    assert vector.dtype == np.float32
    assert vector.shape == (layout.size,)
    back = layout.unflatten(vector)
    assert back.keys() == given_tensors.keys()
    for name, tensor in given_tensors.items():
        assert back[name].shape == tensor.shape
        np.testing.assert_array_equal(back[name], tensor)


@given(tensors)
def test_the_order_in_which_tensors_are_listed_does_not_matter(
    given_tensors: dict[str, np.ndarray],
) -> None:
    backwards = dict(reversed(given_tensors.items()))
    layout = TensorLayout.of(given_tensors)
    assert TensorLayout.of(backwards) == layout
    np.testing.assert_array_equal(layout.flatten(backwards), layout.flatten(given_tensors))


@given(tensors)
def test_a_layout_survives_the_wire(given_tensors: dict[str, np.ndarray]) -> None:
    layout = TensorLayout.of(given_tensors)
    back = TensorLayout.from_document(layout.document())
    assert back == layout
    assert back.digest() == layout.digest()


def test_the_digest_tells_shapes_and_names_apart() -> None:
    layouts = [
        TensorLayout(("a",), ((2, 3),)),
        TensorLayout(("a",), ((3, 2),)),
        TensorLayout(("b",), ((2, 3),)),
        TensorLayout(("a", "b"), ((2,), (3,))),
    ]
    assert len({layout.digest() for layout in layouts}) == len(layouts)


def test_unflattened_tensors_are_copies() -> None:
    layout = TensorLayout(("a",), ((2,),))
    vector = np.zeros(2, dtype=np.float32)
    layout.unflatten(vector)["a"][0] = 1
    assert vector[0] == 0


def tensor(name: object = "a", shape: object = (2,)) -> dict[str, object]:
    return {"name": name, "shape": list(shape) if isinstance(shape, tuple) else shape}


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"tensors": {}},
        {"tensors": []},
        {"tensors": [tensor()], "more": 1},
        {"tensors": ["a"]},
        {"tensors": [{"name": "a"}]},
        {"tensors": [tensor() | {"dtype": "f4"}]},
        {"tensors": [tensor(name=1)]},
        {"tensors": [tensor(name="")]},
        {"tensors": [tensor(name="x" * 257)]},
        {"tensors": [tensor(), tensor()]},
        {"tensors": [tensor(name="b"), tensor(name="a")]},
        {"tensors": [tensor(shape="2")]},
        {"tensors": [tensor(shape=(0,))]},
        {"tensors": [tensor(shape=(-1,))]},
        {"tensors": [tensor(shape=(2.0,))]},
        {"tensors": [tensor(shape=(True,))]},
        {"tensors": [tensor(shape=(1,) * 9)]},
        {"tensors": [tensor(shape=(MAX_PARAMETERS + 1,))]},
        {"tensors": [tensor(shape=(MAX_PARAMETERS, 2))]},
        {"tensors": [tensor(name=f"{i:05d}") for i in range(MAX_TENSORS + 1)]},
    ],
)
def test_a_malformed_layout_from_the_wire_is_refused(document: dict[str, Any]) -> None:
    with pytest.raises(ProtectionViolated):
        TensorLayout.from_document(document)


def test_tensors_and_vectors_that_do_not_fit_are_refused() -> None:
    layout = TensorLayout(("a",), ((2,),))
    with pytest.raises(ValueError, match="names and shapes"):
        layout.flatten({"a": np.zeros(3)})
    with pytest.raises(ValueError, match="names and shapes"):
        layout.flatten({"b": np.zeros(2)})
    with pytest.raises(ValueError, match="2 parameters"):
        layout.unflatten(np.zeros(3, dtype=np.float32))
