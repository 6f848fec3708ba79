"""A provider's part of a private join: it tags its rows, pads its values, and deals what hides everything else.

It sees no message of anchor and helper, learns how many rows and groups the anchor has, and ends with shares that it drew.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fedsql.crypto.matching import Keys, pads, rising, sorting, tagged
from fedsql.crypto.permuting import Masks, dealt_order
from fedsql.crypto.products import Giver, taken
from fedsql.crypto.words import Words, add, resized
from fedsql.errors import InternalError, ProtocolError
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
)
from fedsql.executors.protocol.wire import COORDINATOR, Exchange, Steps


@dataclass(frozen=True)
class ProviderRows:
    """A provider's rows. ``keys`` differ; a row of none matches nothing: NULL, or it was filtered out.

    ``columns`` are, for each of its own group values, those of the request: words [limbs, rows], 0 where they are NULL
    or of another group value. Raises ValueError when lengths differ.
    """

    keys: Keys
    columns: Sequence[Sequence[Words]]

    def __post_init__(self) -> None:
        if any(words.shape[1] != len(self.keys) for columns in self.columns for words in columns):
            raise ValueError("a provider's keys and columns are equally long")


def provide(talk: Conversation, setting: Setting, rows: ProviderRows) -> Steps[GroupShares]:
    """Run a provider's part of one anchor's join; return its shares.

    Raises ValueError when ``rows`` do not fit the request, InternalError when a key is there twice, ProtocolError when
    what the anchor sends is malformed.
    """
    if any(tuple(map(len, columns)) != setting.requests[talk.me].provided for columns in rows.columns):
        raise ValueError("a provider's columns have the limbs that are asked for")
    link, anchor = Link(talk, setting, talk.me), setting.anchor
    kinds = {"rows": int, "slots": int, "tags": bytes, "pads": bytes, "seed": bytes}
    count, slots, tag_key, pad_key, giver_seed = yield from link.noted(anchor, "hello", **kinds)
    if {len(tag_key), len(pad_key), len(giver_seed)} != {SEED_BYTES}:
        raise ProtocolError(f"the keys of {anchor} are malformed")
    shape = link.shape(anchor, count, slots, len(rows.columns))
    holder_seed = os.urandom(SEED_BYTES)
    sizes = {"values": shape.values}
    to_helper = sizes | {"rows": len(rows.keys), "seed": holder_seed}
    yield Exchange.of([link.note(anchor, "table", sizes), link.note(COORDINATOR, "table", to_helper)])
    tags = tagged(tag_key, rows.keys)
    order = sorting(tags)
    tags = tags.take(order, axis=1)
    if not rising(tags):
        raise InternalError("a key is there twice at the provider of a private join")
    yield from link.send(COORDINATOR, "tags", tags)
    dealer, words, ahead = _Dealer.of(shape, giver_seed, holder_seed), [], shape.ahead(len(rows.keys))
    for number, each in enumerate(shape.sums):
        if number >= ahead:
            yield from link.noted(COORDINATOR, f"done-{number - ahead}")
        if each.source == PROVIDED:
            column = rows.columns[each.value][each.provided].take(order, axis=1)
            padded = add(column, pads(pad_key, shape.column(each), tags, each.limbs))
            yield from link.send(COORDINATOR, f"column-{number}", padded)
        if each.source != MATCHED:
            yield from link.send(COORDINATOR, f"correction-{number}", dealer.correction(number))
        masks = Masks.of(holder_seed, number, each.limbs, shape.rows, shape.slots)
        for name, shift in zip(("permuted", "ends"), masks.shifts(*dealer.rhos), strict=True):
            yield from link.send(anchor, f"{name}-shift-{number}", shift)
        words.append(masks.share())
    return GroupShares(shape, tuple(words))


@dataclass(frozen=True)
class _Dealer:
    """What the provider deals to anchor and helper, whose seeds it has."""

    shape: Shape
    giver_seed: bytes
    holder_seed: bytes
    rhos: tuple[np.ndarray, np.ndarray]

    @classmethod
    def of(cls, shape: Shape, giver_seed: bytes, holder_seed: bytes) -> _Dealer:
        rhos = dealt_order(giver_seed, b"order", shape.every), dealt_order(giver_seed, b"ends", shape.every)
        return cls(shape, giver_seed, holder_seed, rhos)

    def correction(self, number: int) -> Words:
        """Return the helper's correction of one sum that is a product."""
        shape, each = self.shape, self.shape.sums[number]
        factor, limbs = (1 + shape.column(each), each.limbs) if each.source == PRODUCT else (0, shape.limbs)
        q = resized(taken(self.holder_seed, factor, limbs, shape.rows), each.limbs)
        return Giver.of(self.giver_seed, number, each.limbs, shape.rows).correction(q)
