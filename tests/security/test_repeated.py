"""A noisy question that is asked again gets the answer that all its parties hold, for one charge; else all draw anew."""

from __future__ import annotations

import pyarrow as pa
import pytest
from harness import Watched, federation, party

NAMES = ("north", "south", "west")
SQL = "SELECT g, count(*) AS n, sum(v) AS s FROM t GROUP BY g"
TOTAL = "SELECT avg(v) AS m FROM t"


@pytest.fixture
def watched():
    rows = {"id": pa.array(range(300), pa.int64()), "g": ["a", "b", "c"] * 100, "v": pa.array([3] * 300, pa.int64())}
    columns = {"g": {"values": ["a", "b", "c"]}, "v": {"bounds": [0, 10]}}
    made = Watched(
        federation(*(party(n, rows, columns=columns, noise="required", budget={"epsilon": 1e6}) for n in NAMES))
    )
    yield made
    made.close()


def charged(watched: Watched) -> list[float]:
    """Return what each attempt cost at north: the curve at its first order."""
    import numpy as np

    rows = watched.federation.parties["north"].ledger._db.execute("SELECT rdp FROM charges ORDER BY rowid").fetchall()
    return [float(np.frombuffer(row[0], "<f8")[0]) for row in rows]


@pytest.mark.parametrize("sql", [SQL, TOTAL])
def test_the_same_question_gets_the_same_answer_for_one_charge(watched, sql):
    first, again = watched.ask(sql), watched.ask(sql)
    assert first.rows == again.rows
    assert charged(watched)[0] > 0
    assert charged(watched)[1:] == [0.0]
    vectors = [[m.body for m in run.of("vector")] for run in (first, again)]
    assert not set(vectors[0]) & set(vectors[1])  # masked and encrypted anew
    assert [len(body) for body in vectors[0]] == [len(body) for body in vectors[1]]


def answers(watched: Watched, change) -> tuple[list, list]:
    before = watched.ask(SQL).rows
    change()
    return before, watched.ask(SQL).rows


def statement(watched: Watched, name: str, sql: str) -> None:
    watched.federation.parties[name].ledger._db.execute(sql)


CHANGES = {
    "one party holds nothing": lambda w: statement(w, "south", "DELETE FROM held"),
    "one party holds another attempt": lambda w: statement(w, "west", "UPDATE held SET run = x'00'"),
    "one party's data changed": lambda w: version(w, "north"),
}


def version(watched: Watched, name: str) -> None:
    """Let a party's data be another version: its offers' digest in what it holds answers under."""
    statement(watched, name, "UPDATE held SET key = x'00' || key")


@pytest.mark.parametrize("change", CHANGES)
def test_else_all_draw_anew_and_charge(watched, change):
    before, after = answers(watched, lambda: CHANGES[change](watched))
    assert before != after
    one, two = charged(watched)
    assert one == two > 0
    assert watched.ask(SQL).rows == after  # which is what all hold from now on
    assert charged(watched)[2] == 0


def test_what_an_answer_depends_on_makes_another_question(watched):
    first = watched.ask(SQL).rows
    others = [
        watched.ask(SQL, epsilon=1.0000001).rows,
        watched.ask(SQL.replace("FROM t", "FROM t WHERE v > 0")).rows,
        watched.ask(SQL.replace("FROM t", "FROM (SELECT * FROM t WHERE v > 1) t")).rows,
    ]
    assert all(other != first for other in others)
    assert all(cost > 0 for cost in charged(watched))
    watched.admit("bob")
    original, watched.analyst = watched.analyst, watched.admit("bob")
    assert watched.ask(SQL).rows != first
    watched.analyst = original
    assert watched.ask(SQL).rows == first


def test_a_forged_hello_is_no_agreement(watched):
    """The coordinator cannot make parties believe that the others hold what they do not: hellos are signed."""
    from harness import alter, body

    from fedsql.codec import decode, encode

    watched.ask(SQL)
    statement(watched, "south", "DELETE FROM held")
    wire = alter("hello", body(lambda data: encode({**decode(data), "holds": b"x" * 16})), nth=1)
    run = watched.ask(SQL, wire=wire)
    assert run.error is not None
    assert "not signed" in str(run.error)


def test_few_answers_are_held(watched):
    ledger = watched.federation.parties["north"].ledger
    for number in range(300):
        ledger.hold(number.to_bytes(4, "big"), b"run", b"sums", float(number))
    assert ledger._db.execute("SELECT count(*), min(time) FROM held").fetchone() == (256, 44.0)
