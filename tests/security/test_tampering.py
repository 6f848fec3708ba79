"""Messages altered on their way: a ProtocolError or the right answer, never a wrong one, another exception or a hang."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from harness import Run, Watched, alter, body, flipped, lies, small

from fedsql.codec import decode, encode
from fedsql.errors import Error, InternalError, OperationalError
from fedsql.executors.protocol.wire import COORDINATOR, Message

GROUPS = {"north": {"aa": 6, "bb": 9, "few": 2}, "south": {"aa": 6, "bb": 8}, "west": {"bb": 7, "few": 1}}
SQL = "SELECT g, count(*), sum(v) FROM t GROUP BY g"
KINDS = (
    *("ask", "question", "hello", "roster", "0/align/key", "0/align/tags", "0/align/slots", "0/threshold/dealing"),
    *("0/threshold/shares", "0/threshold/open", "0/threshold/prefix-1", "0/threshold/and-0", "0/threshold/result"),
    *("0/ready", "0/go", "0/vector", "answer"),
)
PLAIN = ("ask", "question", "hello", "roster", "0/vector", "answer")


@pytest.fixture(scope="module")
def world():
    made = Watched(small(GROUPS, value=1234))
    yield made
    made.close()


@pytest.fixture(scope="module")
def honest(world) -> Run:
    return world.ask(SQL, first=1)


def harmless(run: Run, honest: Run, *, stuck: bool = False) -> None:
    """Assert that a run ended in the right answer, or in an error that names somebody.

    A message that was lost leaves this transport stuck: over a network there are deadlines (tests/network/test_relay.py).
    """
    if run.error is None:
        assert run.rows == honest.rows
        return
    assert isinstance(run.error, Error)
    if isinstance(run.error, InternalError):
        assert stuck, run.error
        assert "stuck" in str(run.error)
    else:
        assert isinstance(run.error, OperationalError)
        assert any(name in str(run.error) for name in (*GROUPS, "coordinator", "analyst")), run.error


DAMAGE = {
    "first bit": body(lambda b: flipped(b, 0)),
    "last bit": body(lambda b: flipped(b, 8 * len(b) - 1)),
    "some bit": body(lambda b: flipped(b, random.Random(len(b)).randrange(8 * len(b)))),
    "middle": body(lambda b: flipped(b, 4 * len(b))),
    "cut": body(lambda b: b[: len(b) // 2]),
    "empty": body(lambda b: b""),
    "longer": body(lambda b: b + b"\0"),
    "another record": body(lambda b: encode({"a": 1})),
    "a number": body(lambda b: encode(7)),
    "twice": lambda message: [message, message],
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_message_does_no_harm(world, honest, kind):
    for change in DAMAGE.values():
        run = world.ask(SQL, first=1, wire=alter(kind, change))
        harmless(run, honest)


@pytest.mark.parametrize("kind", KINDS)
def test_a_lost_message_ends_the_query(world, honest, kind):
    run = world.ask(SQL, first=1, wire=alter(kind, lambda message: []))
    harmless(run, honest, stuck=True)
    assert run.error is not None


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("ask", "answer")])
def test_messages_swapped_between_two_do_no_harm(world, honest, kind):
    """The second message of a kind arrives with the first one's body, and with its sender's name."""
    held: list[Message] = []

    def wire(message: Message) -> list[Message]:
        if message.kind != kind or len(held) == 2:
            return [message]
        held.append(message)
        if len(held) == 1 and len(honest.of(kind)) > 1:
            return []
        first, second = held[0], held[-1]
        return [replace(second, body=first.body), replace(first, body=second.body)]

    harmless(world.ask(SQL, first=1, wire=wire), honest, stuck=True)


@pytest.mark.parametrize("kind", KINDS)
def test_a_message_of_another_query_does_no_harm(world, honest, kind):
    """Replayed: the same question, the same parties, asked a moment before."""
    old = {(m.kind, m.sender, m.recipient): m for m in honest.messages}

    def replay(message: Message) -> list[Message]:
        return [old.get((message.kind, message.sender, message.recipient), message)]

    run = world.ask(SQL, first=1, wire=alter(kind, replay))
    harmless(run, honest)
    assert run.error is not None


def test_order_does_not_matter(world, honest):
    """All that one participant sends at once arrives the other way round, and late."""
    late: list[Message] = []

    def wire(message: Message) -> list[Message]:
        late.append(message)
        return [late.pop()] if len(late) % 2 else [late.pop(), *[late.pop() for _ in late]][::-1]

    assert world.ask(SQL, first=1, wire=wire).rows == honest.rows


def variations(record: Any) -> Iterator[Any]:
    """Yield copies of a record, each with one leaf altered, of another type, or missing."""
    if isinstance(record, dict):
        for key, value in record.items():
            yield {k: v for k, v in record.items() if k != key}
            yield from ({**record, key: other} for other in variations(value))
    elif isinstance(record, list):
        yield record[:-1]
        yield [*record, record[-1] if record else 0]
        for at in {0, len(record) - 1} if record else ():
            yield from ([*record[:at], other, *record[at + 1 :]] for other in variations(record[at]))
    elif isinstance(record, bytes):
        yield from (flipped(record or b"\0", 4 * len(record) + 3), record[:-1], 5, None)
    elif isinstance(record, int) and not isinstance(record, bool):
        yield from (record + 1, -1, 1 << 70, 0.5, b"")
    else:
        yield from (7, None if record is not None else "x", str(record) + "x")


@pytest.mark.parametrize("kind", PLAIN)
def test_every_field_of_an_open_message_altered_does_no_harm(world, honest, kind):
    """The fields of the first such message, one at a time."""
    record = decode(honest.of(kind)[0].body)
    record = [record[0]] if kind == "roster" else record
    for number in range(len(list(variations(record)))):

        def change(message: Message, number: int = number) -> list[Message]:
            found = decode(message.body)
            if kind == "roster":
                altered = list(variations([found[0]]))[number]
                return [replace(message, body=encode([*altered, *found[1:]] if isinstance(altered, list) else altered))]
            options = list(variations(found))  # a vector has more or fewer labels each time
            return [replace(message, body=encode(options[number % len(options)]))]

        harmless(world.ask(SQL, first=1, wire=alter(kind, change)), honest)


@pytest.mark.parametrize(("author", "kind"), [(COORDINATOR, "0/go"), ("south", "0/ready")])
def test_every_field_of_a_sealed_record_altered_by_its_author_does_no_harm(world, honest, author, kind):
    """No relay can: here the coordinator, or a computing party, seals something else."""
    (record,) = [decode(plain) for _, name, sender, plain in honest.opened if (name, sender) == (kind, author)][:1]
    for number in range(len(list(variations(record)))):

        def edit(found: Any, recipient: str, number: int = number) -> Any:
            options = list(variations(found))
            return options[number % len(options)]

        with lies(author, kind, edit):
            harmless(world.ask(SQL, first=1), honest)


def test_every_field_of_the_slots_altered_by_the_coordinator_is_refused_or_merges_groups(world):
    """It names the slots, so it may put two groups together (see test_limits); what is malformed is refused by name."""
    record = next(decode(plain) for _, kind, _, plain in world.ask(SQL).opened if kind == "0/align/slots")
    for number in range(len(list(variations(record)))):
        with lies(COORDINATOR, "0/align/slots", lambda found, to, n=number: list(variations(found))[n]):
            run = world.ask(SQL)
        if run.error is None:
            assert all(int(row["a0"]) >= 10 for row in run.rows)
        else:
            assert isinstance(run.error, OperationalError)
            assert any(name in str(run.error) for name in (*GROUPS, "coordinator"))


def test_a_refusal_altered_on_its_way_is_still_a_refusal(world):
    old = world.ask(SQL, first=1)
    for change in DAMAGE.values():
        run = world.send(old.question, old.plan, wire=alter("abort", change))
        assert isinstance(run.error, Error)
        assert not isinstance(run.error, InternalError)
