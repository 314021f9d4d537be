"""Integration tests share one federation where they do not change it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from entente_common.protocol.flower import prepare_flower
from integration.harness import Federation, federation


@pytest.fixture(scope="session", autouse=True)
def quiet_flower(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Flower's environment must stand before anything imports it."""
    prepare_flower(tmp_path_factory.mktemp("flower"))


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    """Three sites with synthetic data; tests may run jobs on it, and must not stop its parts."""
    with federation(Path(tmp_path_factory.mktemp("federation"))) as whole:
        yield whole
