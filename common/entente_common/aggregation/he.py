"""Sums under a group key: sites encrypt and decrypt, the coordinator adds and cannot read.

Symmetric BFV (Fan and Vercauteren 2012), with the parameters and the bound of `parameters.py`.

Invariants:
    Only a `GroupKey` holds a secret, and only sites hold a `GroupKey`; a `CiphertextSum` refuses
    material that contains one. Each ciphertext carries 8190 integers in 4095 slots and the number 1
    in its last slot, so that after decryption the last slot counts the contributions: a foreign
    key, damage, or a miscount by the coordinator surfaces as a wrong count instead of a wrong
    model. A coordinator that lies on purpose is beyond this check; see `docs/protocol.md`.
"""

from __future__ import annotations

from typing import NoReturn, Self

import numpy as np
from numpy.typing import NDArray

from entente_common.aggregation import bfv
from entente_common.aggregation.framing import Frame, Kind, join_chunks, split_chunks
from entente_common.aggregation.packing import FIELDS, pack, slots_for, unpack
from entente_common.aggregation.parameters import POLYNOMIAL_DEGREE, SITE_LIMIT
from entente_common.aggregation.plain import (
    PlainSum,
    check_limit,
    check_room,
    check_some,
    plain_bytes,
    plain_ints,
)
from entente_common.canonical import digest_bytes
from entente_common.errors import ProtectionViolated

__all__ = [
    "INTS_PER_CIPHERTEXT",
    "SITE_LIMIT",
    "CiphertextSum",
    "GroupKey",
    "PlainSum",
    "plain_bytes",
    "plain_ints",
]

_DATA_SLOTS = POLYNOMIAL_DEGREE - 1
INTS_PER_CIPHERTEXT = _DATA_SLOTS * FIELDS

_KEY_DOMAIN = b"entente/group-key/v1\0"
_MAX_PUBLIC_CONTEXT_BYTES = 256
_MAX_SECRET_BYTES = 256 * 1024


class GroupKey:
    """The secret that the sites of one run share.

    Attributes:
        key_id: Commits to the secret without showing it: `sha256:<hex>`.
    """

    __slots__ = ("_context", "_secret", "key_id")

    def __init__(self, secret: bytes, context: bfv.Context) -> None:
        self._secret = secret
        self._context = context
        self.key_id = digest_bytes(_KEY_DOMAIN + secret)

    @classmethod
    def generate(cls) -> Self:
        """A new key from the operating system's randomness.

        Raises:
            MissingDependency: TenSEAL is not installed.
        """
        return cls.from_secret_bytes(bfv.context_bytes(bfv.new_context(), secret=True))

    @classmethod
    def from_secret_bytes(cls, secret: bytes) -> Self:
        """The key whose `secret_bytes` these are.

        Raises:
            ProtectionViolated: The bytes are not a key with Entente's parameters.
            MissingDependency: TenSEAL is not installed.
        """
        if len(secret) > _MAX_SECRET_BYTES:
            raise ProtectionViolated("The group key is too large to be one.")
        context = bfv.load_context(secret)
        if not context.has_secret_key():
            raise ProtectionViolated("The group key holds no secret.")
        return cls(secret, context)

    def secret_bytes(self) -> bytes:
        """The secret, to be sealed for members and shown to nobody else."""
        return self._secret

    def public_context(self) -> bytes:
        """Parameters and key identifier, all the coordinator needs; no key material."""
        body = bfv.context_bytes(self._context, secret=False)
        return Frame(Kind.PUBLIC_CONTEXT, 0, 0, self._raw_id(), body).to_bytes()

    def encrypt(self, ints: NDArray[np.int64]) -> bytes:
        """Encrypt one site's integers, freshly randomised every time.

        Raises:
            ValueError: The input is not a flat int64 vector within ±FIELD_LIMIT.
        """
        count = _ciphertexts_for(len(ints))
        data = np.zeros(count * _DATA_SLOTS, dtype=np.int64)
        data[: slots_for(len(ints))] = pack(ints)
        rows = np.ones((count, POLYNOMIAL_DEGREE), dtype=np.int64)
        rows[:, :_DATA_SLOTS] = data.reshape(count, _DATA_SLOTS)
        body = join_chunks(bfv.encrypt(self._context, rows))
        return Frame(Kind.SEALED_UPDATE, 1, len(ints), self._raw_id(), body).to_bytes()

    def decrypt(self, blob: bytes, *, length: int, sites: int | None = None) -> NDArray[np.int64]:
        """Open an upload or a sum.

        Args:
            blob: Made by `encrypt` or `CiphertextSum.serialise` under this key.
            length: The number of integers expected.
            sites: The number of contributions expected; None takes any up to SITE_LIMIT.

        Raises:
            ProtectionViolated: The blob is malformed, does not hold what is expected, or does not
                decrypt to a sum of the number of contributions it states.
        """
        frame = Frame.from_bytes(blob, kinds=(Kind.SEALED_UPDATE, Kind.SEALED_SUM))
        least, most = (1, SITE_LIMIT) if sites is None else (sites, min(sites, SITE_LIMIT))
        frame.expect(length=length, key=self._raw_id(), least=least, most=most)
        rows = bfv.decrypt(_ciphertexts(frame, self._context))
        data = rows[:, :_DATA_SLOTS].reshape(-1)
        used = slots_for(length)
        if (rows[:, _DATA_SLOTS] != frame.contributions).any() or data[used:].any():
            raise ProtectionViolated("A sum does not decrypt to what its sites encrypted.")
        return unpack(data[:used], length=length)

    def _raw_id(self) -> bytes:
        return bytes.fromhex(self.key_id.removeprefix("sha256:"))

    def __repr__(self) -> str:
        return f"GroupKey({self.key_id})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a group key is not copied or pickled; seal its secret_bytes instead")


