"""The private join of one party's rows with others': what everybody knows of it, and how its messages travel.

The *anchor* has the rows and groups them; a *provider* has values by a key that is unique there; the *helper*, who is the
coordinator, matches their tags and learns no key, label or value. In the end anchor and provider hold shares of each sum in
each group. A *link* is the part of one provider. Its messages, in order; those in a row do not wait for one another:

    anchor -> provider, helper    hello (to the provider with the keys), tags
    provider -> anchor, helper    table (to the helper with a seed), tags
    anchor -> helper              order, ends-order; for each sum: masked
    provider -> helper            for each sum: column, correction
    provider -> anchor            for each sum: shift, ends-shift
    helper -> anchor              factor; for each sum: permuted, ends; and a factor for each column with products
    helper -> provider            done, where more sums are to come than may be under way

All are sealed boxes, above all those of anchor and helper, for the provider deals what hides what is in them. Columns travel
in pieces, so no message grows with a table. Numbers and lengths follow from the `Shape` alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedsql.codec import encode
from fedsql.crypto.packing import Column
from fedsql.crypto.permuting import MOST
from fedsql.crypto.words import Words, to_column
from fedsql.executors.protocol.align import check_count
from fedsql.executors.protocol.conversation import Conversation
from fedsql.executors.protocol.wire import Exchange, Message, Steps

SEED_BYTES = 32
PIECE = 1 << 18  # rows in one message
UNDER_WAY = 1 << 28  # bytes of a link's columns of one kind that may wait unread
_VALUES = 1 << 16
MATCHED, OWN, PROVIDED, PRODUCT = "matched", "own", "provided", "product"


@dataclass(frozen=True)
class Request:
    """What is summed over the matched rows, beside their number: known from the plan.

    ``own`` and ``provided`` are the limbs (1: modulo 2^64, 2: modulo 2^128) of the anchor's and the provider's columns;
    ``products`` pairs an own with a provided column, and has the limbs of the latter. Raises ValueError otherwise.
    """

    own: tuple[int, ...] = ()
    provided: tuple[int, ...] = ()
    products: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        limbs = {*self.own, *self.provided} <= {1, 2}
        if not limbs or not all(0 <= x < len(self.own) and 0 <= y < len(self.provided) for x, y in self.products):
            raise ValueError("columns have 1 or 2 limbs, and products are of columns that exist")


@dataclass(frozen=True)
class Sum:
    """One sum: its ``source`` is MATCHED, OWN, PROVIDED or PRODUCT, of the own and the provided column that it is of.

    ``value`` numbers the provider's own group value whose rows it is of.
    """

    source: str
    limbs: int
    own: int = -1
    provided: int = -1
    value: int = 0


@dataclass(frozen=True)
class Shape:
    """The sizes of a link, which all three know: rows and group slots of the anchor, group values of the provider.

    The provider has its columns once for each of its ``values`` (1 where it groups by nothing). Raises ValueError when
    a size is out of range.
    """

    request: Request
    rows: int
    slots: int
    values: int

    def __post_init__(self) -> None:
        if self.rows < 0 or self.slots < 1 or self.rows + self.slots > MOST or not 0 <= self.values <= _VALUES:
            raise ValueError("the sizes of a join are out of range")

    @property
    def every(self) -> int:
        """N: the rows, and one more for each slot (see `crypto.permuting`)."""
        return self.rows + self.slots

    @cached_property
    def sums(self) -> tuple[Sum, ...]:
        """All sums in order; products come right after the column that they are of."""
        return (
            Sum(MATCHED, 1),
            *(Sum(OWN, limbs, own=x) for x, limbs in enumerate(self.request.own)),
            *(each for value in range(self.values) for each in self._of_value(value)),
        )

    def _of_value(self, value: int) -> Iterator[Sum]:
        for y, limbs in enumerate(self.request.provided):
            yield Sum(PROVIDED, limbs, provided=y, value=value)
            for x in self.factors(y):
                yield Sum(PRODUCT, limbs, own=x, provided=y, value=value)

    def factors(self, provided: int) -> list[int]:
        """Return the own columns that a provided one is multiplied with."""
        return [x for x, y in self.request.products if y == provided]

    def column(self, each: Sum) -> int:
        """Return the number of the provider's column that a sum is of, over all its values."""
        return each.value * len(self.request.provided) + each.provided

    def ahead(self, held: int = 0) -> int:
        """Return how many sums may be under way at once, where the provider has ``held`` rows: fewer, the larger columns are."""
        return max(1, min(len(self.sums), UNDER_WAY // (16 * max(self.every, held))))

    @property
    def limbs(self) -> int:
        """Limbs of the matches as a factor of columns; 0 where only they are counted."""
        return max((each.limbs for each in self.sums if each.source in (OWN, PROVIDED)), default=0)


@dataclass(frozen=True)
class GroupShares:
    """The outcome at an anchor or a provider: for each of ``shape.sums`` its share [limbs, slots].

    The anchor's and the provider's add up to the sums modulo 2^(64 * limbs); each alone is uniform.
    """

    shape: Shape
    words: tuple[Words, ...]

    def column(self, source: str, own: int = -1, provided: int = -1, value: int = 0) -> Column:
        """Return the share of one sum as a column [slots, 8 * limbs]. Raises KeyError when it was not asked for."""
        for each, share in zip(self.shape.sums, self.words, strict=True):
            if (each.source, each.own, each.provided, each.value) == (source, own, provided, value):
                return to_column(share)
        raise KeyError((source, own, provided, value))

    def by_value(self, source: str, own: int = -1, provided: int = -1) -> Words:
        """Return the shares [limbs, slots, values] of one sum, in each of the provider's group values where it has a column.

        Raises KeyError when it was not asked for.
        """
        sums = zip(self.shape.sums, self.words, strict=True)
        found = [share for each, share in sums if (each.source, each.own, each.provided) == (source, own, provided)]
        if not found:
            raise KeyError((source, own, provided))
        return np.stack(found, axis=2)


@dataclass(frozen=True)
class Setting:
    """The public facts of one anchor's join in one release. ``requests`` has one for each provider.

    A row counts where all providers in ``inner`` match; for the sums of another provider, where that one does too (so
    none in ``inner``: each LEFT join is on its own). ``most``: over how many slots, of all group values, this participant
    computes. Raises ValueError unless all of them are providers.
    """

    release: int
    anchor: str
    requests: Mapping[str, Request]
    inner: frozenset[str] = frozenset()
    most: int = MOST

    def __post_init__(self) -> None:
        if not self.requests or self.anchor in self.requests or not self.inner <= self.requests.keys():
            raise ValueError("an anchor is joined with other parties, and only those can be inner")

    @property
    def providers(self) -> tuple[str, ...]:
        """The providers, sorted."""
        return tuple(sorted(self.requests))


@dataclass(frozen=True)
class Link:
    """How one participant sends and receives the messages of one provider's part."""

    talk: Conversation
    setting: Setting
    provider: str

    def kind(self, name: str) -> str:
        """Return the kind of the message ``name``."""
        return f"{self.setting.release}/join/{self.setting.anchor}/{self.provider}/{name}"

    def note(self, recipient: str, name: str, record: object) -> Message:
        """Return a message with a record."""
        return self.talk.seal(self.kind(name), recipient, encode(record))

    def noted(self, sender: str, name: str, **kinds: Any) -> Steps[list[Any]]:
        """Wait for a record and return its values, in the order of ``kinds``. Raises ProtocolError."""
        key = self.kind(name), sender
        inbox = yield Exchange.of((), [key])
        return self.talk.fields(inbox[key], **kinds)

    def shape(self, sender: str, rows: int, slots: int, values: int) -> Shape:
        """Return the shape that ``sender`` told the last part of.

        Raises ProtocolError when it is out of range, OperationalError when it has more slots than are computed over here.
        """
        try:
            shape = Shape(self.setting.requests[self.provider], rows, slots, values)
        except ValueError:
            name = "hello" if sender == self.setting.anchor else "table"
            raise Message(self.kind(name), sender, self.talk.me, b"").malformed() from None
        check_count(slots * values, self.setting.most)
        return shape

    def send(self, recipient: str, name: str, columns: NDArray[Any]) -> Steps[None]:
        """Send an array [limbs, rows] in pieces."""
        for at in range(0, columns.shape[1], PIECE):
            data = columns[:, at : at + PIECE].tobytes()
            yield Exchange.of([self.talk.seal(self.kind(f"{name}-{at // PIECE}"), recipient, data)])

    def receive(self, sender: str, name: str, limbs: int, rows: int, dtype: Any = np.uint64) -> Steps[NDArray[Any]]:
        """Receive an array [limbs, rows]. Raises ProtocolError when a piece has another length than it must."""
        found = np.empty((limbs, rows), dtype)
        for at in range(0, rows, PIECE):
            part = found[:, at : at + PIECE]
            key = self.kind(f"{name}-{at // PIECE}"), sender
            inbox = yield Exchange.of((), [key])
            data = self.talk.open(inbox[key])
            if len(data) != part.nbytes:
                raise inbox[key].malformed()
            part[...] = np.frombuffer(data, dtype).reshape(part.shape)
        return found
