"""The edge to TenSEAL: contexts and ciphertexts as Entente uses them, nothing else of it.

Invariants:
    A context that loads has Entente's parameters and encrypts symmetrically. A ciphertext that
    loads has the shape of a fresh one: two polynomials at the first level, all slots in use.
    TenSEAL is imported only when a function here needs it.

TenSEAL keeps threads: never fork a process after calling into this module.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from entente_common.aggregation.parameters import (
    COEFFICIENT_BITS,
    COEFFICIENT_MODULI,
    PLAIN_MODULUS,
    POLYNOMIAL_DEGREE,
)
from entente_common.errors import MissingDependency, ProtectionViolated

# Two polynomials of 4096 uniform residues modulo a 60-bit prime carry 61 440 bytes of entropy:
# nothing shorter is a ciphertext. SEAL stores each residue in 8 bytes; the rest is for its headers.
LEAST_CIPHERTEXT_BYTES = 61_000
MOST_CIPHERTEXT_BYTES = 66_500

Context = Any
Ciphertext = Any

# What TenSEAL, SEAL and protobuf raise on bytes they cannot take.
_PARSE_ERRORS = (ValueError, RuntimeError, IndexError, TypeError, OverflowError, MemoryError)


def new_context() -> Context:
    """A context with a new secret key from the operating system's randomness.

    Raises:
        MissingDependency: TenSEAL is not installed.
    """
    tenseal = _tenseal()
    return tenseal.context(
        tenseal.SCHEME_TYPE.BFV,
        POLYNOMIAL_DEGREE,
        PLAIN_MODULUS,
        coeff_mod_bit_sizes=list(COEFFICIENT_BITS),
        encryption_type=tenseal.ENCRYPTION_TYPE.SYMMETRIC,
    )


def context_bytes(context: Context, *, secret: bool) -> bytes:
    """The parameters of a context, and its secret key if asked; never another key."""
    data: bytes = context.serialize(
        save_public_key=False,
        save_secret_key=secret,
        save_galois_keys=False,
        save_relin_keys=False,
    )
    return data


def load_context(data: bytes) -> Context:
    """Read what `context_bytes` wrote, on another machine.

    Raises:
        ProtectionViolated: It is no context, or not one with Entente's parameters.
        MissingDependency: TenSEAL is not installed.
    """
    tenseal = _tenseal()
    try:
        context = tenseal.context_from(data)
        parameters = context.seal_context().data.key_context_data().parms()
        found = (
            parameters.scheme().name,
            parameters.poly_modulus_degree(),
            parameters.plain_modulus().value(),
            tuple(modulus.value() for modulus in parameters.coeff_modulus()),
        )
    except _PARSE_ERRORS as error:
        raise ProtectionViolated("The encryption context cannot be read.") from error
    expected = ("BFV", POLYNOMIAL_DEGREE, PLAIN_MODULUS, COEFFICIENT_MODULI)
    if found != expected or not _is_symmetric(context):
        raise ProtectionViolated("The encryption context does not have Entente's parameters.")
    return context


def encrypt(context: Context, rows: Iterable[NDArray[np.int64]]) -> list[bytes]:
    """Encrypt rows of POLYNOMIAL_DEGREE slots, each to one ciphertext with fresh randomness."""
    tenseal = _tenseal()
    return [tenseal.bfv_vector(context, row.tolist()).serialize() for row in rows]


def load_ciphertexts(context: Context, chunks: Sequence[bytes]) -> list[Ciphertext]:
    """Read serialised ciphertexts, all or none.

    Raises:
        ProtectionViolated: One cannot be read, or does not have the shape of a fresh one.
    """
    tenseal = _tenseal()
    first_level = context.seal_context().data.first_parms_id()
    try:
        vectors = [tenseal.bfv_vector_from(context, chunk) for chunk in chunks]
        sound = all(_is_sound(vector, level=first_level) for vector in vectors)
    except _PARSE_ERRORS as error:
        raise ProtectionViolated("A ciphertext cannot be read.") from error
    if not sound:
        raise ProtectionViolated("A ciphertext does not have the shape of a fresh one.")
    return vectors


def add(left: Sequence[Ciphertext], right: Sequence[Ciphertext]) -> list[Ciphertext]:
    """Add ciphertexts pairwise; the operands stay what they are.

    Raises:
        ProtectionViolated: Two cancel out, which fresh randomness never does.
    """
    try:
        return [first + second for first, second in zip(left, right, strict=True)]
    except RuntimeError as error:
        raise ProtectionViolated("A ciphertext is the negative of a sum so far.") from error


def decrypt(ciphertexts: Sequence[Ciphertext]) -> NDArray[np.int64]:
    """The slots of each ciphertext as one row, centred around zero.

    The ciphertexts must be loaded with a context that holds the secret key.
    """
    slots = np.array([ciphertext.decrypt() for ciphertext in ciphertexts], dtype=np.int64)
    # TenSEAL 0.3.18 gives centred residues; this also takes 0..t-1.
    half = PLAIN_MODULUS // 2
    centred: NDArray[np.int64] = (slots + half) % PLAIN_MODULUS - half
    return centred


def _tenseal() -> ModuleType:
    try:
        # sealapi teaches Python the SEAL types behind the parameters of a context.
        import tenseal
        import tenseal.sealapi
    except ImportError as error:
        raise MissingDependency(
            "Encrypted aggregation needs TenSEAL.", hint="Install it: `pip install 'entente[he]'`."
        ) from error
    module: ModuleType = tenseal
    return module


def _is_symmetric(context: Context) -> bool:
    # TenSEAL names the encryption type only by refusing to speak of public keys.
    try:
        context.has_public_key()
    except ValueError:
        return True
    return False


def _is_sound(vector: Ciphertext, *, level: list[int]) -> bool:
    parts = vector.ciphertext()
    if vector.size() != POLYNOMIAL_DEGREE or len(parts) != 1:
        return False
    (part,) = parts
    return bool(
        part.size() == 2
        and part.parms_id() == level
        and not part.is_transparent()
        and not part.is_ntt_form()
    )
