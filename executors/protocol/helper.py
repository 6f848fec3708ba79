"""The helper's part of a private join: it matches tags, and multiplies and reorders what it cannot read.

The coordinator is the helper. It learns how many rows the tables have, which of them match, and how often a tag repeats, by
pseudonyms of this query alone; not a key, a label, a value, or the size of a group.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fedsql.crypto.matching import NOWHERE, positions, rising
from fedsql.crypto.permuting import Masks
from fedsql.crypto.products import taken, taker_product
from fedsql.crypto.words import Words, add, of_int64, resized, subtract
from fedsql.errors import ProtocolError
from fedsql.executors.protocol.align import Matching, match
from fedsql.executors.protocol.conversation import Conversation
from fedsql.executors.protocol.joining import MATCHED, OWN, PROVIDED, SEED_BYTES, Link, Setting, Shape
from fedsql.executors.protocol.outline import Outline
from fedsql.executors.protocol.wire import Exchange, Steps, together

Positions = NDArray[np.int64]


def help_join(talk: Conversation, setting: Setting) -> Steps[dict[str, Shape]]:
    """Run the coordinator's part of one anchor's join; return what each provider's link turned out to be.

    Raises ProtocolError when sizes or tags are malformed.
    """
    sides = yield from together([_met(Link(talk, setting, provider)) for provider in setting.providers])
    if len({(side.shape.rows, side.shape.slots) for side in sides}) > 1:
        raise ProtocolError(f"{setting.anchor} has rows or groups of different numbers in one join")
    inner = np.ones(sides[0].shape.rows, bool)
    for side in sides:
        if side.link.provider in setting.inner:
            inner &= side.found != NOWHERE
    yield from together([side.run(inner & (side.found != NOWHERE)) for side in sides])
    return {side.link.provider: side.shape for side in sides}


def help_release(talk: Conversation, outline: Outline) -> Steps[Matching]:
    """Run the coordinator's part of the joins of all anchors of a release; return which of them may hold each slot.

    Raises ProtocolError as `help_join` does, and when participants disagree about the slots.
    """
    join, held = outline.join, None
    assert join is not None
    if join.aligned:
        held = yield from match(talk, outline.number, join.anchors)
    shapes = yield from together([help_join(talk, join.setting(outline.number, anchor)) for anchor in join.anchors])
    groups, values = join.agreed(shapes, outline.slots)
    if held is not None and held.count != groups:
        raise ProtocolError("the anchors of a private join have other groups than were aligned")
    holders = dict.fromkeys(range(groups), join.anchors) if held is None else held.holders
    return Matching(groups * values, {s * values + v: names for s, names in holders.items() for v in range(values)})


def _met(link: Link) -> Steps[_Side]:
    """Receive the tags of one link and match them."""
    anchor, provider = link.setting.anchor, link.provider
    rows, slots = yield from link.noted(anchor, "hello", rows=int, slots=int)
    values, held, seed = yield from link.noted(provider, "table", values=int, rows=int, seed=bytes)
    shape = link.shape(provider, rows, slots, values)
    if len(seed) != SEED_BYTES or not held >= 0:
        raise ProtocolError(f"the seed or size of {provider} is malformed")
    wanted = yield from link.receive(anchor, "tags", 2, rows)
    table = yield from link.receive(provider, "tags", 2, held)
    if not rising(table):
        raise ProtocolError(f"the tags of {provider} are not sorted, or not distinct")
    return _Side(link, shape, held, seed, positions(wanted, table))


@dataclass
class _Side:
    """The helper in one link, whose provider has ``held`` rows; ``found`` [rows] are those that the anchor's match."""

    link: Link
    shape: Shape
    held: int
    seed: bytes
    found: Positions
    last: Words = field(init=False)  # q of the column that products follow

    def run(self, matched: NDArray[np.bool_]) -> Steps[None]:
        """Answer for every sum, of the rows that ``matched`` [rows]."""
        anchor, shape = self.link.setting.anchor, self.shape
        factor = of_int64(matched.astype(np.int64), max(1, shape.limbs))
        q = taken(self.seed, 0, len(factor), shape.rows)
        if shape.limbs:
            yield from self.link.send(anchor, "factor", subtract(factor, q))
        sigma = yield from self._order("order")
        ends_sigma = yield from self._order("ends-order")
        for number, each in enumerate(shape.sums):
            if each.source == MATCHED:
                words = factor[:1]
            else:
                words = yield from self._product(number, q if each.source in (OWN, PROVIDED) else self.last)
            if each.source == PROVIDED:
                words = add(words, (yield from self._column(number, matched)))
            masks = Masks.of(self.seed, number, each.limbs, shape.rows, shape.slots)
            yield from self.link.send(anchor, f"permuted-{number}", masks.permuted(words, sigma))
            yield from self.link.send(anchor, f"ends-{number}", masks.ends(ends_sigma))
            if each.source == PROVIDED and shape.factors(each.provided):
                column = shape.column(each)
                self.last = taken(self.seed, 1 + column, each.limbs, shape.rows)
                yield from self.link.send(anchor, f"factor-{column}", subtract(words, self.last))
            if number + shape.ahead(self.held) < len(shape.sums):
                yield Exchange.of([self.link.note(self.link.provider, f"done-{number}", {})])

    def _product(self, number: int, q: Words) -> Steps[Words]:
        """Return its share [limbs, rows] of what the anchor multiplies with one of its factors."""
        limbs, rows = self.shape.sums[number].limbs, self.shape.rows
        masked = yield from self.link.receive(self.link.setting.anchor, f"masked-{number}", limbs, rows)
        correction = yield from self.link.receive(self.link.provider, f"correction-{number}", limbs, rows)
        return taker_product(masked, resized(q, limbs), correction)

    def _column(self, number: int, matched: NDArray[np.bool_]) -> Steps[Words]:
        """Return the padded values of the rows that match, zero elsewhere: as much work whatever matches."""
        limbs = self.shape.sums[number].limbs
        padded = yield from self.link.receive(self.link.provider, f"column-{number}", limbs, self.held)
        if not self.held:
            return np.zeros((limbs, self.shape.rows), np.uint64)
        words: Words = padded.take(np.maximum(self.found, 0), axis=1) * matched.astype(np.uint64)
        return words

    def _order(self, name: str) -> Steps[NDArray[np.uint32]]:
        """Return an order that the anchor asks for. Raises ProtocolError when it names a row that there is not."""
        anchor, every = self.link.setting.anchor, self.shape.every
        order: NDArray[np.uint32] = (yield from self.link.receive(anchor, name, 1, every, np.uint32))[0]
        if int(order.max()) >= every:
            raise ProtocolError(f"the order of {anchor} is malformed")
        return order
