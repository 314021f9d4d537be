"""Keys that sign notes: a name, an algorithm and an Ed25519 key (C2SP signed-note, RFC 8032).

A key's id binds the three: SHA-256(name ‖ newline ‖ algorithm ‖ public key)[:4]. It only tells
keys apart: whoever verifies must hold the whole public key, from a source it trusts.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from enum import IntEnum

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from entente_common.audit.encoding import decode_base64, encode_base64
from entente_common.errors import InvalidSettings

KEY_BYTES = 32
KEY_ID_BYTES = 4

_SECRET = "PRIVATE+KEY+"  # noqa: S105 - the marker of the encoding, not a secret
_PARTS = 3


class Algorithm(IntEnum):
    """Signature types that Entente uses, by their assigned identifier byte."""

    ED25519 = 0x01
    COSIGNATURE = 0x04


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """The public half of a key.

    Attributes:
        name: Whose it is; not empty, without spaces and `+`.
        algorithm: What its signatures are.
        public_key: Ed25519, 32 bytes.
    """

    name: str
    algorithm: Algorithm
    public_key: bytes

    def __post_init__(self) -> None:
        """Refuse a key that no note could name.

        Raises:
            InvalidSettings: The name or the key is malformed.
        """
        if not is_key_name(self.name):
            raise InvalidSettings(f"{self.name!r} cannot name a key: no spaces, no '+'.")
        if len(self.public_key) != KEY_BYTES:
            raise InvalidSettings(f"The key of {self.name!r} does not have {KEY_BYTES} bytes.")

    @property
    def key_id(self) -> bytes:
        """Four bytes that tell keys of one name apart; no proof of anything."""
        body = self.name.encode() + b"\n" + bytes([self.algorithm]) + self.public_key
        return hashlib.sha256(body).digest()[:KEY_ID_BYTES]

    @classmethod
    def parse(cls, text: str) -> VerifierKey:
        """Read `name+id+base64(algorithm ‖ public key)`.

        Raises:
            InvalidSettings: It is no such key, of another algorithm, or its id does not fit.
        """
        name, key_id, algorithm, public_key = _parse_key(text)
        key = cls(name=name, algorithm=algorithm, public_key=public_key)
        if key.key_id.hex() != key_id:
            raise InvalidSettings(f"The id in the key of {name!r} does not fit: a typing error?")
        return key

    def text(self) -> str:
        """The key as people and files pass it on."""
        return _key_text(self, self.public_key)

    def fits(self, message: bytes, signature: bytes) -> bool:
        """Whether `signature` is this key's Ed25519 signature of `message`."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public_key).verify(signature, message)
        except (InvalidSignature, ValueError):
            return False
        return True


@dataclass(frozen=True, slots=True)
class SignerKey:
    """The private half of a key; it shows its secret only when asked.

    Attributes:
        name: Whose it is.
        algorithm: What its signatures are.
        seed: Ed25519 private key, 32 bytes.
    """

    name: str
    algorithm: Algorithm
    seed: bytes = field(repr=False)

    @classmethod
    def generate(cls, name: str, *, algorithm: Algorithm = Algorithm.ED25519) -> SignerKey:
        """A new key from the operating system's randomness.

        Raises:
            InvalidSettings: `name` cannot name a key.
        """
        made = cls(name, algorithm, Ed25519PrivateKey.generate().private_bytes_raw())
        _ = made.verifier
        return made

    @classmethod
    def parse(cls, text: str) -> SignerKey:
        """Read what `secret_text` wrote.

        Raises:
            InvalidSettings: It is no such key; the message does not repeat it.
        """
        if not text.startswith(_SECRET):
            raise InvalidSettings("This is not a private key of a note signer.")
        name, key_id, algorithm, seed = _parse_key(text.removeprefix(_SECRET))
        if len(seed) != KEY_BYTES:
            raise InvalidSettings(f"The private key of {name!r} does not have {KEY_BYTES} bytes.")
        key = cls(name=name, algorithm=algorithm, seed=seed)
        if key.verifier.key_id.hex() != key_id:
            raise InvalidSettings(f"The id in the private key of {name!r} does not fit.")
        return key

    def secret_text(self) -> str:
        """The key for a vault, as golang.org/x/mod/sumdb/note writes it. Never for a log."""
        return _SECRET + _key_text(self.verifier, self.seed)

    @property
    def verifier(self) -> VerifierKey:
        """The public half."""
        public = Ed25519PrivateKey.from_private_bytes(self.seed).public_key()
        return VerifierKey(self.name, self.algorithm, public.public_bytes_raw())

    def sign(self, message: bytes) -> bytes:
        """Ed25519 signature of `message`, 64 bytes."""
        return Ed25519PrivateKey.from_private_bytes(self.seed).sign(message)


def is_key_name(name: str) -> bool:
    """Whether `name` may name a key: printable, without spaces and `+`."""
    return bool(name) and name.isprintable() and not any(c.isspace() or c == "+" for c in name)


def _key_text(key: VerifierKey, material: bytes) -> str:
    encoded = encode_base64(bytes([key.algorithm]) + material)
    return f"{key.name}+{key.key_id.hex()}+{encoded}"


def _parse_key(text: str) -> tuple[str, str, Algorithm, bytes]:
    """Name, id, algorithm and key material of a key's text; the id is not checked yet."""
    parts = text.strip().split("+", _PARTS - 1)
    blob = decode_base64(parts[-1])
    if len(parts) != _PARTS or not blob:
        raise InvalidSettings(
            "A key has the form NAME+ID+BASE64.", hint="Copy the whole key, on one line."
        )
    name, key_id, _ = parts
    try:
        algorithm = Algorithm(blob[0])
    except ValueError:
        raise InvalidSettings(f"The key of {name!r} is of an unknown algorithm.") from None
    return name, key_id, algorithm, blob[1:]
