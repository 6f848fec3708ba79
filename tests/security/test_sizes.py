"""What others say of sizes makes nobody allocate: what is too large, or a number in place of bytes, is refused."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

import pytest
from harness import Run, Watched, edited, lies, small

from fedsql.errors import NotSupportedError, OperationalError, ProtocolError
from fedsql.executors.protocol.outline import MOST
from fedsql.executors.protocol.wire import COORDINATOR
from fedsql.executors.roles.common import FAILED
from fedsql.planner.release_columns import MOST_PUBLIC_SLOTS

HELD = {name: {"aa": 20, "bb": 30, "cc": 40} for name in ("north", "south", "west")}
SQL = "SELECT g, count(*), sum(v) FROM t GROUP BY g"
HUGE = 1 << 34  # bytes(HUGE) would be 16 GiB of zeros


@pytest.fixture(scope="module")
def world():
    made = Watched(small(HELD))
    yield made
    made.close()


def limited(groups: int, **options: Any) -> Watched:
    """Return a federation in which south computes over so many groups."""
    source: Any = small(HELD, **options)
    source["parties"]["south"]["config"]["limits"] = {"groups": groups}
    return Watched(source)


def refusals(world: Watched, run: Run) -> list[str]:
    """Return the reasons of the refusals that south has written into its audit log for this run."""
    rows = world.federation.parties["south"].ledger._db.execute("SELECT record FROM audit ORDER BY seq").fetchall()
    entries = [json.loads(record) for (record,) in rows]
    mine = [e for e in entries if e.get("query_id") == run.question.query_id.hex()]
    return [e["reason"] for e in mine if e["event"] == "refused"]


@pytest.mark.parametrize("count", [1_000_001, 1 << 40, 1 << 70])
def test_a_coordinator_that_speaks_of_more_groups_than_a_party_computes_over_is_refused(world, caplog, count):
    with lies(COORDINATOR, "/align/slots", lambda found, to: {**found, "count": count} if to == "south" else found):
        run = world.ask(SQL)
    assert str(run.error) == f"south: {FAILED}"
    (reason,) = refusals(world, run)
    assert reason == f"the parties have {count} groups together: [limits] groups allows 1000000 here"
    logged = [r.fields["reason"] for r in caplog.records if getattr(r, "event", "") == "refused"]
    assert reason in logged
    assert "south" not in {m.sender for m in run.of("ready")}
    assert not run.of("vector")


def test_more_groups_than_a_party_computes_over_are_told_to_its_operator_alone(caplog):
    """How many there are, hidden ones included, is nothing that an analyst may know."""
    made = limited(7)
    with caplog.at_level(logging.WARNING):
        run = made.ask(SQL)
    assert str(run.error) == f"south: {FAILED}"
    assert refusals(made, run) == ["the parties have 8 groups together: [limits] groups allows 7 here"]
    made.close()


def test_public_values_make_no_more_groups_than_a_party_computes_over():
    made = limited(3, columns={"g": {"values": ["aa", "bb", "cc"]}})  # and NULL
    run = made.ask(SQL)
    assert isinstance(run.error, NotSupportedError)
    assert "south computes over 3 groups at most, and the public values make 4" in str(run.error)
    assert {m.kind for m in run.messages} <= {"ask", "question", "hello", "abort"}  # nothing was charged
    made.close()


def of_outline(**change: object) -> Callable[[Any], Any]:
    return lambda ask: {**ask, "outlines": [{**ask["outlines"][0], **change}]}


def of_circuit(**change: object) -> Callable[[Any], Any]:
    def edit(ask: Any) -> Any:
        (outline,) = ask["outlines"]
        return {**ask, "outlines": [{**outline, "circuit": {**outline["circuit"], **change}}]}

    return edit


ASKS = {
    "a box": lambda ask: {**ask, "boxes": {**ask["boxes"], "south": HUGE}},
    "the query id": lambda ask: {**ask, "query_id": HUGE},
    "the attempt": lambda ask: {**ask, "attempt": float("inf")},
    "slots": of_outline(slots=1 << 40),
    "a few slots too many": of_outline(slots=MOST + 1),
    "no slots": of_outline(slots=0),
    "slots below zero": of_outline(slots=-8),
    "a number of slots": of_outline(slots=8.0),
    "widths": of_outline(widths=[1] * (MOST + 1)),
    "a width": of_outline(widths=[1 << 20]),
    "the number": of_outline(number=1 << 70),
    "contributors": of_outline(contributors=["north", "south", "west"] * 100),
    "two of a name": of_outline(contributors=["north", "north", "south", "west"]),
    "tests": of_circuit(tests=[1] * 20_000),
    "a threshold": of_circuit(tests=[1 << 62, 2, 1]),
    "cells": of_circuit(cells=[[None, [], []]] * 20_000),
    "literals": of_circuit(cells=[[None, [], [0] * 20_000]]),
    "what is left": of_circuit(rests=[[0, [0] * 20_000]]),
    "survive": of_circuit(survive=[0] * 20_000),
    "a test that does not exist": of_circuit(survive=[1 << 40]),
    "something more": lambda ask: {**ask, "more": [0] * 1000},
    "as many releases": lambda ask: {**ask, "outlines": ask["outlines"] * 1000},
    "no release": lambda ask: {**ask, "outlines": [], "boxes": {}},
}


@pytest.mark.parametrize("name", ASKS)
def test_a_request_that_is_too_large_is_refused_before_anybody_is_asked(world, name, caplog):
    run = world.ask(SQL, wire=edited("ask", ASKS[name]))
    assert isinstance(run.error, ProtocolError)
    assert "analyst" in str(run.error)
    assert not run.of("question")
    assert not [r for r in caplog.records if r.exc_info]


@pytest.mark.parametrize("field", ["name", "key", "signature"])
def test_a_number_in_place_of_a_key_is_refused(world, field, caplog):
    """A party to the coordinator, and the coordinator to parties and analyst."""
    for kind, edit in {
        "hello": lambda hello: {**hello, field: HUGE},
        "roster": lambda roster: [{**roster[0], field: HUGE}, *roster[1:]],
        "answer": lambda answer: {**answer, "hellos": [{**answer["hellos"][0], field: HUGE}, *answer["hellos"][1:]]},
    }.items():
        run = world.ask(SQL, wire=edited(kind, edit))
        assert isinstance(run.error, ProtocolError)
        assert not [r for r in caplog.records if r.exc_info]


def test_a_number_in_place_of_a_label_is_refused(world):
    run = world.ask(SQL, wire=edited("0/vector", lambda sent: {**sent, "labels": [[0, HUGE]]}))
    assert isinstance(run.error, OperationalError)
    assert not run.of("answer")


def test_the_bound_is_above_what_is_planned():
    assert MOST_PUBLIC_SLOTS <= MOST
