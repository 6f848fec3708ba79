"""Quantiles over parties: which value of a short list stands at a rank, found on shares, and opened by the analyst alone.

A value v stands at or above the rank as soon as b * (values up to v) - a * (all values) reaches a threshold: both sides are
sums over the parties. So each contributor shares these numbers for every v of its groups, and the computing parties compare
all of them at once, as in the threshold step and beside it. The shared bits turn from 0 to 1 at the value in question;
where they turn gives shares of its code without another message. Nothing is opened: the shares go into the encrypted
vector as those of least and largest values do (`extremes.put`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from fedsql.crypto.circuit import Circuit
from fedsql.crypto.extremes import Planes, column_of
from fedsql.crypto.packing import Column
from fedsql.errors import OperationalError
from fedsql.executors.protocol.conversation import Conversation
from fedsql.executors.protocol.outline import Codes, GroupPartials, Outline, Ranks
from fedsql.executors.protocol.threshold import Setting, compare, deal_messages, share_counts
from fedsql.executors.protocol.wire import Exchange, Message, Steps
from fedsql.planner.quantiles import MOST_COMPARISONS
from fedsql.planner.ranges import MOST_SENT

Counts = NDArray[np.int64]


def take_part(
    talk: Conversation, outline: Outline, part: GroupPartials, slots: Sequence[int], count: int
) -> Steps[Codes]:
    """Run a contributor's part, whose groups are at ``slots`` of ``count``. Return its shares, if it computes (or is alone)."""
    if not outline.ranks:
        return {}
    computing = outline.computing(talk.draw)
    counts = in_slots(outline, part.ranks, slots, count)
    if len(computing) == 1:
        return alone(outline, part.ranks, counts)
    if talk.me in computing:
        return (yield from compute(talk, outline, part.ranks, counts))
    yield Exchange.of(share(talk, outline, part.ranks, counts))
    return {}


def check_size(comparisons: int) -> None:
    """Raise OperationalError when there is too much to compare: how many groups there are is not for the analyst."""
    if comparisons > MOST_COMPARISONS:
        raise OperationalError(
            f"quantiles of this question take {comparisons} comparisons; {MOST_COMPARISONS} is the most"
        )


def check_counts(counts: int) -> None:
    """Raise OperationalError when there are too many counts in ranges, for noisy quantiles: likewise."""
    if counts > MOST_SENT:
        raise OperationalError(f"quantiles of this question take {counts} counts; {MOST_SENT} is the most")


def in_slots(outline: Outline, ranks: Mapping[int, Ranks], slots: Sequence[int], count: int) -> Counts:
    """Return the numbers of all ranks side by side [slots, tests]: 0 where this contributor has no group."""
    check_size(count * _tests(outline))
    listed = [ranks[index].counts for index, _ in outline.ranks]
    placed = np.zeros((count, sum(counts.shape[1] for counts in listed)), np.int64)
    placed[np.asarray(slots, np.intp)] = np.concatenate(listed, axis=1)
    return placed


def alone(outline: Outline, ranks: Mapping[int, Ranks], counts: Counts) -> Codes:
    """Return the codes of a single contributor: its values are all there are."""
    found = {}
    for (index, _), part in zip(outline.ranks, _parted(outline, counts.T), strict=True):
        codes = 1 + (part < ranks[index].threshold).sum(axis=0)
        width = outline.widths[index]
        found[index] = codes.astype("<u8").view(np.uint8).reshape(-1, 8)[:, :width]
    return found


def share(talk: Conversation, outline: Outline, ranks: Mapping[int, Ranks], counts: Counts) -> tuple[Message, ...]:
    """Return the messages of a contributor that does not compute."""
    return share_counts(_setting(talk, outline, len(counts), ranks), talk.me, counts, talk.sealer)


def deal(talk: Conversation, outline: Outline, slots: int) -> tuple[Message, ...]:
    """Return the coordinator's messages: it knows how many values there are, and neither ranks nor thresholds.

    None where there is more to compare than `check_size` lets pass: then no party waits for them.
    """
    if slots * _tests(outline) > MOST_COMPARISONS:
        return ()
    return deal_messages(_setting(talk, outline, slots), talk.sealer)


def compute(talk: Conversation, outline: Outline, ranks: Mapping[int, Ranks], counts: Counts) -> Steps[Codes]:
    """Run C1's or C2's part with its own numbers; return its shares of the codes by slot."""
    setting = _setting(talk, outline, len(counts), ranks)
    first = talk.me == setting.computing[0]
    _, reached = yield from compare(setting, talk.me, counts, talk.sealer)
    return {
        index: column_of(_turn(part, first), len(counts), outline.widths[index])
        for (index, _), part in zip(outline.ranks, _parted(outline, reached), strict=True)
    }


def _turn(reached: Planes, first: bool) -> Planes:
    """Return shares of the code of the first value that reaches its rank; the last value does where no other does."""
    last = np.full_like(reached[:1], 0xFF if first else 0)
    every = np.concatenate([reached, last])
    here = every.copy()
    here[1:] ^= every[:-1]
    codes = np.arange(1, len(every) + 1)
    bits = range(int(codes[-1]).bit_length())
    return np.stack([np.bitwise_xor.reduce(here[(codes >> bit & 1).astype(bool)], axis=0) for bit in bits])


def _tests(outline: Outline) -> int:
    return sum(values - 1 for _, values in outline.ranks)


def _setting(talk: Conversation, outline: Outline, slots: int, ranks: Mapping[int, Ranks] | None = None) -> Setting:
    tests = [ranks[index].threshold if ranks else 1 for index, values in outline.ranks for _ in range(values - 1)]
    circuit = Circuit(tuple(tests), (0,), noisy=True)
    first, second = outline.computing(talk.draw)
    return Setting(outline.number, circuit, slots, outline.contributors, (first, second), "ranks")


def _parted(outline: Outline, rows: NDArray[np.generic]) -> list[Column]:
    """Cut what stands side by side into the parts of each rank."""
    return np.split(rows, np.cumsum([values - 1 for _, values in outline.ranks])[:-1])
