"""Signed notes: a text and the signatures under it (C2SP signed-note v1.0.0).

    text, one or more lines
                                                      an empty line
    — name base64(key id ‖ signature)                 one line a signature

Nothing in a note may be used before a trusted key's signature is verified. Signatures of algorithm
0x01 are verified here, those of 0x04 in `checkpoint`, because they sign more than the text.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from entente_common.audit.encoding import decode_base64, encode_base64
from entente_common.audit.keys import (
    KEY_ID_BYTES,
    Algorithm,
    SignerKey,
    VerifierKey,
    is_key_name,
)
from entente_common.errors import AuditBroken

NOTE_LIMIT_BYTES = 64 * 1024
# The specification demands 16 at least; every site of a federation may countersign.
SIGNATURE_LIMIT = 256

_DASH = "\N{EM DASH} "


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature line.

    Attributes:
        name: Name of the key.
        key_id: Its id, 4 bytes.
        value: What the key's algorithm makes; only `key_id` tells which.
    """

    name: str
    key_id: bytes
    value: bytes

    @classmethod
    def parse(cls, line: str) -> Signature:
        """Read a signature line, without its newline.

        Raises:
            AuditBroken: It is none.
        """
        name, space, encoded = line.removeprefix(_DASH).partition(" ")
        blob = decode_base64(encoded)
        if not (line.startswith(_DASH) and space and blob and is_key_name(name)):
            raise AuditBroken("A signature line is malformed.")
        if len(blob) <= KEY_ID_BYTES:
            raise AuditBroken(f"The signature line of {name!r} holds no signature.")
        return cls(name=name, key_id=blob[:KEY_ID_BYTES], value=blob[KEY_ID_BYTES:])

    def line(self) -> str:
        """The line, without its newline."""
        return f"{_DASH}{self.name} {encode_base64(self.key_id + self.value)}"

    def claims(self, key: VerifierKey) -> bool:
        """Whether it says to be of `key`; nothing is verified."""
        return (self.name, self.key_id) == (key.name, key.key_id)


@dataclass(frozen=True, slots=True)
class Note:
    """A text with signatures, of which none is verified yet.

    Attributes:
        text: Lines, each ended by a newline.
        signatures: In the order of their lines.
    """

    text: str
    signatures: tuple[Signature, ...]

    @classmethod
    def parse(cls, document: str) -> Note:
        """Read a signed note.

        Raises:
            AuditBroken: It is malformed, unsigned or too large.
        """
        _check_text(document)
        text, blank, lines = document.rpartition("\n\n")
        signatures = lines.split("\n")
        if not blank or signatures.pop() or not signatures:
            raise AuditBroken("A signed note lacks its signatures.")
        if len(signatures) > SIGNATURE_LIMIT:
            raise AuditBroken(f"A signed note has more than {SIGNATURE_LIMIT} signatures.")
        return cls(text=text + "\n", signatures=tuple(map(Signature.parse, signatures)))

    def encode(self) -> str:
        """The note as text."""
        return f"{self.text}\n" + "".join(f"{made.line()}\n" for made in self.signatures)

    def with_signature(self, signature: Signature) -> Note:
        """The note with one more signature, which takes the place of an earlier one of its key."""
        mine = (signature.name, signature.key_id)
        others = [other for other in self.signatures if (other.name, other.key_id) != mine]
        return replace(self, signatures=(*others, signature))

    def signature_of(self, key: VerifierKey) -> Signature | None:
        """The signature that says to be of `key`, verified or not.

        Raises:
            AuditBroken: There are several.
        """
        found = [signature for signature in self.signatures if signature.claims(key)]
        if len(found) > 1:
            raise AuditBroken(f"A note carries several signatures of {key.name!r}.")
        return found[0] if found else None


def sign_note(text: str, *signers: SignerKey) -> Note:
    """Sign `text` with keys of algorithm 0x01.

    Raises:
        ValueError: `text` cannot be a note's, no signer is given, or one is of another algorithm.
    """
    if not signers or any(key.algorithm is not Algorithm.ED25519 for key in signers):
        raise ValueError("A note is signed by one or more keys of algorithm 0x01.")
    try:
        _check_text(text)
    except AuditBroken as fault:
        raise ValueError(fault.detail) from None
    message = text.encode()
    return Note(
        text,
        tuple(Signature(key.name, key.verifier.key_id, key.sign(message)) for key in signers),
    )


def verify_note(note: Note, *, keys: Iterable[VerifierKey]) -> Sequence[VerifierKey]:
    """The keys among `keys` (of algorithm 0x01) that signed `note`; never none.

    Signatures of other keys are passed over, as the specification demands.

    Raises:
        AuditBroken: A signature that says to be of one of `keys` does not fit, or none is there.
    """
    message = note.text.encode()
    signed = []
    for key in keys:
        signature = note.signature_of(key)
        if signature is None or key.algorithm is not Algorithm.ED25519:
            continue
        if not key.fits(message, signature.value):
            raise AuditBroken(f"The signature of {key.name!r} does not fit the text above it.")
        signed.append(key)
    if not signed:
        raise AuditBroken("The note is not signed by any key that is trusted for it.")
    return signed


def _check_text(text: str) -> None:
    """Refuse what no note may hold: control characters, half characters, a last line without end.

    Raises:
        AuditBroken: It cannot be a note's text.
    """
    try:
        size_bytes = len(text.encode())
    except UnicodeEncodeError:
        raise AuditBroken("A signed note is not UTF-8.") from None
    if size_bytes > NOTE_LIMIT_BYTES:
        raise AuditBroken(f"A signed note is larger than {NOTE_LIMIT_BYTES} bytes.")
    if not text.endswith("\n") or any(letter < " " and letter != "\n" for letter in text):
        raise AuditBroken("A signed note holds control characters or lacks its last newline.")
