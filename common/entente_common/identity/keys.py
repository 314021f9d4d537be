"""The identity key: one EC P-384 key per site, made there, which never leaves it.

The same key proves the site in TLS, is its Flower SuperNode key and signs its statements. P-384 is
what all three accept. In a file it is PKCS #8, encrypted (RFC 5958, PBES2).
"""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from entente_common.errors import DataDirectoryProblem

PrivateKey = ec.EllipticCurvePrivateKey
PublicKey = ec.EllipticCurvePublicKey

_SIGNATURE = ec.ECDSA(hashes.SHA384())


def generate_key() -> PrivateKey:
    """A new identity key from the operating system's randomness."""
    return ec.generate_private_key(ec.SECP384R1())


def private_pem(key: PrivateKey, *, passphrase: bytes | None) -> bytes:
    """`key` as PKCS #8 PEM.

    Args:
        key: The key.
        passphrase: Encrypts the PEM. None writes it in clear: only for handing a key to a library
            in memory, never for a file.
    """
    encryption: serialization.KeySerializationEncryption = (
        serialization.NoEncryption()
        if passphrase is None
        else serialization.BestAvailableEncryption(passphrase)
    )
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
    )


def load_private_pem(pem: bytes, *, passphrase: bytes | None) -> PrivateKey:
    """The identity key in `pem`.

    Raises:
        DataDirectoryProblem: Not a key, not P-384, or the passphrase does not open it.
    """
    try:
        key = serialization.load_pem_private_key(pem, password=passphrase)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise DataDirectoryProblem(
            "The private key does not open with this vault key.",
            hint="Point ENTENTE_VAULT_KEY_FILE at the key file the directory was made with.",
        ) from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not is_identity_key(key.public_key()):
        raise DataDirectoryProblem("The private key is not an EC P-384 key.")
    return key


def is_identity_key(key: object) -> bool:
    """Whether `key` is a public key of the kind Entente accepts: EC P-384."""
    return isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP384R1)


def public_pem(key: PublicKey) -> bytes:
    """`key` as SubjectPublicKeyInfo PEM."""
    return key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def public_ssh(key: PublicKey) -> bytes:
    """`key` in OpenSSH form, as Flower registers SuperNode keys."""
    return key.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)


def sign_bytes(key: PrivateKey, message: bytes) -> bytes:
    """ECDSA signature over SHA-384 of `message` (FIPS 186-5), DER-encoded."""
    return key.sign(message, _SIGNATURE)


def signature_fits(key: PublicKey, message: bytes, signature: bytes) -> bool:
    """Whether `signature` is a signature of `message` under `key`."""
    try:
        key.verify(signature, message, _SIGNATURE)
    except InvalidSignature:
        return False
    return True
