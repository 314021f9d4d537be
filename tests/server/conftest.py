"""A coordinator's application over a real database, for tests of its rooms."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog

from fakes.api import Api, PlayedRuns


@pytest.fixture(autouse=True)
def plain_tracebacks() -> Iterator[None]:
    """Tracebacks without the values of variables, as the product logs them; far quicker, too."""
    renderer = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[structlog.processors.add_log_level, renderer])
    yield
    structlog.reset_defaults()


@pytest.fixture
def make_api(tmp_path: Path) -> Iterator[Callable[[PlayedRuns], Api]]:
    """Builds the application over a launcher of the test's choice."""
    made: list[Api] = []

    def make(runs: PlayedRuns) -> Api:
        made.append(Api(tmp_path / "coordinator", runs=runs))
        return made[-1]

    yield make
    for api in made:
        api.database.close()


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    """The application; every run it starts succeeds at once."""
    whole = Api(tmp_path / "coordinator")
    yield whole
    whole.database.close()
