"""What a check of an audit bundle found: what is proven, by whom, and the first thing wrong.

The first bad index is the first place at which the bundle does not hold, or nobody vouches for,
what the log signed there. Every entry before `AuditReport.proven` is proven.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from entente_common.audit.checkpoint import Checkpoint
from entente_common.audit.encoding import encode_base64
from entente_common.audit.keys import VerifierKey
from entente_common.clock import rfc3339


class Finding(StrEnum):
    """What is wrong, in the words of docs/audit.md."""

    EDITED = "edited"
    LEAF_HASH = "leaf-hash"
    DELETED = "deleted"
    INSERTED = "inserted"
    REORDERED = "reordered"
    DUPLICATED = "duplicated"
    TRUNCATED = "truncated"
    UNSIGNED = "unsigned"
    REWRITTEN = "rewritten"
    MALFORMED = "malformed"
    CHECKPOINT = "checkpoint"
    CONTRADICTION = "contradiction"
    COUNTERSIGNATURE = "countersignature"


@dataclass(frozen=True, slots=True)
class Fault:
    """The first thing wrong with a bundle.

    Attributes:
        finding: What it is.
        index: The first bad index; the lowest it can be, where it cannot be known exactly.
        last: The highest it can be; equal to `index` where it is exact.
        detail: A sentence for people.
    """

    finding: Finding
    index: int
    last: int
    detail: str

    @classmethod
    def at(cls, index: int, finding: Finding, detail: str) -> Fault:
        """A fault at exactly `index`."""
        return cls(finding=finding, index=index, last=index, detail=detail)

    def document(self) -> dict[str, Any]:
        """The fault as JSON."""
        return {
            "finding": self.finding.value,
            "first_bad_index": self.index,
            "last_possible_index": self.last,
            "detail": self.detail,
        }


@dataclass(frozen=True, slots=True)
class Coverage:
    """What one witness vouches for.

    Attributes:
        witness: Its key.
        trusted: Whether whoever checks named the key; otherwise only the bundle does.
        size: It vouches for this many entries; 0 where it countersigned nothing.
        at: When it says it did.
    """

    witness: VerifierKey
    trusted: bool
    size: int = 0
    at: datetime | None = None

    def document(self) -> dict[str, Any]:
        """The coverage as JSON."""
        return {
            "name": self.witness.name,
            "key": self.witness.text(),
            "trusted": self.trusted,
            "size": self.size,
            "at": None if self.at is None else rfc3339(self.at),
        }


@dataclass(frozen=True, slots=True)
class AuditReport:
    """What a check of a bundle found.

    Attributes:
        origin: The log that the bundle says it is of.
        entries: Entries in the bundle.
        proven: Leading entries that are exactly those which the log signed.
        checkpoints: Checkpoints with a good signature of the log.
        head: The last of them; None where there is none.
        log_key: The key that signed it.
        trusted: Whether whoever checks named that key; otherwise only the bundle does.
        coverage: What each witness vouches for.
        fault: The first thing wrong; None where the bundle verifies.
    """

    origin: str
    entries: int
    proven: int
    checkpoints: int
    head: Checkpoint | None
    log_key: VerifierKey | None
    trusted: bool
    coverage: tuple[Coverage, ...]
    fault: Fault | None

    @property
    def verified(self) -> bool:
        """Whether nothing is wrong."""
        return self.fault is None

    def document(self) -> dict[str, Any]:
        """The report as JSON."""
        return {
            "verified": self.verified,
            "origin": self.origin,
            "entries": self.entries,
            "proven": self.proven,
            "checkpoints": self.checkpoints,
            "size": self.head and self.head.size,
            "root": self.head and encode_base64(self.head.root),
            "log_key": self.log_key and self.log_key.text(),
            "log_key_trusted": self.trusted,
            "witnesses": [coverage.document() for coverage in self.coverage],
            "fault": self.fault and self.fault.document(),
        }
