"""Paillier encryption of packed integers: phe's keys, faster randomness, batches (the only file that imports phe).

A ciphertext is (1 + n)^m * r^n mod n^2 (Paillier, EUROCRYPT 1999). The cost is r^n. Following Damgard, Jurik and Nielsen
(IJIS 9(6), 2010) a sender draws h = -x^2 mod n once and then uses (h^n)^a with a random a of |n|/2 bits; that adds
only the hardness of factoring n, for primes as `generate` makes them. A shorter a (224 bits) assumes more: opt-in.

Powers of h^n come from a fixed-base table (Brickell et al., EUROCRYPT 1992), with a trick that halves the numbers in it:
every element of Z*_{n^2} is b * (1 + n*t) with b, t < n, and (1 + n*t) is the ciphertext of t without randomness. So
the product of table entries is the product of the b's, each half as long as n^2, times one (1 + n * (sum of the t's)).

None of this runs in constant time: it is meant for keys and plaintexts on their owner's own machine.
"""

from __future__ import annotations

import math
import os
import secrets
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import gmpy2
import numpy as np
from gmpy2 import mpz
from phe.paillier import PaillierPrivateKey, PaillierPublicKey

from fedsql.errors import ProtocolError

KEY_BITS = (2048, 3072)
_FEW = 2  # up to here phe's own encryption costs less than h^n and a table
_USUAL = 64  # plaintexts that a kept table is made for at least
_WINDOWS = range(2, 10)  # wider ones save little time and take over 50 MB
_ENTRY = 1.7  # cost of making a table entry, in multiplications by one (measured)
_THREADS_FROM = 32  # ciphertexts; below, starting a second thread is not worth it


@cache
def _small_primes() -> mpz:
    """Return the product of all primes below 2^16."""
    return gmpy2.primorial(1 << 16)


class PublicKey:
    """A Paillier public key. ``n`` is the modulus, ``bits`` its length, ``phe`` phe's key object.

    ``plaintext_bytes`` is how many whole bytes always fit below n; ``ciphertext_bytes`` the length of a ciphertext.
    """

    def __init__(self, phe: PaillierPublicKey) -> None:
        self.phe = phe
        self.n: int = phe.n
        self.bits: int = self.n.bit_length()
        self.plaintext_bytes = self.bits // 8 - 1
        self.ciphertext_bytes: int = self.bits // 4
        self._n = mpz(self.n)
        self._square = self._n * self._n
        self._encryptor: Encryptor | None = None

    def encryptor(self, expected: int) -> Encryptor:
        """Return this sender's encryptor for the key, kept for the next vector under it.

        A session's key serves many queries, and the table is most of the cost of a small vector. Each encryption draws
        a fresh exponent all the same. A table is replaced by a larger one when ``expected`` asks for much more.
        """
        if self._encryptor is None or expected > 8 * self._encryptor.expected:
            self._encryptor = Encryptor(self, expected=max(expected, _USUAL))
        return self._encryptor

    @property
    def size(self) -> int:
        """About how many bytes it holds, most of them the encryptor's table."""
        return 8 * self.ciphertext_bytes + (0 if self._encryptor is None else self._encryptor.size)

    @classmethod
    def from_n(cls, n: int) -> PublicKey:
        """Return the key with modulus ``n`` as received from another. Raises ValueError with the reason if it is bad.

        The checks keep honest senders from working with an obviously broken key; they cannot show that n has two
        large prime factors. A bad key harms its owner's own answer: what others keep secret rests on the masks.
        """
        if n < 0 or n.bit_length() not in KEY_BITS:
            raise ValueError(f"a Paillier modulus has {' or '.join(map(str, KEY_BITS))} bits, not {n.bit_length()}")
        if n % 2 == 0:
            raise ValueError("a Paillier modulus is odd")
        if gmpy2.gcd(n, _small_primes() % n) != 1:
            raise ValueError("a Paillier modulus has no prime factor below 2^16")
        if gmpy2.is_power(n):
            raise ValueError("a Paillier modulus is not a power of another number")
        if gmpy2.is_prime(n):
            raise ValueError("a Paillier modulus is not a prime")
        return cls(PaillierPublicKey(n))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PublicKey) and self.n == other.n

    def __hash__(self) -> int:
        return hash(self.n)

    def to_bytes(self, ciphertexts: Sequence[int]) -> bytes:
        """Return ciphertexts one after the other, each ``ciphertext_bytes`` long, little-endian."""
        return b"".join([c.to_bytes(self.ciphertext_bytes, "little") for c in ciphertexts])

    def from_bytes(self, data: bytes) -> list[int]:
        """Return the ciphertexts that `to_bytes` wrote, not yet validated. Raises ProtocolError on a wrong length."""
        size = self.ciphertext_bytes
        if len(data) % size:
            raise ProtocolError("an encrypted vector has the wrong length")
        return [int.from_bytes(data[i : i + size], "little") for i in range(0, len(data), size)]


