"""Quantiles under noise through whole queries: stated intervals, what neighbours tell apart, what is said and refused."""

from __future__ import annotations

import datetime
import math
import random
from dataclasses import replace

import duckdb
import numpy as np
import pyarrow as pa
import pytest

import fedsql
from fedsql.crypto.packing import to_ints
from fedsql.errors import InternalError, NotSupportedError, PolicyDenied
from fedsql.executors.roles import analyst, attempt
from fedsql.planner import ranges, sensitivity
from fedsql.planner import recheck as rechecking
from fedsql.planner.recheck import recheck
from fedsql.privacy import tree
from fedsql.privacy.mechanisms import DiscreteLaplace, Sensitivity
from fedsql.session import Session
from tests.privacy.test_neighbours import GROUPS, HALF, OTHER, PARTIES, Added, measured, opened

KEYS = [f"g{i:02}" for i in range(25)]
DAY = datetime.date(2001, 1, 1)
VALUES = {
    "m": "MEDIAN(age)",
    "c": "QUANTILE_CONT(cost, 0.9)",
    "d": "QUANTILE_DISC(cost, 0.25)",
    "f": "MEDIAN(cents) FILTER (WHERE age > 40)",
    "e": "MEDIAN(2 * age - 10)",
}
RUNS = 4


def party(seed: int) -> dict:
    rng = random.Random(seed)
    count = 120 * len(KEYS)
    table = pa.table(
        {
            "id": range(seed * count, (seed + 1) * count),
            "g": KEYS * 120,
            "k": [rng.choice("pq") for _ in range(count)],
            "age": [min(100, max(0, round(rng.gauss(45, 20)))) for _ in range(count)],
            "cost": [min(5e5, rng.lognormvariate(10, 1)) if rng.random() > 0.05 else None for _ in range(count)],
            "cents": pa.array([rng.randrange(10**6) for _ in range(count)], pa.int32()).cast(pa.decimal128(12, 2)),
            "born": [DAY + datetime.timedelta(rng.randrange(3000)) for _ in range(count)],
            "seen": [datetime.datetime(2001, 1, 1, 12) + datetime.timedelta(rng.randrange(300)) for _ in range(count)],
            "name": [f"n{rng.randrange(100)}" for _ in range(count)],
        }
    )
    use = ["group", "filter", "aggregate", "join"]
    columns = {name: {"use": use} for name in table.column_names}
    columns["g"]["values"] = KEYS
    columns["age"]["bounds"], columns["cost"]["bounds"], columns["cents"]["bounds"] = [0, 100], [0, 500_000], [0, 10**6]
    columns["born"]["bounds"] = [DAY, DAY + datetime.timedelta(3000)]
    columns["seen"]["bounds"] = [DAY, DAY + datetime.timedelta(300)]
    release = {
        "noise": "required",
        "budget": {"epsilon": 1e9},
        "aggregates": ["count", "quantile", "min", "max", "avg"],
    }
    offered = {"source": table, "privacy_unit": "id", "unit_scope": "global", "columns": columns}
    return {"tables": {"t": offered}, "release": release}


@pytest.fixture(scope="module")
def world(short_keys):
    parties = {name: party(i) for i, name in enumerate(PARTIES)}
    with duckdb.connect() as database, fedsql.connect({"name": "ranks", "parties": parties}) as connection:
        database.register("t", pa.concat_tables([each["tables"]["t"]["source"] for each in parties.values()]))
        yield connection, database


@pytest.mark.parametrize("epsilon", [4, 20])
def test_stated_intervals_cover_95_percent(world, epsilon):
    connection, database = world
    calls = ", ".join(f"{call}, margin({call})" for call in VALUES.values())
    rows = database.execute(f"SELECT g, {', '.join(VALUES.values())} FROM t GROUP BY g").fetchall()
    exact = {group: values for group, *values in rows}
    inside, count = dict.fromkeys(VALUES, 0), 0
    for run in range(RUNS):
        connection.execute(f"SET epsilon = {epsilon + run / 1e9}")
        for group, *found in connection.execute(f"SELECT g, {calls} FROM t GROUP BY g").fetchall():
            for name, value, half, true in zip(VALUES, found[::2], found[1::2], exact.get(group, ()), strict=False):
                count += 1
                inside[name] += value is not None and abs(float(value) - float(true)) <= half + 1e-9
    assert count == RUNS * len(KEYS) * len(VALUES)
    for name, hits in inside.items():
        each = RUNS * len(KEYS)
        assert hits / each >= 0.95 - 4 * math.sqrt(0.95 * 0.05 / each), (name, hits / each)


