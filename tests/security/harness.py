"""A federation under watch: every message recorded, every box that is opened seen, and any of it altered on the way.

`Watched` runs questions over an embedded federation with the roles' own code. `wire` stands between the participants:
it gets each message as it is sent and returns those that arrive instead. `lies` makes one participant itself say
something else inside the boxes that it seals.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import pyarrow as pa
import pytest

from fedsql.codec import decode, encode
from fedsql.crypto.keys import IdentityKey
from fedsql.crypto.paillier import SecretKey, generate
from fedsql.errors import Error
from fedsql.executors.embedded import EmbeddedFederation
from fedsql.executors.protocol.conversation import Conversation
from fedsql.executors.protocol.outline import Outline
from fedsql.executors.protocol.wire import ANALYST, COORDINATOR, Aborted, Exchange, Message, Steps
from fedsql.executors.roles.analyst import Analyst
from fedsql.executors.roles.common import context_of, outline_of
from fedsql.executors.stopwatch import Stopwatch
from fedsql.executors.transport.inprocess import run
from fedsql.planner.plans import Plan
from fedsql.planner.question import Question, Settings

NOW = "2024-05-06 07:08:09"
Wire = Callable[[Message], Iterable[Message]]


@cache
def paillier() -> SecretKey:
    """Return the one Paillier key of a test process."""
    return generate()


class Ready:
    """A future that is there already."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def result(self) -> Any:
        return self._value


def party(
    name: str,
    rows: Mapping[str, object] | pa.Table,
    *,
    use: Mapping[str, Iterable[str]] | None = None,
    columns: Mapping[str, Mapping[str, object]] | None = None,
    table: Mapping[str, object] | None = None,
    **release: object,
) -> dict[str, object]:
    """Return a party's file: table ``t`` with unit ``id``, key ``g`` and value ``v`` (or what ``use`` says)."""
    use = use or {"id": ["join"], "g": ["group", "filter"], "v": ["aggregate", "filter"]}
    listed = {column: {"use": list(given), **(columns or {}).get(column, {})} for column, given in use.items()}
    source = rows if isinstance(rows, pa.Table) else pa.table(dict(rows))
    offered = {"source": source, "privacy_unit": "id", "columns": listed, **(table or {})}
    return {"name": name, "tables": {"t": offered}, "release": release}


def federation(*parties: Mapping[str, object]) -> dict[str, object]:
    """Return a federation of `party` files."""
    return {"name": "watched", "parties": {p["name"]: {"config": p} for p in parties}}


def small(groups: Mapping[str, Mapping[str, int]], value: int = 1, **options: Any) -> dict[str, object]:
    """Return a federation from {party: {group: number of units}}; ``options`` as for `party`."""
    return federation(
        *(
            party(
                name,
                {
                    "id": pa.array(range(sum(held.values())), pa.int64()),
                    "g": pa.array([g for g, n in held.items() for _ in range(n)], pa.string()),
                    "v": pa.array([value] * sum(held.values()), pa.int64()),
                },
                **options,
            )
            for name, held in groups.items()
        )
    )


@dataclass
class Run:
    """What happened: the messages as they arrived, what was opened by whom, and the outcome."""

    plan: Plan
    question: Question
    messages: list[Message] = field(default_factory=list)
    opened: list[tuple[str, str, str, bytes]] = field(default_factory=list)  # (by, kind, sender, plaintext)
    tables: list[pa.Table] | None = None
    error: Exception | None = None

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The first release's rows, sorted. Raises the error if there was one."""
        if self.error is not None:
            raise self.error
        assert self.tables is not None
        return sorted(self.tables[0].to_pylist(), key=repr)

    def of(self, kind: str) -> list[Message]:
        """Return the messages whose kind ends so."""
        return [m for m in self.messages if m.kind.endswith(kind)]

    def said(self, kind: str) -> list[Any]:
        """Return the records that were sealed in messages whose kind ends so."""
        return [decode(plain) for _, name, _, plain in self.opened if name.endswith(kind)]

    @property
    def context(self) -> Any:
        return context_of(self.question, self.plan)

    @property
    def outline(self) -> Any:
        return outline_of(self.plan.releases[0])


