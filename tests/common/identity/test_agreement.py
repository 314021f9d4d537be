"""A sealed box opens for one key and one purpose, whole or not at all."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entente_common.errors import ProtectionViolated
from entente_common.identity.agreement import OVERHEAD_BYTES, PUBLIC_BYTES, AgreementKey, seal

KEY = AgreementKey.generate()


@given(st.binary(max_size=200), st.binary(max_size=50))
def test_the_recipient_opens_what_was_sealed(secret: bytes, context: bytes) -> None:
    box = seal(secret, recipient_public=KEY.public_bytes(), context=context)
    assert len(box) == len(secret) + OVERHEAD_BYTES
    assert KEY.open(box, context=context) == secret


@given(st.data())
def test_every_changed_byte_is_found(data: st.DataObject) -> None:
    box = bytearray(seal(b"the group key", recipient_public=KEY.public_bytes(), context=b"run"))
    place = data.draw(st.integers(0, len(box) - 1))
    box[place] ^= 1 << data.draw(st.integers(0, 7))
    # RFC 7748 §5 ignores the top bit of a public key, yet the key schedule binds its bytes.
    with pytest.raises(ProtectionViolated):
        KEY.open(bytes(box), context=b"run")


@given(st.integers(0, OVERHEAD_BYTES + 5))
def test_every_truncation_is_found(length: int) -> None:
    box = seal(b"secret", recipient_public=KEY.public_bytes(), context=b"")
    with pytest.raises(ProtectionViolated):
        KEY.open(box[:length], context=b"")


def test_another_recipient_cannot_open() -> None:
    box = seal(b"secret", recipient_public=KEY.public_bytes(), context=b"run")
    with pytest.raises(ProtectionViolated):
        AgreementKey.generate().open(box, context=b"run")


@pytest.mark.parametrize("context", [b"", b"run", b"run-2", b"run-1\0"])
def test_a_box_for_another_purpose_does_not_open(context: bytes) -> None:
    box = seal(b"secret", recipient_public=KEY.public_bytes(), context=b"run-1")
    with pytest.raises(ProtectionViolated):
        KEY.open(box, context=context)


def test_two_boxes_of_one_secret_share_nothing() -> None:
    first, second = (
        seal(b"secret", recipient_public=KEY.public_bytes(), context=b"") for _ in range(2)
    )
    assert first[:PUBLIC_BYTES] != second[:PUBLIC_BYTES]
    assert first[PUBLIC_BYTES:] != second[PUBLIC_BYTES:]


@pytest.mark.parametrize(
    "public",
    [
        b"",
        bytes(31),
        bytes(33),
        # Points of low order give the same shared secret with every key (RFC 7748, §6.1).
        bytes(32),
        b"\1" + bytes(31),
        bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    ],
)
def test_a_public_key_that_gives_no_secrecy_is_refused(public: bytes) -> None:
    with pytest.raises(ProtectionViolated):
        seal(b"secret", recipient_public=public, context=b"")


def test_a_public_key_is_32_bytes_and_each_key_has_its_own() -> None:
    publics = {AgreementKey.generate().public_bytes() for _ in range(10)}
    assert len(publics) == 10
    assert {len(public) for public in publics} == {PUBLIC_BYTES}


def test_an_agreement_key_is_never_pickled() -> None:
    with pytest.raises(TypeError, match="pickled"):
        pickle.dumps(KEY)


def test_the_box_is_hpke_of_rfc_9180() -> None:
    """An independent construction of the key schedule opens what `seal` made."""
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    private = X25519PrivateKey.generate()
    public = private.public_key().public_bytes_raw()
    box = seal(b"secret", recipient_public=public, context=b"run")
    ephemeral, sealed = box[:32], box[32:]
    shared = private.exchange(X25519PublicKey.from_public_bytes(ephemeral))
    kem, suite = b"KEM\x00\x20", b"HPKE\x00\x20\x00\x01\x00\x02"
    eae = labelled_extract(b"", kem, b"eae_prk", shared)
    secret = labelled_expand(eae, kem, b"shared_secret", ephemeral + public, length=32)
    info = b"entente/sealed-box/v1\0run"
    schedule = b"\0" + b"".join(
        (
            labelled_extract(b"", suite, b"psk_id_hash", b""),
            labelled_extract(b"", suite, b"info_hash", info),
        )
    )
    root = labelled_extract(secret, suite, b"secret", b"")
    key = labelled_expand(root, suite, b"key", schedule, length=32)
    nonce = labelled_expand(root, suite, b"base_nonce", schedule, length=12)
    assert AESGCM(key).decrypt(nonce, sealed, b"") == b"secret"


def labelled_extract(salt: bytes, suite: bytes, label: bytes, material: bytes) -> bytes:
    """RFC 9180, §4."""
    import hashlib
    import hmac

    message = b"HPKE-v1" + suite + label + material
    return hmac.new(salt or bytes(32), message, hashlib.sha256).digest()


def labelled_expand(root: bytes, suite: bytes, label: bytes, info: bytes, *, length: int) -> bytes:
    """RFC 9180, §4; at most 32 bytes, so a single block of HKDF-Expand."""
    import hashlib
    import hmac

    message = length.to_bytes(2) + b"HPKE-v1" + suite + label + info + b"\1"
    return hmac.new(root, message, hashlib.sha256).digest()[:length]
