"""Whatever is done to a bundle, its verification fails and names the first bad index."""

import io
import json
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entente_common.audit.bundle import LINE_LIMIT_BYTES, BundleHeader, bundle_lines, read_lines
from entente_common.audit.checkpoint import Checkpoint, sign_checkpoint
from entente_common.audit.keys import Algorithm, SignerKey
from entente_common.audit.merkle import CompactTree
from entente_common.audit.note import Note, Signature
from entente_common.audit.report import AuditReport, Fault, Finding
from entente_common.audit.verification import verify_bundle
from entente_common.errors import InvalidDocument
from fakes.audit_log import LOG_KEY, ORIGIN, WITNESS_A, WITNESS_B, AuditLog, entry_at

TRUST = {"trusted_log_keys": [LOG_KEY.verifier], "trusted_witnesses": [WITNESS_A.verifier]}
Tampering = Callable[[AuditLog], None]


@pytest.fixture
def log() -> AuditLog:
    return AuditLog.of(20, signed_at=[0, 4, 10, 11, 20])


def checked(log: AuditLog) -> AuditReport:
    return verify_bundle(
        log.export(),
        trusted_log_keys=[LOG_KEY.verifier],
        trusted_witnesses=[WITNESS_A.verifier, WITNESS_B.verifier],
    )


def fault_of(log: AuditLog) -> Fault:
    fault = checked(log).fault
    assert fault is not None
    assert fault.detail
    return fault


def test_a_good_bundle_verifies(log: AuditLog) -> None:
    report = checked(log)
    assert report.verified
    assert (report.entries, report.proven, report.checkpoints) == (20, 20, 5)
    assert report.trusted
    assert report.head is not None
    assert report.head.size == 20
    assert [(c.witness.name, c.size, c.trusted) for c in report.coverage] == [
        ("site-a", 20, True),
        ("site-b", 20, True),
    ]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 25), st.data())
def test_every_prefix_of_a_log_verifies(size: int, data: st.DataObject) -> None:
    sizes = data.draw(st.sets(st.integers(0, size)).map(lambda found: sorted(found | {size})))
    report = checked(AuditLog.of(size, signed_at=sizes))
    assert report.verified
    assert report.proven == size


def test_without_a_key_the_report_says_that_nobody_vouches(log: AuditLog) -> None:
    report = verify_bundle(log.export())
    assert report.verified
    assert not report.trusted
    assert [coverage.trusted for coverage in report.coverage] == [False, False]


def edit(log: AuditLog) -> None:
    log.documents[7]["detail"] = {"sites": "c"}


def edit_and_hash(log: AuditLog) -> None:
    edit(log)
    log.hash_anew()


def edit_where_one_entry_is_signed(log: AuditLog) -> None:
    log.documents[10]["actor"] = "site:z"
    log.hash_anew()


def change_leaf_hash(log: AuditLog) -> None:
    log.leaves[7] = log.leaves[6]


def delete(log: AuditLog) -> None:
    del log.documents[7], log.leaves[7]


def delete_and_number(log: AuditLog) -> None:
    """As a coordinator would show it whose stored tree nobody touched."""
    del log.documents[7], log.leaves[-1]
    log.number_anew()


def delete_number_and_hash(log: AuditLog) -> None:
    delete(log)
    log.number_anew()
    log.hash_anew()


def insert_and_number(log: AuditLog) -> None:
    log.documents.insert(7, entry_at(7, subject="run_new").document())
    log.number_anew()
    del log.documents[-1]


def reorder(log: AuditLog) -> None:
    for parts in (log.documents, log.leaves):
        parts[7], parts[9] = parts[9], parts[7]  # type: ignore[index]


def reorder_neighbours(log: AuditLog) -> None:
    log.documents[7:9] = log.documents[8], log.documents[7]
    log.number_anew()


def reorder_and_number(log: AuditLog) -> None:
    log.documents[7], log.documents[15] = log.documents[15], log.documents[7]
    log.number_anew()


def duplicate(log: AuditLog) -> None:
    log.documents.insert(7, log.documents[6])
    log.leaves.insert(7, log.leaves[6])


def truncate(log: AuditLog) -> None:
    del log.documents[17:], log.leaves[17:]


