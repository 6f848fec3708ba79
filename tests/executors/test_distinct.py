"""Counting distinct values by tags: the added vectors hold the size of the union, and lists are well-formed or refused."""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedsql.crypto.circuit import Circuit
from fedsql.crypto.packing import Layout, add_columns, to_ints
from fedsql.crypto.paillier import SecretKey, generate
from fedsql.crypto.tags import TAG_BYTES
from fedsql.errors import ProtocolError
from fedsql.executors.protocol.distinct import counted, mixed, tagged, taken_off
from fedsql.executors.protocol.outline import Outline
from fedsql.executors.protocol.wire import ANALYST, COORDINATOR, Message

NAMES = ("ann", "bob", "cyd")
OUTLINE = Outline(0, NAMES, None, Circuit((2,), (0,)), (6, 6, 7), tagged=(0, 2))
ROWS = 8
ASK = Message("ask", ANALYST, COORDINATOR, b"")


@pytest.fixture(scope="module")
def key() -> SecretKey:
    return generate()


Held = dict[int, list[str]]  # distinct texts by place
PLACES = st.dictionaries(
    st.integers(0, ROWS - 1), st.lists(st.sampled_from(["", "0", "a", "é", "a\0"]), unique=True), max_size=4
)


def lists(tag_key: bytes, name: str, held: dict[int, Held]) -> list[bytes]:
    return [tagged(tag_key, p, held.get(p, {}), mixed(tag_key, OUTLINE, p, ROWS, name)) for p in OUTLINE.tagged]


def counts(secret: SecretKey, tag_key: bytes, held: dict[str, dict[int, Held]]) -> dict[int, list[int]]:
    """Return what the analyst reads of each tagged partial: the coordinator's numbers, less the dummies."""
    given = [lists(tag_key, name, held.get(name, {})) for name in NAMES]
    ciphertexts = counted(OUTLINE, ROWS, given, secret.public)
    layout = Layout(OUTLINE.widths, ROWS, secret.public.plaintext_bytes)
    columns, checks = layout.unpack(secret.decrypt(ciphertexts))
    assert not checks.any()  # the coordinator adds nothing to what the contributors are checked by
    assert set(to_ints(columns[1])) == {0}
    return {
        p: to_ints(add_columns(columns[p], taken_off(mixed(tag_key, OUTLINE, p, ROWS, "ann"), OUTLINE.widths[p])))
        for p in OUTLINE.tagged
    }


@settings(max_examples=25)
@given(st.lists(st.fixed_dictionaries({0: PLACES, 2: PLACES}), min_size=3, max_size=3))
def test_the_analyst_reads_the_sizes_of_the_unions(key, held):
    found = counts(key, os.urandom(32), dict(zip(NAMES, held, strict=True)))
    for partial in OUTLINE.tagged:
        wanted = [len({t for each in held for t in each[partial].get(place, [])}) for place in range(ROWS)]
        assert found[partial] == wanted


def test_equal_values_have_other_tags_at_other_places_in_other_counts_and_under_other_keys():
    tag_key = os.urandom(32)

    def own(key: bytes, partial: int, place: int) -> set[bytes]:
        drawn = mixed(key, OUTLINE, partial, ROWS, "bob")
        data = tagged(key, partial, {place: ["value"]}, drawn)
        middle = len(data) * 4 // (4 + TAG_BYTES)
        listed = {data[i : i + TAG_BYTES] for i in range(middle, len(data), TAG_BYTES)}
        return listed - {tag.tobytes() for tag in drawn.tags}

    (one,) = own(tag_key, 0, 3)
    assert own(tag_key, 0, 3) == {one}
    assert {one} not in (own(tag_key, 0, 4), own(tag_key, 2, 3), own(os.urandom(32), 0, 3))


def test_lists_come_in_the_order_of_the_tags():
    tag_key = os.urandom(32)
    texts = [str(number) for number in range(50)]
    drawn = mixed(tag_key, OUTLINE, 0, ROWS, "ann")
    assert tagged(tag_key, 0, {1: texts, 5: ["x"]}, drawn) == tagged(tag_key, 0, {5: ["x"], 1: texts[::-1]}, drawn)


def test_the_dummies_of_two_counts_have_nothing_in_common():
    tag_key = os.urandom(32)
    one, two = (mixed(tag_key, OUTLINE, partial, ROWS, "ann") for partial in OUTLINE.tagged)
    assert not np.array_equal(one.numbers, two.numbers)
    assert not {tag.tobytes() for tag in one.tags} & {tag.tobytes() for tag in two.tags}


ONE = b"\0\0\0\0" + bytes(TAG_BYTES)


@pytest.mark.parametrize(
    "given",
    [b"", b"\xff", 5, [ONE], [ONE] * 3, [ONE, 7], [ONE, ONE[:-1]],
     [ONE, (ROWS).to_bytes(4, "little") + bytes(TAG_BYTES)], {"a": ONE}],
)  # fmt: skip
def test_malformed_lists_are_refused(key, given):
    good = [ONE, b""]
    counted(OUTLINE, ROWS, [good, good, good], key.public)
    with pytest.raises(ProtocolError, match="tags are malformed"):
        counted(OUTLINE, ROWS, [good, given, good], key.public)


def test_outlines_say_which_partials_are_counted():
    assert Outline.of(OUTLINE.record(), ASK) == OUTLINE
    assert Outline.of(OUTLINE.record(), ASK) != replace(OUTLINE, tagged=())
