"""The vault of a data directory: private keys and small secrets, encrypted at rest.

Everything opens with one vault key: the file named by `ENTENTE_VAULT_KEY_FILE` (a mounted secret,
kept apart from the directory and its backups), or `vault.key` in the directory, made at first use.

Invariants: secrets lie in files of mode 0600 and are refused when others may read them; a write is
atomic; a sealed secret is bound to its name, so that files cannot be swapped.
"""

from __future__ import annotations

import os
import re
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from entente_common.errors import DataDirectoryProblem
from entente_common.identity.atomic_file import (
    PRIVATE,
    make_private_directory,
    read_private,
    write_atomically,
)
from entente_common.identity.keys import PrivateKey, load_private_pem, private_pem

ENVIRONMENT_VARIABLE = "ENTENTE_VAULT_KEY_FILE"
KEY_FILE = "vault.key"
_SECRETS = "secrets"
_SHORTEST_KEY = 32  # characters; 32 of base64 carry 192 bits
_NONCE_BYTES = 12
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class Vault:
    """Reads and writes the secrets of one data directory.

    Attributes:
        directory: The data directory.
        passphrase: The vault key; it encrypts private-key files directly, so that standard tools
            can open them, and derives the key of sealed secrets.
    """

    directory: Path
    passphrase: bytes = field(repr=False)

    @classmethod
    def open_or_create(cls, directory: Path) -> Vault:
        """Open the vault of `directory`; make the directory and a vault key if there is none.

        Raises:
            DataDirectoryProblem: The vault key is missing where `ENTENTE_VAULT_KEY_FILE` points,
                too short, or readable by others; or the directory cannot be used.
        """
        make_private_directory(directory)
        named = os.environ.get(ENVIRONMENT_VARIABLE)
        path = Path(named) if named else directory / KEY_FILE
        if not named and not path.exists():
            _create_key_file(path)
        passphrase = read_private(path).strip()
        if len(passphrase) < _SHORTEST_KEY:
            raise DataDirectoryProblem(
                f"The vault key in {path} is shorter than {_SHORTEST_KEY} characters.",
                hint="Make one with `openssl rand -base64 32`, before the directory is first used.",
            )
        return cls(directory=directory, passphrase=passphrase)

    def write_private_key(self, path: Path, key: PrivateKey) -> None:
        """Put `key` under `path`, encrypted; `path` is taken from the data directory.

        Raises:
            DataDirectoryProblem: The file cannot be written.
        """
        target = self.directory / path
        make_private_directory(target.parent)
        write_atomically(target, private_pem(key, passphrase=self.passphrase), mode=PRIVATE)

    def read_private_key(self, path: Path) -> PrivateKey:
        """The key under `path`.

        Raises:
            DataDirectoryProblem: The file is missing, readable by others, or sealed with another
                vault key.
        """
        return load_private_pem(read_private(self.directory / path), passphrase=self.passphrase)

    def write_secret(self, name: str, secret: bytes) -> None:
        """Seal `secret` under `name` (AES-256-GCM, a fresh random nonce per write).

        Raises:
            DataDirectoryProblem: The file cannot be written.
        """
        target = self._secret_path(name)
        make_private_directory(target.parent)
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = nonce + AESGCM(self._secret_key()).encrypt(nonce, secret, name.encode())
        write_atomically(target, sealed, mode=PRIVATE)

    def secret(self, name: str) -> bytes | None:
        """The secret under `name`, or None when there is none.

        Raises:
            DataDirectoryProblem: The file is damaged, readable by others, or sealed with another
                vault key.
        """
        path = self._secret_path(name)
        if not path.exists():
            return None
        sealed = read_private(path)
        try:
            return AESGCM(self._secret_key()).decrypt(
                sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], name.encode()
            )
        except (InvalidTag, ValueError):
            raise DataDirectoryProblem(
                f"The secret in {path} does not open: it is damaged or from another vault.",
                hint="Point ENTENTE_VAULT_KEY_FILE at the key file the directory was made with.",
            ) from None

    def _secret_path(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} cannot name a secret")
        return self.directory / _SECRETS / f"{name}.sealed"

    def _secret_key(self) -> bytes:
        derivation = HKDF(hashes.SHA256(), length=32, salt=None, info=b"entente/vault/secrets/v1")
        return derivation.derive(self.passphrase)


def _create_key_file(path: Path) -> None:
    key = secrets.token_urlsafe(32).encode() + b"\n"
    try:
        write_atomically(path, key, mode=PRIVATE, replace=False)
    except FileExistsError:
        return  # another process made the directory's key a moment ago; that one counts
