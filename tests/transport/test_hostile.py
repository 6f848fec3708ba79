"""What participants may not do, and garbage: neither the hub nor the others come to harm, and nothing is told."""

from __future__ import annotations

import logging
import secrets
from dataclasses import replace

import pyarrow as pa
import pyarrow.flight as flight
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from toys import QUICK, Raw, Toys, analyst_steps, eventually, party_steps

from fedsql.codec import encode
from fedsql.executors.protocol.wire import ABORT, ANALYST, COORDINATOR, PROGRESS, Message
from fedsql.executors.transport.frames import MALFORMED, PART, VERSION, frames_of
from fedsql.executors.transport.outbox import Slow


@pytest.fixture(scope="module")
def shared():
    toys = Toys(parties=("a", "b"))
    toys.analyst()
    yield toys
    toys.close()


def start(toys, analyst, parties, query=None):
    """Open a query through a raw analyst."""
    query = query or (secrets.token_bytes(16), 1)
    request = {"parties": list(parties), "ask": "sum", "blob": b""}
    analyst.message(query, Message.of("ask", ANALYST, COORDINATOR, request))
    return query


def test_a_forged_sender_is_dropped_with_a_line_in_the_log(make, caplog):
    toys = make(parties=("a",))
    with Raw(toys) as analyst, Raw(toys) as victim, Raw(toys) as forger, caplog.at_level(logging.WARNING):
        analyst.login("ada", "analyst")
        victim.login("victim", "party")
        forger.login("forger", "party")
        query = start(toys, analyst, ["victim", "forger"])
        victim.receive("start")
        forger.receive("start")
        for sender in ("a", "victim", COORDINATOR, ANALYST, ""):
            forger.message(query, Message.of("lie", sender, "victim", 1))
            forger.message(query, Message.of(ABORT, sender, COORDINATOR, {}))
        forger.message(query, Message.of("truth", "forger", "victim", 2))
        assert victim.receive("lie", "truth", "abort").message.kind == "truth"
        assert sum("in the name of" in line for line in caplog.messages) == 10
        assert not toys.seen.wait(lambda event: event[0] == "aborted", timeout=0)


def test_outsiders_of_a_query_reach_nobody_in_it(make):
    toys = make()
    with Raw(toys) as ada, Raw(toys) as eve, Raw(toys) as inside, Raw(toys) as outside:
        ada.login("ada", "analyst")
        eve.login("eve", "analyst")
        inside.login("inside", "party")
        outside.login("outside", "party")
        query = start(toys, ada, ["inside"])
        inside.receive("start")
        for recipient in ("inside", COORDINATOR, ANALYST):
            outside.message(query, Message.of("hello", "outside", recipient, 1))
            eve.message(query, Message.of("hello", ANALYST, recipient, 1))
            for raw in (outside, eve):
                assert raw.receive("abort").message.record()["message"] == "this query is not open here"
        inside.message(query, Message.of("hello", "inside", "outside", 1))
        record = inside.receive("abort").message.record()
        assert record["party"] == "outside"
        inside.message(query, Message.of("partial", "inside", COORDINATOR, [7, b""]))
        assert ada.receive().message.record() == []  # the directory: nobody offers anything
        assert ada.receive().message.record() == [7, [b""]]


def test_a_party_cannot_open_a_query(make):
    toys = make()
    with Raw(toys) as raw:
        raw.login("p", "party")
        raw.message((b"q", 1), Message.of("ask", "p", COORDINATOR, {}))
        assert raw.receive("abort").message.record()["message"] == "this query is not open here"
        assert not toys.hub._router._queries


