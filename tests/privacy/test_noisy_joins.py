"""Noise over private joins: it covers all that one unit can do to sums of joined rows, and what is released is around the truth.

With the noise itself taken away the released sums are exact, for values are small enough for a grid of 1. So the most that
they move when one unit's rows leave, at the anchor, at the provider or at both, is compared with what noise is sized for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedsql.errors import DatabaseError
from fedsql.planner import planning
from fedsql.planner.recheck import recheck
from fedsql.privacy.mechanisms import DiscreteLaplace, Skellam
from fedsql.session import Session

MOST = 2  # rows of a unit
ASKED = [
    "COUNT(*)",
    "SUM(l.x)",
    "SUM(u.y)",
    "SUM(l.x) FILTER (WHERE u.y > 1 OR l.x > 2)",
    "SUM(CASE WHEN l.x > 1 THEN u.y END)",
]
Row = tuple[int, int, str]  # unit, value, group


def table(rows: Sequence[Row], value: str) -> pa.Table:
    units, values, groups = zip(*rows, strict=True) if rows else ((), (), ())
    return pa.table(
        {
            "id": pa.array(units, pa.int64()),
            value: pa.array(values, pa.int32()),
            "g": pa.array(groups, pa.string()),
        }
    )


def federation(loans: Sequence[Row], users: Sequence[Row], *, known: bool = True, epsilon: float = 1e6) -> Any:
    """A bank and a telephone company that require noise; no unit of the latter has two rows if it says so."""
    listed = {"values": ["a", "b"]} if known else {}

    def party(rows: pa.Table, value: str, name: str) -> dict[str, Any]:
        columns = {
            "id": {"use": ["join"]},
            value: {"use": ["aggregate", "filter"], "bounds": [0, 4]},
            "g": {"use": ["group", "filter"], **listed},
        }
        held = {"source": rows, "privacy_unit": "id", "max_rows_per_unit": MOST, "columns": columns}
        return {"tables": {name: held}, "release": {"noise": "required", "budget": {"epsilon": epsilon}}}

    return {
        "parties": {
            "bank": party(table(loans, "x"), "x", "loans"),
            "telco": party(table(users, "y"), "y", "users"),
        }
    }


@contextmanager
def without_noise() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for mechanism in (DiscreteLaplace, Skellam):
            patch.setattr(mechanism, "share", lambda self, honest, size: np.zeros(size, np.int64))
        yield


def sums(loans: Sequence[Row], users: Sequence[Row], sql: str) -> dict[tuple[Any, ...], list[int]]:
    session = Session.open(federation(loans, users))
    try:
        answer = session.execute(sql).table
        assert answer is not None
        keys = len(answer.schema.names) - len(ASKED)
        rows = zip(*(column.to_pylist() for column in answer.columns), strict=True)
        return {row[:keys]: [int(value or 0) for value in row[keys:]] for row in rows}
    finally:
        session.close()


def sensitivities(loans: Sequence[Row], users: Sequence[Row], sql: str) -> list[float]:
    """Return how far noise is sized for, of each value that is asked for."""
    session = Session.open(federation(loans, users))
    try:
        plan, *_ = session._plan(sql, ())
        recheck(plan)
        (release,) = plan.releases
        assert release.noise is not None
        by_name = dict(zip((p.name for p in release.partials), release.noise, strict=True))
        assert all(noise.grid == 1 for noise in by_name.values())
        return [by_name[output.partials[-1]].moved.l1 for output in release.outputs]
    finally:
        session.close()


rows = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4), st.sampled_from("ab")), max_size=7)
UNIQUE = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 4), st.sampled_from("ab")), max_size=4, unique_by=lambda r: r[0]
)


@settings(max_examples=5)
@given(
    rows,
    st.one_of(rows, UNIQUE),
    st.sampled_from(["JOIN", "LEFT JOIN"]),
    st.sampled_from(["", "l.g", "u.g", "l.g, u.g"]),
    st.integers(0, 3),
)
def test_noise_covers_what_one_unit_does(loans: list[Row], users: list[Row], how: str, keys: str, unit: int) -> None:
    by = f" GROUP BY {keys}" if keys else ""
    listed = ", ".join([*filter(None, [keys]), *(f"{call} AS c{i}" for i, call in enumerate(ASKED))])
    listed = listed.replace("l.g", "l.g AS a", 1).replace("u.g", "u.g AS b", 1)
    sql = f"SELECT {listed} FROM bank.loans l {how} telco.users u ON l.id = u.id{by}"
    # What is drawn of more rows than count differs from run to run: so there are no more here.
    loans, users = capped(loans), capped(users)
    with without_noise():
        whole, most = sums(loans, users, sql), sensitivities(loans, users, sql)
        fewer = [row for row in loans if row[0] != unit], [row for row in users if row[0] != unit]
        for here, there in (fewer, (loans, fewer[1]), (fewer[0], users)):
            if not is_as_unique(users, there):
                continue  # whether keys are unique is told in the offer: another federation
            left = sums(here, there, sql)
            for place in range(len(ASKED)):
                moved = sum(
                    abs(whole.get(key, [0] * 5)[place] - left.get(key, [0] * 5)[place])
                    for key in whole.keys() | left.keys()
                )
                assert moved <= most[place], (ASKED[place], sql)


def capped(rows: list[Row]) -> list[Row]:
    return [row for at, row in enumerate(rows) if sum(other[0] == row[0] for other in rows[:at]) < MOST]


def is_as_unique(one: Sequence[Row], other: Sequence[Row]) -> bool:
    return (len({r[0] for r in one}) == len(one)) == (len({r[0] for r in other}) == len(other))


def test_rows_beyond_the_bound_do_not_count() -> None:
    loans: list[Row] = [(1, 4, "a")] * 9 + [(2, 3, "a")]
    users: list[Row] = [(1, 4, "b")] * 5 + [(2, 2, "b")]
    with without_noise():
        found = sums(loans, users, f"SELECT {', '.join(ASKED)} FROM bank.loans l JOIN telco.users u ON l.id = u.id")
    assert found == {(): [2 * 2 + 1, 4 * 4 + 3, 4 * 4 + 2, 4 * 4 + 3, 4 * 4 + 2]}


def test_values_stay_inside_their_bounds() -> None:
    """Which `fedsql check` verifies, too: but a source can change."""
    session = Session.open(federation([(1, 4, "a")], [(1, 4, "b")]))
    try:
        plan, *_ = session._plan("SELECT SUM(l.x), SUM(u.y) FROM bank.loans l JOIN telco.users u ON l.id = u.id", ())
        for party, value in (("bank", "x"), ("telco", "y")):
            assert f'least(greatest(t."{value}", 0), 4)' in plan.releases[0].fragments[party]
    finally:
        session.close()


def test_large_sums_are_rounded_to_their_grid_without_bias() -> None:
    """Values in halves of the grid's steps, which rounding to the nearest would all round up."""
    config = federation([(unit, 4, "a") for unit in range(2000)], [(unit, 4, "b") for unit in range(2000)])
    ids = pa.array(range(2000), pa.int64())
    halves = pa.table({"id": ids, "x": pa.array([5_000] * 2000, pa.int32()), "g": pa.array(["a"] * 2000)})
    held = config["parties"]["bank"]["tables"]["loans"]
    held["source"], held["columns"]["x"]["bounds"] = halves, [0, 10_240_000]
    session = Session.open(config)
    try:
        sql = "SELECT SUM(l.x) FROM bank.loans l JOIN telco.users u ON l.id = u.id"
        plan, *_ = session._plan(sql, ())
        (noise,) = plan.releases[0].noise or ()
        assert noise.grid > 5_000
        with without_noise():
            (((found,),),) = [session.execute(sql).table.to_pydict().values()]  # type: ignore[union-attr]
        # Each row is 0 or 1 step of the grid: five standard deviations of their sum.
        share = 5_000 / noise.grid
        assert abs(int(found) - 2000 * 5_000) <= 5 * noise.grid * (2000 * share * (1 - share)) ** 0.5
    finally:
        session.close()


