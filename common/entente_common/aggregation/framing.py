"""Frames: how everything that is summed travels, checked before any library parses it.

Layout, little-endian: magic `EAGG`, version u8, kind u8, contributions u16, length u32, key
identifier 32 bytes, body size u64; the body; SHA-256 of all before it.

Invariants:
    A frame that opens has the exact size its header states, an intact digest, and the kind, length
    and key the reader expects. The digest finds accidents, truncation and mix-ups; it is no
    signature, and whoever can rewrite a frame can rewrite its digest.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from entente_common.errors import ProtectionViolated

KEY_BYTES = 32
NO_KEY = bytes(KEY_BYTES)
MAX_CONTRIBUTIONS = 2**16 - 1
MAX_LENGTH = 2**28

_MAGIC = b"EAGG"
_VERSION = 1
_HEADER = struct.Struct(f"<4sBBHI{KEY_BYTES}sQ")
_DIGEST_BYTES = 32
_PREFIX = struct.Struct("<I")


class Kind(IntEnum):
    """What a frame holds."""

    PUBLIC_CONTEXT = 1
    SEALED_UPDATE = 2
    SEALED_SUM = 3
    PLAIN_UPDATE = 4
    PLAIN_SUM = 5


@dataclass(frozen=True, slots=True)
class Frame:
    """An opened frame.

    Attributes:
        kind: What the body holds.
        contributions: How many sites' vectors are summed in it, as its maker states.
        length: Number of integers in the vector.
        key: Identifies the group key; zeros in plain mode.
        body: The content.
    """

    kind: Kind
    contributions: int
    length: int
    key: bytes
    body: bytes

    def to_bytes(self) -> bytes:
        """The frame as it travels."""
        header = _HEADER.pack(
            _MAGIC, _VERSION, self.kind, self.contributions, self.length, self.key, len(self.body)
        )
        checksum = hashlib.sha256(header)
        checksum.update(self.body)
        return b"".join((header, self.body, checksum.digest()))

    @classmethod
    def from_bytes(cls, blob: bytes, *, kinds: Sequence[Kind]) -> Frame:
        """Open a frame of one of `kinds`.

        Raises:
            ProtectionViolated: It is not such a frame, or not whole.
        """
        if len(blob) < _HEADER.size + _DIGEST_BYTES:
            raise ProtectionViolated("A protected payload is too short to be one.")
        magic, version, kind, contributions, length, key, body_bytes = _HEADER.unpack_from(blob)
        if magic != _MAGIC or version != _VERSION:
            raise ProtectionViolated("A protected payload is not of a known format and version.")
        if len(blob) != _HEADER.size + body_bytes + _DIGEST_BYTES:
            raise ProtectionViolated("A protected payload does not have the size it states.")
        if hashlib.sha256(memoryview(blob)[:-_DIGEST_BYTES]).digest() != blob[-_DIGEST_BYTES:]:
            raise ProtectionViolated("A protected payload was damaged on its way.")
        if kind not in kinds:
            raise ProtectionViolated("A protected payload is not of the kind this step takes.")
        if length > MAX_LENGTH:
            raise ProtectionViolated(f"A protected vector is longer than {MAX_LENGTH}.")
        body = blob[_HEADER.size : -_DIGEST_BYTES]
        return cls(Kind(kind), contributions, length, key, body)

    def expect(self, *, length: int, key: bytes, least: int, most: int) -> None:
        """Check what the header states against what the reader knows.

        Args:
            length: The length of the vector.
            key: The key identifier.
            least: The smallest number of contributions that is in order.
            most: The largest.

        Raises:
            ProtectionViolated: Something differs.
        """
        if self.length != length:
            raise ProtectionViolated(
                f"A protected vector has {self.length} coordinates, not the {length} expected."
            )
        if self.key != key:
            raise ProtectionViolated("A protected vector was made under another key.")
        if not least <= self.contributions <= most:
            raise ProtectionViolated(
                f"A protected vector states {self.contributions} contributions; {least} to {most}"
                " are permitted here."
            )


def join_chunks(chunks: Sequence[bytes]) -> bytes:
    """Chunks one after the other, each behind its size as u32."""
    return b"".join(part for chunk in chunks for part in (_PREFIX.pack(len(chunk)), chunk))


def split_chunks(body: bytes, *, count: int, least_bytes: int, most_bytes: int) -> list[bytes]:
    """Take apart what `join_chunks` made.

    Args:
        body: The joined chunks.
        count: How many there must be, exactly.
        least_bytes: The smallest size of a chunk that is in order.
        most_bytes: The largest.

    Raises:
        ProtectionViolated: The number or a size is wrong, or bytes are missing or left over.
    """
    chunks: list[bytes] = []
    start = 0
    for _ in range(count):
        if len(body) - start < _PREFIX.size:
            raise ProtectionViolated("A protected vector has too few chunks.")
        (size,) = _PREFIX.unpack_from(body, start)
        start += _PREFIX.size
        if not least_bytes <= size <= most_bytes or len(body) - start < size:
            raise ProtectionViolated("A chunk of a protected vector does not have a proper size.")
        chunks.append(body[start : start + size])
        start += size
    if start != len(body):
        raise ProtectionViolated("A protected vector has bytes left over.")
    return chunks
