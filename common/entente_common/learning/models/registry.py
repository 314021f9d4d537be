"""The model registry: from a job's model section to a torch module.

A model kind is one file of this package, named as the kind, that registers a builder with
`@model(kind)`. Building is deterministic: the same specification, sizes and seed give the same
parameters bit for bit on every machine, and no global random state is read or changed.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from entente_common.errors import InvalidJob, Issue, MissingDependency

if TYPE_CHECKING:
    from torch import nn


class ModelBuilder(Protocol):
    """Builds one kind of model from its specification."""

    def __call__(
        self,
        spec: Any,  # noqa: ANN401 - each kind has its own specification
        *,
        inputs: int,
        outputs: int,
        rng: np.random.Generator,
    ) -> nn.Module:
        """A module from `(n, inputs)` float32 to `(n, outputs)` logits."""
        ...


_BUILDERS: dict[str, ModelBuilder] = {}


def model(kind: str) -> Callable[[ModelBuilder], ModelBuilder]:
    """Register the decorated builder for `kind`."""

    def register(builder: ModelBuilder) -> ModelBuilder:
        _BUILDERS[kind] = builder
        return builder

    return register


def build_model(
    spec: Any,  # noqa: ANN401 - one of the job's model sections
    *,
    inputs: int,
    outputs: int,
    seed: int,
) -> nn.Module:
    """Build the model a job asks for.

    Args:
        spec: The job's model section; its `kind` chooses the builder.
        inputs: Length of the feature vector, at least 1.
        outputs: Number of logits: 1 for two classes, k for k > 2 classes.
        seed: The job's public seed; it fixes the initial parameters.

    Raises:
        InvalidJob: The kind is unknown, or the sizes do not fit the specification.
        MissingDependency: torch is not installed.
    """
    builder = _BUILDERS.get(spec.kind) or _load(spec.kind)
    # PCG64 through SeedSequence: the same stream on every platform, unlike torch's samplers.
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    return builder(spec, inputs=inputs, outputs=outputs, rng=rng)


def _load(kind: str) -> ModelBuilder:
    module = f"{__package__}.{kind}"
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as missing:
        if missing.name == module:
            raise _unknown(kind) from None
        raise MissingDependency(f"The {kind} model needs {missing.name}.") from missing
    builder = _BUILDERS.get(kind)
    if builder is None:
        raise _unknown(kind)
    return builder


def _unknown(kind: str) -> InvalidJob:
    issue = Issue("model.kind", f"There is no model kind {kind!r}.", "Name an installed kind.")
    return InvalidJob(f"Unknown model kind {kind!r}.", issues=[issue])