def validate(public: PublicKey, ciphertexts: Sequence[int]) -> None:
    """Raise ProtocolError unless every ciphertext c has 0 < c < n^2 and gcd(c, n) = 1.

    It does not say which one: a sender that learns what became of one ciphertext has an oracle.
    """
    product = mpz(1)
    valid = True
    for c in ciphertexts:
        valid &= 0 < c < public._square
        product = product * c % public._n  # one gcd for all: n divides into it as soon as one of them is bad
    if not valid or gmpy2.gcd(product, public._n) != 1:
        raise ProtocolError("an encrypted vector is not valid under the analyst's key")


def add(public: PublicKey, vectors: Sequence[Sequence[int]]) -> list[int]:
    """Return the element-wise sum of equally long encrypted vectors, validated first.

    Raises ProtocolError when one is not valid or of another length, ValueError when there is none.
    """
    if not vectors:
        raise ValueError("no vectors to add")
    if len({len(vector) for vector in vectors}) != 1:
        raise ProtocolError("encrypted vectors differ in length")
    for vector in vectors:
        validate(public, vector)
    total = [mpz(c) for c in vectors[0]]
    for vector in vectors[1:]:
        total = [a * b % public._square for a, b in zip(total, vector, strict=True)]
    return [int(c) for c in total]


