"""A coordinator API to talk to, and a token file for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from entente_sdk.client import Client
from fakes.rest_api import TOKEN, RestApi, serve_rest_api


@pytest.fixture
def api(tmp_path: Path) -> Iterator[RestApi]:
    with serve_rest_api(tmp_path) as served:
        yield served


@pytest.fixture
def client(api: RestApi) -> Iterator[Client]:
    with Client(api.url, token=TOKEN, ca_file=api.ca_file, sleep=lambda _s: None) as made:
        yield made


@pytest.fixture
def connected(api: RestApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RestApi:
    """The API, named by the environment variables that commands read."""
    token_file = tmp_path / "token"
    token_file.write_text(TOKEN + "\n", encoding="utf-8")
    monkeypatch.setenv("ENTENTE_URL", api.url)
    monkeypatch.setenv("ENTENTE_TOKEN_FILE", str(token_file))
    monkeypatch.setenv("ENTENTE_CA_FILE", str(api.ca_file))
    return api
