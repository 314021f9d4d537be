"""A file that is either wholly there or not there at all, and private when it must be.

A write goes to a temporary file in the same directory, reaches the disk, and only then takes the
name. A crash leaves the old file or the new one, never a mixture.
"""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

from entente_common.errors import DataDirectoryProblem

PRIVATE = 0o600
PUBLIC = 0o644
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def make_private_directory(path: Path) -> None:
    """Create `path` and its parents if absent; `path` itself is for its owner alone.

    Raises:
        DataDirectoryProblem: `path` cannot be created or is not a directory.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as fault:
        raise DataDirectoryProblem(f"{path} cannot be used: {fault.strerror}.") from fault


def write_atomically(
    path: Path, content: bytes, *, mode: int = PUBLIC, replace: bool = True
) -> None:
    """Put `content` under `path` in one step.

    Args:
        path: The final name; its directory must exist.
        content: The whole file.
        mode: Permission bits: `PRIVATE` for secrets, else `PUBLIC`.
        replace: Whether a file already there may be replaced.

    Raises:
        FileExistsError: The file is there and `replace` is false.
        DataDirectoryProblem: The directory is missing, full or not writable.
    """
    temporary: Path | None = None
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        temporary = Path(name)
        with os.fdopen(handle, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if replace:
            temporary.replace(path)
        else:
            os.link(temporary, path)
        _sync_directory(path.parent)
    except FileExistsError:
        raise
    except OSError as fault:
        raise DataDirectoryProblem(
            f"{path} could not be written: {fault.strerror}.",
            hint="Check that the directory exists, is writable and has space left.",
        ) from fault
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def read_private(path: Path) -> bytes:
    """The content of a file that only its owner may read.

    Raises:
        DataDirectoryProblem: The file is missing, unreadable, or open to group or others.
    """
    try:
        with path.open("rb") as file:
            exposed = os.fstat(file.fileno()).st_mode & _OTHERS
            content = file.read()
    except OSError as fault:
        raise DataDirectoryProblem(f"{path} cannot be read: {fault.strerror}.") from fault
    if exposed:
        raise DataDirectoryProblem(
            f"{path} holds a secret and is open to other accounts of this machine.",
            hint=f"Close it with `chmod 600 {path}`; if others had access, replace the secret.",
        )
    return content


def _sync_directory(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
