"""Values at ranks driven message by message: outcomes against sorting, who sends what to whom, lengths, and limits."""

from __future__ import annotations

import numpy as np
import pytest
from conversations import conversations
from hypothesis import given, settings
from hypothesis import strategies as st

from fedsql.crypto.circuit import Circuit
from fedsql.crypto.packing import to_ints
from fedsql.errors import OperationalError, ProtocolError
from fedsql.executors.protocol import quantiles
from fedsql.executors.protocol.outline import Codes, GroupPartials, Outline, Ranks
from fedsql.executors.protocol.wire import COORDINATOR, Exchange, Message
from fedsql.executors.transport.inprocess import run

NAMES = ("ann", "bob", "cyd", "dan")
VALUES = {1: 5, 3: 300}  # of each partial
ASK = Message.of("ask", "ada", COORDINATOR, None)
OUTLINE = Outline(0, NAMES, None, Circuit((2,), (0,)), (6, 1, 1, 2, 2), ranks=tuple(VALUES.items()))
Held = dict[int, list[list[int]]]  # values from 0 by partial and group


def part_of(held: Held, times: int, less: int, threshold: int) -> GroupPartials:
    """Return what a fragment yields: for every group and value, what it contributes to the comparison."""
    ranks = {}
    for index, groups in held.items():
        upto = np.array([[sum(x <= v for x in group) for v in range(VALUES[index])] for group in groups], np.int64)
        upto = upto.reshape(len(groups), VALUES[index])
        ranks[index] = Ranks(times * upto[:, :-1] - less * upto[:, -1:], threshold)
    return GroupPartials([], np.zeros((0, 1), np.int64), [], [], ranks=ranks)


def ranked(parts: dict[str, GroupPartials], slots: dict[str, list[int]], count: int, outline: Outline = OUTLINE):
    """Run all contributors and the coordinator; return the shares of those who have some, and all messages."""
    talks = conversations(outline.contributors)
    computing = outline.computing(talks[outline.contributors[0]].draw)

    def contributing(name):
        return (yield from quantiles.take_part(talks[name], outline, parts[name], slots[name], count))

    def dealing():
        yield Exchange.of(quantiles.deal(talks[COORDINATOR], outline, count) if len(computing) > 1 else [])

    sent: list[Message] = []
    steps = {name: contributing(name) for name in outline.contributors}
    results = run({**steps, COORDINATOR: dealing()}, sent.append)
    return [results[name] for name in computing], computing, sent


def opened(shares: list[Codes], index: int) -> list[int]:
    columns = [to_ints(each[index], False) for each in shares]
    return [a ^ b for a, b in zip(*columns, strict=True)] if len(columns) == 2 else columns[0]


@settings(max_examples=20)
@given(st.data(), st.integers(1, 6), st.sampled_from([(2, 1, 0), (10, 9, -8), (10, 9, 1), (1, 0, 1), (4, 1, 3)]))
@pytest.mark.parametrize("names", [NAMES, NAMES[:2], NAMES[:1]])
def test_shares_are_of_the_first_value_that_reaches_the_rank(names, data, count, rank):
    outline = Outline(0, names, None, OUTLINE.circuit, OUTLINE.widths, ranks=OUTLINE.ranks)
    values = {1: st.integers(0, 4), 3: st.integers(0, 299)}
    slots = {name: data.draw(st.lists(st.integers(0, count - 1), unique=True)) for name in names}
    held = {
        name: {
            i: data.draw(st.lists(st.lists(v, max_size=5), min_size=len(s), max_size=len(s))) for i, v in values.items()
        }
        for name, s in slots.items()
    }
    parts = {name: part_of(each, *rank) for name, each in held.items()}
    shares, _, _ = ranked(parts, slots, count, outline)
    times, less, threshold = rank
    for index, most in VALUES.items():
        wanted = []
        for slot in range(count):
            pooled = [x for n in names if slot in slots[n] for x in held[n][index][slots[n].index(slot)]]
            reached = [times * sum(x <= v for x in pooled) - less * len(pooled) >= threshold for v in range(most - 1)]
            wanted.append(1 + (reached.index(True) if any(reached) else most - 1))
        assert opened(shares, index) == wanted


def some(value: int) -> dict[str, GroupPartials]:
    return {name: part_of({1: [[value] * 9], 3: [[value, 7]]}, 2, 1, 0) for name in NAMES}


SLOTS = {name: [3] for name in NAMES}


def test_messages_are_few_and_only_between_those_concerned():
    _, computing, sent = ranked(some(1), SLOTS, 8)
    others = [name for name in NAMES if name not in computing]
    rounds = ["open", *(f"prefix-{level}" for level in range(5))]
    wanted = {(f"0/ranks/{kind}", a, b) for kind in rounds for a, b in (computing, computing[::-1])}
    wanted |= {("0/ranks/shares", name, c) for name in others for c in computing}
    wanted |= {("0/ranks/dealing", COORDINATOR, c) for c in computing}
    assert sorted((m.kind, m.sender, m.recipient) for m in sent) == sorted(wanted)
    assert all(message.sealed for message in sent)


def test_lengths_do_not_depend_on_values():
    sizes = []
    for value in (0, 1, 4):
        sent = ranked(some(value), SLOTS, 8)[2]
        sizes.append(sorted((m.kind.split("/")[2], len(m.body)) for m in sent))
    assert all(size == sizes[0] for size in sizes)


def test_too_many_comparisons_are_refused_in_words_that_are_not_told():
    with pytest.raises(OperationalError, match="comparisons"):
        ranked(some(1), SLOTS, quantiles.MOST_COMPARISONS // 300)
    quantiles.check_size(quantiles.MOST_COMPARISONS)
    assert not issubclass(OperationalError, ProtocolError)


def test_outlines_say_which_partials_are_at_ranks():
    assert Outline.of(OUTLINE.record(), ASK) == OUTLINE


@pytest.mark.parametrize("ranks", [None, [[1]], [[4, 5]], [[1, 5], [2, 5]], [[1, 1]], [[1, 256]], [[3, 1 << 17]]])
def test_outlines_of_ranks_that_do_not_fit_are_refused(ranks):
    with pytest.raises(ProtocolError, match="a message of ada is malformed"):
        Outline.of({**OUTLINE.record(), "ranks": ranks}, ASK)
