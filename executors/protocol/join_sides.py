"""The private join of one release, from what fragments yielded to shares of every test and partial in every slot.

The anchors' groups have numbers s below S, the group values of the provider that has grouping keys numbers v below V (else V
is 1); the slot of both is s * V + v. Where labels are not public, S and V are padded and places are random. But place 0 of
the provider that LEFT adds is what its keys are where nothing matches: what no provider is in belongs there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fedsql.codec import encode
from fedsql.crypto.permuting import Grouping
from fedsql.crypto.words import Words, add, resized
from fedsql.errors import InternalError, ProtocolError
from fedsql.executors.protocol.align import align, check_count
from fedsql.executors.protocol.anchor import AnchorRows, join_rows
from fedsql.executors.protocol.conversation import Conversation
from fedsql.executors.protocol.join_outline import JoinOutline
from fedsql.executors.protocol.join_tables import (
    NO_LABEL,
    AnchorTable,
    Numbers,
    ProviderTable,
    grouped,
    labels_at,
    places,
    times,
)
from fedsql.executors.protocol.joining import MATCHED, OWN, PRODUCT, PROVIDED, GroupShares
from fedsql.executors.protocol.outline import Label, Outline
from fedsql.executors.protocol.provider import ProviderRows, provide
from fedsql.executors.protocol.wire import Exchange, Steps, together
from fedsql.planner.joint import JoinPlan, LinkPlan, Term


@dataclass(frozen=True)
class Shares:
    """A party's shares: words [limbs, slots] of each test and partial.

    ``labels``: its part of the label of each slot, and `NO_LABEL` where it has none; ``dummies`` [slots]: it knows that they
    are nobody's, and blur the number of labels.
    """

    tests: list[Words]
    partials: list[Words]
    labels: list[Label]
    dummies: NDArray[np.bool_]


@dataclass
class Side:
    """What anchors and providers have in common.

    ``groups`` and ``values`` (S and V) are known when the join has run, ``where`` and ``grouping`` of its own rows before.
    """

    talk: Conversation
    outline: Outline
    plan: JoinPlan
    most: int
    groups: int = field(init=False, default=0)
    values: int = field(init=False, default=1)
    where: Numbers = field(init=False)
    grouping: Grouping = field(init=False)

    @property
    def join(self) -> JoinOutline:
        """The public shape of the join."""
        assert self.outline.join is not None
        return self.outline.join

    def sums(self, shares: Sequence[dict[str, GroupShares]]) -> tuple[list[Words], list[Words]]:
        """Return the shares of tests and partials; ``shares`` are those of each anchor's links."""
        tests = [self._sum(terms, 1, shares) for terms in self.plan.tests]
        widths = self.outline.widths
        return tests, [
            self._sum(terms, width // 8, shares) for terms, width in zip(self.plan.partials, widths, strict=True)
        ]

    def _sum(self, terms: Sequence[Term], limbs: int, shares: Sequence[dict[str, GroupShares]]) -> Words:
        total = np.zeros((limbs, self.groups, self.values), np.uint64)
        for term in terms:
            if term.provider and not term.beside:
                here: list[Words] = [
                    self._shared(term, limbs, each[term.provider]) for each in shares if term.provider in each
                ]
            else:
                here = self.alone(term, limbs)
            for words in here:
                total = add(total, times(words, term.factor))
        return total.reshape(limbs, -1)

    def alone(self, term: Term, limbs: int) -> list[Words]:
        """Return a sum [limbs, S, V] over this party's own rows, whatever matches; none if it is another's."""
        raise NotImplementedError

    def _shared(self, term: Term, limbs: int, shares: GroupShares) -> Words:
        """Return the share [limbs, S, V] of a sum over rows that match."""
        link = self.plan.link(term.provider)
        own = link.own.index(term.own) if term.own >= 0 else -1
        provided = link.provided.index(term.provided) if term.provided >= 0 else -1
        if self.plan.keyed not in (None, link) or (link.keys and term.provided < 0):
            raise InternalError("a sum over a private join is of no group value")
        source = {(False, False): MATCHED, (True, False): OWN, (False, True): PROVIDED, (True, True): PRODUCT}[
            own >= 0, provided >= 0
        ]
        found = shares.by_value(source, own, provided)
        if len(found) < limbs:
            raise InternalError("shares of a private join have fewer limbs than their sum")
        return found[:limbs]


@dataclass
class Anchor(Side):
    """An anchor: with every provider it runs a join, and adds up alone what no provider is in."""

    table: AnchorTable

    def run(self) -> Steps[Shares]:
        """Run its join with all providers; return its shares."""
        table, plan = self.table, self.plan
        slots = yield from self._placed()
        self.where = np.append(slots, -1)[table.groups]
        self.grouping = Grouping.of(self.where, self.groups)
        rows = AnchorRows(
            {link.provider: keys for link, keys in zip(plan.links, table.keys, strict=True)},
            self.where,
            self.groups,
            {link.provider: [table.columns[x] for x in link.own] for link in plan.links},
        )
        shares = yield from join_rows(self.talk, self.join.setting(self.outline.number, self.talk.me, self.most), rows)
        shapes = {name: each.shape for name, each in shares.items()}
        _, self.values = self.join.agreed([shapes], self.outline.slots)
        tests, partials = self.sums([shares])
        parts, free = labels_at(table.labels, slots, self.groups, plan.labels)
        if self.join.aligned:  # what is free here may be another anchor's: the coordinator knows
            free[:] = False
        labels = [part for part in parts for _ in range(self.values)]
        return Shares(tests, partials, labels, np.repeat(free, self.values))

    def _placed(self) -> Steps[Numbers]:
        """Return the number s of each label."""
        if self.join.aligned:
            texts = [encode(list(label)) for label in self.table.labels]
            found = yield from align(self.talk, self.outline.number, self.join.anchors, texts, self.most)
            self.groups = found.count
            return np.asarray(found.slots, np.int64)
        slots, self.groups = places(self.table.labels, self.plan.labels, first=False)
        check_count(self.groups, self.most)
        return slots

    def alone(self, term: Term, limbs: int) -> list[Words]:
        """Return a sum over its kept rows: of each group s, in every v, or that of what matches nothing."""
        if term.provider:
            return []
        rows = len(self.where)
        column = np.ones((1, rows), np.uint64) if term.own < 0 else self.table.columns[term.own]
        sums = grouped(resized(column, limbs), self.grouping)
        found = np.zeros((limbs, self.groups, self.values), np.uint64)
        keyed = self.plan.keyed
        if keyed is not None and not keyed.inner and not term.everywhere:
            found[:, :, 0] = sums
        else:
            found[...] = sums[:, :, None]
        return [found]


@dataclass
class Provider(Side):
    """A provider, of all anchors' joins."""

    table: ProviderTable

    @property
    def link(self) -> LinkPlan:
        """What is planned of it."""
        return self.plan.link(self.talk.me)

    def run(self) -> Steps[Shares]:
        """Run its part in the joins of all anchors; return its shares."""
        table, link = self.table, self.link
        slots, mine = places(table.labels, link.labels, first=not link.inner)
        check_count(mine, self.most)
        self.where = np.append(slots, -1)[table.groups]
        self.grouping = Grouping.of(self.where, mine)
        self.values = mine
        yield from self._tell()
        rows = ProviderRows(table.keys, table.by_value(self.where, mine, link.provided))
        settings = [self.join.setting(self.outline.number, anchor, self.most) for anchor in self.join.anchors]
        found = yield from together([provide(self.talk, setting, rows) for setting in settings])
        yield from self._hear()
        self.groups = found[0].shape.slots
        count = self.groups * self.values
        if any(each.shape.slots != self.groups for each in found) or self.outline.slots not in (None, count):
            raise ProtocolError("the parties disagree about the groups of a private join")
        check_count(count, self.most)
        tests, partials = self.sums([{self.talk.me: each} for each in found])
        labels, free = [NO_LABEL] * self.values, np.zeros(self.values, bool)
        if link.keys:
            labels, free = labels_at(table.labels, slots, mine, link.labels)
        return Shares(tests, partials, labels * self.groups, np.tile(free, self.groups))

    def _kind(self) -> str:
        return f"{self.outline.number}/join/values"

    def _tell(self) -> Steps[None]:
        """Tell other providers how many group values there are, if it is this one that has some."""
        if self.link.keys and self.link.labels is None:
            others = [name for name in self.join.providers if name != self.talk.me]
            record = encode({"values": self.values})
            yield Exchange.of([self.talk.seal(self._kind(), name, record) for name in others])

    def _hear(self) -> Steps[None]:
        """Get to know how many group values there are, where another provider has them."""
        keyed = self.plan.keyed
        if keyed is None or keyed is self.link:
            return
        if keyed.labels is not None:
            self.values = len(keyed.labels)
            return
        key = self._kind(), keyed.provider
        inbox = yield Exchange.of((), [key])
        (self.values,) = self.talk.fields(inbox[key], values=int)
        if self.values < 1:
            raise inbox[key].malformed()

    def alone(self, term: Term, limbs: int) -> list[Words]:
        """Return a sum over its rows: of each group value v, in every s."""
        if term.provider != self.talk.me:
            return []
        rows = len(self.where)
        column = np.ones((1, rows), np.uint64) if term.provided < 0 else self.table.columns[term.provided]
        sums = grouped(resized(column, limbs), self.grouping)
        return [np.broadcast_to(sums[:, None, :], (limbs, self.groups, self.values))]