def test_values_have_the_types_of_duckdb_and_come_close(world):
    connection, database = world
    connection.execute("SET epsilon = 100")
    sql = """SELECT median(age) AS a, quantile_disc(age, 0.5) AS b, median(cost) AS c, median(cents) AS d,
        quantile_disc(cents, 0.5) AS e, median(born) AS f, quantile_disc(born, 0.5) AS g, median(age > 50) AS h,
        quantile_disc(age, [0.25, 0.75]) AS i, median(CAST(seen AS DATE)) AS j FROM t"""
    (found,), (exact,) = connection.execute(sql).fetchall(), database.execute(sql).fetchall()
    assert [type(each) for each in found] == [type(each) for each in exact]
    assert found[:2] == exact[:2]
    assert float(found[2]) == pytest.approx(exact[2], rel=0.02)
    assert float(found[3]) == pytest.approx(float(exact[3]), rel=0.02)
    assert abs(found[5] - exact[5]) < datetime.timedelta(40)
    assert abs(found[6] - exact[6]) < datetime.timedelta(40)
    assert found[7:9] == exact[7:9]
    assert abs(found[9] - exact[9]) < datetime.timedelta(4)


def test_groups_of_unknown_keys(world):
    connection, database = world
    connection.execute("SET epsilon = 20")
    sql = "SELECT k, quantile_disc(age, 0.75) AS q, COUNT(*) AS n FROM t GROUP BY k ORDER BY k"
    found, exact = connection.execute(sql), database.execute(sql).fetchall()
    rows = found.fetchall()
    assert [row[0] for row in rows] == ["p", "q"]
    for row, true in zip(rows, exact, strict=True):
        assert abs(row[1] - true[1]) <= 1
    assert found.privacy.margins["q"] <= 2


def test_quantiles_without_values_are_mostly_null(world):
    connection, _ = world
    connection.execute("SET epsilon = 1")
    rows = connection.execute("SELECT g, median(age) FILTER (WHERE age > 1000) AS m FROM t GROUP BY g").fetchall()
    assert sum(value is None for _, value in rows) >= len(KEYS) - 6  # each but for 2.5 %


def test_explain_says_how_far_off_ranks_are(world):
    connection, _ = world
    connection.execute("SET epsilon = 1")
    text = "\n".join(row[0] for row in connection.execute("EXPLAIN SELECT MEDIAN(age) FROM t").fetchall())
    assert "noisy counts of the values in ranges" in text.replace("\n      ", " ")
    assert "a0 = quantile_cont: +- " in text
    assert "where values are spread evenly; its rank +-" in " ".join(text.split())
    assert "in 101 ranges of its bounds" in text.replace("\n      ", " ")
    connection.execute("SET accuracy = '5%'")
    assert "the least for an accuracy of 5 %" in "\n".join(
        row[0] for row in connection.execute("EXPLAIN SELECT MEDIAN(cost) FROM t").fetchall()
    ).replace("\n      ", " ")
    connection.execute("SET accuracy = off")


@pytest.mark.parametrize(
    ("sql", "error", "message", "hint"),
    [
        ("SELECT MIN(age) FROM t", NotSupportedError, "min is not answered under noise", "quantile_cont(x, 0.01)"),
        ("SELECT MAX(age) FROM t", NotSupportedError, "max is not answered under noise", "quantile_cont(x, 0.99)"),
        ("SELECT QUANTILE_CONT(age, 1) FROM t", NotSupportedError, "the largest value is one row's", "age, 0.99"),
        ("SELECT QUANTILE_DISC(age, 0) FROM t", NotSupportedError, "the least value is one row's", "age, 0.01"),
        ("SELECT MEDIAN(seen) FROM t", NotSupportedError, "timestamps are taken by day", "MEDIAN(CAST(seen AS DATE))"),
        ("SELECT MEDIAN(id) FROM t", PolicyDenied, "t.id cannot be summed: it has no bounds", "columns.id.bounds"),
        (
            "SELECT MEDIAN(year(born)) FROM t",
            PolicyDenied,
            "between which bounds its values are",
            "columns.born.bounds",
        ),
    ],
)
def test_what_is_refused_names_what_to_write(world, sql, error, message, hint):
    with pytest.raises(error) as caught:
        world[0].session.execute(sql)
    assert message in str(caught.value)
    assert hint in str(caught.value.hint)


