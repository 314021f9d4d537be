"""Sealed boxes: a secret for one recipient, past everyone who relays it.

Hybrid public key encryption in base mode (RFC 9180) with X25519, HKDF-SHA256 and AES-256-GCM.

Invariants:
    Every box has a fresh ephemeral key. The context enters the key schedule, so a box made for one
    purpose, run or recipient does not open for another. Agreement keys live for one run and are
    never written to disk, so a stolen identity key opens no past box. A box says nothing about who
    sealed it: the sender's signature over the box does.
"""

from __future__ import annotations

from typing import NoReturn, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from entente_common.errors import ProtectionViolated

PUBLIC_BYTES = 32
# Ephemeral public key in front, authentication tag behind (RFC 9180, §7.1 and §7.3).
OVERHEAD_BYTES = 32 + 16

_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_DOMAIN = b"entente/sealed-box/v1\0"


class AgreementKey:
    """One party's key pair for one run."""

    __slots__ = ("_private",)

    def __init__(self, private: X25519PrivateKey) -> None:
        self._private = private

    @classmethod
    def generate(cls) -> Self:
        """A new key pair from the operating system's randomness."""
        return cls(X25519PrivateKey.generate())

    def public_bytes(self) -> bytes:
        """The public key, 32 bytes (RFC 7748)."""
        return self._private.public_key().public_bytes_raw()

    def open(self, sealed: bytes, *, context: bytes) -> bytes:
        """The secret inside a box sealed for this key.

        Raises:
            ProtectionViolated: The box is for another key or context, or was changed.
        """
        try:
            return _SUITE.decrypt(sealed, self._private, info=_DOMAIN + context)
        except (InvalidTag, ValueError):
            raise ProtectionViolated(
                "A sealed box does not open with this site's key and context."
            ) from None

    def __reduce__(self) -> NoReturn:
        raise TypeError("an agreement key is not copied or pickled")


def seal(secret: bytes, *, recipient_public: bytes, context: bytes) -> bytes:
    """Seal `secret` so that only the holder of the recipient's key opens it.

    Args:
        secret: What to protect.
        recipient_public: The recipient's `AgreementKey.public_bytes()`.
        context: What the box is for; the recipient must give the same bytes.

    Returns:
        The box, OVERHEAD_BYTES longer than the secret.

    Raises:
        ProtectionViolated: The public key is not 32 bytes, or is a point that gives no secrecy.
    """
    try:
        public = X25519PublicKey.from_public_bytes(recipient_public)
        return _SUITE.encrypt(secret, public, info=_DOMAIN + context)
    except ValueError:
        raise ProtectionViolated("A member's agreement key is not a usable X25519 key.") from None
