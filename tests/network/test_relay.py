"""A coordinator that alters, drops, repeats, delays or replays what it passes on: the right answer, or an error by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from relay import Relay, Tampered
from world import NAMES, SQL, WHOLE, Network

from fedsql.codec import decode, encode
from fedsql.errors import Error, InternalError, OperationalError
from fedsql.executors.protocol.wire import Message

QUESTION = (
    *("ask", "question", "hello", "roster", "0/align/key", "0/align/tags", "0/align/slots", "0/threshold/dealing"),
    *("0/threshold/shares", "0/threshold/open", "0/threshold/prefix-0", "0/threshold/prefix-1", "0/threshold/and-0"),
    *("0/threshold/result", "0/ready", "0/go", "0/vector", "answer"),
)
CONSULTATION = ("consult", "reply", "replies")
OPEN = ("ask", "question", "hello", "roster", "0/vector", "answer", "consult", "replies")


@pytest.fixture(scope="module")
def services(tmp_path_factory):
    made = Tampered.open(Network(tmp_path_factory.mktemp("relay")))
    yield made
    made.close()


@pytest.fixture(scope="module")
def session(services):
    return services.session()


@pytest.fixture
def wire(monkeypatch):
    def put(change: Callable[[Message], Iterable[Message]]) -> None:
        monkeypatch.setattr(Relay, "wire", staticmethod(change))

    return put


def ask(session, kind: str) -> object:
    """Ask what has messages of ``kind``; return the answer, or the error."""
    try:
        if kind in CONSULTATION:
            return [row["queries_used"] is not None for row in session.execute("SHOW BUDGET").table.to_pylist()]
        return [tuple(row.values()) for row in session.execute(SQL).table.to_pylist()]
    except Error as error:
        return error


def right(kind: str) -> object:
    return [True] * len(NAMES) if kind in CONSULTATION else WHOLE


def harmless(found: object, kind: str) -> None:
    """Assert that it is the right answer, or an error that names somebody."""
    if not isinstance(found, Error):
        assert found == right(kind)
        return
    assert isinstance(found, OperationalError)
    assert not isinstance(found, InternalError)
    assert any(name in str(found) for name in (*NAMES, "coordinator", "analyst")), str(found)


def passed(message: Message) -> list[Message]:
    return [message]


def honest(session, wire, kind: str, watch: Callable[[Message], list[Message]] = passed) -> None:
    """Assert that an untouched question is answered; on a busy machine a deadline may pass once.

    Whom the change before this has cut off dials again: each attempt waits until the analyst sees everybody.
    """
    wire(watch)
    live = session.federation._live
    for _ in range(20):
        with live._changed:
            assert live._changed.wait_for(lambda: all(each.reachable for each in live.presence()), 20), live.presence()
        found = ask(session, kind)
        if not isinstance(found, Error):
            break
    assert found == right(kind)


def once(kind: str, change: Callable[[Message], Iterable[Message]]) -> Callable[[Message], Iterable[Message]]:
    """Return a wire that changes the first message of a kind."""
    left = [kind]

    def wire(message: Message) -> Iterable[Message]:
        if message.kind in left:
            left.remove(message.kind)
            return change(message)
        return [message]

    return wire


def late(kind: str) -> Callable[[Message], Iterable[Message]]:
    """Return a wire that passes the first message of a kind on after the next message of any."""
    held: list[Message] = []
    over: list[bool] = []

    def wire(message: Message) -> Iterable[Message]:
        if message.kind == kind and not held and not over:
            held.append(message)
            return []
        over.append(bool(held))
        return [message, *[held.pop() for _ in held]]

    return wire


def flipped(message: Message) -> list[Message]:
    at = len(message.body) // 2
    return [replace(message, body=message.body[:at] + bytes([message.body[at] ^ 1]) + message.body[at + 1 :])]


ACTIONS = {
    "altered": lambda kind: once(kind, flipped),
    "another record": lambda kind: once(kind, lambda message: [replace(message, body=encode({"a": 1}))]),
    "repeated": lambda kind: once(kind, lambda message: [message, message]),
    "late": late,
}


@pytest.mark.parametrize("kind", [*QUESTION, *CONSULTATION])
def test_a_message_altered_repeated_or_late_does_no_harm(session, wire, kind, caplog):
    for action in ACTIONS.values():
        wire(action(kind))
        harmless(ask(session, kind), kind)
    assert not [record for record in caplog.records if record.exc_info]


@pytest.mark.parametrize("kind", [*QUESTION, *CONSULTATION])
def test_a_message_that_is_dropped_ends_in_an_error_within_the_deadlines(session, wire, kind, caplog):
    wire(once(kind, lambda message: []))
    found = ask(session, kind)
    assert isinstance(found, OperationalError)
    harmless(found, kind)
    assert not [record for record in caplog.records if record.exc_info]


@pytest.mark.parametrize("kind", [*QUESTION, *CONSULTATION])
def test_a_message_of_another_query_ends_in_an_error(session, wire, kind):
    """Replayed: the same question, from and to the same participants, a moment before."""
    old: dict[tuple[str, str, str], Message] = {}

    def keep(message: Message) -> list[Message]:
        old[message.kind, message.sender, message.recipient] = message
        return [message]

    honest(session, wire, kind, keep)
    wire(once(kind, lambda message: [old[message.kind, message.sender, message.recipient]]))
    found = ask(session, kind)
    assert isinstance(found, Error)
    harmless(found, kind)


def fields(record: Any) -> Iterator[Any]:
    """Yield copies of a record, each with one field altered, to the depth of what is not in a box."""
    if isinstance(record, dict):
        for key, value in record.items():
            yield from ({**record, key: other} for other in fields(value))
    elif isinstance(record, list) and record:
        yield from ([other, *record[1:]] for other in fields(record[0]))
    elif isinstance(record, bytes):
        yield bytes([record[0] ^ 1]) + record[1:] if record else b"\0"
    elif isinstance(record, int):
        yield record + 1
    else:
        yield "other"


@pytest.mark.parametrize("kind", OPEN)
def test_every_field_of_an_open_message_altered_does_no_harm(session, wire, kind, caplog):
    seen: list[Message] = []

    def see(message: Message) -> list[Message]:
        seen.extend([message] if message.kind == kind else [])
        return [message]

    honest(session, wire, kind, see)
    for number in range(len(list(fields(decode(seen[-1].body))))):

        def change(message: Message, number: int = number) -> list[Message]:
            options = list(fields(decode(message.body)))  # a vector has more or fewer labels each time
            return [replace(message, body=encode(options[number % len(options)]))]

        wire(once(kind, change))
        harmless(ask(session, kind), kind)
    assert not [record for record in caplog.records if record.exc_info]


@pytest.mark.parametrize("kind", ["ask", "consult"])
def test_all_of_them_live_on(session, wire, kind):
    """After all that (this test stands below it) the same services answer."""
    honest(session, wire, kind)