class Watched:
    """An embedded federation with one analyst, whose Paillier key is the process's."""

    def __init__(self, source: Any, analyst: str = "ada") -> None:
        self.federation = EmbeddedFederation.open(source)
        self.analyst = self.admit(analyst)

    def admit(self, name: str) -> Analyst:
        """Return an analyst whose key is pinned."""
        analyst = Analyst(name, paillier=Ready(paillier()))  # type: ignore[arg-type]
        self.federation._analysts[name] = analyst.identity.public
        return analyst

    def ask(
        self,
        sql: str,
        *,
        wire: Wire | None = None,
        first: int | None = None,
        epsilon: float = 1.0,
        edit: Callable[[Question], Question] = lambda question: question,
        sign_with: IdentityKey | None = None,
    ) -> Run:
        """Ask ``sql``; errors of fedsql end up in the run, others are raised. ``edit`` alters the question that is signed.

        ``first``: the contributor of this number and the next one compute, instead of the two that are drawn.
        """
        directory = self.federation.directory
        given = Question(directory.catalog.federation, self.analyst.name, sql, NOW, settings=Settings(epsilon))
        plan = directory.plan(given)
        question = self.analyst.sign(given, plan, directory)
        return self.send(edit(question), plan, wire=wire, first=first, sign_with=sign_with)

    def send(
        self,
        question: Question,
        plan: Plan,
        *,
        wire: Wire | None = None,
        first: int | None = None,
        sign_with: IdentityKey | None = None,
    ) -> Run:
        """Send a question as it is."""
        directory, watch = self.federation.directory, Stopwatch()
        done = Run(plan, question)
        analyst = replace(self.analyst, identity=sign_with or self.analyst.identity)
        steps: dict[str, Steps[Any]] = {
            name: self.federation.parties[name].serve(directory, watch) for name in plan.participants
        }
        steps[COORDINATOR] = self.federation.coordinator.serve(directory.identities)
        steps[ANALYST] = analyst.ask(question, plan, directory, watch)
        if wire is not None:
            steps = {name: _relayed(each, wire) for name, each in steps.items()}
        with _seen(done.opened), computing(first):
            try:
                done.tables = run(steps, done.messages.append)[ANALYST]
            except Error as error:
                done.error = error
        return done

    def close(self) -> None:
        self.federation.close()


def _relayed(steps: Steps[Any], wire: Wire) -> Steps[Any]:
    """Drive ``steps``, with ``wire`` between it and the others."""
    try:
        exchange = next(steps)
        while True:
            sent = tuple(arriving for message in exchange.send for arriving in wire(message))
            try:
                inbox = yield Exchange(sent, exchange.groups)
            except Aborted as aborted:
                exchange = steps.throw(aborted)
            else:
                exchange = steps.send(inbox)
    except StopIteration as stop:
        return stop.value


@contextmanager
def _seen(opened: list[tuple[str, str, str, bytes]]) -> Iterator[None]:
    original = Conversation.open

    def opening(talk: Conversation, message: Message) -> bytes:
        plain = original(talk, message)
        opened.append((talk.me, message.kind, message.sender, plain))
        return plain

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Conversation, "open", opening)
        yield


@contextmanager
def lies(sender: str, kind: str, edit: Callable[[Any, str], Any]) -> Iterator[None]:
    """Let ``sender`` seal ``edit(record, recipient)`` instead of its records whose kind ends with ``kind``."""
    original = Conversation.seal

    def sealing(talk: Conversation, name: str, recipient: str, plaintext: bytes) -> Message:
        if talk.me == sender and name.endswith(kind):
            plaintext = encode(edit(decode(plaintext), recipient))
        return original(talk, name, recipient, plaintext)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Conversation, "seal", sealing)
        yield


@contextmanager
def computing(first: int | None) -> Iterator[None]:
    """Let contributor number ``first`` and the next one compute; None: the two that are drawn."""
    with pytest.MonkeyPatch.context() as patch:
        if first is not None:
            patch.setattr(Outline, "computing", lambda outline, draw: (2 * outline.contributors)[first : first + 2])
        yield


def alter(kind: str, change: Wire, nth: int = 0) -> Wire:
    """Return a wire that changes the nth message of a kind and no other."""
    seen = iter(range(1000))

    def wire(message: Message) -> Iterable[Message]:
        return change(message) if message.kind == kind and next(seen) == nth else [message]

    return wire


def body(change: Callable[[bytes], bytes]) -> Wire:
    """Return a change of a message's body."""
    return lambda message: [replace(message, body=change(message.body))]


def flipped(data: bytes, bit: int) -> bytes:
    """Return ``data`` with one bit flipped."""
    at = bit % (8 * len(data))
    return data[: at // 8] + bytes([data[at // 8] ^ 1 << at % 8]) + data[at // 8 + 1 :]


def answering(edit: Callable[[dict[str, Any]], dict[str, Any]]) -> Wire:
    """Return a wire that changes the first release in the answer."""

    def change(answer: Any) -> Any:
        first, *rest = answer["releases"]
        return {**answer, "releases": [edit(first), *rest]}

    return edited("answer", change)


def answered(run: Run) -> Any:
    """Return the first release of a run's answer."""
    return decode(run.of("answer")[0].body)["releases"][0]


def edited(kind: str, edit: Callable[[Any], Any]) -> Wire:
    """Return a wire that changes the record of the first message of a kind."""
    return alter(kind, body(lambda b: encode(edit(decode(b)))))
