"""Parameters of the BFV scheme, and how many sites they can sum.

Invariants:
    Every sum of at most SITE_LIMIT fresh ciphertexts decrypts correctly, for certain and not just
    probably. Past the limit decryption fails silently, so both sides count.

Security: a ternary secret in degree 4096 tolerates a modulus of 109 bits at 128-bit classical
security and 75 bits at 192 (Albrecht et al., "Homomorphic Encryption Standard", 2018, Table 1).
All moduli together have 80 bits; ciphertexts, all that ever leaves a site, live under the 60-bit
one alone.

The bound (symmetric BFV as SEAL computes it): a fresh ciphertext satisfies
c₀ + c₁·s = round(q·m/t) + e mod q with |e| ≤ 21, because SEAL draws e from the centred binomial
distribution of 2 x 21 bits, and rounding adds at most ½ + 1/2t. For C of them the integer part,
(q/t)·Σmᵢ, wraps modulo q exactly as Σmᵢ wraps modulo t, so the noise of the sum is below 22·C.
Decryption rounds to the right message when the noise is below q/2t: C < q/(44·t). What lies
between 21.5 and 22 covers the slack of SEAL's residue arithmetic (Bajard et al. 2016, "A Full RNS
Variant of FV like Somewhat Homomorphic Encryption Schemes", Theorem 1), which is below 1.
"""

from __future__ import annotations

POLYNOMIAL_DEGREE = 4096
# The primes SEAL picks for 60 and 20 bits. The second serves SEAL's key switching, which Entente
# does not use but which TenSEAL cannot do without.
COEFFICIENT_BITS = (60, 20)
COEFFICIENT_MODULI = (1_152_921_504_606_830_593, 1_032_193)
# The least prime above 2⁴⁶ that is 1 modulo 8192: two 23-bit fields in each of 4096 slots.
PLAIN_MODULUS = 70_368_744_210_433

NOISE_PER_SITE = 22
SITE_LIMIT = (COEFFICIENT_MODULI[0] - 1) // (2 * PLAIN_MODULUS * NOISE_PER_SITE)