def truncate_all(log: AuditLog) -> None:
    log.documents.clear()
    log.leaves.clear()


def append(log: AuditLog) -> None:
    for index in (20, 21):
        log.documents.append(entry_at(index).document())
        log.leaves.append(entry_at(index).leaf_hash())


def spoil(log: AuditLog) -> None:
    log.documents[7]["at"] = "yesterday"


def spoil_beyond_json(log: AuditLog) -> None:
    log.documents[7]["detail"] = {"n": 2**70, "t": "\ud800"}


def swap_checkpoints(log: AuditLog) -> None:
    log.checkpoints[2], log.checkpoints[3] = log.checkpoints[3], log.checkpoints[2]


def repeat_checkpoint(log: AuditLog) -> None:
    log.checkpoints.insert(2, log.checkpoints[2])


def drop_checkpoints(log: AuditLog) -> None:
    log.checkpoints.clear()


def drop_last_checkpoint(log: AuditLog) -> None:
    del log.checkpoints[-1]


def forge_checkpoint(log: AuditLog) -> None:
    note = log.checkpoints[2]
    log.checkpoints[2] = replace(note, text=note.text.replace("\n10\n", "\n9\n"))


def sign_checkpoint_as_a_stranger(log: AuditLog) -> None:
    log.checkpoints[3] = log.signed(11, signer=SignerKey.generate(ORIGIN))


def use_the_checkpoint_of_another_log(log: AuditLog) -> None:
    checkpoint = Checkpoint("another.example", 10, bytes(32))
    other = SignerKey("another.example", Algorithm.ED25519, LOG_KEY.seed)
    log.checkpoints[2] = sign_checkpoint(checkpoint, signer=other)


def sign_two_histories(log: AuditLog) -> None:
    log.checkpoints[2] = sign_checkpoint(Checkpoint(ORIGIN, 10, bytes(32)), signer=LOG_KEY)


def strip(witness: SignerKey, *numbers: int) -> Tampering:
    def tamper(log: AuditLog) -> None:
        for number in numbers:
            note = log.checkpoints[number]
            kept = tuple(s for s in note.signatures if s.name != witness.name)
            log.checkpoints[number] = Note(note.text, kept)

    return tamper


def forge_countersignature(log: AuditLog) -> None:
    made = Signature("site-b", WITNESS_B.verifier.key_id, bytes(72))
    log.checkpoints[3] = log.checkpoints[3].with_signature(made)


