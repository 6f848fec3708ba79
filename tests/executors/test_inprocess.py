"""The in-process transport and `together`: every message once, in order, until all are done, aborted or stuck."""

from __future__ import annotations

import pytest

from fedsql.errors import InternalError, ProtocolError
from fedsql.executors.protocol.wire import ABORT, Aborted, Exchange, Message, together
from fedsql.executors.stopwatch import Stopwatch
from fedsql.executors.transport.inprocess import run


def say(kind: str, sender: str, recipient: str, record: object = None) -> Message:
    return Message.of(kind, sender, recipient, record)


def ping(me: str, other: str, rounds: int, prefix: str = ""):
    heard = []
    for number in range(rounds):
        kind = f"{prefix}{number}"
        inbox = yield Exchange.of([say(kind, me, other, [me, number])], [(kind, other)])
        heard.append(inbox[kind, other].record())
    return heard


def test_participants_talk_until_they_are_done():
    seen: list[Message] = []
    found = run({"a": ping("a", "b", 3), "b": ping("b", "a", 3)}, seen.append)
    assert found == {"a": [["b", 0], ["b", 1], ["b", 2]], "b": [["a", 0], ["a", 1], ["a", 2]]}
    assert len(seen) == 6
    assert [m.kind for m in seen] == ["0", "0", "1", "1", "2", "2"]


def test_messages_that_come_early_wait():
    def early():
        yield Exchange.of([say("second", "a", "b"), say("first", "a", "b")])

    def patient():
        yield Exchange.of((), [("first", "a")])
        yield Exchange.of((), [("second", "a")])
        return "both"

    assert run({"a": early(), "b": patient()})["b"] == "both"


def test_several_protocols_of_one_participant_overlap():
    """Two protocols of three rounds each take three rounds together, not six."""
    seen: list[Message] = []
    found = run(
        {name: together([ping(name, other, 3, "x"), ping(name, other, 2, "y")]) for name, other in ("ab", "ba")},
        seen.append,
    )
    assert found["a"] == [[["b", 0], ["b", 1], ["b", 2]], [["b", 0], ["b", 1]]]
    assert [m.kind for m in seen][:4] == ["x0", "y0", "x0", "y0"]


def test_a_step_is_timed_as_what_it_sends_or_else_what_it_waits_for():
    def sends():
        yield Exchange.of([say("0/join/tags", "a", "b"), say("0/verdict", "a", "b")], [("answer", "b")])

    def waits():
        yield Exchange.of((), [("0/join/tags", "a")])
        yield Exchange.of((), [("0/verdict", "a")])
        yield Exchange.of([say("answer", "b", "a")])

    watches = {"a": Stopwatch(), "b": Stopwatch()}
    run({"a": sends(), "b": waits()}, watches=watches)
    assert set(watches["a"].seconds) == {"join", "handshake"}  # the end of a protocol is about nothing
    assert list(watches["b"].seconds) == ["join", "threshold", "add", "handshake"]


def test_protocols_that_say_nothing_are_done_at_once():
    def silent():
        return 7
        yield

    assert run({"a": together([silent(), silent()])}) == {"a": [7, 7]}
    assert run({"a": together([])}) == {"a": []}


def test_everybody_waiting_is_an_error_and_no_hang():
    def deaf():
        yield Exchange.of((), [("never", "b")])

    with pytest.raises(InternalError, match="stuck"):
        run({"a": deaf()})


@pytest.mark.parametrize("body", [Message.of("x", "a", "b", {"error": "why"}).body, b"\xff", b""])
def test_an_abort_interrupts_whoever_waits_whatever_it_says(body):
    def giving_up():
        yield Exchange.of([Message(ABORT, "a", "b", body)])

    def waiting():
        try:
            yield from together([ping("b", "a", 1), ping("b", "a", 1, "z")])
        except Aborted as aborted:
            return aborted.sender, dict(aborted.record)

    sender, record = run({"a": giving_up(), "b": waiting()})["b"]
    assert sender == "a"
    assert record in ({"error": "why"}, {})


def test_an_error_of_a_participant_propagates():
    def failing():
        yield Exchange.of([])
        raise ProtocolError("no")

    with pytest.raises(ProtocolError, match="no"):
        run({"a": failing(), "b": ping("b", "a", 1)})


def test_messages_to_who_is_done_are_dropped():
    def done():
        return 1
        yield

    def talkative():
        yield Exchange.of([say("x", "b", "a"), say("x", "b", "a"), say(ABORT, "b", "a", {})])
        return 2

    assert run({"a": done(), "b": talkative()}) == {"a": 1, "b": 2}
