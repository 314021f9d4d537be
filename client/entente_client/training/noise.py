"""Secret random numbers for differential privacy: sampling of rows and Gaussian noise.

Whoever can predict the noise can subtract it, so none of it may follow from a public seed. torch's
own CPU generator does not qualify: `manual_seed` keeps only 32 bits of the seed, few enough to
try them all against an observed update. Here the numbers come from AES-256 in counter mode under a
key from the operating system, which is a cryptographic generator (NIST SP 800-90A, CTR_DRBG core).
"""

from __future__ import annotations

import hashlib
import os

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

_KEY_BYTES = 32
_SUMMANDS = 4
_DOMAIN = b"entente/dp-noise/1\x00"


class SecretRandom:
    """A stream of numbers that nobody outside this process can predict.

    Args:
        entropy: Secret bytes that fix the stream, for tests. None, as in every real run, takes 32
            bytes from the operating system. Never pass anything another party could know.
    """

    __slots__ = ("_keystream",)

    def __init__(self, entropy: bytes | None = None) -> None:
        secret = os.urandom(_KEY_BYTES) if entropy is None else entropy
        key = hashlib.sha256(_DOMAIN + secret).digest()
        self._keystream = Cipher(AES(key), CTR(bytes(16))).encryptor()

    def uniform(self, count: int) -> npt.NDArray[np.float64]:
        """`count` independent numbers in [0, 1), multiples of 2⁻⁵³."""
        words = np.frombuffer(self._keystream.update(bytes(8 * count)), dtype="<u8")
        return (words >> np.uint64(11)).astype(np.float64) * 2.0**-53

    def gaussian(self, count: int) -> npt.NDArray[np.float64]:
        """`count` independent standard normal numbers.

        Each is half the sum of four Box-Muller samples, so that the gaps of floating-point numbers
        do not give away the value below the noise (Mironov 2012; Holohan & Braghin 2021, §4).
        """
        total = _SUMMANDS * count
        half = (total + 1) // 2
        radius = np.sqrt(-2.0 * np.log1p(-self.uniform(half)))
        angle = 2.0 * np.pi * self.uniform(half)
        samples = np.concatenate((radius * np.cos(angle), radius * np.sin(angle)))[:total]
        combined: npt.NDArray[np.float64] = samples.reshape(_SUMMANDS, count).sum(axis=0) / 2.0
        return combined
