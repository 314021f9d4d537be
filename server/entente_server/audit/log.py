"""The audit trail as a transparency log: signed checkpoints, proofs, and the export bundle.

A checkpoint is signed only if the log it covers grew from the last one that was signed. Whoever
keeps a checkpoint outside the coordinator can later tell whether history was rewritten.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from sqlmodel import Session, col, select

from entente_common.audit.bundle import BundleHeader, bundle_lines
from entente_common.audit.checkpoint import Checkpoint, sign_checkpoint, verify_extension
from entente_common.audit.entry import AuditEntry
from entente_common.audit.keys import SignerKey, VerifierKey
from entente_common.audit.merkle import Position, root_at
from entente_common.audit.note import Note
from entente_common.audit.proofs import consistency_proof, inclusion_proof
from entente_common.clock import rfc3339, utc_now
from entente_common.errors import AuditBroken, NotFound
from entente_common.identity.keystore import Vault
from entente_common.log import get_logger
from entente_server.audit.trail import entry_of, stored_hashes, trail_size
from entente_server.kit.database import Database
from entente_server.tables import AuditCheckpointRow, AuditRow

_log = get_logger(__name__)
_KEY = "audit-log-key"
_PAGE = 1000


def log_key(vault: Vault, *, authority_fingerprint: str) -> SignerKey:
    """The key that signs checkpoints, made at first use and sealed in the vault.

    Args:
        vault: Of the coordinator.
        authority_fingerprint: `sha256:…` of its authority; it names the log.
    """
    sealed = vault.secret(_KEY)
    if sealed is not None:
        return SignerKey.parse(sealed.decode())
    key = SignerKey.generate(f"entente/{authority_fingerprint.removeprefix('sha256:')[:16]}")
    vault.write_secret(_KEY, key.secret_text().encode())
    return key


class AuditLog:
    """Answers for the audit trail."""

    def __init__(self, database: Database, *, signer: SignerKey) -> None:
        self._database = database
        self._signer = signer

    @property
    def verifier(self) -> VerifierKey:
        """The key that others verify checkpoints with; its name is the log's origin."""
        return self._signer.verifier

    def checkpoint(self) -> str:
        """The signed checkpoint of the log as it stands, a signed note.

        Raises:
            AuditBroken: The log did not grow from what was signed last; nothing is signed.
        """
        with self._database.transaction() as session:
            return self._checkpoint(session)

    def entries(self, *, after: int, limit: int) -> list[AuditEntry]:
        """At most `limit` entries with indices above `after`, in order."""
        with self._database.snapshot() as session:
            return [entry_of(row) for row in _rows(session, after=after, limit=limit)]

    def inclusion(self, index: int, *, size: int) -> tuple[bytes, Sequence[bytes]]:
        """Leaf hash of entry `index`, and the proof that it is in the log of `size` entries.

        Raises:
            NotFound: The log has no such entry or size.
        """
        with self._database.snapshot() as session:
            _check_range(index, size, available=trail_size(session))
            hashes = stored_hashes(session)
            proof = inclusion_proof(index, size, hashes=hashes)
            return hashes([Position(0, index)])[0], proof

    def consistency(self, *, older: int, newer: int) -> Sequence[bytes]:
        """Proof that the log of `newer` entries begins with its first `older` entries.

        Raises:
            NotFound: The log has no such sizes.
        """
        with self._database.snapshot() as session:
            if not 0 <= older <= newer <= trail_size(session):
                raise NotFound(f"The log never went from {older} to {newer} entries.")
            return consistency_proof(older, newer, hashes=stored_hashes(session))

    def bundle(self) -> Iterator[bytes]:
        """The export bundle, line by line, up to a checkpoint signed now.

        A log that was tampered with is exported as it stands, up to what was signed last: judging
        it is for whoever verifies.
        """
        try:
            self.checkpoint()
        except AuditBroken as error:
            _log.critical("audit trail broken", reason=error.detail)
        header = BundleHeader(origin=self._signer.name, log_keys=(self.verifier,))
        with self._database.snapshot() as session:
            query = select(AuditCheckpointRow).order_by(col(AuditCheckpointRow.size))
            signed = session.exec(query).all()
            size = signed[-1].size if signed else 0
            yield from bundle_lines(
                header,
                checkpoints=[row.note for row in signed],
                entries=_stored(session, size=size),
            )

    def _checkpoint(self, session: Session) -> str:
        hashes, size = stored_hashes(session), trail_size(session)
        made = Checkpoint(self._signer.name, size, root_at(size, hashes=hashes))
        query = select(AuditCheckpointRow).order_by(col(AuditCheckpointRow.size).desc())
        last = session.exec(query).first()
        if last is not None:
            older = Checkpoint.parse(Note.parse(last.note).text)
            sizes = (min(older.size, size), size)
            verify_extension(older, made, consistency_proof(*sizes, hashes=hashes))
            if older.size == size:
                return last.note
        note = sign_checkpoint(made, signer=self._signer).encode()
        session.add(AuditCheckpointRow(size=size, at=rfc3339(utc_now()), note=note))
        return note


def _rows(session: Session, *, after: int, limit: int) -> Sequence[AuditRow]:
    query = select(AuditRow).where(AuditRow.index > after).order_by(col(AuditRow.index))
    return session.exec(query.limit(limit)).all()


def _stored(session: Session, *, size: int) -> Iterator[tuple[dict[str, object], bytes]]:
    """Entries as they are stored, good or bad, with the leaf hashes stored beside them."""
    hashes, after = stored_hashes(session), -1
    while rows := [r for r in _rows(session, after=after, limit=_PAGE) if r.index < size]:
        leaves = hashes([Position(0, row.index) for row in rows])
        for row, leaf in zip(rows, leaves, strict=True):
            yield {**row.model_dump(), "detail": _parsed(row.detail)}, leaf
        after = rows[-1].index


def _parsed(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text  # no entry has text here: whoever verifies sees that the row was changed


def _check_range(index: int, size: int, *, available: int) -> None:
    if not 0 <= index < size <= available:
        raise NotFound(f"The log of {size} entries has no entry {index}.")
