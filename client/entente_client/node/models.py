"""The site's shelf of finished models: one directory a run, one safetensors file in it."""

from __future__ import annotations

from pathlib import Path

from entente_common.identity.atomic_file import PRIVATE, write_atomically
from entente_common.learning.artefact import ModelArtefact


class ModelShelf:
    """Keeps the models that runs gave to this site."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, run: str, artefact: ModelArtefact) -> Path:
        """Store the model of `run` whole or not at all; return its path."""
        directory = self._root / run
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = directory / "model.safetensors"
        write_atomically(path, artefact.to_bytes(), mode=PRIVATE)
        return path
