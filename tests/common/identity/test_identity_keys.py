"""One key serves TLS, statements and Flower."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from entente_common.errors import DataDirectoryProblem
from entente_common.identity.keys import (
    generate_key,
    is_identity_key,
    load_private_pem,
    private_pem,
    public_pem,
    public_ssh,
    sign_bytes,
    signature_fits,
)


def test_a_signature_fits_its_message_and_key_only() -> None:
    key = generate_key()
    signature = sign_bytes(key, b"words")
    assert signature_fits(key.public_key(), b"words", signature)
    assert not signature_fits(key.public_key(), b"word", signature)
    assert not signature_fits(generate_key().public_key(), b"words", signature)


def test_public_forms_hold_the_same_key() -> None:
    key = generate_key().public_key()
    assert serialization.load_pem_public_key(public_pem(key)) == key
    assert serialization.load_ssh_public_key(public_ssh(key)) == key


def test_only_p384_is_an_identity_key() -> None:
    assert is_identity_key(generate_key().public_key())
    assert not is_identity_key(ec.generate_private_key(ec.SECP256R1()).public_key())
    assert not is_identity_key(ed25519.Ed25519PrivateKey.generate().public_key())


def test_flower_accepts_the_identity_key() -> None:
    asymmetric = pytest.importorskip("flwr.supercore.primitives.asymmetric")
    key = generate_key()
    assert asymmetric.uses_nist_ec_curve(key.public_key())
    message = asymmetric.sign_message(key, b"words")
    assert asymmetric.verify_signature(key.public_key(), b"words", message)


def test_another_kind_of_key_does_not_load() -> None:
    pem = private_pem(ec.generate_private_key(ec.SECP256R1()), passphrase=b"p" * 32)
    with pytest.raises(DataDirectoryProblem, match="P-384"):
        load_private_pem(pem, passphrase=b"p" * 32)


@pytest.mark.parametrize("passphrase", [None, b"wrong"])
def test_the_wrong_passphrase_opens_nothing(passphrase: bytes | None) -> None:
    pem = private_pem(generate_key(), passphrase=b"p" * 32)
    with pytest.raises(DataDirectoryProblem, match="does not open"):
        load_private_pem(pem, passphrase=passphrase)


def test_a_key_in_clear_is_not_accepted_from_a_file() -> None:
    with pytest.raises(DataDirectoryProblem):
        load_private_pem(private_pem(generate_key(), passphrase=None), passphrase=b"p" * 32)
