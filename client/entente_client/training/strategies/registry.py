"""The registry of local strategies: from a job's strategy section to a gradient adjustment.

A strategy is one file of this package, named as the strategy, that registers a factory with
`@strategy(name)`. It sees the gradient after clipping and noise, never the rows, so it costs no
privacy (post-processing).
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch

from entente_common.errors import InvalidJob, Issue


class LocalStrategy(Protocol):
    """Changes the gradients of a local step."""

    def adjust(self, parameters: Sequence[torch.Tensor], start: Sequence[torch.Tensor]) -> None:
        """Change each parameter's `grad` in place.

        Args:
            parameters: The model's parameters, each holding its gradient.
            start: Their values at the start of the round, in the same order.
        """
        ...


_Factory = Callable[[Any], LocalStrategy]
_FACTORIES: dict[str, _Factory] = {}


def strategy(name: str) -> Callable[[_Factory], _Factory]:
    """Register the decorated factory for `name`."""

    def register(factory: _Factory) -> _Factory:
        _FACTORIES[name] = factory
        return factory

    return register


def strategy_for(spec: Any) -> LocalStrategy:  # noqa: ANN401 - each strategy has its own section
    """The strategy a job's section names.

    Raises:
        InvalidJob: This site has no strategy of that name.
    """
    if spec.name not in _FACTORIES:
        module = f"{__package__}.{spec.name}"
        try:
            importlib.import_module(module)
        except ModuleNotFoundError as missing:
            if missing.name != module:
                raise
    if spec.name not in _FACTORIES:
        issue = Issue(
            "training.strategy.name",
            f"There is no strategy {spec.name!r} here.",
            "Name an installed strategy.",
        )
        raise InvalidJob(f"Unknown strategy {spec.name!r}.", issues=[issue])
    return _FACTORIES[spec.name](spec)
