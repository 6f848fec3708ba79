"""Paillier agrees with phe, adds, refuses bad keys and ciphertexts, and its short-exponent randomness is in its group."""

from __future__ import annotations

import math
import secrets

import gmpy2
import pytest

from fedsql.crypto import paillier
from fedsql.crypto.paillier import Encryptor, PublicKey, SecretKey, add, generate, validate
from fedsql.errors import ProtocolError


@pytest.fixture(scope="module")
def key() -> SecretKey:
    return generate(2048)


def plaintexts(key: SecretKey, count: int) -> list[int]:
    return [0, 1, key.public.n - 1, *(secrets.randbelow(key.public.n) for _ in range(count - 3))]


def test_primes_suit_short_exponents(key: SecretKey) -> None:
    p, q = key.phe.p, key.phe.q
    assert p * q == key.public.n
    assert (p % 4, q % 4) == (3, 3)
    assert math.gcd(p - 1, q - 1) == 2
    assert gmpy2.is_prime(p)
    assert gmpy2.is_prime(q)
    assert (p.bit_length(), q.bit_length(), key.public.bits) == (1024, 1024, 2048)
    with pytest.raises(ValueError, match="2048 or 3072 bits, not 1024"):
        generate(1024)


def test_pairs_of_primes_with_a_common_factor_are_passed_over() -> None:
    assert paillier._suit(7, 11)
    assert not paillier._suit(7, 19)  # 6 and 18 share 6
    assert not paillier._suit(7, 7)


def test_every_drawn_prime_is_3_modulo_4_and_full_length() -> None:
    drawn = [paillier._blum_prime(64) for _ in range(40)]
    assert {p % 4 for p in drawn} == {3}
    assert {p >> 62 for p in drawn} == {3}


@pytest.mark.parametrize("expected", [1, 12, 3000])
def test_phe_decrypts_what_is_encrypted_here(key: SecretKey, expected: int) -> None:
    values = plaintexts(key, 5)
    ciphertexts = Encryptor(key.public, expected=expected).encrypt(values)
    assert [key.phe.raw_decrypt(c) for c in ciphertexts] == values


@pytest.mark.parametrize("count", [4, 41])  # one thread, two threads with halves of different length
def test_decrypts_what_phe_encrypted(key: SecretKey, count: int) -> None:
    values = plaintexts(key, count)
    ciphertexts = [key.public.phe.raw_encrypt(m) for m in values]
    assert key.decrypt(ciphertexts) == values
    assert key.decrypt([]) == []


def test_each_ciphertext_is_fresh(key: SecretKey) -> None:
    for encryptor in (Encryptor(key.public, expected=12), Encryptor(key.public, expected=12), Encryptor(key.public)):
        assert len(set(encryptor.encrypt([7, 7, 7]))) == 3


@pytest.mark.parametrize("window", [3, 8])
def test_table_holds_the_powers_of_one_nth_residue(key: SecretKey, window: int) -> None:
    """Entry [row][digit] must be g^(digit * 2^(window*row)) with g = h^n and h of Jacobi symbol 1, no square."""
    n, square = key.public.n, key.public.n**2
    table = paillier._table(key.public, 5, window)
    assert [len(row) for row in table] == [1 << window] * 6
    powers = [[b * (1 + n * t) % square for b, t in row] for row in table]
    g = powers[0][1]
    for row, digit in [(0, 0), (0, 2), (1, 1), (2, 5), (5, (1 << window) - 1)]:
        assert powers[row][digit] == gmpy2.powmod(g, digit << (window * row), square)
    assert key.decrypt([int(g)]) == [0]
    assert gmpy2.jacobi(g, n) == 1
    assert gmpy2.jacobi(g, key.phe.p) == -1


