"""Limits of fragments: cancelled by key, before they begin or while they run; in time, in number, in groups, in memory."""

import threading

import duckdb
import pyarrow as pa
import pytest

from fedsql.config.models import LimitsConfig, PartyConfig
from fedsql.errors import OperationalError
from fedsql.executors.engines.store import PartyStore
from fedsql.session import Session

ENDLESS = "SELECT count(*) AS n FROM range(1000000000000) AS a, t WHERE a.range % 7 = x"
SMALL = "SELECT count(*) AS n FROM t"


def store(**limits):
    table = {"source": pa.table({"x": list(range(100))}), "columns": {"x": {"use": ["group"]}}}
    return PartyStore(PartyConfig(name="north", tables={"t": table}, limits=LimitsConfig(**limits)), bytes(32))


def in_thread(work):
    errors = []

    def run():
        try:
            work()
        except OperationalError as error:
            errors.append(error.message)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, errors


def test_one_query_is_cancelled_and_the_others_go_on():
    held = store()
    first, errors = in_thread(lambda: held.run(ENDLESS, "first"))
    held.interrupt("first")  # before it begins, or while it runs: the same
    first.join()
    assert errors == ["the query was cancelled"]
    assert held.run(SMALL, "second").to_pylist() == [{"n": 100}]
    with pytest.raises(OperationalError, match="cancelled"):
        held.run(SMALL, "first")
    held.close()


def test_a_query_ends_in_time():
    held = store(time="1s")
    with pytest.raises(OperationalError, match=r"it took over 1 s \(\[limits\] time\)"):
        held.run(ENDLESS)
    assert held.run(SMALL).to_pylist() == [{"n": 100}]
    held.close()


def test_too_many_groups_are_refused():
    held = store(groups=50)
    with pytest.raises(OperationalError, match="more than 50 groups"):
        held.run("SELECT x FROM t GROUP BY x")
    assert held.run("SELECT x FROM t WHERE x < 50 GROUP BY x").num_rows == 50
    held.close()


def test_too_many_distinct_values_are_refused():
    held = store(groups=50)
    listed = "SELECT x % 2 AS g, COUNT(*) AS n, list(DISTINCT x) AS v, list(x) FILTER (WHERE x > 1000) AS w FROM t"
    with pytest.raises(OperationalError, match="lists more than 50 values"):
        held.run(f"{listed} GROUP BY g")
    assert held.run(f"{listed} WHERE x < 50 GROUP BY g").num_rows == 2
    held.close()


def test_what_needs_too_much_memory_fails_alone():
    held = store(memory="50MB", threads=1)
    for _ in range(20):
        with pytest.raises(duckdb.Error):
            held.run("SELECT array_agg(a.range) AS l FROM range(100000000) AS a GROUP BY a.range")
    assert held.run(SMALL).to_pylist() == [{"n": 100}]
    held.close()


def test_the_others_wait_in_order_and_are_told_their_places():
    held = store(queries=1)
    told, moved = [], threading.Condition()

    def place(name):
        def tell(number):
            with moved:
                told.append((name, number))
                moved.notify_all()

        return tell

    def wait_for(*wanted):
        with moved:
            assert moved.wait_for(lambda: set(wanted) <= set(told), 20)

    first, stopped = in_thread(lambda: held.run(ENDLESS, "first"))
    while not held._runs._running:
        first.join(0.001)
    second, _ = in_thread(lambda: held.run(SMALL, "second", place("second")))
    wait_for(("second", 1))
    third, gone = in_thread(lambda: held.run(SMALL, "third", place("third")))
    wait_for(("third", 2))
    fourth, _ = in_thread(lambda: held.run(SMALL, "fourth", place("fourth")))
    wait_for(("fourth", 3))
    held.interrupt("third")
    third.join()
    wait_for(("fourth", 2))
    held.interrupt("first")
    for thread in (first, second, fourth):
        thread.join()
    assert stopped == gone == ["the query was cancelled"]
    assert [number for name, number in told if name == "second"] == [1, 0]
    assert [number for name, number in told if name == "third"] == [2]
    assert [number for name, number in told if name == "fourth"][-1] == 0
    held.close()


def test_a_party_tells_that_it_waits_and_that_its_turn_has_come():
    columns = {"x": {"use": ["aggregate"], "bounds": [0, 100]}}
    party = {"tables": {"t": {"source": pa.table({"x": range(20)}), "columns": columns}}, "limits": {"queries": 1}}
    session = Session.open({"name": "f", "parties": {"north": party, "south": party}})
    engine = session.federation.parties["north"].engine
    held, _ = in_thread(lambda: engine.run(ENDLESS, "held"))
    while not engine.load()[0]:
        held.join(0.001)
    told = []

    def on_progress(*each):
        told.append(each)
        if each == ("north", "queued", 1):
            engine.interrupt("held")

    session.on_progress = on_progress
    assert session.execute("SELECT SUM(x) AS s FROM t").table.to_pylist() == [{"s": 380}]
    held.join()
    session.close()
    stages = [(stage, place) for name, stage, place in told if name == "north"]
    at = stages.index(("queued", 1))
    assert stages[at - 1 : at + 2] == [("fragment", None), ("queued", 1), ("fragment", None)]
