"""Checkpoints: what a log, and those who watch it, put their names to.

A checkpoint is a signed note of origin, tree size and root hash (C2SP tlog-checkpoint v1.0.0). The
log signs with algorithm 0x01 under a key that bears the origin's name. A witness countersigns with
0x04 and the time, which says: at that time this was the largest tree I had seen of this log, and
consistent with all I saw before (C2SP tlog-cosignature, Ed25519). Extension lines are refused:
nobody could verify them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from entente_common.audit.encoding import decode_base64, encode_base64
from entente_common.audit.keys import Algorithm, SignerKey, VerifierKey, is_key_name
from entente_common.audit.merkle import EMPTY_ROOT, HASH_BYTES, SIZE_LIMIT
from entente_common.audit.note import Note, Signature, sign_note, verify_note
from entente_common.audit.proofs import verify_consistency
from entente_common.errors import AuditBroken

_SIZE = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)
_LINES = 3
_TIME_BYTES = 8
# The last second of the year 9999, which every clock and language can show.
_TIME_LIMIT_S = 253_402_300_799


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A log at one size.

    Attributes:
        origin: The log's unique name.
        size: Number of entries, 0 or more.
        root: Root of their tree, 32 bytes.
    """

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """The text that is signed."""
        return f"{self.origin}\n{self.size}\n{encode_base64(self.root)}\n"

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """Read the text of a checkpoint.

        Raises:
            AuditBroken: It is none, or has extension lines.
        """
        lines = text.split("\n")
        if lines.pop() or len(lines) != _LINES:
            raise AuditBroken("A checkpoint has three lines: origin, size and root hash.")
        origin, size, encoded = lines
        root = decode_base64(encoded)
        if not (is_key_name(origin) and _SIZE.fullmatch(size) and root):
            raise AuditBroken("A checkpoint is malformed.")
        made = cls(origin=origin, size=int(size), root=root)
        if len(root) != HASH_BYTES or made.size > SIZE_LIMIT:
            raise AuditBroken("A checkpoint is malformed.")
        if made.size == 0 and root != EMPTY_ROOT:
            raise AuditBroken("A checkpoint of no entries has another root than the empty tree.")
        return made


@dataclass(frozen=True, slots=True)
class SignedCheckpoint:
    """A checkpoint whose log signature is verified.

    Attributes:
        checkpoint: What the log signed.
        note: As it came, with signatures that are not verified yet.
        log_key: The key that verified it.
    """

    checkpoint: Checkpoint
    note: Note
    log_key: VerifierKey


@dataclass(frozen=True, slots=True)
class Cosignature:
    """A witness's verified countersignature.

    Attributes:
        witness: The key that verified it.
        at: When the witness says that it signed, in UTC, to the second.
    """

    witness: VerifierKey
    at: datetime


def sign_checkpoint(checkpoint: Checkpoint, *, signer: SignerKey) -> Note:
    """Sign a checkpoint as the log; `Note.encode` is what others receive.

    Raises:
        ValueError: The key does not bear the origin's name, or is of another algorithm.
    """
    if signer.name != checkpoint.origin:
        raise ValueError(f"The key {signer.name!r} does not sign for {checkpoint.origin!r}.")
    return sign_note(checkpoint.text(), signer)


def open_checkpoint(document: str, *, log_keys: Iterable[VerifierKey]) -> SignedCheckpoint:
    """Read a signed checkpoint and verify the log's signature.

    Args:
        document: A signed note.
        log_keys: Keys trusted to sign for the log; several after a rotation.

    Raises:
        AuditBroken: It is malformed, or not signed by one of `log_keys` that bears its origin's
            name.
    """
    note = Note.parse(document)
    checkpoint = Checkpoint.parse(note.text)
    named = [key for key in log_keys if key.name == checkpoint.origin]
    if not named:
        raise AuditBroken(f"No trusted key signs for the log {checkpoint.origin!r}.")
    signed = verify_note(note, keys=named)
    return SignedCheckpoint(checkpoint=checkpoint, note=note, log_key=signed[0])


def verify_extension(
    older: Checkpoint | None, newer: Checkpoint, proof: Sequence[bytes] = ()
) -> None:
    """Check that a log only grew, as a witness must before it countersigns.

    Args:
        older: The last checkpoint seen; None at first sight.
        newer: The checkpoint to vouch for, its signature already verified.
        proof: Consistency proof between their sizes.

    Raises:
        AuditBroken: Another log, a smaller one, or one that rewrote what it had signed.
    """
    if older is None:
        return
    if older.origin != newer.origin:
        raise AuditBroken(f"{newer.origin!r} is another log than {older.origin!r}.")
    if newer.size < older.size:
        raise AuditBroken(
            f"The log shrank from {older.size} to {newer.size} entries: entries from "
            f"{newer.size} on are gone."
        )
    verify_consistency(
        proof,
        older=older.size,
        newer=newer.size,
        older_root=older.root,
        newer_root=newer.root,
    )


def cosign(checkpoint: Checkpoint, *, signer: SignerKey, at: datetime) -> Signature:
    """Countersign `checkpoint`; only after `verify_extension` against all that was seen before.

    Raises:
        ValueError: The key is no witness key (0x04), or the time is before 1970.
    """
    if signer.algorithm is not Algorithm.COSIGNATURE:
        raise ValueError("A checkpoint is countersigned with a key of algorithm 0x04.")
    time_s = int(at.timestamp())
    if not 0 <= time_s <= _TIME_LIMIT_S:
        raise ValueError("A countersignature's time lies in the years 1970 to 9999.")
    value = signer.sign(_cosigned(checkpoint.text(), time_s))
    return Signature(
        name=signer.name,
        key_id=signer.verifier.key_id,
        value=time_s.to_bytes(_TIME_BYTES, "big") + value,
    )


def verify_cosignatures(note: Note, *, witnesses: Iterable[VerifierKey]) -> Sequence[Cosignature]:
    """The countersignatures that keys among `witnesses` (of algorithm 0x04) made under `note`.

    Raises:
        AuditBroken: A signature that says to be of one of `witnesses` does not fit.
    """
    found = []
    for witness in witnesses:
        signature = note.signature_of(witness)
        if signature is not None and witness.algorithm is Algorithm.COSIGNATURE:
            found.append(Cosignature(witness, _verified_time(note.text, signature, witness)))
    return found


def _verified_time(text: str, signature: Signature, witness: VerifierKey) -> datetime:
    time_s = int.from_bytes(signature.value[:_TIME_BYTES], "big")
    if time_s > _TIME_LIMIT_S or not witness.fits(
        _cosigned(text, time_s), signature.value[_TIME_BYTES:]
    ):
        raise AuditBroken(f"The countersignature of {witness.name!r} does not fit the checkpoint.")
    return datetime.fromtimestamp(time_s, UTC)


def _cosigned(text: str, time_s: int) -> bytes:
    """What a witness signs (C2SP tlog-cosignature, "Ed25519 signed message")."""
    return f"cosignature/v1\ntime {time_s}\n{text}".encode()