def test_an_analyst_has_so_many_open_queries_and_no_more(make):
    toys = make(settings=replace(QUICK, open_queries=3, at_once=2))
    with Raw(toys) as ada, Raw(toys) as again, Raw(toys) as bob, Raw(toys) as party:
        ada.login("ada", "analyst")
        again.login("ada", "analyst")
        bob.login("bob", "analyst")
        party.login("p", "party")
        queries = [start(toys, ada, ["p"]) for _ in range(3)]
        assert {party.receive("start").query for _ in range(2)} == set(queries[:2])
        assert eventually(lambda: len(toys.hub._router._queries) == 3)  # another connection's may come first
        start(toys, again, ["p"])
        assert again.receive("abort").message.record()["message"] == "ada has 3 open queries already"
        bobs = start(toys, bob, ["p"])
        for query in (queries[2], bobs):  # they wait for their turn, so p takes no part in them yet
            party.message(query, Message.of("partial", "p", COORDINATOR, [1, b""]))
            assert party.receive("abort").query == query
        for query in queries[:2]:
            party.message(query, Message.of("partial", "p", COORDINATOR, [1, b""]))
        assert {ada.receive("answer").query for _ in range(2)} == set(queries[:2])
        assert {party.receive("start").query for _ in range(2)} == {queries[2], bobs}
        for raw, query in ((ada, queries[2]), (bob, bobs)):
            party.message(query, Message.of("partial", "p", COORDINATOR, [1, b""]))
            assert raw.receive("answer").query == query
        assert eventually(lambda: toys.hub._router._open["ada"] == 0)
        start(toys, again, ["p"])
        assert party.receive("start").query


def half(toys, analyst, size=100):
    """Send the first of two parts of a question."""
    query = secrets.token_bytes(16), 1
    first, _ = frames_of(query, Message("ask", ANALYST, COORDINATOR, bytes(PART + size)))
    analyst.send(first)
    return query


def test_questions_that_are_half_here_take_nobodys_turn(make):
    toys = make(settings=replace(QUICK, at_once=1, open_queries=5), parties=("a",))
    with Raw(toys) as eve:
        eve.login("eve", "analyst")
        halves = [half(toys, eve) for _ in range(5)]
        assert eventually(lambda: len(toys.hub._router._queries) == 5)
        assert toys.hub.load() == (0, 0)
        assert toys.sum(toys.analyst("ada"), ["a"])[0] == 1
        start(toys, eve, ["a"])
        assert eve.receive("abort").message.record()["message"] == "eve has 5 open queries already"
        for query in halves:
            eve.message(query, Message.of("junk", ANALYST, COORDINATOR, {}))
        eve.message((b"junk", 1), Message.of("junk", ANALYST, COORDINATOR, {}))
        assert eve.receive("abort").message.record()["message"] == "this query is not open here"
        assert toys.hub.load() == (0, 0)
        eve.message(halves[0], Message.of(ABORT, ANALYST, COORDINATOR, {}))
        assert eventually(lambda: toys.hub._router._open["eve"] == 4)
    assert eventually(lambda: toys.hub._router._open["eve"] == 0)  # all of them went with the connection
    assert eventually(lambda: toys.hub._router._allowances["eve", ANALYST]._held == 0)


def test_what_an_analyst_has_sent_and_nobody_has_read_is_bounded_over_all_its_queries(make):
    """And it is the analyst that is told: nobody else notices."""
    toys = make(settings=replace(QUICK, asked=2 * PART + 1000), parties=("a",))
    with Raw(toys) as eve:
        eve.login("eve", "analyst")
        halves = [half(toys, eve) for _ in range(3)]
        frame = eve.receive("abort")
        assert frame.query == halves[2]
        record = frame.message.record()
        assert record["message"] == f"more than {2 * PART + 1000} bytes wait unread, the last of them from the analyst"
        assert toys.sum(toys.analyst("ada"), ["a"])[0] == 1


