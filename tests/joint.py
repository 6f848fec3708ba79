"""Runs releases over private joins in one process: from tables as fragments yield them to what the analyst opens."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cache
from types import SimpleNamespace
from typing import Any

import pyarrow as pa

from fedsql.crypto.circuit import Circuit
from fedsql.crypto.keys import IdentityKey
from fedsql.crypto.packing import to_ints
from fedsql.crypto.paillier import SecretKey, generate
from fedsql.executors.engines.joined import read_joined
from fedsql.executors.protocol.arrange import collect, conclude
from fedsql.executors.protocol.contribute import deliver, prepare
from fedsql.executors.protocol.conversation import Context, Conversation
from fedsql.executors.protocol.join_outline import JoinOutline
from fedsql.executors.protocol.joined import join
from fedsql.executors.protocol.outline import Label, Outline, Released, unpacked_rows
from fedsql.executors.protocol.vector import open_vector
from fedsql.executors.protocol.wire import COORDINATOR, Exchange, Message
from fedsql.executors.roles.analyst import Analyst
from fedsql.executors.transport.inprocess import run
from fedsql.planner.joint import JoinPlan

MOST = 10_000
Changed = Callable[[str, Any], Any]


@cache
def secret() -> SecretKey:
    """Return one Paillier key for all tests."""
    return generate()


@cache
def analyst() -> Analyst:
    """Return the analyst whose key that is."""
    key: Future[SecretKey] = Future()
    key.set_result(secret())
    return Analyst("ada", paillier=key)


@dataclass(frozen=True)
class Release:
    """A release over a private join: ``keys`` grouping keys, and the ``cells`` that show each partial of these ``widths``."""

    plan: JoinPlan
    circuit: Circuit | None
    widths: tuple[int, ...]
    keys: int = 0
    cells: Sequence[Sequence[int | None]] = ()

    @property
    def outline(self) -> Outline:
        """What the coordinator knows."""
        contributors = tuple(sorted([*self.plan.anchors, *(link.provider for link in self.plan.links)]))
        domain, public = self.plan.domain(self.keys), JoinOutline.planned(self.plan)
        slots = None if domain is None else len(domain)
        return Outline(5, contributors, slots, self.circuit, self.widths, join=public)


@dataclass(frozen=True)
class Run:
    """What came of a release: ``rows`` of shown groups, by label, each partial's sum or None where its cell is not shown."""

    rows: dict[Label, list[int | None]]
    released: Released
    hidden: list[list[int]]  # what opens of each partial at places of no group
    ready: dict[str, Any]  # by party


def answered(
    release: Release,
    tables: Mapping[str, pa.Table],
    record: Callable[[Message], None] | None = None,
    most: int = MOST,
    talks: dict[str, Conversation] | None = None,
) -> Run:
    """Run all roles of a release."""
    outline = release.outline
    names = outline.contributors
    context = Context(os.urandom(16), 1, bytes(32), bytes(32), (names,), bytes(32))
    made = {name: Conversation(name, context, IdentityKey.generate()) for name in (*names, COORDINATOR)}
    if talks is not None:
        talks.update(made)
    identities = {name: talk.identity.public for name, talk in made.items()}
    hellos = [talk.hello() for talk in made.values()]
    for talk in made.values():
        talk.admit(hellos, identities, (*names, COORDINATOR))
    domain = release.plan.domain(release.keys)
    ready = {}

    def party(name):
        cells = release.cells or [(None,)] * len(release.widths)
        table = read_joined(tables[name], release.plan, name)
        part, slots = yield from join(made[name], outline, release.plan, table, cells, most)
        ready[name] = at = yield from prepare(made[name], outline, part, domain, identities, most, slots=slots)
        inbox = yield Exchange.of(at.messages, at.wanted)
        box = analyst().box.public
        sent, _ = deliver(made[name], at, inbox, secret().public, box, identities, None)
        yield Exchange.of(sent)

    def coordinator():
        collected = yield from collect(made[COORDINATOR], outline)
        return (yield from conclude(made[COORDINATOR], collected, secret().public, identities))

    released = run({**{name: party(name) for name in names}, COORDINATOR: coordinator()}, record)[COORDINATOR]
    draw = made[COORDINATOR].draw
    analyst()._verify(outline, released, context, draw, identities)
    columns = [to_ints(c) for c in open_vector(context, outline, released.rows, released.vector, secret())]
    planned = SimpleNamespace(domain=domain, join=release.plan, release=SimpleNamespace(keys=range(release.keys)))
    labels = analyst()._labels(planned, outline, released, context)
    assert len(set(labels)) == len(labels) == len(released.positions)
    bits = unpacked_rows(released.bits, outline).cells
    rows: dict[Label, list[int | None]] = {}
    for number, (label, at) in enumerate(zip(labels, released.positions, strict=True)):
        shown = [None in cells or any(bits[number, cell] for cell in cells) for cells in release.cells]
        rows[label] = [c[at] if not shown or shown[i] else None for i, c in enumerate(columns)]
    left = set(range(released.rows)) - set(released.positions)
    return Run(rows, released, [[column[at] for at in left] for column in columns], ready)


def anchor_table(
    rows: Sequence[Mapping[str, Any]], links: int, own: int, keys: Sequence[int] = (), wide: Sequence[int] = ()
) -> pa.Table:
    """Return what an anchor's fragment yields. ``wide`` are the columns that are decimals, as sums of HUGEINT are."""
    names = [*(f"k{key}" for key in keys), "kept", *(f"key_{n}" for n in range(links)), *(f"x{j}" for j in range(own))]
    return _table(rows, names, wide)


def provider_table(
    rows: Sequence[Mapping[str, Any]], provided: int, keys: Sequence[int] = (), wide: Sequence[int] = ()
) -> pa.Table:
    """Return what a provider's fragment yields."""
    names = ["key", "absent", *(f"k{key}" for key in keys), *(f"y{j}" for j in range(provided))]
    return _table(rows, names, wide)


def _table(rows: Sequence[Mapping[str, Any]], names: Sequence[str], wide: Sequence[int]) -> pa.Table:
    def kind(name: str) -> pa.DataType:
        if name in ("kept", "absent"):
            return pa.bool_()
        if name.startswith("k"):
            return pa.string()
        return pa.decimal128(38, 0) if int(name[1:]) in wide else pa.int64()

    return pa.table({name: pa.array([row.get(name) for row in rows], kind(name)) for name in names})
