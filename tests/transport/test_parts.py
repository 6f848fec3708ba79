"""The pieces by themselves: frames, mailboxes, outboxes, the driver, addresses."""

from __future__ import annotations

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st
from toys import SOON, eventually

from fedsql.errors import ConfigError, OperationalError
from fedsql.executors.protocol.wire import ABORT, Aborted, Exchange, Message
from fedsql.executors.transport import frames, outbox, queries
from fedsql.executors.transport.address import Address
from fedsql.executors.transport.connection import Connection
from fedsql.executors.transport.drive import drive
from fedsql.executors.transport.frames import LIMIT, Malformed, frames_of, parse
from fedsql.executors.transport.mailbox import Allowance, Mailbox
from fedsql.executors.transport.outbox import Closed, Outbox, Slow
from fedsql.executors.transport.settings import Settings
from fedsql.executors.transport.turns import OpenQuery, in_turn

QUERY = (b"query", 1)
words = st.text(max_size=60)


def fill(mailbox, message):
    for data in frames_of(QUERY, message):
        mailbox.accept(parse(data))


@pytest.fixture
def small_parts(monkeypatch):
    monkeypatch.setattr(frames, "PART", 7)


@given(words, words, words, st.binary(max_size=64), st.integers(0, 2**32 - 1), st.booleans(), st.binary(max_size=50))
def test_any_message_arrives_as_it_was_sent(kind, sender, recipient, query_id, attempt, sealed, body):
    message = Message(kind, sender, recipient, body, sealed)
    (data,) = frames_of((query_id, attempt), message)
    frame = parse(data)
    assert (frame.query, frame.message, frame.part, frame.parts) == ((query_id, attempt), message, 0, 1)