@pytest.mark.parametrize(
    ("tamper", "finding", "index", "last"),
    [
        (edit, Finding.EDITED, 7, 7),
        (edit_and_hash, Finding.REWRITTEN, 4, 9),
        (edit_where_one_entry_is_signed, Finding.REWRITTEN, 10, 10),
        (change_leaf_hash, Finding.LEAF_HASH, 7, 7),
        (delete, Finding.DELETED, 7, 7),
        (delete_and_number, Finding.DELETED, 7, 7),
        (delete_number_and_hash, Finding.REWRITTEN, 4, 9),
        (insert_and_number, Finding.INSERTED, 7, 7),
        (reorder, Finding.REORDERED, 7, 7),
        (reorder_neighbours, Finding.REORDERED, 7, 7),
        (reorder_and_number, Finding.REORDERED, 7, 7),
        (duplicate, Finding.DUPLICATED, 7, 7),
        (truncate, Finding.TRUNCATED, 17, 17),
        (truncate_all, Finding.TRUNCATED, 0, 0),
        (append, Finding.UNSIGNED, 20, 20),
        (spoil, Finding.MALFORMED, 7, 7),
        (spoil_beyond_json, Finding.MALFORMED, 7, 7),
        (swap_checkpoints, Finding.CHECKPOINT, 10, 10),
        (repeat_checkpoint, Finding.CHECKPOINT, 10, 10),
        (drop_checkpoints, Finding.UNSIGNED, 0, 0),
        (drop_last_checkpoint, Finding.UNSIGNED, 11, 11),
        (forge_checkpoint, Finding.CHECKPOINT, 4, 4),
        (sign_checkpoint_as_a_stranger, Finding.CHECKPOINT, 10, 10),
        (use_the_checkpoint_of_another_log, Finding.CHECKPOINT, 4, 4),
        (sign_two_histories, Finding.CONTRADICTION, 4, 9),
        (strip(WITNESS_A, 4), Finding.COUNTERSIGNATURE, 11, 11),
        (strip(WITNESS_B, 0, 1, 2, 3, 4), Finding.COUNTERSIGNATURE, 0, 0),
        (forge_countersignature, Finding.COUNTERSIGNATURE, 10, 10),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_tampering_is_named_with_the_first_bad_index(
    log: AuditLog, tamper: Tampering, finding: Finding, index: int, last: int
) -> None:
    tamper(log)
    fault = fault_of(log)
    assert (fault.finding, fault.index, fault.last) == (finding, index, last)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_changed_row_is_found_wherever_it_is(data: st.DataObject) -> None:
    size = data.draw(st.integers(2, 20))
    log = AuditLog.of(size, signed_at=[size])
    at = data.draw(st.integers(0, size - 1))
    kind = data.draw(st.sampled_from(["edit", "delete", "move"]))
    if kind == "edit":
        log.documents[at]["subject"] = "another"
        expected = at
    elif kind == "delete":
        del log.documents[at], log.leaves[at]
        expected = at
    else:
        other = data.draw(st.integers(0, size - 1).filter(lambda place: place != at))
        log.documents[at], log.documents[other] = log.documents[other], log.documents[at]
        log.number_anew()
        expected = min(at, other)
    fault = fault_of(log)
    assert (fault.index, fault.last) == (expected, expected)


def test_the_first_of_several_faults_is_named(log: AuditLog) -> None:
    truncate(log)
    forge_checkpoint(log)
    log.documents[2]["actor"] = "site:z"
    assert (fault_of(log).finding, fault_of(log).index) == (Finding.EDITED, 2)


def test_what_precedes_the_fault_stays_proven(log: AuditLog) -> None:
    edit_and_hash(log)
    report = checked(log)
    assert (report.proven, report.entries) == (4, 20)


def test_an_unconfirmed_leaf_hash_leaves_a_doubt_that_is_told(log: AuditLog) -> None:
    edit(log)
    log.documents[5]["actor"] = "site:z"
    log.leaves[5] = entry_at(5, actor="site:z").leaf_hash()
    fault = fault_of(log)
    assert (fault.finding, fault.index) == (Finding.EDITED, 7)
    assert "there may be more" in fault.detail


def test_a_log_that_replaced_everything_fails_under_the_known_key(log: AuditLog) -> None:
    forger = SignerKey.generate(ORIGIN)
    edit_and_hash(log)
    sizes = [0, 4, 10, 11, 20]
    log.checkpoints = [log.signed(size, signer=forger) for size in sizes]
    log.header = replace(log.header, log_keys=(forger.verifier,))
    assert verify_bundle(log.export()).verified, "it agrees with itself"
    fault = verify_bundle(log.export(), trusted_log_keys=[LOG_KEY.verifier]).fault
    assert fault is not None
    assert (fault.finding, fault.index) == (Finding.CHECKPOINT, 0)


def test_keys_may_change_over_the_life_of_a_log(log: AuditLog) -> None:
    newer = SignerKey.generate(ORIGIN)
    log.checkpoints[4] = log.signed(20, signer=newer)
    report = verify_bundle(log.export(), trusted_log_keys=[LOG_KEY.verifier, newer.verifier])
    assert report.verified
    assert report.log_key == newer.verifier


def test_an_untrusted_witness_may_lag_behind(log: AuditLog) -> None:
    strip(WITNESS_B, 3, 4)(log)
    report = verify_bundle(log.export(), trusted_witnesses=[WITNESS_A.verifier])
    assert report.verified
    assert [(coverage.witness.name, coverage.size) for coverage in report.coverage] == [
        ("site-a", 20),
        ("site-b", 10),
    ]


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_no_bit_of_a_bundle_may_change(data: st.DataObject) -> None:
    log = AuditLog.of(3, signed_at=[3])
    text = b"".join(log.export())
    # The header's lists of keys are not signed: whoever trusts keys names them.
    begin = text.index(b"\n") + 1
    bit = data.draw(st.integers(8 * begin, 8 * len(text) - 1))
    changed = bytearray(text)
    changed[bit // 8] ^= 1 << bit % 8
    report = verify_bundle(
        read_lines(io.BytesIO(changed)),
        trusted_log_keys=[LOG_KEY.verifier],
        trusted_witnesses=[WITNESS_A.verifier, WITNESS_B.verifier],
    )
    assert not report.verified


@pytest.mark.parametrize(
    "change",
    [
        lambda line: line.replace(b",", b", ", 1),
        lambda line: line.replace(b'{"entry":{', b'{"entry":{"actor":"site:z",', 1),
        lambda line: line.replace(b'"index":7', b'"index":7.0'),
        lambda line: line.replace(b'"index":7', b'"index":NaN'),
        lambda line: line.removesuffix(b"}\n") + b',"x":1}\n',
        lambda line: line.replace(b'="}', b'"}'),
        lambda _: b"null\n",
        lambda _: b"\n",
        lambda _: b"[" * 100_000 + b"\n",
        lambda _: b"\xff\n",
        lambda line: line[:-1] + b" " * LINE_LIMIT_BYTES + b"\n",
    ],
)
def test_a_line_that_could_be_read_in_two_ways_is_refused(
    log: AuditLog, change: Callable[[bytes], bytes]
) -> None:
    lines = log.export()
    number = 1 + len(log.checkpoints) + 7
    lines[number] = change(lines[number])
    fault = verify_bundle(read_lines(io.BytesIO(b"".join(lines)))).fault
    assert fault is not None
    assert (fault.finding, fault.index) == (Finding.MALFORMED, 7)


GOOD_HEADER = AuditLog.of(0, signed_at=[]).header


@pytest.mark.parametrize(
    "change",
    [
        {"format": "entente/audit-bundle/v2"},
        {"origin": "two words"},
        {"origin": 3},
        {"log_keys": "x"},
        {"log_keys": [3]},
        {"log_keys": ["x"]},
        {"log_keys": [WITNESS_A.verifier.text()]},
        {"witnesses": [LOG_KEY.verifier.text()]},
        {"more": 1},
    ],
)
def test_a_header_that_is_none_is_no_bundle(change: dict[str, object]) -> None:
    document = json.loads(GOOD_HEADER.line()) | change
    with pytest.raises(InvalidDocument, match="no audit bundle"):
        verify_bundle([json.dumps(document).encode()])


@pytest.mark.parametrize("lines", [[], [b""], [b"[]\n"], [b"3\n"]])
def test_another_file_is_no_bundle(lines: list[bytes]) -> None:
    with pytest.raises(InvalidDocument):
        verify_bundle(lines)


def test_a_checkpoint_line_that_is_none_is_a_bad_checkpoint(log: AuditLog) -> None:
    lines = log.export()
    lines[3] = b'{"checkpoint":3}\n'
    fault = verify_bundle(lines).fault
    assert fault is not None
    assert (fault.finding, fault.index) == (Finding.CHECKPOINT, 4)


def test_a_report_is_json(log: AuditLog) -> None:
    edit(log)
    document = json.loads(json.dumps(checked(log).document()))
    assert document["verified"] is False
    assert document["fault"]["first_bad_index"] == 7
    assert document["witnesses"][0]["at"] == "2026-11-23T09:30:20.000Z"


def test_memory_does_not_grow_with_the_entries() -> None:
    size = 3000
    tree = CompactTree()
    for index in range(size):
        tree.append(entry_at(index).leaf_hash())
    note = sign_checkpoint(Checkpoint(ORIGIN, size, tree.root()), signer=LOG_KEY)

    def lines() -> Iterator[bytes]:
        entries = (entry_at(index) for index in range(size))
        return bundle_lines(
            BundleHeader(ORIGIN, (LOG_KEY.verifier,)),
            checkpoints=[note.encode()],
            entries=((entry.document(), entry.leaf_hash()) for entry in entries),
        )

    verify_bundle(lines())
    tracemalloc.start()
    try:
        assert verify_bundle(lines()).verified
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 100 * size
