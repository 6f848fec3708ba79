"""The anchor's part of a private join: it tags its rows, masks its factors, asks for its order, and adds up.

It knows groups and own values; of the providers' it sees what a dealt mask hides, and ends with one share of each sum.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fedsql.crypto.matching import Keys, Tags, pads, tagged
from fedsql.crypto.permuting import Grouping, asked, dealt_order, owner_share
from fedsql.crypto.products import Giver
from fedsql.crypto.tags import shuffled
from fedsql.crypto.words import Words, add, multiply, negative, resized
from fedsql.executors.protocol.conversation import Conversation
from fedsql.executors.protocol.joining import (
    MATCHED,
    PRODUCT,
    PROVIDED,
    SEED_BYTES,
    GroupShares,
    Link,
    Setting,
    Shape,
    Sum,
)
from fedsql.executors.protocol.wire import COORDINATOR, Exchange, Steps, together

MATCHES = -1  # the helper's factor that is no column


@dataclass(frozen=True)
class AnchorRows:
    """An anchor's rows. ``keys`` are those for each provider; a row of none matches nothing: NULL, or it was filtered out.

    ``slots`` int64 [rows] are their groups, of ``slot_count``; -1 is none. ``columns``, for each provider, are the own
    ones of its request, words [limbs, rows] in which NULL is 0. Raises ValueError when their lengths differ.
    """

    keys: Mapping[str, Keys]
    slots: NDArray[np.int64]
    slot_count: int
    columns: Mapping[str, Sequence[Words]]

    def __post_init__(self) -> None:
        rows = {len(self.slots), *map(len, self.keys.values())}
        rows |= {words.shape[1] for columns in self.columns.values() for words in columns}
        if len(rows) > 1:
            raise ValueError("an anchor's keys, slots and columns are equally long")


def join_rows(talk: Conversation, setting: Setting, rows: AnchorRows) -> Steps[dict[str, GroupShares]]:
    """Run the anchor's part; return its shares by provider. Raises ValueError when ``rows`` do not fit the requests."""
    turn = shuffled(len(rows.slots))  # how the helper sees rows: in one order for all links, to tell where all match
    grouping = Grouping.of(rows.slots[turn], rows.slot_count)
    sides = []
    for provider in setting.providers:
        if tuple(map(len, rows.columns[provider])) != setting.requests[provider].own:
            raise ValueError("an anchor's columns have the limbs that are asked for")
        tag_key, pad_key, seed = (os.urandom(SEED_BYTES) for _ in range(3))
        link = Link(talk, setting, provider)
        sizes = {"rows": len(turn), "slots": rows.slot_count}
        secret = {"tags": tag_key, "pads": pad_key, "seed": seed}
        yield Exchange.of([link.note(provider, "hello", sizes | secret), link.note(COORDINATOR, "hello", sizes)])
        tags = tagged(tag_key, rows.keys[provider])[:, turn]
        yield from link.send(COORDINATOR, "tags", tags)
        sides.append(_Side(link, rows.columns[provider], turn, tags, pad_key, seed, grouping))
    found = yield from together([side.run() for side in sides])
    return dict(zip(setting.providers, found, strict=True))


@dataclass
class _Side:
    """The anchor in one link. ``opened`` are the helper's factors that are used again, by column."""

    link: Link
    columns: Sequence[Words]
    turn: NDArray[np.intp]
    tags: Tags
    pad_key: bytes
    seed: bytes
    grouping: Grouping
    shape: Shape = field(init=False)
    opened: dict[int, Words] = field(default_factory=dict)
    last: Words = field(init=False)  # its share of the last provided column, which products may follow

    def run(self) -> Steps[GroupShares]:
        provider = self.link.provider
        (values,) = yield from self.link.noted(provider, "table", values=int)
        self.shape = self.link.shape(provider, len(self.turn), len(self.grouping.ends), values)
        rhos = dealt_order(self.seed, b"order", self.shape.every), dealt_order(self.seed, b"ends", self.shape.every)
        orders = self.grouping.order, self.grouping.ends_first()
        for name, order, rho in zip(("order", "ends-order"), orders, rhos, strict=True):
            yield from self.link.send(COORDINATOR, name, asked(order, rho)[None])
        words, sums, ahead = [], self.shape.sums, self.shape.ahead()
        for number in range(len(sums) + ahead):
            if number < len(sums) and sums[number].source != MATCHED:
                masked = self._giver(number).masked(self._given(sums[number]))
                yield from self.link.send(COORDINATOR, f"masked-{number}", masked)
            if number >= ahead:
                words.append((yield from self._sum(number - ahead, rhos)))
        return GroupShares(self.shape, tuple(words))

    def _sum(self, number: int, rhos: tuple[NDArray[np.intp], NDArray[np.intp]]) -> Steps[Words]:
        """Return the share of one sum in every group."""
        each, every, slots = self.shape.sums[number], self.shape.every, self.shape.slots
        own = yield from self._own_share(number)
        answers, shifts = [], []
        for name, dealt in (("permuted", every), ("ends", slots)):
            answers.append((yield from self.link.receive(COORDINATOR, f"{name}-{number}", each.limbs, every)))
            shift = self.link.receive(self.link.provider, f"{name}-shift-{number}", each.limbs, dealt)
            shifts.append((yield from shift))
        return owner_share(self.grouping, rhos, (shifts[0], shifts[1]), (answers[0], answers[1]), own)

    def _own_share(self, number: int) -> Steps[Words]:
        """Return its share [limbs, rows] of one sum's words, row by row; the helper has the other one."""
        each = self.shape.sums[number]
        if each.source == MATCHED:  # the helper knows these
            return np.zeros((1, self.shape.rows), np.uint64)
        factor, given = (yield from self._factor(each)), self._given(each)
        share = self._giver(number).product(given, resized(factor, each.limbs))
        if each.source == PRODUCT:
            return add(share, multiply(given, self.last))
        if each.source == PROVIDED:
            self.last = share
        return share

    def _factor(self, each: Sum) -> Steps[Words]:
        """Return the helper's factor of a sum: its matches, or its share of the column that is multiplied."""
        column = self.shape.column(each) if each.source == PRODUCT else MATCHES
        if column not in self.opened:
            limbs, name = (self.shape.limbs, "factor") if column == MATCHES else (each.limbs, f"factor-{column}")
            received = yield from self.link.receive(COORDINATOR, name, limbs, self.shape.rows)
            self.opened = {at: words for at, words in self.opened.items() if at == MATCHES} | {column: received}
        return self.opened[column]

    def _given(self, each: Sum) -> Words:
        """Return what it multiplies with the helper's factor: a pad to take off, or own values."""
        if each.source == PROVIDED:
            return negative(pads(self.pad_key, self.shape.column(each), self.tags, each.limbs))
        return resized(self.columns[each.own].take(self.turn, axis=1), each.limbs)

    def _giver(self, number: int) -> Giver:
        return Giver.of(self.seed, number, self.shape.sums[number].limbs, self.shape.rows)
