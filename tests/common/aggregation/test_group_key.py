"""Sums under a real group key: exact, private from the coordinator, and whole or refused."""

from __future__ import annotations

import pickle
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from entente_common.aggregation import bfv
from entente_common.aggregation.fixedpoint import FixedPoint
from entente_common.aggregation.framing import Frame, Kind, join_chunks, split_chunks
from entente_common.aggregation.he import (
    INTS_PER_CIPHERTEXT,
    CiphertextSum,
    GroupKey,
    PlainSum,
    plain_bytes,
    plain_ints,
)
from entente_common.aggregation.packing import FIELD_LIMIT
from entente_common.aggregation.parameters import (
    COEFFICIENT_MODULI,
    PLAIN_MODULUS,
    POLYNOMIAL_DEGREE,
    SITE_LIMIT,
)
from entente_common.errors import MissingDependency, ProtectionViolated

tenseal = pytest.importorskip("tenseal", reason="encrypted aggregation needs the extra `he`")

slow_but_few = settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="module")
def key() -> GroupKey:
    return GroupKey.generate()


@pytest.fixture(scope="module")
def other_key() -> GroupKey:
    return GroupKey.generate()


def integers(seed: int, *, length: int, limit: int = FIELD_LIMIT) -> np.ndarray:
    return np.random.default_rng(seed).integers(-limit, limit, length, endpoint=True)


def sum_of(key: GroupKey, blobs: list[bytes], *, length: int) -> bytes:
    total = CiphertextSum(key.public_context(), length=length, limit=len(blobs))
    for blob in blobs:
        total.add(blob)
    return total.serialise()


# --- the sum -------------------------------------------------------------------------------------


@slow_but_few
@given(
    examples=st.lists(st.integers(1, 10_000), min_size=1, max_size=12),
    length=st.sampled_from([0, 1, 2, 4095, 8189, 8190, 8191, 20_000]),
    seed=st.integers(0, 2**32),
    data=st.data(),
)
def test_encrypted_and_plain_sums_are_equal_bit_for_bit(
    key: GroupKey, examples: list[int], length: int, seed: int, data: st.DataObject
) -> None:
    codec = FixedPoint(clip=0.5)
    present = sorted(data.draw(st.sets(st.sampled_from(range(len(examples))), min_size=1)))
    encrypted = CiphertextSum(key.public_context(), length=length, limit=len(examples))
    plain = PlainSum(length=length, limit=len(examples))
    weights = [examples[site] / sum(examples) for site in present]
    for site, weight in zip(present, weights, strict=True):
        update = np.random.default_rng(seed + site).normal(0, 0.5, length)
        values = codec.encode(update, weight=weight, seed=bytes([site])).values
        encrypted.add(key.encrypt(values))
        plain.add(plain_bytes(values))
    opened = key.decrypt(encrypted.serialise(), length=length, sites=len(present))
    expected = plain_ints(plain.serialise(), length=length, sites=len(present))
    assert opened.dtype == expected.dtype == np.int64
    np.testing.assert_array_equal(opened, expected)
    means = [codec.decode(total, weight_total=sum(weights)) for total in (opened, expected)]
    assert means[0].tobytes() == means[1].tobytes()


def test_the_full_number_of_sites_sums_exactly_and_not_one_more(key: GroupKey) -> None:
    # Not one value in the pool is small: the sums fill the whole field.
    limit = FIELD_LIMIT // SITE_LIMIT
    pool = [integers(seed, length=INTS_PER_CIPHERTEXT, limit=limit) for seed in range(4)]
    blobs = [key.encrypt(values) for values in pool]
    total = CiphertextSum(key.public_context(), length=INTS_PER_CIPHERTEXT, limit=SITE_LIMIT)
    expected = np.zeros(INTS_PER_CIPHERTEXT, dtype=np.int64)
    for site in range(SITE_LIMIT):
        total.add(blobs[site % len(blobs)])
        expected += pool[site % len(pool)]
    with pytest.raises(ProtectionViolated, match="already holds"):
        total.add(blobs[0])
    opened = key.decrypt(total.serialise(), length=INTS_PER_CIPHERTEXT, sites=SITE_LIMIT)
    np.testing.assert_array_equal(opened, expected)