def test_an_analyst_speaks_to_the_coordinator_alone(make):
    """A party takes messages of peers before it has the question: junk among them would be in its way."""
    toys = make(parties=("a",))
    node = toys.nodes[0]
    with Raw(toys) as eve:
        eve.login("eve", "analyst")
        query = start(toys, eve, ["a"])
        assert eve.receive("answer").message.record()[0] == 1
        query = secrets.token_bytes(16), 1
        eve.message(query, Message.of("ask", ANALYST, COORDINATOR, {"parties": ["a"], "ask": "stuck:a", "blob": b""}))
        assert toys.seen.wait(lambda event: event[0] == "started", 2)
        first, second = frames_of(query, Message("junk", ANALYST, "a", bytes(PART + 1)))
        for data in (second, first, first):
            eve.send(data)
            record = eve.receive("abort").message.record()
            assert record["message"] == "a takes no part in this query or is not connected"
        assert node._queries._inboxes[query]._held == 0
        assert node._ended == 0


def test_parts_out_of_order_of_a_peer_end_that_query_and_no_other(make):
    toys = make(parties=("a",))
    with Raw(toys) as ada, Raw(toys) as peer:
        ada.login("ada", "analyst")
        peer.login("peer", "party")
        query = start(toys, ada, ["a", "peer"])
        peer.receive("start")
        peer.send(list(frames_of(query, Message("mask", "peer", "a", bytes(PART + 1))))[1])
        assert toys.seen.wait(lambda event: event[0] == "aborted" and event[2] == "peer")
        (event,) = [event for event in toys.seen.events if event[0] == "aborted"]
        assert event[3] == "the parts of a message of peer do not come in order (mask)"
        assert toys.sum(toys.analyst("bob"), ["a"])[0] == 1
        assert toys.nodes[0]._ended == 0


def test_an_analyst_that_reads_nothing_does_not_keep_a_party_waiting(make):
    """What a party tells it of its progress passes by whatever waits."""
    toys = make(settings=replace(QUICK, room=1000, stalled=10 * QUICK.stalled), parties=("a",))
    node = toys.nodes[0]
    with Raw(toys) as eve:
        eve.login("eve", "analyst")
        query = secrets.token_bytes(16), 1
        request = {"parties": ["a", "peer"], "ask": "stuck:a", "blob": b""}
        eve.message(query, Message.of("ask", ANALYST, COORDINATOR, request))
        assert toys.seen.wait(lambda event: event[0] == "started")
        (connection,) = [each for each in toys.hub._connections if each.name == "eve"]
        full = 0
        while full < 3:  # nobody reads, so the ways between here and there fill up
            try:
                connection.outbox.put(bytes(1 << 20), 0.2)
            except Slow:
                full += 1
        for number in range(100):
            node.tell(*query, "fragment", number + 1)
        assert toys.sum(toys.analyst("ada"), ["a"])[0] == 1


def test_a_party_tells_an_analyst_nothing_but_its_progress(make):
    toys = make()
    with Raw(toys) as ada, Raw(toys) as party:
        ada.login("ada", "analyst")
        party.login("p", "party")
        query = start(toys, ada, ["p"])
        party.receive("start")
        for kind in ("answer", ABORT):
            party.message(query, Message.of(kind, "p", ANALYST, [7, [b""]]))
            assert "takes no part" in party.receive("abort").message.record()["message"]
        party.message(query, Message.of(PROGRESS, "p", ANALYST, {"stage": "x" * 5000, "place": None}))
        party.message(query, Message.of(PROGRESS, "p", ANALYST, {"stage": "plan", "place": None}))
        assert ada.receive("abort", PROGRESS, "answer").message.record() == {"stage": "plan", "place": None}


def test_a_party_has_so_many_open_queries_and_no_more(make):
    """Else a coordinator could make it hold as many as it likes."""
    toys = make()
    node = toys.party("a", 1, settings=replace(QUICK, answering=2))
    with Raw(toys) as ada:
        ada.login("ada", "analyst")
        queries = [(secrets.token_bytes(16), 1) for _ in range(3)]
        for query in queries:
            request = {"parties": ["a"], "ask": "stuck:a", "blob": b""}
            ada.message(query, Message.of("ask", ANALYST, COORDINATOR, request))
        frame = ada.receive("abort")
        assert frame.message.record()["message"] == "a has 2 open queries already"
        assert len(node._queries._inboxes) == 2