def test_exponents_have_at_least_the_bits_asked_for(key: SecretKey) -> None:
    for bits, expected in [(None, 100), (224, 100), (224, 5), (1000, 3000)]:
        encryptor = Encryptor(key.public, exponent_bits=bits, expected=expected)
        assert encryptor.exponent_bits == (bits or 1024)
        drawn = len(encryptor._table) * encryptor.window
        assert encryptor.exponent_bits <= drawn < encryptor.exponent_bits + 2 * encryptor.window
        assert key.decrypt(encryptor.encrypt([5])) == [5]
    for bits in (223, 2049):
        with pytest.raises(ValueError, match="exponents have 224 to 2048 bits"):
            Encryptor(key.public, exponent_bits=bits)


def test_windows_grow_with_the_number_expected(key: SecretKey) -> None:
    windows = [paillier._window(1024, count) for count in (4, 40, 400, 4000, 400_000)]
    assert windows == sorted(windows)
    assert windows[0] <= 4
    assert windows[-1] == 9


def test_plaintexts_out_of_range_are_refused(key: SecretKey) -> None:
    for bad in (-1, key.public.n):
        with pytest.raises(ValueError, match="negative or not below n"):
            Encryptor(key.public).encrypt([0, bad])


def test_sums(key: SecretKey) -> None:
    vectors = [[1, 2, key.public.n - 1], [10, 20, 1], [100, 200, 5]]
    encryptor = Encryptor(key.public, expected=9)
    assert key.decrypt(add(key.public, [encryptor.encrypt(v) for v in vectors])) == [111, 222, 5]
    only = encryptor.encrypt([8])
    assert add(key.public, [only]) == only


def test_3072_bits() -> None:
    key = generate(3072)
    assert key.public.bits == 3072
    assert key.public.plaintext_bytes == 383
    public = PublicKey.from_n(key.public.n)
    ciphertexts = Encryptor(public, expected=4).encrypt([3, 256**383 - 1])
    assert key.decrypt(ciphertexts) == [3, 256**383 - 1]


def test_bytes_round_trip(key: SecretKey) -> None:
    values = [1, key.public.n**2 - 1]
    data = key.public.to_bytes(values)
    assert len(data) == 2 * 512
    assert key.public.from_bytes(data) == values
    with pytest.raises(ProtocolError, match="wrong length"):
        key.public.from_bytes(data[:-1])


def test_bad_ciphertexts_fail_alike_wherever_they_stand(key: SecretKey) -> None:
    n, p = key.public.n, key.phe.p
    good = Encryptor(key.public).encrypt([5])
    validate(key.public, good)
    messages = set()
    for bad in (0, -1, n, n * n, n * n + 1, p, p * p, 3 * key.phe.q):
        for vector in ([bad, *good], [*good, bad]):
            for check in (
                lambda v: validate(key.public, v),
                lambda v: add(key.public, [good * 2, v]),
                lambda v: key.decrypt(v),
            ):
                with pytest.raises(ProtocolError) as caught:
                    check(vector)
                messages.add(str(caught.value))
    assert len(messages) == 1


def test_vectors_of_different_lengths_do_not_add(key: SecretKey) -> None:
    good = Encryptor(key.public).encrypt([5])
    with pytest.raises(ProtocolError, match="differ in length"):
        add(key.public, [good, good * 2])
    with pytest.raises(ValueError, match="no vectors"):
        add(key.public, [])


def test_modulus_checks(key: SecretKey) -> None:
    n, p = key.public.n, key.phe.p
    assert PublicKey.from_n(n) == key.public
    assert len({PublicKey.from_n(n), key.public}) == 1
    prime = int(gmpy2.next_prime(1 << 2047))
    small = int(gmpy2.next_prime(1 << 2032)) * 65521
    for bad, reason in [
        (n >> 1, "has 2048 or 3072 bits, not 2047"),
        (-n, "has 2048 or 3072 bits"),
        (n + 1, "is odd"),
        (small, "below 2"),
        (p * p, "not a power"),
        (prime, "not a prime"),
    ]:
        with pytest.raises(ValueError, match=reason):
            PublicKey.from_n(bad)


def test_keys_do_not_show_secrets_in_their_repr(key: SecretKey) -> None:
    assert str(key.phe.p) not in repr(key)
    assert hex(key.phe.p)[2:] not in repr(key)
