"""Participants that are lost, stopped or slow, and hubs that come back."""

from __future__ import annotations

import math
import secrets
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from toys import QUICK, SOON, Raw, eventually

from fedsql.errors import OperationalError
from fedsql.executors.protocol.wire import ANALYST, COORDINATOR, Aborted, Exchange, Message
from fedsql.executors.transport.frames import control
from fedsql.executors.transport.severing import sever


@pytest.fixture
def pool():
    with ThreadPoolExecutor(4) as made:
        yield made


def started(event):
    return event[0] == "started"


def aborted(event):
    return event[0] == "aborted"


def test_a_killed_party_is_named_to_all_others(make, pool):
    toys = make(parties=("a", "b"))
    victim = toys.party_process("c", 100)
    ada = toys.analyst()
    assert toys.sum(ada, ("a", "b", "c"))[0] == 111
    asked = pool.submit(toys.sum, ada, ("a", "b", "c"), "stuck:c")
    lines = [victim.stdout.readline() for _ in range(3)]
    assert lines == ["started c\n", "done c\n", "started c\n"]
    assert toys.seen.wait(started, 4)  # a and b, twice each: one that is told before it begins, does not begin
    victim.send_signal(signal.SIGKILL)
    record = asked.result(SOON)
    assert record["party"] == "c"
    assert record["message"] == "c is not connected"
    assert toys.seen.wait(aborted, 2)
    assert {event[1:3] for event in toys.seen.events if aborted(event)} == {("a", "c"), ("b", "c")}
    assert toys.sum(ada, ("a", "b"))[0] == 11
    assert toys.sum(ada, ("a", "b", "c"))["party"] == "c"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (replace(QUICK, deadline=0.6), "no answer from c within 0.6 s (waiting for partial)"),
        (replace(QUICK, silent=0.6), "c is not connected"),
    ],
)
def test_a_stopped_party_is_named_by_the_deadline_or_by_its_silence(make, pool, settings, message):
    toys = make(settings=settings)
    victim = toys.party_process("c", 100)
    ada = toys.analyst()
    asked = pool.submit(toys.sum, ada, ("c",), "stuck:c")
    assert victim.stdout.readline() == "started c\n"
    victim.send_signal(signal.SIGSTOP)
    record = asked.result(SOON)
    assert (record["party"], record["message"]) == ("c", message)
    if settings.silent < settings.deadline:
        assert eventually(lambda: all(each.name != "c" for each in toys.hub._connections))  # its thread is free
    victim.send_signal(signal.SIGCONT)
    assert eventually(lambda: toys.hub.connected() == ["c"])
    assert eventually(lambda: toys.sum(ada, ("c",)) == [100, [b""]])


def test_a_hub_closes_in_the_face_of_a_stopped_party(make):
    toys = make()
    victim = toys.party_process("c", 100)
    victim.send_signal(signal.SIGSTOP)
    toys.hub.close()


def test_everybody_comes_back_to_a_hub_that_restarts(make, pool):
    toys = make(parties=("a", "b"))
    ada = toys.analyst()
    toys.nodes[0].offer(b"of a")
    asked = pool.submit(toys.sum, ada, ("a", "b"), "stuck:a")
    assert toys.seen.wait(started, 2)
    address = toys.hub.address
    toys.hub.close()
    assert asked.result(SOON)["party"] == COORDINATOR
    assert toys.seen.wait(aborted, 2)
    assert eventually(lambda: not any(node.wait_connected(0) for node in toys.nodes))
    toys.hub = toys.listen(address)
    assert all(node.wait_connected(SOON) for node in toys.nodes)
    assert toys.sum(ada, ("a", "b"))[0] == 11
    with ada._changed:
        assert ada._changed.wait_for(lambda: "a" in ada.directory, SOON)  # it was offered again


def test_without_a_hub_an_open_connection_says_so_in_time(make):
    toys = make(settings=replace(QUICK, login=0.2))
    ada = toys.analyst()
    toys.hub.close()
    assert eventually(lambda: not ada.wait_connected(0))
    with pytest.raises(OperationalError, match=r"cannot be reached|shutting down|lost"):
        toys.sum(ada, ())


def test_a_coordinator_that_stops_is_left_and_found_again(make, caplog):
    toys = make()
    hub, address = toys.hub_process("a", "party")
    node = toys.node("a", "party", address=address, settings=replace(QUICK, silent=0.5, login=0.5))
    node.connect()
    hub.send_signal(signal.SIGSTOP)
    assert eventually(lambda: f"{address}: the coordinator does not answer" in caplog.messages)
    hub.send_signal(signal.SIGCONT)
    assert node.wait_connected(SOON)