def test_late_messages_of_a_query_that_is_over_open_nothing(make):
    toys = make(parties=("a",))
    with Raw(toys) as ada:
        ada.login("ada", "analyst")
        query = start(toys, ada, ["a"])
        ada.receive("answer")
        assert eventually(lambda: toys.hub._router._queries[query].done)
        start(toys, ada, ["a"], query)
        assert ada.receive("abort").message.record()["message"] == "this query is over at the coordinator"
    assert sum(event[0] == "started" for event in toys.seen.events) == 1


def test_a_query_that_was_given_up_while_it_waited_is_not_begun(make):
    toys = make(settings=replace(QUICK, at_once=1))
    with Raw(toys) as ada, Raw(toys) as party:
        ada.login("ada", "analyst")
        party.login("p", "party")
        first, second, third = (start(toys, ada, ["p"]) for _ in range(3))
        ada.message(second, Message.of(ABORT, ANALYST, COORDINATOR, {}))
        assert eventually(lambda: (query := toys.hub._router._queries.get(second)) and query.inbox.aborted)
        for query in (first, third):
            assert party.receive("start").query == query
            party.message(query, Message.of("partial", "p", COORDINATOR, [1, b""]))
            assert ada.receive("answer").query == query


def test_late_messages_of_a_peer_start_nothing_at_a_party(make):
    toys = make()
    begun = []
    node = toys.node(
        "a",
        "party",
        on_query=lambda query_id, attempt, watch: begun.append((query_id, attempt)) or party_steps("a", 1, toys.seen),
    )
    node.connect()
    with Raw(toys) as ada, Raw(toys) as peer:
        ada.login("ada", "analyst")
        peer.login("peer", "party")
        query = start(toys, ada, ["a", "peer"])
        peer.receive("start")
        peer.message(query, Message.of("mask", "peer", "a", [0, b""]))
        peer.receive("mask")
        assert eventually(lambda: query in node._queries._over)
        peer.message(query, Message.of("mask", "peer", "a", [0, b""]))
        peer.message(query, Message.of("partial", "peer", COORDINATOR, [0, b""]))
        ada.receive("answer")
        assert toys.sum(toys.analyst("bob"), ["a"])[0] == 1  # what came before at a has been taken
        assert begun.count(query) == 1


def test_more_than_an_inbox_holds_ends_the_query(make):
    toys = make(settings=replace(QUICK, inbox=9_000_000))
    with Raw(toys) as ada, Raw(toys) as party:
        ada.login("ada", "analyst")
        party.login("p", "party")
        query = start(toys, ada, ["p"])
        party.receive("start")
        for number in range(10):
            party.message(query, Message(f"junk{number}", "p", COORDINATOR, bytes(1_000_000)))
        record = ada.receive("abort").message.record()
        assert record["party"] == "p"
        assert record["message"] == "more than 9000000 bytes wait unread, the last of them from p"


def frame(*changes):
    fields = [VERSION, b"q" * 16, 1, "kind", ANALYST, COORDINATOR, False, 0, 1, b"body"]
    for position, value in changes:
        fields[position] = value
    return encode(fields)


BAD = [
    b"\xff",
    encode(None),
    encode([]),
    encode([VERSION]),
    frame() + b"x",
    frame((1, "text")),
    frame((1, b"q" * 65)),
    frame((2, -1)),
    frame((2, 2**40)),
    frame((2, True)),
    frame((3, "k" * 300)),
    frame((6, 0)),
    frame((7, 1)),
    frame((7, -1)),
    frame((8, 0)),
    frame((8, 257), (9, bytes(PART))),
    frame((8, 2)),
    frame((7, 1), (8, 2), (9, b"")),
    frame((9, bytes(PART + 1))),
    frame((9, bytes(PART + 5000))),
    frame((1, b""), (2, 0)),
    b"\x9f" * 100_000,
    b"\x9b" + b"\xff" * 8,
]