def test_the_site_limit_keeps_the_worst_noise_below_the_bound() -> None:
    worst_noise = 21.5 * SITE_LIMIT + 1
    assert worst_noise < COEFFICIENT_MODULI[0] / (2 * PLAIN_MODULUS)
    assert SITE_LIMIT == 372


def test_fresh_noise_is_no_larger_than_the_derivation_says(key: GroupKey) -> None:
    # Adding a ciphertext to itself k times multiplies its noise by k exactly. Decryption must hold
    # for every k with 22·k < q/2t, whatever the message; a larger fresh noise would break it.
    folds = COEFFICIENT_MODULI[0] // (2 * PLAIN_MODULUS * 22)
    for seed in range(20):
        row = np.random.default_rng(seed).integers(
            -(PLAIN_MODULUS // 2), PLAIN_MODULUS // 2, POLYNOMIAL_DEGREE
        )
        loaded = bfv.load_context(key.secret_bytes())
        (once,) = bfv.load_ciphertexts(loaded, bfv.encrypt(loaded, [row]))
        folded = once.copy()
        for _ in range(folds - 1):
            folded.add_(once)
        # In Python's integers: 47-bit residues times folds.
        expected = np.array([int(v) * folds % PLAIN_MODULUS for v in row], dtype=np.int64)
        np.testing.assert_array_equal(bfv.decrypt([folded])[0] % PLAIN_MODULUS, expected)


@slow_but_few
@given(st.permutations(range(5)))
def test_the_order_of_contributions_does_not_matter(key: GroupKey, order: list[int]) -> None:
    vectors = [integers(seed, length=100, limit=1000) for seed in range(5)]
    blobs = [key.encrypt(values) for values in vectors]
    blob = sum_of(key, [blobs[site] for site in order], length=100)
    np.testing.assert_array_equal(key.decrypt(blob, length=100), np.sum(vectors, axis=0))


def test_every_encryption_is_fresh(key: GroupKey) -> None:
    values = integers(1, length=10)
    twin = GroupKey.from_secret_bytes(key.secret_bytes())
    blobs = {site.encrypt(values) for site in (key, key, twin, twin)}
    assert len(blobs) == 4


def test_an_upload_takes_at_most_8_2_bytes_per_parameter(key: GroupKey) -> None:
    length = 10 * INTS_PER_CIPHERTEXT
    assert len(key.encrypt(integers(1, length=length))) / length <= 8.2


# --- who can read --------------------------------------------------------------------------------


def test_a_key_survives_its_way_to_another_site(key: GroupKey) -> None:
    twin = GroupKey.from_secret_bytes(key.secret_bytes())
    assert twin.key_id == key.key_id
    values = integers(3, length=50)
    np.testing.assert_array_equal(twin.decrypt(key.encrypt(values), length=50), values)


def test_the_public_context_decrypts_nothing(key: GroupKey) -> None:
    public = Frame.from_bytes(key.public_context(), kinds=(Kind.PUBLIC_CONTEXT,)).body
    context = bfv.load_context(public)
    assert not context.has_secret_key()
    # 256 bytes cannot hold 4096 ternary coefficients (6 492 bits).
    assert len(public) < 256
    frame = Frame.from_bytes(key.encrypt(integers(1, length=10)), kinds=(Kind.SEALED_UPDATE,))
    chunks = split_chunks(frame.body, count=1, least_bytes=0, most_bytes=100_000)
    ciphertexts = bfv.load_ciphertexts(context, chunks)
    with pytest.raises(ValueError, match="secret_key"):
        bfv.decrypt(ciphertexts)
    with pytest.raises(ProtectionViolated, match="no secret"):
        GroupKey.from_secret_bytes(public)


def test_the_public_contexts_of_two_keys_differ_in_nothing_but_the_identifier(
    key: GroupKey, other_key: GroupKey
) -> None:
    contexts = [
        Frame.from_bytes(k.public_context(), kinds=(Kind.PUBLIC_CONTEXT,)).body
        for k in (key, other_key)
    ]
    parameters = [bfv.load_context(body).seal_context().data.key_parms_id() for body in contexts]
    assert parameters[0] == parameters[1]
    assert key.key_id != other_key.key_id


def test_the_coordinator_refuses_to_hold_a_secret(key: GroupKey) -> None:
    raw_id = bytes.fromhex(key.key_id.removeprefix("sha256:"))
    leaked = Frame(Kind.PUBLIC_CONTEXT, 0, 0, raw_id, key.secret_bytes()).to_bytes()
    with pytest.raises(ProtectionViolated, match="hold a key"):
        CiphertextSum(leaked, length=1, limit=2)


def test_neither_the_key_nor_its_printed_form_leaks(key: GroupKey) -> None:
    assert key.key_id in repr(key)
    assert key.secret_bytes().hex()[200:240] not in repr(key)
    with pytest.raises(TypeError, match="pickled"):
        pickle.dumps(key)


# --- what is refused -----------------------------------------------------------------------------


def test_an_upload_under_another_key_is_refused(key: GroupKey, other_key: GroupKey) -> None:
    total = CiphertextSum(key.public_context(), length=10, limit=2)
    with pytest.raises(ProtectionViolated, match="another key"):
        total.add(other_key.encrypt(integers(1, length=10)))


def relabelled(blob: bytes, key: GroupKey, *, kind: Kind, contributions: int) -> bytes:
    """The blob as a liar would label it."""
    frame = Frame.from_bytes(blob, kinds=tuple(Kind))
    raw_id = bytes.fromhex(key.key_id.removeprefix("sha256:"))
    return Frame(kind, contributions, frame.length, raw_id, frame.body).to_bytes()


def test_a_foreign_ciphertext_with_a_false_label_spoils_the_sum_and_is_noticed(
    key: GroupKey, other_key: GroupKey
) -> None:
    foreign = other_key.encrypt(integers(1, length=8190))
    lie = relabelled(foreign, key, kind=Kind.SEALED_UPDATE, contributions=1)
    blob = sum_of(key, [key.encrypt(integers(2, length=8190)), lie], length=8190)
    with pytest.raises(ProtectionViolated, match="does not decrypt"):
        key.decrypt(blob, length=8190)


def test_a_sum_that_counts_a_site_twice_or_not_at_all_is_noticed(key: GroupKey) -> None:
    honest = sum_of(key, [key.encrypt(integers(s, length=9, limit=9)) for s in (1, 2)], length=9)
    for claim in (1, 3):
        lie = relabelled(honest, key, kind=Kind.SEALED_SUM, contributions=claim)
        with pytest.raises(ProtectionViolated, match="does not decrypt"):
            key.decrypt(lie, length=9)
    with pytest.raises(ProtectionViolated, match="contributions"):
        key.decrypt(honest, length=9, sites=3)


def test_a_sum_of_more_sites_than_the_noise_allows_is_not_opened(key: GroupKey) -> None:
    blob = key.encrypt(integers(1, length=9))
    lie = relabelled(blob, key, kind=Kind.SEALED_SUM, contributions=SITE_LIMIT + 1)
    for sites in (None, SITE_LIMIT + 1):
        with pytest.raises(ProtectionViolated, match="contributions"):
            key.decrypt(lie, length=9, sites=sites)
    for limit in (0, SITE_LIMIT + 1):
        with pytest.raises(ProtectionViolated, match="1 to 372"):
            CiphertextSum(key.public_context(), length=9, limit=limit)


@slow_but_few
@given(place=st.integers(4, 61_000), flip=st.integers(1, 255))
def test_damage_behind_a_valid_digest_is_refused_or_harmless(
    key: GroupKey, place: int, flip: int
) -> None:
    values = integers(1, length=8190)
    frame = Frame.from_bytes(key.encrypt(values), kinds=(Kind.SEALED_UPDATE,))
    body = bytearray(frame.body)
    body[place] ^= flip
    blob = Frame(frame.kind, 1, frame.length, frame.key, bytes(body)).to_bytes()
    try:
        opened = key.decrypt(sum_of(key, [blob], length=8190), length=8190)
    except ProtectionViolated:
        return
    # A flip in the lowest bits of a coefficient is noise, which decryption removes.
    np.testing.assert_array_equal(opened, values)


def test_a_malformed_upload_is_refused_and_leaves_the_sum_alone(key: GroupKey) -> None:
    values = integers(1, length=10)
    good = key.encrypt(values)
    frame = Frame.from_bytes(good, kinds=(Kind.SEALED_UPDATE,))
    (chunk,) = split_chunks(frame.body, count=1, least_bytes=0, most_bytes=100_000)
    bodies = [
        b"",
        join_chunks([chunk, chunk]),
        join_chunks([chunk[:-1]]),
        join_chunks([bytes(len(chunk))]),
        join_chunks([chunk[:1000]]),
    ]
    bad = [Frame(Kind.SEALED_UPDATE, 1, 10, frame.key, body).to_bytes() for body in bodies]
    bad += [
        b"",
        good[:-1],
        key.encrypt(integers(1, length=11)),
        relabelled(good, key, kind=Kind.SEALED_UPDATE, contributions=2),
        relabelled(good, key, kind=Kind.SEALED_SUM, contributions=1),
        plain_bytes(values),
    ]
    total = CiphertextSum(key.public_context(), length=10, limit=3)
    total.add(good)
    for blob in bad:
        with pytest.raises(ProtectionViolated):
            total.add(blob)
    assert total.count == 1
    np.testing.assert_array_equal(key.decrypt(total.serialise(), length=10, sites=1), values)


def test_a_ciphertext_that_cancels_the_sum_is_refused(key: GroupKey) -> None:
    context = bfv.load_context(key.secret_bytes())
    (ciphertext,) = bfv.load_ciphertexts(
        context, bfv.encrypt(context, np.ones((1, POLYNOMIAL_DEGREE), dtype=np.int64))
    )
    negative = ciphertext - (ciphertext + ciphertext)
    with pytest.raises(ProtectionViolated, match="negative"):
        bfv.add([ciphertext], [negative])


def test_a_sum_without_contributions_is_not_given_out(key: GroupKey) -> None:
    with pytest.raises(ProtectionViolated, match="no contribution"):
        CiphertextSum(key.public_context(), length=1, limit=2).serialise()


def foreign_context(*, plain_modulus: int, bits: list[int], asymmetric: bool = False) -> bytes:
    kind = tenseal.ENCRYPTION_TYPE
    context = tenseal.context(
        tenseal.SCHEME_TYPE.BFV,
        POLYNOMIAL_DEGREE,
        plain_modulus,
        coeff_mod_bit_sizes=bits,
        encryption_type=kind.ASYMMETRIC if asymmetric else kind.SYMMETRIC,
    )
    return bfv.context_bytes(context, secret=True)


@pytest.mark.parametrize(
    "secret",
    [
        b"",
        b"\0" * 100,
        b"x" * 300_000,
        foreign_context(plain_modulus=PLAIN_MODULUS, bits=[50, 20]),
        foreign_context(plain_modulus=786_433, bits=[60, 20]),
        foreign_context(plain_modulus=PLAIN_MODULUS, bits=[60, 20], asymmetric=True),
    ],
    ids=["empty", "zeros", "huge", "other modulus", "other ring", "asymmetric"],
)
def test_a_key_with_foreign_parameters_is_refused(secret: bytes) -> None:
    with pytest.raises(ProtectionViolated):
        GroupKey.from_secret_bytes(secret)


def test_without_tenseal_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tenseal", None)
    with pytest.raises(MissingDependency) as caught:
        GroupKey.generate()
    assert "entente[he]" in caught.value.hint
