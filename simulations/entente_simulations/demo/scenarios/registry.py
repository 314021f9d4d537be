"""The scenarios by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from entente_common.errors import MissingDependency
from entente_simulations.demo.scenarios.digits import digits
from entente_simulations.demo.scenarios.hospitals import hospitals
from entente_simulations.demo.scenarios.scenario import Scenario, ScenarioName

_MAKERS: Mapping[ScenarioName, Callable[[int | None], Scenario]] = {
    ScenarioName.HOSPITALS: hospitals,
    ScenarioName.DIGITS: digits,
}


def make_scenario(name: ScenarioName, *, rounds: int | None) -> Scenario:
    """The scenario of that name.

    Args:
        name: Which one.
        rounds: Rounds of every run, in place of the scenario's own number.

    Raises:
        MissingDependency: scikit-learn, which brings the data, is not installed.
    """
    try:
        return _MAKERS[name](rounds)
    except ModuleNotFoundError as error:
        raise MissingDependency(
            f"The demo's data comes with {error.name}.",
            hint="Install it with `pip install 'entente[server,agent,he,demo]'`.",
        ) from error
