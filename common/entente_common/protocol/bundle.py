"""The application bundle every run carries: a name tag for the installed code, and no code.

Flower starts a run with a bundle (FAB), and a stock SuperNode would install and execute it. Ours
holds a manifest only: Entente's version and the digest of the code that coordinator and site have
installed. Equal code gives an equal bundle, byte for byte, so a site accepts a run exactly when its
bundle is the one the site makes itself.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from entente_common import __version__
from entente_common.canonical import canonical_json, digest_bytes
from entente_common.errors import MissingDependency

BUNDLE_ID: Final = "entente/federated"
_PACKAGES = ("entente_client", "entente_common")
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time a zip entry can carry
_PYPROJECT = """\
[project]
name = "federated"
version = "{version}"
description = "Names the Entente code a run needs; the code itself is installed at each site."
license = "Apache-2.0"
dependencies = []

[tool.flwr.app]
publisher = "entente"

[tool.flwr.app.components]
serverapp = "entente_server.coordination.server_app:app"
clientapp = "entente_client.node.client_app:app"
"""


@cache
def code_digest() -> str:
    """Digest of the code that trains and protects: every Python file of the shared and site parts.

    SHA-256 over one line per file, `<path> <sha256 of the file>`, in order of the paths. Read once
    per process: it describes the code on disk when first asked.

    Raises:
        MissingDependency: A part of Entente is not installed as files.
    """
    total = hashlib.sha256()
    for name, path in sorted(_source_files()):
        total.update(f"{name} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return f"sha256:{total.hexdigest()}"


@cache
def application_bundle() -> bytes:
    """The bundle of the installed code, a Flower FAB: the same bytes wherever the code is equal."""
    files = {
        "entente.json": canonical_json({"code_digest": code_digest(), "version": __version__}),
        "pyproject.toml": _PYPROJECT.format(version=__version__).encode(),
    }
    # Flower's content list: path, SHA-256, size in bits.
    files[".info/CONTENT"] = "\n".join(
        f"{name},{hashlib.sha256(content).hexdigest()},{len(content) * 8}"
        for name, content in files.items()
    ).encode()
    return _zip(files)


@cache
def bundle_hash() -> str:
    """SHA-256 of the bundle, 64 hex digits, as Flower names bundles."""
    return digest_bytes(application_bundle()).removeprefix("sha256:")


def _source_files() -> Iterator[tuple[str, Path]]:
    for package in _PACKAGES:
        spec = find_spec(package)  # finds a top-level package without importing it
        if spec is None or spec.origin is None:
            raise MissingDependency(
                f"The package {package} is not installed.", hint="Install `entente` again."
            )
        root = Path(spec.origin).parent
        for path in root.rglob("*.py"):
            yield f"{package}/{path.relative_to(root).as_posix()}", path


def _zip(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name, date_time=_EPOCH)
            entry.create_system = 3  # Unix, so that the bytes do not depend on the platform
            entry.external_attr = 0o644 << 16
            # Stored, not deflated: compressed bytes differ between zlib builds.
            archive.writestr(entry, content, zipfile.ZIP_STORED)
    return buffer.getvalue()