@pytest.mark.parametrize("data", BAD, ids=range(len(BAD)))
def test_a_malformed_frame_closes_the_connection_with_a_constant(shared, data):
    for logged_in in (False, True):
        with Raw(shared) as raw:
            if logged_in:
                raw.login("eve", "analyst")
            raw.send(data)
            assert raw.receive("bye").message.record() == {"reason": MALFORMED, "final": False}
            with pytest.raises(StopIteration):
                raw.receive()


def test_parts_out_of_order_are_malformed(shared):
    with Raw(shared) as raw:
        raw.login("eve", "analyst")
        first, second, third = frames_of(
            (secrets.token_bytes(16), 1), Message("ask", ANALYST, COORDINATOR, bytes(2 * PART + 1))
        )
        for data in (first, third, second):
            raw.send(data)
        assert raw.receive("bye").message.record()["reason"] == MALFORMED


def answers(raw, garbage):
    """Send garbage, and yield what the hub says to it, the text of the last error included."""
    try:
        for data in garbage:
            raw.send(data)
        raw.writer.done_writing()
        while True:
            yield raw.reader.read_chunk().app_metadata.to_pybytes()
    except (StopIteration, flight.FlightError, pa.ArrowException) as error:
        yield str(error).encode()


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.booleans(),
    st.lists(
        st.one_of(
            st.binary(max_size=200),
            st.recursive(
                st.none() | st.booleans() | st.integers() | st.binary() | st.text(), lambda inner: st.lists(inner)
            ).map(encode),
            st.tuples(st.integers(0, 9), st.none() | st.integers() | st.binary() | st.text()).map(frame),
            st.tuples(
                st.sampled_from(["dial", "login", "offer", "directory", "ping", "bye", "welcome"]),
                st.none() | st.binary() | st.dictionaries(st.text(), st.binary()),
            ).map(lambda pair: next(frames_of((b"", 0), Message.of(pair[0], "", "", pair[1])))),
        ),
        max_size=4,
    ),
)
def test_garbage_harms_nobody(shared, logged_in, garbage):
    with Raw(shared) as raw:
        if logged_in:
            raw.login("eve", "analyst")
        for told in answers(raw, garbage):
            assert b"Traceback" not in told
            assert b".py" not in told


def test_the_hub_and_the_others_live_on(shared):
    """After all that garbage (this test stands below it) the same connections still answer."""
    node = next(node for node in shared.nodes if node._side.role == "analyst")
    assert node.ask(secrets.token_bytes(16), 1, analyst_steps(["a", "b"]), 20)[0] == 11
    assert all(each._ended == 0 for each in shared.nodes)
    assert eventually(lambda: len(shared.hub._connections) == 3)


def test_a_record_batch_is_malformed(shared):
    with Raw(shared) as raw:
        raw.login("eve", "analyst")
        batch = pa.record_batch({"x": [1]})
        raw.writer.begin(batch.schema)
        raw.writer.write_batch(batch)
        assert raw.receive("bye").message.record()["reason"] == MALFORMED


def test_no_other_flight_method_is_there_and_none_tells_a_path(shared):
    descriptor = flight.FlightDescriptor.for_command(b"x")
    with flight.FlightClient(shared.hub.address) as client:
        calls = [
            lambda: list(client.list_flights()),
            lambda: client.get_flight_info(descriptor),
            lambda: client.do_get(flight.Ticket(b"x")).read_all(),
            lambda: client.do_put(descriptor, pa.schema([]))[0].close(),
            lambda: list(client.do_action("x")),
            lambda: list(client.list_actions()),
        ]
        for call in calls:
            with pytest.raises(flight.FlightUnauthorizedError, match="only fedsql participants") as raised:
                call()
            assert "Traceback" not in str(raised.value)
            assert ".py" not in str(raised.value)
        assert client.get_schema(descriptor).schema == pa.schema([])
