"""Checkpoints: the log signs what it is, witnesses countersign what they saw."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entente_common.audit.checkpoint import (
    Checkpoint,
    cosign,
    open_checkpoint,
    sign_checkpoint,
    verify_cosignatures,
    verify_extension,
)
from entente_common.audit.keys import Algorithm, SignerKey
from entente_common.audit.merkle import EMPTY_ROOT, leaf_hash
from entente_common.audit.note import Note, Signature, sign_note
from entente_common.audit.proofs import consistency_proof
from entente_common.errors import AuditBroken
from fakes.audit_log import LOG_KEY, MOMENT, ORIGIN, WITNESS_A, WITNESS_B, SubtreeStore

ROOT = leaf_hash(b"root")
# The example of C2SP tlog-checkpoint and tlog-cosignature; its keys are not published.
SPEC_NOTE = (
    "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"
    "— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q"
    "1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n"
    "— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oy"  # noqa: E501
    "in1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n"
)
MALFORMED = {
    "nothing": "",
    "no root": f"{ORIGIN}\n1\n",
    "an extension line": f"{ORIGIN}\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\nmore\n",
    "no origin": "\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n",
    "a zero before the size": f"{ORIGIN}\n01\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n",
    "a sign before the size": f"{ORIGIN}\n+1\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n",
    "digits of another script": f"{ORIGIN}\n١\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n",
    "a size beyond all trees": f"{ORIGIN}\n9223372036854775808\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n",  # noqa: E501
    "a short root": f"{ORIGIN}\n1\nAAAA\n",
    "no Base64": f"{ORIGIN}\n1\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFV=\n",
    "an empty tree with leaves": f"{ORIGIN}\n0\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n",
}


def signed(size: int = 5, root: bytes = ROOT) -> Note:
    return sign_checkpoint(Checkpoint(ORIGIN, size, root), signer=LOG_KEY)


@given(st.integers(1, 2**63 - 1), st.binary(min_size=32, max_size=32))
def test_a_checkpoint_comes_back(size: int, root: bytes) -> None:
    opened = open_checkpoint(signed(size, root).encode(), log_keys=[LOG_KEY.verifier])
    assert opened.checkpoint == Checkpoint(ORIGIN, size, root)
    assert opened.log_key == LOG_KEY.verifier


def test_the_example_of_the_specification_is_read() -> None:
    note = Note.parse(SPEC_NOTE)
    checkpoint = Checkpoint.parse(note.text)
    assert (checkpoint.origin, checkpoint.size) == ("example.com/behind-the-sofa", 20852163)
    assert checkpoint.text() == note.text
    # The specification shows this signature's time: 1679315147.
    assert int.from_bytes(note.signatures[1].value[:8], "big") == 1679315147
    assert len(note.signatures[1].value) == 8 + 64


@pytest.mark.parametrize("text", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(AuditBroken):
        Checkpoint.parse(text)


def test_a_checkpoint_of_no_trusted_key_is_refused() -> None:
    foreign = SignerKey.generate(ORIGIN)
    with pytest.raises(AuditBroken, match="not signed by any key"):
        open_checkpoint(signed().encode(), log_keys=[foreign.verifier])
    with pytest.raises(AuditBroken, match="No trusted key"):
        open_checkpoint(signed().encode(), log_keys=[])


def test_a_key_speaks_for_the_log_of_its_name_only() -> None:
    other = SignerKey(ORIGIN + "/other", Algorithm.ED25519, LOG_KEY.seed)
    with pytest.raises(ValueError):
        sign_checkpoint(Checkpoint(ORIGIN, 5, ROOT), signer=other)
    borrowed = sign_note(Checkpoint(ORIGIN, 5, ROOT).text(), other)
    with pytest.raises(AuditBroken, match="No trusted key"):
        open_checkpoint(borrowed.encode(), log_keys=[other.verifier])


def test_a_rotated_key_is_found_among_the_trusted() -> None:
    newer = SignerKey.generate(ORIGIN)
    keys = [LOG_KEY.verifier, newer.verifier]
    note = sign_checkpoint(Checkpoint(ORIGIN, 5, ROOT), signer=newer)
    assert open_checkpoint(note.encode(), log_keys=keys).log_key == newer.verifier


def test_a_countersignature_is_what_the_specification_says() -> None:
    checkpoint = Checkpoint(ORIGIN, 5, ROOT)
    made = cosign(checkpoint, signer=WITNESS_A, at=datetime.fromtimestamp(1679315147, UTC))
    message = f"cosignature/v1\ntime 1679315147\n{checkpoint.text()}".encode()
    assert made.value[:8] == bytes.fromhex("00000000641850cb")
    assert WITNESS_A.verifier.fits(message, made.value[8:])


@given(
    st.datetimes(datetime(1970, 1, 2), timezones=st.just(timezone(timedelta(hours=5, minutes=30))))  # noqa: DTZ001 - hypothesis adds the zone
)
def test_countersignatures_come_back_with_their_time(at: datetime) -> None:
    checkpoint = Checkpoint(ORIGIN, 5, ROOT)
    lines = [cosign(checkpoint, signer=key, at=at).line() for key in (WITNESS_A, WITNESS_B)]
    note = signed()
    for line in lines:
        note = note.with_signature(Signature.parse(line))
    opened = open_checkpoint(note.encode(), log_keys=[LOG_KEY.verifier])
    found = verify_cosignatures(opened.note, witnesses=[WITNESS_A.verifier, WITNESS_B.verifier])
    assert [cosignature.witness.name for cosignature in found] == ["site-a", "site-b"]
    assert {cosignature.at for cosignature in found} == {at.replace(microsecond=0)}


def test_a_later_countersignature_takes_the_place_of_the_earlier() -> None:
    checkpoint = Checkpoint(ORIGIN, 5, ROOT)
    note = signed()
    for hours in (0, 1):
        at = MOMENT + timedelta(hours=hours)
        note = note.with_signature(cosign(checkpoint, signer=WITNESS_A, at=at))
    (found,) = verify_cosignatures(note, witnesses=[WITNESS_A.verifier])
    assert found.at == MOMENT + timedelta(hours=1)


@pytest.mark.parametrize("bit", [0, 63, 64, 64 + 511])
def test_no_bit_of_a_countersignature_may_change(bit: int) -> None:
    made = cosign(Checkpoint(ORIGIN, 5, ROOT), signer=WITNESS_A, at=MOMENT)
    value = (int.from_bytes(made.value, "big") ^ 1 << (8 * 72 - 1 - bit)).to_bytes(72, "big")
    note = signed().with_signature(Signature(made.name, made.key_id, value))
    with pytest.raises(AuditBroken, match="'site-a'"):
        verify_cosignatures(note, witnesses=[WITNESS_A.verifier])


def test_a_countersignature_holds_for_its_checkpoint_only() -> None:
    made = cosign(Checkpoint(ORIGIN, 5, ROOT), signer=WITNESS_A, at=MOMENT)
    with pytest.raises(AuditBroken):
        verify_cosignatures(signed(6).with_signature(made), witnesses=[WITNESS_A.verifier])


def test_a_log_key_does_not_countersign_nor_a_witness_sign() -> None:
    checkpoint = Checkpoint(ORIGIN, 5, ROOT)
    with pytest.raises(ValueError):
        cosign(checkpoint, signer=LOG_KEY, at=MOMENT)
    with pytest.raises(ValueError):
        sign_checkpoint(checkpoint, signer=SignerKey(ORIGIN, Algorithm.COSIGNATURE, LOG_KEY.seed))
    assert verify_cosignatures(signed(), witnesses=[LOG_KEY.verifier]) == []


def test_strangers_do_not_vouch() -> None:
    note = signed().with_signature(cosign(Checkpoint(ORIGIN, 5, ROOT), signer=WITNESS_A, at=MOMENT))
    assert verify_cosignatures(note, witnesses=[WITNESS_B.verifier]) == []


def test_a_time_before_all_clocks_is_refused() -> None:
    with pytest.raises(ValueError):
        cosign(Checkpoint(ORIGIN, 5, ROOT), signer=WITNESS_A, at=datetime(1969, 1, 1, tzinfo=UTC))


STORE = SubtreeStore([leaf_hash(bytes([index])) for index in range(20)])


def at(size: int) -> Checkpoint:
    return Checkpoint(ORIGIN, size, STORE.roots[size])


@given(st.integers(0, 20), st.integers(0, 20))
def test_a_witness_accepts_growth_and_nothing_else(older: int, newer: int) -> None:
    if older <= newer:
        verify_extension(at(older), at(newer), consistency_proof(older, newer, hashes=STORE))
    else:
        with pytest.raises(AuditBroken, match=f"from {newer} on are gone"):
            verify_extension(at(older), at(newer))


def test_a_witness_takes_the_first_checkpoint_as_it_is() -> None:
    verify_extension(None, at(7))


def test_a_witness_refuses_another_log() -> None:
    with pytest.raises(AuditBroken, match="another log"):
        verify_extension(Checkpoint("else", 0, EMPTY_ROOT), at(7))


def test_a_witness_refuses_a_rewritten_log() -> None:
    forged = SubtreeStore([leaf_hash(b"x") for _ in range(20)])
    with pytest.raises(AuditBroken, match="does not begin with the 7 entries"):
        verify_extension(
            at(7),
            Checkpoint(ORIGIN, 9, forged.roots[9]),
            consistency_proof(7, 9, hashes=forged),
        )