class Encryptor:
    """Encrypts for one public key. Make one for each sender and query; building its table costs about 0.1 s.

    ``expected`` is about how many plaintexts will come: up to 2 are encrypted as phe does, for more a table is built
    whose window suits that number (any number may be encrypted in the end). ``exponent_bits`` is the length of the
    random exponents: |n|/2 by default, at least 224.
    """

    def __init__(self, public: PublicKey, exponent_bits: int | None = None, expected: int = 1) -> None:
        bits = public.bits // 2 if exponent_bits is None else exponent_bits
        if not 224 <= bits <= public.bits:
            raise ValueError(f"exponents have 224 to {public.bits} bits, not {bits}")
        self.public = public
        self.expected = expected
        self.exponent_bits = bits
        self.window = _window(bits, expected)
        self._table = _table(public, -(-bits // self.window), self.window) if expected > _FEW else []

    @property
    def size(self) -> int:
        """About how many bytes the table takes, as measured: its numbers keep the room that they were made in."""
        return (len(self._table) << self.window) * 7 * self.public.bits // 16

    def encrypt(self, plaintexts: Sequence[int]) -> list[int]:
        """Return a fresh ciphertext for each plaintext. Raises ValueError unless 0 <= plaintext < n."""
        if not all(0 <= m < self.public.n for m in plaintexts):
            raise ValueError("a plaintext is negative or not below n")
        if not self._table:
            return [self.public.phe.raw_encrypt(m) for m in plaintexts]
        n, square = self.public._n, self.public._square
        # The exponent is drawn as its digits in base 2^window, one for each row of the table.
        drawn = np.frombuffer(os.urandom(2 * len(plaintexts) * len(self._table)), dtype=np.uint16)
        digits = (drawn & ((1 << self.window) - 1)).reshape(len(plaintexts), len(self._table)).tolist()
        ciphertexts = []
        for m, exponent in zip(plaintexts, digits, strict=True):
            picked = [row[digit] for row, digit in zip(self._table, exponent, strict=True)]
            product, offset = mpz(1), mpz(m)
            for (b1, t1), (b2, t2) in zip(picked[::2], picked[1::2], strict=True):
                product = product * (b1 * b2) % square
                offset += t1 + t2
            ciphertexts.append(int(product * (1 + n * (offset % n)) % square))
        return ciphertexts


def _window(bits: int, count: int) -> int:
    """Return the window that costs least: a table of bits/w rows of 2^w entries, bits/w products a ciphertext."""
    return min(_WINDOWS, key=lambda w: -(-bits // w) * ((1 << w) * _ENTRY + count))


def _table(public: PublicKey, rows: int, window: int) -> list[list[tuple[mpz, mpz]]]:
    """Return entries [row][digit] = (b, t) with b * (1 + n*t) = g^(digit * 2^(window*row)), g = h^n mod n^2, h secret.

    If x = b1*b2 = q*n + r, then x = r * (1 + n * q/r): so the t of a product is t1 + t2 + q/r, and no entry ever needs
    a number longer than n. The inverse of r is carried along instead of computed. ``rows`` is rounded up to even.
    """
    n = public._n
    x = secrets.randbelow(public.n - 1) + 1
    while math.gcd(x, public.n) != 1:  # never seen with an honest key
        x = secrets.randbelow(public.n - 1) + 1
    g = gmpy2.powmod(-mpz(x) * x % n, n, public._square)
    base, inverse = g % n, gmpy2.invert(g, n)
    step = g // n * inverse % n
    table = []
    for _ in range(rows + rows % 2):
        b, t, b_inverse = mpz(1), mpz(0), mpz(1)
        row = []
        for _ in range(1 << window):
            row.append((b, t))
            quotient, b = gmpy2.f_divmod(b * base, n)
            b_inverse = b_inverse * inverse % n
            t = (t + step + quotient * b_inverse) % n
        table.append(row)
        base, step, inverse = b, t, b_inverse  # the entry after the last is the next row's base
    return table


class SecretKey:
    """A Paillier private key; ``public`` is its `PublicKey`, ``phe`` phe's key object. It is never written anywhere."""

    def __init__(self, phe: PaillierPrivateKey) -> None:
        self.phe = phe
        self.public = PublicKey(phe.public_key)

    def decrypt(self, ciphertexts: Sequence[int]) -> list[int]:
        """Return the plaintexts, each 0 <= m < n. Raises ProtocolError when a ciphertext is not valid.

        It is phe's raw_decrypt (by the Chinese remainder theorem), on both cores when the list is long: gmpy2 lets go
        of the interpreter while it raises a list to a power.
        """
        validate(self.public, ciphertexts)
        if len(ciphertexts) < _THREADS_FROM or (os.cpu_count() or 1) < 2:
            return self._decrypt(ciphertexts)
        middle = len(ciphertexts) // 2
        with ThreadPoolExecutor(max_workers=2) as pool:
            first, second = pool.map(self._decrypt, (ciphertexts[:middle], ciphertexts[middle:]))
        return first + second

    def _decrypt(self, ciphertexts: Sequence[int]) -> list[int]:
        p, q, q_part = mpz(self.phe.p), mpz(self.phe.q), mpz(self.phe.p_inverse)
        listed = list(ciphertexts)
        mod_p = [(x - 1) // p * self.phe.hp % p for x in gmpy2.powmod_base_list(listed, p - 1, p * p)]
        mod_q = [(x - 1) // q * self.phe.hq % q for x in gmpy2.powmod_base_list(listed, q - 1, q * q)]
        return [int(a + (b - a) * q_part % q * p) for a, b in zip(mod_p, mod_q, strict=True)]


def generate(bits: int = 2048) -> SecretKey:
    """Return a fresh key with a modulus of exactly ``bits`` bits (2048 or 3072), made for short exponents.

    Both primes are 3 modulo 4 and gcd(p - 1, q - 1) = 2, so that -x^2 generates all of what the argument of Damgard,
    Jurik and Nielsen needs. Takes about 0.05 s at 2048 bits, 0.2 s at 3072.
    """
    if bits not in KEY_BITS:
        raise ValueError(f"a key has {' or '.join(map(str, KEY_BITS))} bits, not {bits}")
    while True:
        p, q = _blum_prime(bits // 2), _blum_prime(bits // 2)
        if _suit(p, q):
            return SecretKey(PaillierPrivateKey(PaillierPublicKey(p * q), p, q))


def _suit(p: int, q: int) -> bool:
    """Return whether two primes that are 3 modulo 4 may make a modulus (p = q never passes)."""
    return math.gcd(p - 1, q - 1) == 2


def _blum_prime(bits: int) -> int:
    """Return a random prime that is 3 modulo 4 and has its two highest bits set (the product then has 2*bits bits)."""
    while True:
        candidate = secrets.randbits(bits) | 3 << (bits - 2) | 3
        if gmpy2.is_prime(candidate, 40):
            return candidate
