"""A file is wholly written or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from entente_common.errors import DataDirectoryProblem
from entente_common.identity.atomic_file import PRIVATE, write_atomically


def test_a_failed_write_leaves_the_old_file_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "settings"
    write_atomically(path, b"old")

    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DataDirectoryProblem, match="No space left"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_must_be_new_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "key"
    write_atomically(path, b"first", mode=PRIVATE, replace=False)
    with pytest.raises(FileExistsError):
        write_atomically(path, b"second", mode=PRIVATE, replace=False)
    assert path.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_directory_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataDirectoryProblem, match="could not be written"):
        write_atomically(tmp_path / "absent" / "file", b"")