def test_a_killed_coordinator_ends_open_queries(make, pool):
    toys = make()
    hub, address = toys.hub_process("ada", "analyst")
    ada = toys.analyst(address=address)
    asked = threading.Event()

    def steps():
        asked.set()
        # The toy coordinator has no answer to this, and goes on waiting for a question.
        yield Exchange.of([Message.of("consult", ANALYST, COORDINATOR, 1)], [("never", COORDINATOR)])

    running = pool.submit(ada.ask, secrets.token_bytes(16), 1, steps(), SOON)
    assert asked.wait(SOON)
    hub.kill()
    with pytest.raises(Aborted) as raised:
        running.result(SOON)
    assert raised.value.record["message"] == "the connection to the coordinator was lost"


def test_each_node_has_a_connection_of_its_own(make):
    toys = make(parties=("a", "b"))
    peers = {each.name: each.peer for each in toys.hub._connections}
    assert sever(int(toys.hub.address.rpartition(":")[2]), peers["a"]) == 1
    assert eventually(lambda: toys.nodes[0]._ended == 1)
    assert toys.nodes[0].wait_connected(SOON)
    assert toys.nodes[1]._ended == 0


def test_an_analyst_that_leaves_ends_its_queries(make, pool):
    toys = make(parties=("a", "b"))
    ada = toys.analyst()
    asked = pool.submit(toys.sum, ada, ("a", "b"), "stuck:a")
    assert toys.seen.wait(started, 2)
    ada.close()
    assert asked.result(SOON)["message"] == "the connection was closed here"
    assert toys.seen.wait(lambda event: aborted(event) and event[2] == ANALYST, 2)


def test_a_reader_that_takes_nothing_costs_its_sender_the_query_not_the_hub_its_memory(make):
    """A party reads nothing while another sends it 200 MB: the sender is told, the hub holds no more than its room."""
    toys = make(settings=replace(QUICK, room=8 << 20, stalled=0.3), parties=("a",))
    query = secrets.token_bytes(16), 1
    with Raw(toys) as slow, Raw(toys) as sender, Raw(toys) as analyst:
        assert slow.login("slow", "party").kind == "welcome"
        assert sender.login("sender", "party").kind == "welcome"
        assert analyst.login("ada", "analyst").kind == "welcome"
        request = {"parties": ["slow", "sender"], "ask": "sum", "blob": b""}
        analyst.message(query, Message.of("ask", ANALYST, COORDINATOR, request))
        sender.receive("start")
        (target,) = (each for each in toys.hub._connections if each.name == "slow")
        for number in range(10):
            sender.message(query, Message(f"big{number}", "sender", "slow", bytes(20_000_000)))
        record = sender.receive("abort").message.record()
        assert record["party"] == "slow"
        assert record["message"] == "slow took nothing for 0.3 s"
        assert analyst.receive("abort").message.record()["party"] == "slow"
        assert target.outbox._held <= 8 << 20
    assert toys.sum(toys.analyst(), ["a"])[0] == 1


def test_who_waits_for_a_slow_reader_is_not_silent(make, pool):
    """While its frames wait in the hub a sender cannot be heard; that must not close its connection."""
    toys = make(settings=replace(QUICK, silent=1.0, room=1 << 20))
    query = secrets.token_bytes(16), 1
    done = threading.Event()

    def keep_alive(*raws):
        while not done.wait(0.05):
            for raw in raws:
                raw.send(control("ping")[0])

    with Raw(toys) as slow, Raw(toys) as sender, Raw(toys) as analyst:
        assert slow.login("slow", "party").kind == "welcome"
        assert sender.login("sender", "party").kind == "welcome"
        assert analyst.login("ada", "analyst").kind == "welcome"
        request = {"parties": ["slow", "sender"], "ask": "sum", "blob": b""}
        analyst.message(query, Message.of("ask", ANALYST, COORDINATOR, request))
        sender.receive("start")
        pinging = pool.submit(keep_alive, slow, analyst)
        sent = pool.submit(sender.message, query, Message("big", "sender", "slow", bytes(60_000_000)))
        (waiting,) = (each for each in toys.hub._connections if each.name == "sender")
        until = time.monotonic() + 1.5
        assert eventually(lambda: waiting.heard == math.inf and time.monotonic() > until)
        assert [slow.receive("big").part for _ in range(15)] == list(range(15))
        sent.result(SOON)
        done.set()
        pinging.result(SOON)
