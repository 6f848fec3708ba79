"""Errors carry no data: one constant error for all that fails at a party, and nothing on an analyst's screen."""

from __future__ import annotations

import subprocess
import sys

import duckdb
import pyarrow as pa
import pytest
from harness import Run, Watched, small

from fedsql.errors import Error, InternalError, OperationalError, PolicyDenied
from fedsql.executors.roles.common import FAILED
from fedsql.planner import planning, releasing
from fedsql.session import Session

SECRET = "Wohlgemuth-83920174"
GROUPS = {"north": {"aa": 20, "bb": 30}, "south": {"aa": 20, "bb": 30}, "west": {"aa": 20}}
SQL = "SELECT g, count(*), sum(v) FROM t GROUP BY g"
FAILURES = {
    "DuckDB": duckdb.ConversionException(f"Could not convert string '{SECRET}' to INT32"),
    "memory": MemoryError(SECRET),
    "ours": InternalError(f"row {SECRET}"),
    "a refusal with data": OperationalError(SECRET),
    "a policy with data": PolicyDenied(SECRET),
    "Python": ValueError(SECRET),
    "a path": FileNotFoundError(2, "no such file", f"/srv/{SECRET}"),
    "too deep": RecursionError(SECRET),
}


@pytest.fixture(scope="module")
def world():
    made = Watched(small(GROUPS))
    yield made
    made.close()


def texts(error: BaseException | None) -> str:
    """All that an error, its hint and its causes say."""
    said = ""
    while error is not None:
        said += f"{error!r} {error} {error.__dict__} {error.args}"
        error = error.__cause__ or error.__context__
    return said


def failing(world: Watched, party: str, failure: Exception) -> Run:
    def run(sql: str, *_: object) -> pa.Table:
        raise failure

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(world.federation.parties[party].engine, "run", run)
        return world.ask(SQL)


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES)
@pytest.mark.parametrize("party", ["north", "west"])
def test_whatever_fails_in_a_fragment_is_one_constant_error(world, failure, party):
    run = failing(world, party, failure)
    assert type(run.error) is OperationalError
    assert str(run.error) == f"{party}: {FAILED}"
    assert SECRET not in texts(run.error)
    assert all(SECRET.encode() not in m.body for m in run.messages)
    assert not run.of("vector")
    assert {m.recipient for m in run.of("abort")} == {"@coordinator", "@analyst", *set(GROUPS) - {party}}
    assert len({len(m.body) for m in run.of("abort") if m.sender == party}) == 1
    assert len(world.ask(SQL).rows) == 2  # and the federation goes on


def test_all_failures_look_the_same_on_the_way(world):
    sizes = {tuple(len(m.body) for m in failing(world, "north", failure).of("abort")) for failure in FAILURES.values()}
    assert len(sizes) == 1


@pytest.mark.parametrize(
    "step", ["contribute.place", "contribute.encrypt", "contribute.align", "suppression.share_counts"]
)
def test_whatever_fails_later_is_the_same_error(world, monkeypatch, step):
    def fail(*args: object, **kwargs: object) -> None:
        raise ValueError(SECRET)

    monkeypatch.setattr(f"fedsql.executors.protocol.{step}", fail)
    run = world.ask(SQL)
    assert type(run.error) is OperationalError
    assert FAILED in str(run.error)
    assert SECRET not in texts(run.error)


def test_a_failure_at_the_coordinator_is_constant_too(world, monkeypatch):
    def fail(*args: object) -> None:
        raise ValueError(SECRET)

    monkeypatch.setattr("fedsql.executors.protocol.arrange.add", fail)
    run = world.ask(SQL)
    assert str(run.error) == "the coordinator could not run its part of the query"
    assert SECRET not in texts(run.error)


def test_refusals_reach_the_analyst_with_their_words(world, monkeypatch):
    def deny(*args: object) -> None:
        raise PolicyDenied("south does not allow this", hint="ask its owner")

    made = Watched(small(GROUPS))
    plan = made.ask(SQL)
    with monkeypatch.context() as patch:
        patch.setattr(planning, "_memo", type(planning._memo)())
        patch.setattr(releasing, "check_policy", deny)
        run = made.send(_asked_again(made, plan), plan.plan)
    assert type(run.error) is PolicyDenied
    assert run.error.message.endswith("south does not allow this")
    assert run.error.hint == "ask its owner"
    assert run.error.query_id == run.question.query_id.hex()
    made.close()


def _asked_again(made: Watched, run: Run):
    return made.analyst.sign(run.question, run.plan, made.federation.directory)


def outcome(session: Session, sql: str) -> str:
    """Return all that an error says; others than those of fedsql are raised. Some are answered: what fails is NULL."""
    try:
        session.execute(sql)
    except Error as error:
        return f"{error!r} {error} {error.hint} {error.args}"
    return ""


def test_no_error_of_a_session_holds_a_path_a_value_or_a_traceback():
    held = {name: {SECRET: 20, "few": 2} for name in GROUPS}
    session = Session.open(small(held, value=83920174))
    for sql in (
        "SELECT count(*) FROM t WHERE g::INT = 3",
        "SELECT sum(v) FROM t WHERE 1 / 0 = 1",
        "SELECT sum(v::TINYINT) FROM t",
        "SELECT g FROM t",
        "SELECT error(g) FROM t",
        "SELECT count(*) FROM t GROUP BY error(g)",
        "SELECT sum(CASE WHEN g = 'few' THEN error('x') END) FROM t",
        "SELECT sum(v * v * v) FROM t",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT (SELECT g FROM t)",
        "SELECT sum(9223372036854775807 * v * v) FROM t",
        "SELECT g::DATE, count(*) FROM t GROUP BY 1",
        "SELECT cast(count(*) AS TINYINT) FROM t",
        "SELECT x.y.z FROM t",
    ):
        for bad in (SECRET, "83920174", "Traceback", 'File "', "/work", "site-packages", "root:"):
            assert bad not in outcome(session, sql), sql
    session.close()


SCRIPT = f"""
import duckdb
from harness import Watched, small
world = Watched(small({GROUPS!r}))
def run(sql, *_):
    raise duckdb.ConversionException("{SECRET}")
world.federation.parties["north"].engine.run = run
print(world.ask({SQL!r}).error)
"""


def test_a_failure_prints_nothing_where_nobody_set_up_logging():
    """In an embedded federation the party's stderr is the analyst's: details are for whoever configures fedsql.party."""
    import harness

    folder = harness.__file__.rsplit("/", 1)[0]
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {folder!r})\n{SCRIPT}"],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert done.stderr == ""
    assert done.stdout == f"north: {FAILED}\n"


def test_the_operator_of_a_party_can_see_the_details(world, caplog):
    failing(world, "north", FAILURES["DuckDB"])
    assert SECRET in caplog.text


def test_what_expressions_share_stays_inside_of_try():
    """DuckDB's common-subexpression optimizer would lift i * i out of TRY, and one row would fail the fragment."""
    columns = {"i": {"use": ["filter", "aggregate"]}}
    table = pa.table({"i": pa.array([100, 2, 8, 9], pa.int8())})
    parties = {
        n: {"tables": {"t": {"source": table, "columns": columns}}, "release": {"min_group_size": 1}} for n in "ab"
    }
    session = Session.open({"name": "shared", "parties": parties})
    try:
        found = session.execute("SELECT AVG(i * i) FILTER (WHERE i * i > 50) AS v FROM t").table.to_pylist()
    finally:
        session.close()
    assert found == [{"v": (64 + 81) / 2}]
