"""Extremes driven message by message: outcomes, who sends what to whom, lengths that tell nothing, refusals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from conversations import conversations
from hypothesis import given, settings
from hypothesis import strategies as st

from fedsql.codec import decode, encode
from fedsql.crypto.circuit import Bits, Circuit
from fedsql.crypto.packing import from_ints, to_ints
from fedsql.errors import ProtocolError
from fedsql.executors.protocol.conversation import Conversation
from fedsql.executors.protocol.extremes import compute, deal, in_slots, put, share_codes
from fedsql.executors.protocol.outline import Codes, GroupPartials, Outline
from fedsql.executors.protocol.wire import COORDINATOR, Exchange, Message
from fedsql.executors.transport.inprocess import run

NAMES = ("ann", "bob", "cyd", "dan")
COMPUTING = ("cyd", "dan")
ASK = Message.of("ask", "ada", COORDINATOR, None)


class Drawn(Outline):
    """An outline whose computing parties are known beforehand."""

    def computing(self, draw):
        return COMPUTING


OUTLINE = Drawn(0, NAMES, None, Circuit((2,), (0,)), (6, 2, 2, 5, 5), extremes=((1, 9), (3, 33)))
Held = dict[str, dict[int, list[int]]]  # codes by contributor and partial


Talks = dict[str, Conversation]


def untouched(message: Message, talks: Talks) -> Message:
    return message


def columns(held: dict[int, list[int]]) -> Codes:
    return {index: from_ints(codes, OUTLINE.widths[index]) for index, codes in held.items()}


def compared(held: Held, tamper: Callable[[Message, Talks], Message] = untouched) -> tuple[list[Codes], list[Message]]:
    """Run all contributors and the coordinator; return both shares of each partial, and all messages."""
    talks = conversations(NAMES)
    slots = len(next(iter(held["ann"].values())))

    def sending(name):
        codes = columns(held[name])
        if name in COMPUTING:
            return (yield from compute(talks[name], OUTLINE, codes, slots))
        yield Exchange.of([tamper(m, talks) for m in share_codes(talks[name], OUTLINE, codes)])
        return None

    def dealing():
        yield Exchange.of([tamper(m, talks) for m in deal(talks[COORDINATOR], OUTLINE, slots)])

    sent: list[Message] = []
    results = run({**{name: sending(name) for name in NAMES}, COORDINATOR: dealing()}, sent.append)
    return [results[name] for name in COMPUTING], sent


@settings(max_examples=20)
@given(st.integers(1, 20), st.data())
def test_the_shares_are_of_the_largest_codes(slots, data):
    held = {
        name: {
            index: data.draw(st.lists(st.integers(0, 2**bits - 1) | st.just(0), min_size=slots, max_size=slots))
            for index, bits in OUTLINE.extremes
        }
        for name in NAMES
    }
    (one, two), _ = compared(held)
    for index, _ in OUTLINE.extremes:
        opened = [a ^ b for a, b in zip(to_ints(one[index], False), to_ints(two[index], False), strict=True)]
        assert opened == [max(codes) for codes in zip(*(held[name][index] for name in NAMES), strict=True)]


def some(value: int = 3, slots: int = 11) -> Held:
    return {name: {index: [value] * slots for index, _ in OUTLINE.extremes} for name in NAMES}


def test_messages_are_few_and_only_between_those_concerned():
    _, sent = compared(some())
    rounds = {(f"0/extremes/round-{i}", a, b) for i in range(10) for a, b in (COMPUTING, COMPUTING[::-1])}
    wanted = rounds | {("0/extremes/shares", name, c) for name in ("ann", "bob") for c in COMPUTING}
    wanted |= {("0/extremes/dealing", COORDINATOR, c) for c in COMPUTING}
    assert sorted((m.kind, m.sender, m.recipient) for m in sent) == sorted(wanted)
    assert all(message.sealed for message in sent)


def test_lengths_do_not_depend_on_codes():
    sizes = []
    for value in (0, 1, 511):
        _, sent = compared(some(value))
        sizes.append(sorted((m.kind, m.sender, m.recipient, len(m.body)) for m in sent))
    assert all(size == sizes[0] for size in sizes)


@pytest.mark.parametrize("kind", ["dealing", "shares"])
@pytest.mark.parametrize("recipient", COMPUTING)
@pytest.mark.parametrize("edit", [lambda d: d[:-1], lambda d: d + b"\0", lambda d: b""])
def test_a_plaintext_of_another_length_is_refused(kind, recipient, edit):
    def tamper(message: Message, talks: Talks) -> Message:
        if not message.kind.endswith(kind) or message.recipient != recipient:
            return message
        return talks[message.sender].seal(message.kind, recipient, encode(edit(decode(talks[recipient].open(message)))))

    with pytest.raises(ProtocolError, match=rf"a message of .* is malformed \(0/extremes/{kind}\)"):
        compared(some(), tamper)


def test_an_altered_box_is_refused():
    def tamper(message: Message, talks: Talks) -> Message:
        return replace(message, body=bytes([message.body[0] ^ 1]) + message.body[1:])

    with pytest.raises(ProtocolError):
        compared(some(), tamper)


def test_codes_go_to_the_slots_of_their_groups():
    placed = in_slots(columns({1: [5, 6], 3: [7, 8]}), [3, 0], 5)
    assert to_ints(placed[1]) == [6, 0, 0, 5, 0]
    assert to_ints(placed[3]) == [8, 0, 0, 7, 0]


@pytest.mark.parametrize("second", [0, 1])
@pytest.mark.parametrize("slots", [None, 4])
def test_shares_go_where_their_cells_are_shown(second, slots):
    """Slot 0 is hidden, slot 2 shows the first cell alone; aligned, the others move up."""
    bits = Bits(np.array([False, True, True, True]), np.array([[0, 0], [1, 1], [1, 0], [1, 1]], bool))
    part = GroupPartials([], np.zeros((0, 1), np.int64), [], [[None], [0], [0], [1], [1]])
    shares = columns({1: [9, 8, 7, 6], 3: [5, 4, 3, 2]})
    made = [np.zeros((4, width), np.uint8) for width in OUTLINE.widths]
    put(replace(OUTLINE, slots=slots), part, shares, bits, made, second)
    wanted = {1 + second: [8, 7, 6, 0], 3 + second: [4, 0, 2, 0]}
    if slots is not None:
        wanted = {1 + second: [0, 8, 7, 6], 3 + second: [0, 4, 0, 2]}
    for partial, column in enumerate(made):
        assert to_ints(column) == wanted.get(partial, [0] * 4)


def test_outlines_say_which_partials_are_shares():
    assert Outline.of(OUTLINE.record(), ASK) == Outline(**vars(OUTLINE))


@pytest.mark.parametrize("extremes", [None, [[1]], [[4, 9]], [[1, 9], [2, 9]], [[1, 0]], [[1, 17]], [["1", 9]]])
def test_outlines_of_shares_that_do_not_fit_are_refused(extremes):
    with pytest.raises(ProtocolError, match="a message of ada is malformed"):
        Outline.of({**OUTLINE.record(), "extremes": extremes}, ASK)
