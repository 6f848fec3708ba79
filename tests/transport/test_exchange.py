"""Queries over the network: their messages arrive, whole and at the right participants."""

from __future__ import annotations

import os
import secrets
from concurrent.futures import ThreadPoolExecutor

import pytest
from toys import SOON, analyst_steps, eventually

from fedsql.errors import DataError, InterfaceError, OperationalError
from fedsql.executors.protocol.wire import ANALYST, COORDINATOR, Exchange, Message

FIVE = ("a", "b", "c", "d", "e")


def test_five_parties_add_under_pairwise_masks(make):
    toys = make(parties=FIVE)
    total, _ = toys.sum(toys.analyst(), FIVE)
    assert total == 11111
    assert toys.seen.wait(lambda event: event[0] == "done", 5)


def test_the_transport_shows_the_participant_every_message_of_its_own(make):
    toys = make(parties=FIVE)
    record = []
    ada = toys.analyst()
    ada.ask(secrets.token_bytes(16), 1, analyst_steps(list(FIVE)), SOON, record.append)
    assert [(m.kind, m.sender, m.recipient) for m in record] == [
        ("ask", ANALYST, COORDINATOR),
        ("answer", COORDINATOR, ANALYST),
    ]


def test_a_long_message_is_cut_and_put_together(make):
    toys = make(parties=("a", "b"))
    blob = os.urandom(50_000_000)
    total, blobs = toys.sum(toys.analyst(), ("a", "b"), "ring", blob)
    assert total == 11
    assert blobs == [blob, blob]  # analyst -> coordinator -> party -> party -> coordinator -> analyst


def test_many_queries_of_two_analysts_and_three_sessions_at_once(make):
    toys = make(parties=FIVE)
    sessions = [toys.analyst("ada"), toys.analyst("bob"), toys.analyst("ada")]
    sets = [FIVE, ("a", "c"), ("b", "d", "e"), ("e",)]
    with ThreadPoolExecutor(12) as pool:
        asked = [(s, pool.submit(toys.sum, node, s)) for node in sessions for s in sets * 3]
        for parties, future in asked:
            assert future.result()[0] == sum(10 ** FIVE.index(name) for name in parties)


def test_everybody_sees_the_offers_of_who_is_connected(make):
    toys = make()
    updates = []
    ada = toys.analyst(on_directory=lambda directory: updates.append({n: o.offer for n, o in directory.items()}))
    a, b = toys.party("a", 1), toys.party("b", 2)
    big = os.urandom(3_000_000)
    a.offer(b"tables of a")
    b.offer(big)
    both = {"a": b"tables of a", "b": big}
    for node in (ada, a, b):
        with node._changed:
            assert node._changed.wait_for(
                lambda node=node: {n: o.offer for n, o in node.directory.items()} == both, SOON
            )
    a.offer(b"fewer tables")
    with ada._changed:
        assert ada._changed.wait_for(lambda: updates[-1].get("a") == b"fewer tables", SOON)
    b.close()
    with a._changed:
        assert a._changed.wait_for(
            lambda: {n: o.connected for n, o in a.directory.items()} == {"a": True, "b": False}, SOON
        )
    with pytest.raises(DataError, match="at most"):
        a.offer(bytes(4 << 20) + b"x")


def test_a_party_that_is_not_connected_is_named(make):
    toys = make(parties=("a", "b"))
    record = toys.sum(toys.analyst(), ("a", "gone", "b"))
    assert record["party"] == "gone"
    assert record["message"] == "gone is not connected"
    assert eventually(lambda: all(len(node._queries._over) == 1 for node in toys.nodes))
    assert all(event[2] == "gone" for event in toys.seen.events if event[0] == "aborted")  # of those that had begun


def test_an_attempt_is_asked_once(make):
    toys = make(parties=("a",))
    ada = toys.analyst()
    query_id = secrets.token_bytes(16)
    ada.ask(query_id, 1, analyst_steps(["a"]), SOON)
    with pytest.raises(InterfaceError, match="before"):
        ada.ask(query_id, 1, analyst_steps(["a"]), SOON)
    again = toys.analyst().ask(query_id, 1, analyst_steps(["a"]), SOON)
    assert again["message"] == "this query is not open here"  # it is another session's
    assert ada.ask(query_id, 2, analyst_steps(["a"]), SOON)[0] == 1


def test_a_failing_protocol_is_told_without_its_reason(make):
    toys = make(parties=("a", "b"))
    record = toys.sum(toys.analyst(), ("a", "b"), "fail:b")
    assert record["message"] == "a party could not run its part of the query"
    assert record["party"] == "b"
    assert "secret" not in repr(record)


def test_a_failing_coordinator_is_told_without_its_reason(make):
    def broken(query_id, attempt):
        raise RuntimeError("/a/path/to/a/secret")

    toys = make(on_query=broken)
    record = toys.sum(toys.analyst(), ())
    assert record["message"] == "the coordinator could not run its part of the query"
    assert record["party"] == COORDINATOR


def test_what_an_analyst_raises_ends_the_query_for_all(make):
    toys = make(parties=("a", "b"))

    def impatient():
        request = Message.of("ask", ANALYST, COORDINATOR, {"parties": ["a", "b"], "ask": "stuck:a", "blob": b""})
        yield Exchange.of([request])
        assert toys.seen.wait(lambda event: event[0] == "started", 2)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        toys.analyst().ask(secrets.token_bytes(16), 1, impatient(), SOON)
    assert toys.seen.wait(lambda event: event[0] == "aborted" and event[2] == ANALYST, 2)


def test_asking_on_a_closed_node_says_so(make):
    toys = make()
    ada = toys.analyst()
    ada.close()
    ada.close()
    with pytest.raises(OperationalError):
        toys.sum(ada, ())
