"""What a party does for its releases of one attempt: noise, fragments, and the protocol up to the encrypted vectors."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from fedsql.errors import OperationalError
from fedsql.executors.engines.fragments import read_fragment, told_groups
from fedsql.executors.engines.joined import read_joined
from fedsql.executors.protocol.contribute import Ready, blurred, deliver, prepare
from fedsql.executors.protocol.conversation import Conversation
from fedsql.executors.protocol.join_tables import AnchorTable, ProviderTable
from fedsql.executors.protocol.joined import join
from fedsql.executors.protocol.outline import GroupPartials, NoiseDraws, NoiseShares
from fedsql.executors.protocol.wire import Exchange, Message, Steps, together
from fedsql.executors.roles.common import FAILED, outline_of
from fedsql.executors.roles.held import packed, run_of
from fedsql.executors.stopwatch import Stopwatch
from fedsql.planner.fragments import SAMPLING_KEY
from fedsql.planner.plans import ReleasePlan
from fedsql.planner.positions import shown
from fedsql.planner.question import Question, StageInput

if TYPE_CHECKING:
    from fedsql.executors.roles.party import Engine, Party

_log = logging.getLogger("fedsql.party")
T = TypeVar("T")


@dataclass
class Releases:
    """The releases of one charged attempt at a party. ``key`` is what `Engine.interrupt` knows their fragments by.

    ``sent`` takes what is sent; ``groups`` are its own that are shown, by release, where it was told before the next one of
    the same rows.
    """

    party: Party
    engine: Engine
    watch: Stopwatch
    question: Question
    key: Hashable
    talk: Conversation
    identities: Mapping[str, bytes]
    sent: list[Message]
    groups: dict[int, StageInput] = field(default_factory=dict)

    def up_to_go(
        self,
        mine: Sequence[ReleasePlan],
        given: Sequence[GroupPartials],
        noise: Mapping[int, NoiseShares | None],
    ) -> Steps[tuple[list[Message], list[dict[str, object]]]]:
        """Take part in ``mine`` until every contributor is READY.

        ``given`` are their parts if their fragments have run, noise and all. Returns the last messages, which hold the
        encrypted vectors, and what the audit log tells of each release.
        """
        parts = dict(zip((release.number for release in mine), given, strict=False))
        chains: dict[int, list[ReleasePlan]] = {}
        for release in mine:
            chains.setdefault(min((release.number, *release.after)), []).append(release)
        steps = together(self._prepared(chain, parts, noise) for chain in chains.values())
        prepared = yield from (self._kept(steps) if is_kept(mine) else steps)
        made = {each.outline.number: each for chain in prepared for each in chain}
        ready = [made[release.number] for release in mine]
        messages = [message for each in ready for message in each.messages]
        self.sent.extend(messages)
        inbox = yield Exchange.of(messages, [wanted for each in ready for wanted in each.wanted])
        public = self.party.keys.get(self.question.paillier_n)
        last: list[Message] = []
        released: list[dict[str, object]] = []
        for release, each in zip(mine, ready, strict=True):
            with self.watch("encrypt"):
                of_it = noise.get(release.number)
                sent, rows = deliver(self.talk, each, inbox, public, self.question.analyst_box, self.identities, of_it)
            last.extend(sent)
            released.append({"columns": _columns(release), "rows": rows, "slots": each.slots.count})
        return last, released

    def hold(
        self, key: bytes, releases: Sequence[ReleasePlan], noise: Mapping[int, NoiseShares | None]
    ) -> list[GroupPartials]:
        """Run the fragments, add noise to what will be sent, and hold it under ``key`` before it is."""
        made = []
        for release in releases:
            of_it = noise[release.number]
            assert release.domain is not None
            assert of_it is not None
            with self.watch("fragment"):
                part = self.run(release)
            assert isinstance(part, GroupPartials)
            made.append(blurred(outline_of(release), part, release.domain, of_it.values(len(release.domain))))
        self.party.ledger.hold(key, run_of(self.talk.context), packed(made), self.party.clock())
        return made

    def run(self, release: ReleasePlan) -> GroupPartials | AnchorTable | ProviderTable:
        """Run this party's fragment. Its errors, which could tell about rows, become one constant error."""
        # Only where the planner put it: in a text of the question it would be a value that differs from party to party.
        # There it cannot stand like this, for quotes inside of a text are doubled.
        place = f"sha256('{SAMPLING_KEY}' ||"
        sql = release.fragments[self.party.name].replace(place, place.replace(SAMPLING_KEY, secrets.token_hex(32)))
        try:
            inputs = [each for each in self.question.inputs if each.name in release.inputs]
            inputs += [self.groups[number] for number in release.after]
            table = self.engine.run(sql, self.key, self._queued, inputs, release.join is not None)
            if release.join is not None:
                return read_joined(table, release.join, self.party.name)
            return read_fragment(table, release)
        except Exception as error:
            _log.error("%s: fragment failed: %s", self.party.name, error)
            raise OperationalError(FAILED) from None

    def _prepared(
        self,
        chain: Sequence[ReleasePlan],
        given: Mapping[int, GroupPartials],
        noise: Mapping[int, NoiseShares | None],
    ) -> Steps[list[Ready]]:
        """Go up to READY with releases of the same rows, one after the other: what is shown decides what may be shown next."""
        done: list[Ready] = []
        for release in chain:
            found: GroupPartials | AnchorTable | ProviderTable | None = given.get(release.number)
            if found is None:
                with self.watch("fragment"):
                    found = self.run(release)
            most, of_it = self.engine.most_groups, noise.get(release.number)
            outline, slots = outline_of(release), None
            if isinstance(found, GroupPartials):
                part = found
            else:
                assert release.join is not None
                cells = [release.shown_by[partial.name] for partial in release.partials]
                part, slots = yield from join(self.talk, outline, release.join, found, cells, most)
            ready = yield from prepare(self.talk, outline, part, release.domain, self.identities, most, of_it, slots)
            if ready.shown is not None:
                self.groups[release.number] = told_groups(release, part, ready.shown)
            done.append(ready)
        return done

    def _kept(self, steps: Steps[T]) -> Steps[T]:
        """Drive ``steps``, and remember what it sends."""
        try:
            exchange = next(steps)
            while True:
                self.sent.extend(exchange.send)
                inbox = yield exchange
                exchange = steps.send(inbox)
        except StopIteration as stop:
            result: T = stop.value
            return result

    def _queued(self, place: int) -> None:
        if place:
            self.watch.enter("queued", place)
        else:
            self.watch.enter("fragment")