def test_groups_of_unknown_keys_are_shown_by_a_noisy_count() -> None:
    loans: list[Row] = [(unit, 1, "many") for unit in range(400)] + [(999, 4, "one")]
    users: list[Row] = [(unit, 2, "b") for unit in range(1000)]
    session = Session.open(federation(loans, users, known=False))
    try:
        answer = session.execute(
            "SELECT l.g, COUNT(*) AS n FROM bank.loans l JOIN telco.users u ON l.id = u.id GROUP BY l.g"
        )
        assert answer.table is not None
        found = dict(zip(*answer.table.to_pydict().values(), strict=True))
        assert found.keys() == {"many"}
        assert abs(found["many"] - 400) < 150
    finally:
        session.close()


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("SELECT CORR(l.x, u.y) FROM bank.loans l JOIN telco.users u ON l.id = u.id", "CORR is not answered"),
        ("SELECT COUNT(*) FROM bank.loans l JOIN telco.users u ON l.x = u.y", "does not allow"),
    ],
)
def test_refused_under_noise(sql: str, said: str) -> None:
    session = Session.open(federation([(1, 1, "a")], [(1, 1, "b")]))
    try:
        with pytest.raises(DatabaseError, match=said):
            session.execute(sql)
    finally:
        session.close()


def test_all_owners_are_charged() -> None:
    planning._memo.clear()
    session = Session.open(federation([(1, 1, "a")], [(1, 1, "b")], epsilon=10))
    try:
        session.execute("SET epsilon = 2")
        session.execute("SELECT COUNT(*) FROM bank.loans l JOIN telco.users u ON l.id = u.id")
        spent = session.execute("SHOW BUDGET").table
        assert spent is not None
        assert [round(e, 3) for e in spent["epsilon_spent"].to_pylist()] == [2.0, 2.0]
    finally:
        session.close()
