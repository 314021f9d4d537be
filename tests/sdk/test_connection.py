"""The connection is found where a person would look for it, and what lacks is told at once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from entente_common.errors import InvalidSettings
from entente_sdk.connection import Connection, find_connection


@pytest.fixture
def server_dir(tmp_path: Path) -> Path:
    directory = tmp_path / "server"
    directory.mkdir()
    (directory / "server.json").write_text(json.dumps({"api": "https://127.0.0.1:9"}))
    (directory / "admin.token").write_text("from-directory\n")
    return directory


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text("from-file\n")
    return path


def test_a_server_directory_supplies_all_three(server_dir: Path) -> None:
    found = find_connection(server_dir=server_dir, environment={})

    assert found == Connection("https://127.0.0.1:9", "from-directory", server_dir / "ca.pem")


def test_options_win_over_the_directory_and_the_directory_over_the_environment(
    server_dir: Path, token_file: Path
) -> None:
    environment = {"ENTENTE_URL": "https://elsewhere", "ENTENTE_CA_FILE": "/elsewhere.pem"}

    found = find_connection(token_file=token_file, server_dir=server_dir, environment=environment)

    assert found == Connection("https://127.0.0.1:9", "from-file", server_dir / "ca.pem")


def test_the_environment_alone_is_enough(token_file: Path) -> None:
    environment = {"ENTENTE_URL": "https://c.example/", "ENTENTE_TOKEN_FILE": str(token_file)}

    assert find_connection(environment=environment) == Connection(
        "https://c.example", "from-file", None
    )


def test_all_that_lacks_is_told_at_once() -> None:
    with pytest.raises(InvalidSettings) as caught:
        find_connection(environment={})

    assert [issue.path for issue in caught.value.issues] == ["--url", "--token-file"]
    assert all(issue.cure for issue in caught.value.issues)


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "127.0.0.1:9", "https://", "https://a:b"])
def test_an_address_over_which_a_token_would_travel_in_the_clear_is_refused(
    url: str, token_file: Path
) -> None:
    with pytest.raises(InvalidSettings) as caught:
        find_connection(url=url, token_file=token_file, environment={})

    assert [issue.path for issue in caught.value.issues] == ["--url"]


@pytest.mark.parametrize("content", ["", "two words", "tab\tbed"])
def test_a_file_that_holds_no_token_is_refused(content: str, tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text(content)

    with pytest.raises(InvalidSettings):
        find_connection(url="https://c.example", token_file=path, environment={})


def test_a_directory_without_a_running_coordinator_is_told_with_its_cure(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings) as caught:
        find_connection(server_dir=tmp_path, environment={})

    assert "entente server run" in str(caught.value.issues[0])


def test_a_connection_never_shows_its_token(server_dir: Path) -> None:
    assert "from-directory" not in repr(find_connection(server_dir=server_dir, environment={}))