@pytest.mark.parametrize("size", [0, 1, 6, 7, 8, 13, 14, 15, 100])
def test_a_body_of_any_size_is_cut_and_put_together(small_parts, size):
    message = Message("kind", "a", "b", bytes(range(size)))
    assert len(list(frames_of(QUERY, message))) == max(1, -(-size // 7))
    mailbox = Mailbox()
    fill(mailbox, message)
    assert mailbox.wait(((("kind", "a"),),), 0) == {("kind", "a"): message}
    assert mailbox._held == 0


def test_a_message_over_the_limit_is_refused_before_it_is_sent(monkeypatch):
    monkeypatch.setattr(frames, "LIMIT", 10)
    with pytest.raises(OperationalError, match="over the limit"):
        next(frames_of(QUERY, Message("kind", "a", "b", bytes(11))))
    assert LIMIT == 1 << 30


def test_parts_of_several_messages_may_alternate_but_not_swap(small_parts):
    mailbox = Mailbox()
    one, two = (list(frames_of(QUERY, Message(kind, "a", "b", b"0123456789"))) for kind in "xy")
    for pair in zip(one, two, strict=True):
        for data in pair:
            mailbox.accept(parse(data))
    assert set(mailbox.wait(((("x", "a"), ("y", "a")),), 0)) == {("x", "a"), ("y", "a")}
    with pytest.raises(Malformed):
        mailbox.accept(parse(one[1]))
    mailbox.accept(parse(one[0]))
    with pytest.raises(Malformed):
        mailbox.accept(parse(one[0]))


def test_a_mailbox_gives_up_when_it_is_overfull():
    mailbox = Mailbox(limit=100)
    fill(mailbox, Message("x", "a", "b", bytes(60)))
    fill(mailbox, Message("x", "a", "b", bytes(30)))  # takes the place of the first
    fill(mailbox, Message("y", "a", "b", bytes(70)))
    fill(mailbox, Message("z", "c", "b", bytes(1)))
    aborted = mailbox.wait(((("x", "a"),),), 0)
    assert isinstance(aborted, Aborted)
    assert aborted.record["message"] == "more than 100 bytes wait unread, the last of them from c"
    fill(mailbox, Message("x", "a", "b", b""))
    assert mailbox.wait(((("x", "a"),),), 0).sender == "a"  # nothing is taken any more: the deadline


def test_several_mailboxes_hold_what_their_allowance_has_left():
    share = Allowance(100)
    one, two, other = Mailbox(1000, lambda sender: share), Mailbox(1000, lambda sender: share), Mailbox(1000)
    fill(one, Message("x", "a", "b", bytes(60)))
    fill(two, Message("x", "a", "b", bytes(60)))
    aborted = two.wait((), 0)
    assert aborted.record["message"] == "more than 100 bytes wait unread, the last of them from a"
    fill(other, Message("x", "a", "b", bytes(200)))
    assert not other.aborted
    one.wait(((("x", "a"),),), 0)  # read: it waits no more
    fill(one, Message("x", "a", "b", bytes(90)))
    assert not one.aborted
    one.close()
    assert share._held == 0


@given(st.lists(st.tuples(st.sampled_from("xyz"), st.sampled_from("abc"), st.integers(0, 40), st.booleans())))
def test_an_allowance_gets_back_what_was_taken(messages):
    share = Allowance(100)
    mailbox = Mailbox(60, lambda sender: share)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(frames, "PART", 7)
        for kind, sender, size, whole in messages:
            data = list(frames_of(QUERY, Message(kind, sender, "b", bytes(size))))
            with contextlib.suppress(Malformed):  # the rest of a message that was left half
                for each in data if whole else data[:-1]:
                    mailbox.accept(parse(each))
            assert 0 <= mailbox._held == share._held <= 60
    mailbox.close()
    assert mailbox._held == share._held == 0


def test_an_abort_has_one_part_and_the_first_one_counts(small_parts):
    mailbox = Mailbox()
    with pytest.raises(Malformed):
        fill(mailbox, Message(ABORT, "a", "b", bytes(8)))
    for name in ("first", "second"):
        mailbox.put(Message.of(ABORT, name, "b", {"party": name}))
    assert mailbox.wait(((("x", "a"),),), 0).sender == "first"
    assert not mailbox.aborted


@pytest.mark.parametrize(
    ("waiting", "running", "turns"),
    [
        (["ada", "ada", "ada", "bob"], {}, [0, 3, 1, 2]),
        (["ada", "ada", "bob"], {"ada": 2}, [2, 0, 1]),
        (["ada", "bob", "cyd"], {"ada": 1, "bob": 1}, [2, 0, 1]),
        ([], {"ada": 1}, []),
    ],
)
def test_the_analyst_with_the_fewest_queries_is_next(waiting, running, turns):
    queries = [OpenQuery(QUERY, Connection("", Outbox(0), name, "analyst"), Mailbox()) for name in waiting]
    assert in_turn(queries, running) == [queries[turn] for turn in turns]


def test_every_complete_group_is_delivered_and_the_rest_kept():
    mailbox = Mailbox()
    for kind in "xyz":
        mailbox.put(Message(kind, "a", "b", b""))
    groups = ((("x", "a"),), (("w", "a"),), (("y", "a"),))
    assert set(mailbox.wait(groups, 0)) == {("x", "a"), ("y", "a")}
    assert set(mailbox.wait(((("z", "a"),),), 0)) == {("z", "a")}
    assert mailbox.wait(((),), 0) == {}


def test_the_deadline_names_who_did_not_answer():
    mailbox = Mailbox()
    mailbox.put(Message("hello", "west", "b", b""))
    wanted = tuple(("hello", name) for name in ("east", "west", "south"))
    aborted = mailbox.wait((wanted,), 0.01)
    assert aborted.sender == "east"
    assert aborted.record == {
        "error": "PartyUnreachable",
        "message": "no answer from east, south within 0.01 s (waiting for hello)",
        "party": "east",
        "hint": None,
    }


def test_a_driven_protocol_sees_messages_aborts_and_deadlines_in_turn():
    mailbox, sent, seen, record = Mailbox(), [], [], []

    def steps():
        inbox = yield Exchange.of([Message("hi", "a", "b", b"")], [("x", "b")])
        seen.append(inbox["x", "b"].body)
        for _ in range(2):
            try:
                yield Exchange.of((), [("y", "b")])
            except Aborted as aborted:
                seen.append((aborted.sender, aborted.record.get("message")))
        yield Exchange.of([Message("bye", "a", "b", b"")])
        return "result"

    mailbox.put(Message("x", "b", "a", b"1"))
    mailbox.put(Message(ABORT, "c", "a", b"not a record"))
    assert drive(steps(), sent.extend, mailbox, 0.01, record.append) == "result"
    assert seen == [b"1", ("c", None), ("b", "no answer from b within 0.01 s (waiting for y)")]
    assert [message.kind for message in sent] == ["hi", "bye"]
    assert [message.kind for message in record] == ["hi", "x", "bye"]


def test_what_a_protocol_raises_propagates_and_ends_it():
    ended = []

    def steps():
        try:
            yield Exchange.of((), [("x", "b")])
        finally:
            ended.append(True)

    with pytest.raises(Aborted):
        drive(steps(), lambda messages: None, Mailbox(), 0)

    def interrupted(messages):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        drive(steps(), interrupted, Mailbox(), 0)
    assert ended == [True, True]


def test_a_query_that_was_aborted_while_it_waited_for_a_thread_is_not_begun(monkeypatch):
    monkeypatch.setattr(queries, "_WORKERS", 1)
    begun, go, taken = [], threading.Event(), threading.Event()

    def steps(query_id, attempt, watch):
        begun.append(query_id)
        taken.set()
        go.wait(SOON)
        yield Exchange.of((), [("start", "b")])

    box = Outbox(100)
    party = queries.Queries("a", steps, lambda: box, Settings())
    for query_id, kind in ((b"1", "start"), (b"2", "start"), (b"2", ABORT), (b"3", "start")):
        for data in frames_of((query_id, 1), Message(kind, "b", "a", b"")):
            party.take(parse(data))
    assert taken.wait(SOON)
    go.set()
    assert eventually(lambda: len(party._over) == 3)
    party.close()
    assert begun == [b"1", b"3"]


def test_who_reads_nothing_urgent_is_cut_off(monkeypatch):
    monkeypatch.setattr(outbox, "_MOST_URGENT", 3)
    box = Outbox(10)
    for number in range(3):
        box.urge(number, [b"x"])
    assert not box.closed
    box.urge("more", [b"x"])
    assert box.closed


def test_an_outbox_is_bounded_and_says_who_is_slow():
    box = Outbox(10)
    box.put(bytes(50), 0)  # alone, a frame of any size has room
    with pytest.raises(Slow):
        box.put(b"x", 0.01)
    box.urge("ping", [b"1"])
    box.urge("ping", [b"2", b"3"])
    assert [box.take() for _ in range(3)] == [b"2", b"3", bytes(50)]
    with ThreadPoolExecutor(2) as pool:
        box.put(bytes(10), 0)
        waiting = pool.submit(box.put, b"next", SOON)
        assert box.take() == bytes(10)
        waiting.result(SOON)
        blocked = pool.submit(box.put, bytes(10), SOON)
        box.close([b"bye"])
        with pytest.raises(Closed):
            blocked.result(SOON)
    assert box.take() == b"bye"
    box.urge("ping", [b"4"])
    for refused in (box.take, lambda: box.put(b"", 0)):
        with pytest.raises(Closed):
            refused()


@pytest.mark.parametrize("text", ["", "host:1", "grpc://host", "grpc+tls://h:x", "grpc+tls://h:1/p", "grpc://[::1:2"])
def test_a_wrong_address_is_refused(text):
    with pytest.raises(ConfigError, match="is written"):
        Address.parse(text)


@pytest.mark.parametrize(
    "text", ["grpc://127.0.0.1:0", "grpc://localhost:1", "grpc://[::1]:2", "grpc+tls://a.example:3"]
)
def test_an_address_is_read_and_written(text):
    assert Address.parse(text).location() == text
