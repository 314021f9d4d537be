r"""The export bundle: all that an outside auditor needs to verify a log offline, as JSON Lines.

Line 1 is the header, then comes one line for each checkpoint (the smallest first), then one for
each entry (in order) with the leaf hash that the coordinator stored for it:

    {"format":"entente/audit-bundle/v1","log_keys":[…],"origin":"…","witnesses":[…]}
    {"checkpoint":"example.org/log\n2\nq5Y…\n\n— example.org/log Az3…\n"}
    {"entry":{"action":…,"actor":…,"at":…,"detail":{…},"index":0,"subject":…},"leaf_hash":"mE0…"}

Every line is canonical JSON (RFC 8785) and ends with a newline, so that a bundle has one form.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, NamedTuple

import rfc8785

from entente_common.audit.encoding import decode_base64, encode_base64
from entente_common.audit.entry import AuditEntry
from entente_common.audit.keys import Algorithm, VerifierKey, is_key_name
from entente_common.audit.merkle import is_hash, leaf_hash
from entente_common.canonical import canonical_json
from entente_common.errors import InvalidDocument, InvalidSettings

FORMAT = "entente/audit-bundle/v1"
LINE_LIMIT_BYTES = 1024 * 1024

_HEADER_FIELDS = {"format", "origin", "log_keys", "witnesses"}
_ENTRY_FIELDS = {"entry", "leaf_hash"}
_CHECKPOINT = b'{"checkpoint":'


@dataclass(frozen=True, slots=True)
class BundleHeader:
    """Which log a bundle is of, and the keys it says belong to it.

    Attributes:
        origin: The log's name.
        log_keys: Keys that sign its checkpoints (0x01), under the origin's name.
        witnesses: Keys that countersign them (0x04).
    """

    origin: str
    log_keys: tuple[VerifierKey, ...]
    witnesses: tuple[VerifierKey, ...] = ()

    def line(self) -> bytes:
        """The first line of a bundle."""
        return _line(
            {
                "format": FORMAT,
                "origin": self.origin,
                "log_keys": [key.text() for key in self.log_keys],
                "witnesses": [key.text() for key in self.witnesses],
            }
        )

    @classmethod
    def parse(cls, line: bytes) -> BundleHeader:
        """Read the first line of a bundle; its keys deserve no trust yet.

        Raises:
            InvalidDocument: It is none.
        """
        document = _parsed(line)
        if not isinstance(document, dict) or document.get("format") != FORMAT:
            raise _not_a_bundle(f"its first line does not say {FORMAT}")
        origin = document.get("origin")
        if document.keys() != _HEADER_FIELDS or not isinstance(origin, str):
            raise _not_a_bundle("its header is malformed")
        if not is_key_name(origin):
            raise _not_a_bundle("its origin is malformed")
        return cls(
            origin=origin,
            log_keys=_keys(document["log_keys"], Algorithm.ED25519),
            witnesses=_keys(document["witnesses"], Algorithm.COSIGNATURE),
        )


class EntryLine(NamedTuple):
    """An entry as a bundle holds it.

    Attributes:
        entry: The entry.
        computed: Its leaf hash.
        listed: The leaf hash that the bundle lists for it.
        canonical: Whether the line is written in the one way it can be.
    """

    entry: AuditEntry
    computed: bytes
    listed: bytes
    canonical: bool


def bundle_lines(
    header: BundleHeader,
    *,
    checkpoints: Iterable[str],
    entries: Iterable[tuple[Mapping[str, Any], bytes]],
) -> Iterator[bytes]:
    """Write a bundle, one line at a time.

    Args:
        header: Of this log.
        checkpoints: Signed notes, the smallest first.
        entries: Each entry's document and its stored leaf hash, in order, up to the size of the
            last checkpoint. Documents are passed on as they are stored, good or bad: judging them
            is for whoever verifies.
    """
    yield header.line()
    for checkpoint in checkpoints:
        yield _line({"checkpoint": checkpoint})
    for document, leaf in entries:
        yield _line({"entry": dict(document), "leaf_hash": encode_base64(leaf)})


def read_lines(stream: BinaryIO) -> Iterator[bytes]:
    """Lines of a bundle, with their newlines; one too long comes cut, and so is malformed."""
    while line := stream.readline(LINE_LIMIT_BYTES):
        yield line


def is_checkpoint_line(line: bytes) -> bool:
    """Whether a line after the header is one of a checkpoint."""
    return line.startswith(_CHECKPOINT)


def parse_checkpoint_line(line: bytes) -> str:
    """The signed note in a checkpoint's line, not verified.

    Raises:
        InvalidDocument: The line is malformed.
    """
    document = _parsed(line)
    note = document.get("checkpoint") if isinstance(document, dict) else None
    if not isinstance(note, str) or len(document) != 1:
        raise InvalidDocument("The line of a checkpoint is malformed.")
    return note


def parse_entry_line(line: bytes) -> EntryLine:
    """Read an entry's line and compute its leaf.

    Raises:
        InvalidDocument: The line is malformed, or holds no entry.
    """
    document = _parsed(line)
    if not isinstance(document, dict) or document.keys() != _ENTRY_FIELDS:
        raise InvalidDocument("The line has other members than entry and leaf_hash.")
    listed = document["leaf_hash"]
    listed_hash = decode_base64(listed) if isinstance(listed, str) else None
    if listed_hash is None or not is_hash(listed_hash):
        raise InvalidDocument("The leaf hash is not 32 bytes in Base64.")
    entry = AuditEntry.from_document(document["entry"])
    leaf = entry.leaf_bytes()
    return EntryLine(
        entry=entry,
        computed=leaf_hash(leaf),
        listed=listed_hash,
        canonical=line == b'{"entry":%b,"leaf_hash":"%b"}\n' % (leaf, listed.encode()),
    )


def _keys(texts: object, algorithm: Algorithm) -> tuple[VerifierKey, ...]:
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise _not_a_bundle("its keys are malformed")
    try:
        keys = tuple(map(VerifierKey.parse, texts))
    except InvalidSettings as fault:
        raise _not_a_bundle(f"a key in it is malformed ({fault.detail.rstrip('.')})") from None
    if any(key.algorithm is not algorithm for key in keys):
        raise _not_a_bundle("a key in it is of the wrong algorithm")
    return keys


def _line(document: dict[str, Any]) -> bytes:
    try:
        return canonical_json(document) + b"\n"
    except (rfc8785.CanonicalizationError, UnicodeEncodeError):
        # Only a stored entry that nobody could have signed; whoever verifies will say so.
        return json.dumps(document, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def _parsed(line: bytes) -> Any:  # noqa: ANN401 - any JSON value
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        raise InvalidDocument("The line is no JSON.") from None


def _not_a_bundle(reason: str) -> InvalidDocument:
    return InvalidDocument(
        f"This is no audit bundle: {reason}.",
        hint="Export one with the coordinator's audit export, and pass it on unchanged.",
    )