def is_kept(releases: Sequence[ReleasePlan]) -> bool:
    """Say whether what is sent for these releases is kept, to send it again: not as much as a private join takes."""
    return all(release.join is None for release in releases)


def _columns(release: ReleasePlan) -> list[str]:
    """Return the keys and aggregates of a release, in the words of the question."""
    aggregates = [
        f"{a.function}({'DISTINCT ' * a.distinct}{', '.join(map(shown, a.arguments)) or '*'})"
        + (f" FILTER (WHERE {shown(a.condition)})" if a.condition is not None else "")
        for a in release.release.aggregates
    ]
    return [*(shown(key.expression) for key in release.release.keys), *aggregates]


def drawn(release: ReleasePlan) -> NoiseShares | None:
    """Draw a party's noise shares: before its data is touched, where the number of groups is public."""
    noise, units = release.noise, release.noise_of_units
    if noise is None:
        return None

    def values(rows: int) -> NoiseDraws:
        draws, grids = [], []
        for partial, own in zip(release.partials, noise, strict=True):
            draws += np.split(own.mechanism.share(own.honest, rows * partial.columns), partial.columns)
            # Shares cannot be rounded: values over a private join are in multiples of the grid before they are shared.
            grids += [own.grid if release.join is None else 1] * partial.columns
        return NoiseDraws(draws, grids)

    if release.domain is not None:
        found = values(len(release.domain))
        return NoiseShares(lambda rows: found)
    assert units is not None
    return NoiseShares(values, lambda slots: units.mechanism.share(units.honest, slots))
