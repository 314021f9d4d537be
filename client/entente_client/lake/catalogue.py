"""The catalogue: the datasets a site has registered, one folder each.

    <root>/<name> -> .versions/<name>-<id>/   the present version, switched in one step
    <root>/.versions/…/data.parquet           the rows, checked and typed
                      contract.json           the contract they meet
                      card.json               what the site publishes of them
    <root>/.version-key                       secret that keys the version digests

Invariants: what the catalogue shows has passed all checks of its contract; a dataset is replaced
whole or not at all, whenever the process dies; all of it is readable by its owner alone; a site
holds at most one dataset a contract, so a job's contract says which rows it means.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from pydantic import ValidationError

from entente_client.lake.connectors.registry import read_source
from entente_client.lake.quality import admit
from entente_client.lake.records import dataset_version
from entente_common.canonical import canonical_json
from entente_common.contracts.dataset import (
    DatasetCard,
    DatasetContract,
    contract_from_document,
    load_contract,
)
from entente_common.errors import (
    Conflict,
    DataDirectoryProblem,
    DatasetMissing,
    EntenteError,
    InvalidContract,
    InvalidSettings,
    Issue,
)

_NAME = re.compile(r"[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?")
_VERSIONS = ".versions"
_VERSION_KEY = ".version-key"
_VERSION_KEY_BYTES = 32
_DATA, _CONTRACT, _CARD = "data.parquet", "contract.json", "card.json"


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """One registered dataset.

    Attributes:
        card: What the site publishes of it.
        contract: The contract it meets.
        frame: Its rows; these never leave the site.
    """

    card: DatasetCard
    contract: DatasetContract
    frame: pl.DataFrame


class Catalogue:
    """The datasets under `root`, which is created on the first `add`."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def add(self, name: str, *, contract: Path, source: Path) -> DatasetCard:
        """Check the rows in `source` against `contract` and register them as `name`.

        A dataset already registered under that name is replaced.

        Raises:
            InvalidSettings: The name is not one.
            InvalidContract: The contract file does not validate.
            DataProblem: The rows do not meet the contract; lists every fault by count.
            Conflict: Another dataset already stands for this contract.
            DataDirectoryProblem: The catalogue cannot be written.
        """
        _require_name(name)
        agreed = load_contract(contract)
        self._require_free(agreed.ref, name=name)
        frame = admit(read_source(source), agreed)
        try:
            self._prepare()
            card = self._card(name, agreed, frame)
            self._publish(name, agreed, card, frame)
        except OSError as error:
            raise DataDirectoryProblem(
                f"{self._root} cannot be written: {error.strerror}.",
                hint="Check its permissions and the free disk space.",
            ) from error
        return card

    def cards(self) -> list[DatasetCard]:
        """The cards of all datasets, by name.

        Raises:
            DataDirectoryProblem: A card cannot be read.
        """
        if not self._root.is_dir():
            return []
        names = sorted(path.name for path in self._root.iterdir() if _NAME.fullmatch(path.name))
        return [self._read_card(self._root / name) for name in names]

    def open(self, contract_ref: str) -> Dataset:
        """The dataset registered for a contract, such as `heart@1`.

        Raises:
            DatasetMissing: The site has none.
            DataDirectoryProblem: It is damaged.
        """
        for card in self.cards():
            if card.contract == contract_ref:
                return self._read(card)
        raise DatasetMissing(
            f"No dataset here meets contract {contract_ref}.",
            hint="Register one with `entente agent data add NAME --contract FILE --source FILE`.",
        )

    def _require_free(self, contract_ref: str, *, name: str) -> None:
        for card in self.cards():
            if card.contract == contract_ref and card.dataset != name:
                raise Conflict(
                    f"Dataset {card.dataset} already stands for contract {contract_ref}.",
                    hint=f"Register the rows as {card.dataset}, which replaces it.",
                )

    def _prepare(self) -> None:
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self._root / _VERSIONS).mkdir(mode=0o700, exist_ok=True)
        key = self._root / _VERSION_KEY
        if not key.exists():
            fresh = self._root / f"{_VERSION_KEY}.{secrets.token_hex(4)}"
            _write(fresh, secrets.token_bytes(_VERSION_KEY_BYTES))
            fresh.replace(key)
            _sync_folder(self._root)

    def _card(self, name: str, contract: DatasetContract, frame: pl.DataFrame) -> DatasetCard:
        digest = contract.digest()
        secret = (self._root / _VERSION_KEY).read_bytes()
        return DatasetCard(
            dataset=name,
            contract=contract.ref,
            contract_digest=digest,
            version=dataset_version(frame, contract_digest=digest, secret=secret),
            rows=frame.height,
            columns=frame.width,
        )

    def _publish(
        self, name: str, contract: DatasetContract, card: DatasetCard, frame: pl.DataFrame
    ) -> None:
        """Write a complete new version aside, then point the name at it."""
        version = f"{name}.{secrets.token_hex(8)}"
        folder = self._root / _VERSIONS / version
        folder.mkdir(mode=0o700)
        _write(folder / _CONTRACT, canonical_json(contract.document()))
        _write(folder / _CARD, canonical_json(card.model_dump(mode="json")))
        _write(folder / _DATA, b"")
        frame.write_parquet(folder / _DATA)
        _sync(folder / _DATA)
        _sync_folder(folder)
        _sync_folder(folder.parent)
        pointer = self._root / f".{version}"
        pointer.symlink_to(Path(_VERSIONS) / version)
        pointer.replace(self._root / name)
        _sync_folder(self._root)
        self._forget_others(name, kept=version)

    def _forget_others(self, name: str, *, kept: str) -> None:
        """Remove replaced versions of `name`, and what an interrupted `add` left behind."""
        for folder in (self._root / _VERSIONS).glob(f"{name}.*"):
            if folder.name != kept:
                shutil.rmtree(folder, ignore_errors=True)
        for pointer in self._root.glob(f".{name}.*"):
            pointer.unlink(missing_ok=True)

    def _read_card(self, folder: Path) -> DatasetCard:
        try:
            return DatasetCard.model_validate_json((folder / _CARD).read_bytes())
        except (OSError, ValidationError) as error:
            raise _damaged(folder) from error

    def _read(self, card: DatasetCard) -> Dataset:
        # Resolved once, so that a replacement in between cannot mix two versions.
        folder = (self._root / card.dataset).resolve()
        card = self._read_card(folder)
        try:
            contract = contract_from_document(json.loads((folder / _CONTRACT).read_bytes()))
            frame = pl.read_parquet(folder / _DATA)
            secret = (self._root / _VERSION_KEY).read_bytes()
        except (OSError, ValueError, InvalidContract, pl.exceptions.PolarsError) as error:
            raise _damaged(folder) from error
        digest = contract.digest()
        version = dataset_version(frame, contract_digest=digest, secret=secret)
        if (digest, version) != (card.contract_digest, card.version):
            raise _damaged(folder)
        return Dataset(card=card, contract=contract, frame=frame)


def _require_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        issue = Issue(
            "name",
            "This is not a dataset name.",
            "Use 1 to 63 lowercase letters, digits and hyphens, beginning with a letter.",
        )
        raise InvalidSettings("The dataset name is not valid.", issues=[issue])


def _damaged(folder: Path) -> EntenteError:
    return DataDirectoryProblem(
        f"The dataset in {folder} is incomplete or was changed after it was registered.",
        hint="Register it again with `entente agent data add`.",
    )


def _write(path: Path, content: bytes) -> None:
    """Create a file for its owner alone and push it to the disk."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
