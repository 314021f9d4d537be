"""Offline verification of an audit bundle, in one pass and O(log n + checkpoints) memory.

Recomputed: every leaf from its entry, and the root at the size of every checkpoint. Two checkpoints
whose roots both come from one list of entries are consistent by construction, so no consistency
proof is needed. What a bundle says of its own keys is believed only where no key is given.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from entente_common.audit.bundle import (
    BundleHeader,
    EntryLine,
    is_checkpoint_line,
    parse_checkpoint_line,
    parse_entry_line,
)
from entente_common.audit.checkpoint import (
    Checkpoint,
    SignedCheckpoint,
    open_checkpoint,
    verify_cosignatures,
)
from entente_common.audit.diagnosis import Diagnosis, Settled, WrongLeaf, WrongPlace, WrongRoot
from entente_common.audit.keys import VerifierKey
from entente_common.audit.merkle import CompactTree
from entente_common.audit.report import AuditReport, Coverage, Fault, Finding
from entente_common.errors import AuditBroken, InvalidDocument


def verify_bundle(
    lines: Iterable[bytes],
    *,
    trusted_log_keys: Sequence[VerifierKey] = (),
    trusted_witnesses: Sequence[VerifierKey] = (),
) -> AuditReport:
    """Verify a bundle and name the first thing wrong with it.

    Args:
        lines: Its lines with their newlines, as `bundle.read_lines` gives them.
        trusted_log_keys: Keys of the log, known from elsewhere; several after a rotation. Without
            any, the bundle's own are used, and the report says that nobody vouches for them.
        trusted_witnesses: Witnesses whose countersignature the last checkpoint must carry.

    Raises:
        InvalidDocument: The first line is not that of a bundle.
    """
    rest = iter(lines)
    header = BundleHeader.parse(next(rest, b""))
    signatures = _Signatures(header, trusted_log_keys, trusted_witnesses)
    line = next(rest, None)
    while line is not None and is_checkpoint_line(line):
        signatures.add(line)
        line = next(rest, None)
    replay = _Replay([signed.checkpoint for signed in signatures.good])
    for entry_line in _chain(line, rest):
        replay.feed(entry_line)
    faults = [*signatures.faults(), *replay.faults()]
    head = signatures.head
    return AuditReport(
        origin=header.origin,
        entries=replay.count,
        proven=replay.proven,
        checkpoints=len(signatures.good),
        head=None if head is None else head.checkpoint,
        log_key=None if head is None else head.log_key,
        trusted=bool(trusted_log_keys),
        coverage=tuple(signatures.coverage.values()),
        fault=min(faults, key=lambda fault: fault.index, default=None),
    )


class _Signatures:
    """The checkpoints of a bundle and who vouches for each."""

    def __init__(
        self,
        header: BundleHeader,
        log_keys: Sequence[VerifierKey],
        witnesses: Sequence[VerifierKey],
    ) -> None:
        self.good: list[SignedCheckpoint] = []
        self._origin = header.origin
        self._log_keys = tuple(log_keys) or header.log_keys
        self._found: list[Fault] = []
        named = dict.fromkeys([*witnesses, *header.witnesses])
        self.coverage = {key: Coverage(key, trusted=key in witnesses) for key in named}

    @property
    def head(self) -> SignedCheckpoint | None:
        """The largest good checkpoint."""
        return self.good[-1] if self.good else None

    def add(self, line: bytes) -> None:
        """Take in the next checkpoint; one that does not verify is left out and noted."""
        size = self.head.checkpoint.size if self.head else 0
        try:
            signed = open_checkpoint(parse_checkpoint_line(line), log_keys=self._log_keys)
            self._check_place(signed.checkpoint)
        except (AuditBroken, InvalidDocument) as fault:
            detail = f"The checkpoint after that of {size} entries is bad: {fault.detail}"
            self._found.append(Fault.at(size, Finding.CHECKPOINT, detail))
            return
        if self.head and signed.checkpoint.size <= size:
            self._found.append(_out_of_order(signed.checkpoint, after=size))
            return
        self.good.append(signed)
        self._count_witnesses(signed, before=size)

    def faults(self) -> Iterator[Fault]:
        """What is wrong with checkpoints and countersignatures."""
        yield from self._found
        if self.head is None:
            yield Fault.at(0, Finding.UNSIGNED, "No checkpoint vouches for anything in the bundle.")
            return
        size = self.head.checkpoint.size
        for coverage in self.coverage.values():
            if coverage.trusted and (coverage.at is None or coverage.size < size):
                yield _unwitnessed(coverage, size)

    def _check_place(self, checkpoint: Checkpoint) -> None:
        if checkpoint.origin != self._origin:
            raise AuditBroken(f"It is of another log, {checkpoint.origin!r}.")

    def _count_witnesses(self, signed: SignedCheckpoint, *, before: int) -> None:
        for witness in self.coverage:
            try:
                found = verify_cosignatures(signed.note, witnesses=[witness])
            except AuditBroken as fault:
                self._found.append(Fault.at(before, Finding.COUNTERSIGNATURE, fault.detail))
                continue
            for cosignature in found:
                self.coverage[witness] = Coverage(
                    witness,
                    trusted=self.coverage[witness].trusted,
                    size=signed.checkpoint.size,
                    at=cosignature.at,
                )


class _Replay:
    """The entries of a bundle, compared one after another with what was signed."""

    def __init__(self, checkpoints: Sequence[Checkpoint]) -> None:
        self.count = 0
        self.proven = 0
        self._tree = CompactTree()
        self._signed = checkpoints[-1].size if checkpoints else 0
        self._ahead = iter([c for c in checkpoints if c.size])
        self._next = next(self._ahead, None)
        self._diagnosis: Diagnosis | None = None

    def feed(self, text: bytes) -> None:
        """Take in the next line."""
        position = self.count
        self.count += 1
        try:
            line = parse_entry_line(text)
        except InvalidDocument as fault:
            self._settle(position, Finding.MALFORMED, f"Entry {position}: {fault.detail}")
        else:
            if self._diagnosis is not None:
                self._diagnosis.see(position, line)
            else:
                self._compare(position, line)
        if self._next is not None and self.count == self._next.size:
            self._reach(self._next)
            self._next = next(self._ahead, None)

    def faults(self) -> Iterator[Fault]:
        """What is wrong with the entries."""
        if self._diagnosis is not None:
            yield self._diagnosis.verdict()
        elif self.count < self._signed:
            yield Fault.at(
                self.count,
                Finding.TRUNCATED,
                f"The log was cut off after {self.count} entries; {self._signed} were signed.",
            )

    def _compare(self, position: int, line: EntryLine) -> None:
        if position >= self._signed:
            detail = f"Entry {position} and what follows it are covered by no checkpoint."
            self._settle(position, Finding.UNSIGNED, detail)
        elif line.entry.index != position:
            self._diagnosis = WrongPlace(position, found=line.entry.index)
        elif line.computed != line.listed:
            self._diagnosis = WrongLeaf(position, line, before=self._tree)
        elif not line.canonical:
            detail = f"Entry {position} is not written as canonical JSON."
            self._settle(position, Finding.MALFORMED, detail)
        else:
            self._tree.append(line.listed)

    def _reach(self, checkpoint: Checkpoint) -> None:
        if self._diagnosis is not None:
            self._diagnosis.reach(checkpoint)
        elif self._tree.root() == checkpoint.root:
            self.proven = checkpoint.size
        else:
            self._diagnosis = WrongRoot(checkpoint, proven=self.proven, tree=self._tree)

    def _settle(self, position: int, finding: Finding, detail: str) -> None:
        if self._diagnosis is None:
            self._diagnosis = Settled(Fault.at(position, finding, detail))


def _chain(first: bytes | None, rest: Iterator[bytes]) -> Iterator[bytes]:
    if first is not None:
        yield first
        yield from rest


def _out_of_order(checkpoint: Checkpoint, *, after: int) -> Fault:
    return Fault.at(
        checkpoint.size,
        Finding.CHECKPOINT,
        f"The checkpoint of {checkpoint.size} entries comes after that of {after}.",
    )


def _unwitnessed(coverage: Coverage, size: int) -> Fault:
    name = coverage.witness.name
    what = "countersigned nothing" if coverage.at is None else f"vouches for {coverage.size} only"
    return Fault.at(
        coverage.size,
        Finding.COUNTERSIGNATURE,
        f"{name} does not vouch for all {size} entries: it {what}.",
    )
