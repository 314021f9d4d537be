"""The demo's directory: what lies where, and who may use it now.

A directory belongs to the demo when it holds the demo's mark; only then may what an earlier demo
left there be removed. One demo at a time holds the lock on that mark.
"""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from entente_common.errors import AlreadyRunning, DataDirectoryProblem
from entente_common.identity.atomic_file import make_private_directory

_MARK = ".entente-demo"
_SECRETS = ("coordinator", "sites", "invitations")
_RESULTS = ("data", "jobs", "logs", "models", "report.html", "results.json")


@dataclass(frozen=True, slots=True)
class Workspace:
    """The places of one demo below `root`."""

    root: Path

    @property
    def coordinator(self) -> Path:
        """The coordinator's data directory."""
        return self.root / "coordinator"

    @property
    def data(self) -> Path:
        """The data each site will register, and its contract."""
        return self.root / "data"

    @property
    def jobs(self) -> Path:
        """The job files."""
        return self.root / "jobs"

    @property
    def logs(self) -> Path:
        """What each process wrote."""
        return self.root / "logs"

    @property
    def models(self) -> Path:
        """The trained models."""
        return self.root / "models"

    @property
    def report(self) -> Path:
        """The report to read."""
        return self.root / "report.html"

    @property
    def results(self) -> Path:
        """The report's numbers, for programs."""
        return self.root / "results.json"

    def site(self, name: str) -> Path:
        """A site's agent directory."""
        return self.root / "sites" / name

    def invitation(self, name: str) -> Path:
        """A site's invitation."""
        return self.root / "invitations" / f"{name}.json"

    def remove_working_files(self) -> None:
        """Remove the data directories of coordinator and sites, keys included."""
        _remove(self.root, _SECRETS)


@contextmanager
def open_workspace(root: Path) -> Iterator[Workspace]:
    """A clean workspace in `root`, locked for this demo.

    Raises:
        DataDirectoryProblem: `root` holds something that no demo left there, or cannot be written.
        AlreadyRunning: Another demo runs there.
    """
    make_private_directory(root)
    mark = root / _MARK
    if not mark.exists() and any(root.iterdir()):
        raise DataDirectoryProblem(
            f"{root} is not empty and was not made by `entente demo`.",
            hint="Name an empty or new directory with --dir.",
        )
    with mark.open("w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise AlreadyRunning(f"Another demo runs in {root}.") from error
        _remove(root, (*_SECRETS, *_RESULTS))
        workspace = Workspace(root)
        for directory in ("data", "jobs", "logs", "models", "sites", "invitations"):
            make_private_directory(root / directory)
        yield workspace


def _remove(root: Path, names: tuple[str, ...]) -> None:
    for name in names:
        path = root / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
