"""The demo writes where it may, removes only what is its own, and runs there alone."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from entente_common.errors import AlreadyRunning, DataDirectoryProblem
from entente_simulations.demo.workspace import open_workspace


def test_a_new_directory_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    with open_workspace(tmp_path / "demo") as workspace:
        assert workspace.logs.is_dir()

    assert stat.S_IMODE((tmp_path / "demo").stat().st_mode) == 0o700


def test_a_directory_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    mine = tmp_path / "sites"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years")

    with pytest.raises(DataDirectoryProblem), open_workspace(tmp_path):
        pass

    assert (mine / "thesis.txt").read_text() == "years"


def test_what_an_earlier_demo_left_is_cleared_and_nothing_else(tmp_path: Path) -> None:
    with open_workspace(tmp_path / "demo") as workspace:
        workspace.report.write_text("old")
        (workspace.logs / "old.log").write_text("old")
        (workspace.root / "notes.txt").write_text("mine")

    with open_workspace(tmp_path / "demo") as workspace:
        assert not workspace.report.exists()
        assert list(workspace.logs.iterdir()) == []
        assert (workspace.root / "notes.txt").read_text() == "mine"


def test_a_link_is_removed_and_not_followed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "file").write_text("mine")
    with open_workspace(tmp_path / "demo") as workspace:
        (workspace.root / "sites").rmdir()
        (workspace.root / "sites").symlink_to(elsewhere)

    with open_workspace(tmp_path / "demo"):
        pass

    assert (elsewhere / "file").read_text() == "mine"


def test_two_demos_do_not_share_a_directory(tmp_path: Path) -> None:
    with (
        open_workspace(tmp_path / "demo"),
        pytest.raises(AlreadyRunning),
        open_workspace(tmp_path / "demo"),
    ):
        pass


def test_keys_are_gone_afterwards_and_results_stay(tmp_path: Path) -> None:
    with open_workspace(tmp_path / "demo") as workspace:
        workspace.site("north").mkdir()
        (workspace.site("north") / "key.pem").write_text("secret")
        workspace.invitation("north").write_text("secret")
        workspace.report.write_text("report")

        workspace.remove_working_files()

        assert not workspace.site("north").exists()
        assert not workspace.invitation("north").exists()
        assert workspace.report.read_text() == "report"
