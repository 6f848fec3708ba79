"""Vectors: values at the places of shown groups and cells alone, sums that open, check words that fit nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fedsql.crypto.circuit import Bits, Circuit
from fedsql.crypto.packing import from_ints, to_ints
from fedsql.crypto.paillier import SecretKey, add, generate
from fedsql.errors import ProtocolError
from fedsql.executors.protocol.conversation import Context, Conversation
from fedsql.executors.protocol.outline import GroupPartials, Outline, Released, packed_rows, unpacked_rows
from fedsql.executors.protocol.vector import check_words, encrypt, open_vector, place
from fedsql.executors.protocol.wire import ANALYST, COORDINATOR, Message

NAMES = ("ann", "bob", "cyd")
ASK = Message("ask", ANALYST, COORDINATOR, b"")
ANSWER = Message("answer", COORDINATOR, ANALYST, b"")
OUTLINE = Outline(0, NAMES, 4, Circuit((2,), (0,)), (6, 17))
CONTEXT = Context(b"q" * 16, 1, b"p" * 32, b"d" * 32, (NAMES,), b"s" * 32)


@pytest.fixture(scope="module")
def key() -> SecretKey:
    return generate()


def talks(context: Context) -> dict[str, Conversation]:
    made = {name: Conversation(name, context, None) for name in NAMES}  # type: ignore[arg-type]
    for name, talk in made.items():
        talk.roster = {other: made[other].key.public for other in NAMES if other != name}
    return made


def sent(key: SecretKey, context: Context = CONTEXT, outline: Outline = OUTLINE) -> list[list[int]]:
    columns = [from_ints([1, -2, 3, 0], 6), from_ints([10**30, -(10**30), 0, 7], 17)]
    vectors = [encrypt(talk, outline, columns, 4, key.public) for talk in talks(context).values()]
    return [key.public.from_bytes(vector) for vector in vectors]


def test_the_sum_of_all_opens_to_the_sum_of_values(key):
    total = key.public.to_bytes(add(key.public, sent(key)))
    first, second = open_vector(CONTEXT, OUTLINE, 4, total, key)
    assert to_ints(first) == [3, -6, 9, 0]
    assert to_ints(second) == [3 * 10**30, -3 * 10**30, 0, 21]


@pytest.mark.parametrize(
    "other",
    [
        (replace(CONTEXT, query_id=b"r" * 16), OUTLINE),
        (replace(CONTEXT, attempt=2), OUTLINE),
        (replace(CONTEXT, plan_digest=bytes(32)), OUTLINE),
        (CONTEXT, replace(OUTLINE, number=1)),
        (CONTEXT, replace(OUTLINE, contributors=("ann", "bob"))),
        (CONTEXT, replace(OUTLINE, contributors=(*NAMES, "dan"))),
    ],
)
def test_a_sum_opens_as_the_answer_to_its_own_question_alone(key, other):
    total = key.public.to_bytes(add(key.public, sent(key)))
    with pytest.raises(ProtocolError, match="failed its check"):
        open_vector(*other, 4, total, key)


@pytest.mark.parametrize("rows", [3, 200])
def test_fewer_or_many_more_rows_do_not_open(key, rows):
    total = key.public.to_bytes(add(key.public, sent(key)))
    with pytest.raises(ProtocolError, match=r"malformed|wrong length"):
        open_vector(CONTEXT, OUTLINE, rows, total, key)


def test_check_words_count_and_differ():
    words = {(release, name): check_words(CONTEXT, release, name, 3) for release in (0, 1) for name in NAMES}
    assert all((word & np.uint64(0xFF) == 1).all() for word in words.values())
    drawn = np.concatenate(list(words.values()))
    assert len(set(drawn.tolist())) == len(drawn)


def part(cells: list[list[int | None]]) -> GroupPartials:
    columns = [from_ints([11, 22, 33], 6), from_ints([44, 55, 66], 17)]
    return GroupPartials([("a",), ("b",), ("c",)], np.zeros((3, 1), np.int64), columns, cells)


def test_hidden_groups_and_cells_are_zeros():
    shown = Bits(np.array([True, False, True]), np.array([[True], [False], [False]]))
    first, second = place(OUTLINE, part([[None], [0]]), shown, [3, 0xFFFFFFFF, 0], 4)
    assert to_ints(first) == [33, 0, 0, 11]
    assert to_ints(second) == [0, 0, 0, 44]


def test_a_partial_that_several_cells_show_is_there_if_any_is():
    shown = Bits(np.array([True, True, True]), np.array([[True, False], [False, True], [False, False]]))
    first, second = place(OUTLINE, part([[0, 1], []]), shown, [0, 1, 2], 4)
    assert to_ints(first) == [11, 22, 0, 0]
    assert to_ints(second) == [0] * 4  # nobody shows it: it stays at home


def test_bits_survive_their_packing():
    outline = replace(OUTLINE, circuit=None)
    bits = Bits(np.array([True, False, True]), np.zeros((3, 0), bool))
    found = unpacked_rows(packed_rows(bits), outline)
    assert found.survive.tolist() == [True, False, True]


def test_outlines_and_releases_survive_the_wire():
    assert Outline.of(OUTLINE.record(), ASK) == OUTLINE
    released = Released(8, (0, 1), b"\x80\x80", {"ann": b"s"}, b"v", b"k", (b"x", b"y"))
    assert Released.of(released.record(), ANSWER) == released
    record = released.record()
    for name in record:
        for wrong in (None, 7.5, "x", [None], {"a": 1}):
            with pytest.raises(ProtocolError):
                Released.of({**record, name: wrong}, ANSWER)
        with pytest.raises(ProtocolError):
            Released.of({k: v for k, v in record.items() if k != name}, ANSWER)
    for wrong in ({}, None, [], {"number": 0}, {**OUTLINE.record(), "circuit": {"tests": [0]}}):
        with pytest.raises(ProtocolError):
            Outline.of(wrong, ASK)