def test_more_counts_than_a_release_holds_are_refused_before_anything_is_asked(world):
    many = ", ".join(f"MEDIAN(age + {i})" for i in range(300))
    with pytest.raises(NotSupportedError, match=r"take \d+,\d+ noisy counts a group"):
        world[0].session.execute(f"SELECT {many}, MEDIAN(cost), MEDIAN(cents) FROM t")


# --- the same question costs what was planned -------------------------------------------------------------------


def test_two_quantiles_of_one_column_are_one_release(world):
    connection, _ = world
    plan = connection.session._plan("SELECT MEDIAN(age), QUANTILE_DISC(age, 0.9) FROM t", ())[0]
    (release,) = plan.releases
    assert len(release.partials) == 1
    assert release.noise[0].moved == Sensitivity(1, 2)
    recheck(plan)


@pytest.mark.parametrize("changes", [{"moved": Sensitivity(1, 1)}, {"moved": Sensitivity(0, 2)}, {"grid": 2}], ids=str)
def test_a_plan_that_hides_less_is_refused(world, changes):
    plan = world[0].session._plan("SELECT MEDIAN(age) FROM t", ())[0]
    (release,) = plan.releases
    noise = (replace(release.noise[0], **changes),)
    with pytest.raises(InternalError):
        recheck(replace(plan, releases=(replace(release, noise=noise),)))


# --- neighbours --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=[1, 3])
def neighbours(request, short_keys):
    """Parties with 2,000 groups; in half of them a unit more, with the value 10, at one party or at all of them."""
    session = opened(Added(request.param), scope="global" if request.param == 1 else "party")
    yield session, request.param
    session.close()


def told_apart(neighbours: tuple[Session, int], patch: pytest.MonkeyPatch) -> float:
    """Return the measured epsilon of the counts that the added unit's value is in, less the noise of one party.

    Without it they are 0 at all levels. So the judge looks at how far they are from that, up to what it adds: that is what
    the likelihoods of both sides differ by.
    """
    session, places = neighbours
    samples = []
    for _ in range(3):
        (plan, columns), noise = looked_into(session, patch)
        sizes = plan.partials[0].ranges.sizes
        at = [sum(sizes[:level]) + 10 // tree.BRANCHES ** (len(sizes) - 1 - level) for level in range(len(sizes))]
        seen = [np.array(to_ints(columns[index])) - noise[index] for index in at]
        samples.append(sum(np.clip(each, 0, places)[: len(GROUPS)] for each in seen))
    return measured(*(np.concatenate([each[half] for each in samples]) for half in (slice(HALF), slice(HALF, None))))


def looked_into(session: Session, patch: pytest.MonkeyPatch):
    """Ask once; return the plan with the opened columns, and the noise [columns, rows] of the party that drew last."""
    drawn, seen, share, original = [], [], DiscreteLaplace.share, analyst.finalize
    with patch.context() as recording:
        recording.setattr(DiscreteLaplace, "share", lambda *asked: drawn.append(share(*asked)) or drawn[-1])
        recording.setattr(analyst, "finalize", lambda *given: seen.append((given[0], given[3])) or original(*given))
        session.execute(f"SET epsilon = {1 - next(OTHER) * 1e-9!r}")  # the same question would get the same answer
        session.execute("SELECT g, MEDIAN(v) AS a FROM t GROUP BY g")
    return seen[0], np.array(drawn[-1]).reshape(len(seen[0][1]), -1)


@pytest.fixture
def two_levels(monkeypatch):
    """Have two levels of ranges, which 2,000 groups would not get of 11 values."""
    monkeypatch.setattr(ranges, "MOST_COUNTS", 1 << 20)
    for module in (tree, ranges, rechecking):
        monkeypatch.setattr(module, "BRANCHES", 8)


def test_neighbours_are_no_further_apart_than_what_was_charged(neighbours, monkeypatch):
    assert 1 / 3 < told_apart(neighbours, monkeypatch) <= 1


@pytest.mark.usefixtures("two_levels")
def test_nor_are_they_by_the_counts_of_two_levels(neighbours, monkeypatch):
    assert 1 / 3 < told_apart(neighbours, monkeypatch) <= 1


@pytest.mark.usefixtures("two_levels")
def test_the_judge_notices_a_level_that_is_not_charged(neighbours, monkeypatch):
    monkeypatch.setattr(sensitivity, "_shape", lambda partial, unit, steps: (1, Sensitivity(unit.parties, 1)))
    monkeypatch.setattr(attempt, "recheck", lambda plan: None)  # it would notice before anything was sent
    assert told_apart(neighbours, monkeypatch) > 1