class CiphertextSum:
    """The coordinator's running sum of what it cannot read.

    Args:
        public_context: Made by `GroupKey.public_context` at a site.
        length: Number of integers in every vector.
        limit: The most contributions it takes, 1 to SITE_LIMIT.

    Attributes:
        count: Contributions so far.

    Raises:
        ProtectionViolated: The context holds a key or foreign parameters, or the limit is too high.
        MissingDependency: TenSEAL is not installed.
    """

    __slots__ = ("_context", "_key", "_length", "_limit", "_total", "count")

    def __init__(self, public_context: bytes, *, length: int, limit: int) -> None:
        check_limit(limit)
        frame = Frame.from_bytes(public_context, kinds=(Kind.PUBLIC_CONTEXT,))
        if len(frame.body) > _MAX_PUBLIC_CONTEXT_BYTES:
            raise ProtectionViolated("The public context is large enough to hold a key.")
        self._context = bfv.load_context(frame.body)
        if self._context.has_secret_key():
            raise ProtectionViolated("The public context holds a secret key.")
        self._key = frame.key
        self._length = length
        self._limit = limit
        self._total: list[bfv.Ciphertext] = []
        self.count = 0

    def add(self, blob: bytes) -> None:
        """Fold one site's upload in; on refusal the sum is what it was.

        Raises:
            ProtectionViolated: The upload is malformed, was made under another key, or the sum is
                full.
        """
        check_room(self.count, limit=self._limit)
        frame = Frame.from_bytes(blob, kinds=(Kind.SEALED_UPDATE,))
        frame.expect(length=self._length, key=self._key, least=1, most=1)
        ciphertexts = _ciphertexts(frame, self._context)
        self._total = bfv.add(self._total, ciphertexts) if self.count else ciphertexts
        self.count += 1

    def serialise(self) -> bytes:
        """The sum as it travels, still under the group key.

        Raises:
            ProtectionViolated: Nothing was added.
        """
        check_some(self.count)
        body = join_chunks([ciphertext.serialize() for ciphertext in self._total])
        return Frame(Kind.SEALED_SUM, self.count, self._length, self._key, body).to_bytes()


def _ciphertexts_for(length: int) -> int:
    """Number of ciphertexts of a vector; an empty one takes one, so that it too is counted."""
    return max(1, -(-slots_for(length) // _DATA_SLOTS))


def _ciphertexts(frame: Frame, context: bfv.Context) -> list[bfv.Ciphertext]:
    chunks = split_chunks(
        frame.body,
        count=_ciphertexts_for(frame.length),
        least_bytes=bfv.LEAST_CIPHERTEXT_BYTES,
        most_bytes=bfv.MOST_CIPHERTEXT_BYTES,
    )
    return bfv.load_ciphertexts(context, chunks)
