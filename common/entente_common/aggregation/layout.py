"""The tensor layout: which tensors, in which order, make up a parameter vector.

Invariants:
    Tensors stand in ascending order of their names, so two parties with the same tensors have the
    same layout whatever order their frameworks list them in. A layout read from the wire is within
    the caps below before any memory is set aside for it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from entente_common.canonical import digest
from entente_common.errors import ProtectionViolated

MAX_TENSORS = 10_000
MAX_NAME_CHARS = 256
MAX_DIMENSIONS = 8
MAX_PARAMETERS = 2**28


@dataclass(frozen=True, slots=True)
class TensorLayout:
    """Names and shapes of the tensors behind a flat vector.

    Attributes:
        names: Tensor names, strictly ascending.
        shapes: The shape of each tensor; `()` is a scalar.

    Raises:
        ProtectionViolated: Names are not strictly ascending, or something exceeds its cap.
    """

    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]

    def __post_init__(self) -> None:
        if not 1 <= len(self.names) <= MAX_TENSORS or len(self.names) != len(self.shapes):
            raise ProtectionViolated(
                f"A layout holds 1 to {MAX_TENSORS} tensors, each with its shape."
            )
        if any(not 1 <= len(name) <= MAX_NAME_CHARS for name in self.names):
            raise ProtectionViolated(f"A tensor name has 1 to {MAX_NAME_CHARS} characters.")
        if any(first >= second for first, second in pairwise(self.names)):
            raise ProtectionViolated("The tensor names of a layout are not strictly ascending.")
        for shape in self.shapes:
            _check_shape(shape)
        if self.size > MAX_PARAMETERS:
            raise ProtectionViolated(
                f"The layout has {self.size} parameters; at most {MAX_PARAMETERS} are permitted."
            )

    @classmethod
    def of(cls, tensors: Mapping[str, NDArray[Any]]) -> TensorLayout:
        """The layout of these tensors, in whatever order they are given."""
        names = tuple(sorted(tensors))
        return cls(names=names, shapes=tuple(tuple(tensors[name].shape) for name in names))

    @property
    def size(self) -> int:
        """Number of parameters: the length of the flat vector."""
        return sum(math.prod(shape) for shape in self.shapes)

    def digest(self) -> str:
        """Digest that is equal exactly for equal layouts."""
        return digest(self.document())

    def document(self) -> dict[str, Any]:
        """The layout as a JSON object."""
        return {
            "tensors": [
                {"name": name, "shape": list(shape)}
                for name, shape in zip(self.names, self.shapes, strict=True)
            ]
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> TensorLayout:
        """Read what `document` wrote, on another machine.

        Raises:
            ProtectionViolated: The document is not a layout, or exceeds a cap.
        """
        tensors = document.get("tensors")
        if set(document) != {"tensors"} or not isinstance(tensors, list):
            raise ProtectionViolated("The layout is not an object with a list of tensors.")
        if len(tensors) > MAX_TENSORS:
            raise ProtectionViolated(f"The layout holds more than {MAX_TENSORS} tensors.")
        entries = [_entry(item) for item in tensors]
        return cls(names=tuple(name for name, _ in entries), shapes=tuple(s for _, s in entries))

    def flatten(self, tensors: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
        """The tensors as one float32 vector in the order of the layout.

        Raises:
            ValueError: Names or shapes are not those of the layout.
        """
        if TensorLayout.of(tensors) != self:
            raise ValueError("the tensors do not have the names and shapes of the layout")
        parts = [np.asarray(tensors[name], dtype=np.float32).ravel() for name in self.names]
        return np.concatenate(parts)

    def unflatten(self, vector: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """The tensors of a vector made by `flatten`; they are copies.

        Raises:
            ValueError: The vector does not have the length of the layout.
        """
        if vector.shape != (self.size,):
            raise ValueError(f"expected a vector of {self.size} parameters, got {vector.shape}")
        tensors: dict[str, NDArray[np.float32]] = {}
        start = 0
        for name, shape in zip(self.names, self.shapes, strict=True):
            end = start + math.prod(shape)
            tensors[name] = np.array(vector[start:end], dtype=np.float32).reshape(shape)
            start = end
        return tensors


def _check_shape(shape: tuple[int, ...]) -> None:
    if len(shape) > MAX_DIMENSIONS:
        raise ProtectionViolated(f"A tensor has at most {MAX_DIMENSIONS} dimensions.")
    if any(not 1 <= extent <= MAX_PARAMETERS for extent in shape):
        raise ProtectionViolated(f"Each extent of a tensor is 1 to {MAX_PARAMETERS}.")


def _entry(item: object) -> tuple[str, tuple[int, ...]]:
    if not isinstance(item, dict) or set(item) != {"name", "shape"}:
        raise ProtectionViolated("A tensor of the layout is not an object with name and shape.")
    name, shape = item["name"], item["shape"]
    if not isinstance(name, str) or not isinstance(shape, list):
        raise ProtectionViolated("A tensor's name is not text, or its shape is not a list.")
    # bool is an int in Python, yet `true` is no extent.
    if any(type(extent) is not int for extent in shape):
        raise ProtectionViolated("A tensor's extents are not whole numbers.")
    return name, tuple(shape)
