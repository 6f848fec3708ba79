"""The analysts' keys that a participant keeps: checked once, the least used dropped when they take too much room."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from fedsql.crypto.paillier import generate
from fedsql.errors import ProtocolError
from fedsql.executors.roles.keys import AnalystKeys


def modulus():
    return generate().public.n.to_bytes(256, "big")


def test_a_key_is_kept_with_its_table():
    keys, n = AnalystKeys(), modulus()
    first = keys.get(n)
    table = first.encryptor(8)
    assert keys.get(n) is first
    assert keys.get(n).encryptor(8) is table


def test_zeros_before_a_modulus_make_no_other_key():
    keys, n = AnalystKeys(), modulus()
    assert keys.get(bytes(1000) + n) is keys.get(n)


def test_the_key_that_was_not_used_for_longest_makes_room():
    one, two, three = modulus(), modulus(), modulus()
    alone = AnalystKeys().get(one)
    alone.encryptor(8)
    keys = AnalystKeys(room=2 * alone.size + alone.size // 2)
    kept = {n: keys.get(n) for n in (one, two)}
    for key in kept.values():
        key.encryptor(8)
    keys.get(one)
    keys.get(three).encryptor(8)  # it has no table when it comes, so nobody has to go
    assert keys.get(one) is kept[one]
    assert keys.get(two) is not kept[two]


def test_so_many_are_kept_and_no_more():
    keys, (one, two, three) = AnalystKeys(most=2), [modulus() for _ in range(3)]
    first, second, _ = keys.get(one), keys.get(two), keys.get(three)
    assert keys.get(two) is second
    assert keys.get(one) is not first


def test_one_key_is_kept_however_large():
    keys, n = AnalystKeys(room=1), modulus()
    assert keys.get(n) is keys.get(n)


def test_two_who_come_at_the_same_moment_get_one_key():
    keys, n = AnalystKeys(), modulus()
    with ThreadPoolExecutor(8) as pool:
        assert len({id(key) for key in pool.map(keys.get, [n] * 32)}) == 1


def test_a_weak_key_is_refused_and_not_kept():
    keys = AnalystKeys()
    for _ in range(2):
        with pytest.raises(ProtocolError, match="Paillier key is refused: a Paillier modulus is odd"):
            keys.get((1 << 2047).to_bytes(256, "big"))
