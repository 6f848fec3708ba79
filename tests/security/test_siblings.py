"""ROLLUP, CUBE and GROUPING SETS with a least size: no calculation from what is shown opens fewer units.

The attack is linear algebra over the pooled rows. Each value that is shown is a sum over known rows: a vector. An analyst
who knows all but the values could calculate whatever is in the span of these vectors, so nothing but zero in it may rest on
the rows of fewer than k units, nor (for groups) on those of one party where two are asked for.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pyarrow as pa
import pytest
from harness import Watched, federation, party
from hypothesis import given, settings
from hypothesis import strategies as st

USE = {"id": ["join"], **{name: ["group", "filter", "aggregate"] for name in ("a", "b", "c", "v", "w")}}
TYPES = {"id": pa.int64(), "a": pa.string(), "b": pa.int64(), "c": pa.int64(), "v": pa.int64(), "w": pa.int64()}
SETS = [
    "ROLLUP (a, b)",
    "ROLLUP (a, b, c)",
    "CUBE (a, b)",
    "CUBE (a, b, c)",
    "GROUPING SETS ((a), (b))",
    "GROUPING SETS ((a, b), (b, c), ())",
    "GROUPING SETS ((a, b), (a), (c), ())",
    "a, ROLLUP (b)",
    "a % 2, CUBE (b)",
]
VALUES = {  # aggregate -> (which rows its parts are sums over, whether the query says which)
    "COUNT(*)": ([lambda row: True], False),
    "SUM(v)": ([lambda row: row["v"] is not None, lambda row: row["v"]], False),
    "AVG(v)": ([lambda row: row["v"] is not None, lambda row: row["v"]], False),
    "COUNT(v)": ([lambda row: row["v"] is not None], False),
    "COUNT(*) FILTER (WHERE w > 0)": ([lambda row: row["w"] > 0], True),
    "SUM(v) FILTER (WHERE w > 1)": (
        [lambda row: row["w"] > 1 and row["v"] is not None, lambda row: row["w"] > 1 and row["v"]],
        True,
    ),
}

ROW = st.fixed_dictionaries(
    {
        "id": st.integers(0, 9),
        "a": st.sampled_from(["1", "1", "2", None]),
        "b": st.integers(0, 2),
        "c": st.integers(0, 1),
        "v": st.sampled_from([0, 1, 1, 2, None]),
        "w": st.sampled_from([0, 1, 1, 2]),
    }
)


def asked(parties, sets, k, min_parties, unique):
    """Return the pooled rows, and for each release its keys and its rows."""
    for rows in parties:
        for number, row in enumerate(rows):
            row["id"] = number if unique else row["id"]
    world = Watched(
        federation(
            *(
                party(
                    f"p{n}",
                    pa.table({name: pa.array([row[name] for row in rows], type_) for name, type_ in TYPES.items()}),
                    use=USE,
                    min_group_size=k,
                    min_parties=min_parties,
                )
                for n, rows in enumerate(parties)
            )
        )
    )
    listed = ", ".join(f"{call} AS x{n}" for n, call in enumerate(VALUES))
    sets = sets.replace("a % 2", "CAST(a AS BIGINT) % 2")
    run = world.ask(f"SELECT {listed} FROM t GROUP BY {sets}")
    world.close()
    if run.error is not None:
        raise run.error
    pooled = [{**row, "unit": (n, row["id"]), "party": n} for n, rows in enumerate(parties) for row in rows]
    found = []
    for plan, table in zip(run.plan.releases, run.tables, strict=True):
        keys = [_key(key.expression.sql("duckdb")) for key in plan.release.keys]
        found.append((keys, [row for row in table.to_pylist() if keys or row["a0"] is not None]))
    return pooled, found


def _key(sql):
    """Return what a key of the queries is, from a row, in the text of a label."""
    name = next(name for name in "abc" if f'"{name}"' in sql)

    def value(row):
        if row[name] is None:
            return None
        return str(int(row[name]) % 2) if "%" in sql else str(row[name])

    return value


def members(pooled, keys, shown):
    """Return which of the pooled rows are in a group that is shown."""
    return np.array([all(key(row) == shown[f"k{n}"] for n, key in enumerate(keys)) for row in pooled], bool)


def opened(vectors, rows, groups):
    """Return a set of ``groups`` (of row numbers) that holds all rows of something that can be calculated, or None."""
    matrix = np.array(vectors, np.int64).reshape(-1, rows)
    whole = np.linalg.matrix_rank(matrix) if matrix.size else 0
    for chosen in groups:
        outside = [number for number in range(rows) if number not in chosen]
        left = matrix[:, outside]
        if (np.linalg.matrix_rank(left) if left.size else 0) < whole:
            return chosen
    return None


def attack(pooled, found, k, min_parties):
    """Raise AssertionError when anything that is shown, or all of it together, opens fewer than k units."""
    units = {row["unit"] for row in pooled}
    few = [
        {n for n, row in enumerate(pooled) if row["unit"] in chosen} for chosen in combinations(sorted(units), k - 1)
    ]
    lone = [{n for n, row in enumerate(pooled) if row["party"] == one} for one in {row["party"] for row in pooled}]
    groups = [members(pooled, keys, row) for keys, shown in found for row in shown]
    assert opened(groups, len(pooled), few) is None, "COUNT(*)"
    if min_parties > 1:
        assert opened(groups, len(pooled), lone) is None, "one party"
    for number, (call, (parts, conditional)) in enumerate(VALUES.items()):
        for part in parts:
            takes = np.array([bool(part(row)) for row in pooled], bool)
            vectors = [
                members(pooled, keys, row) & takes
                for keys, shown in found
                for row in shown
                if row[f"a{number}"] is not None
            ]
            assert opened(vectors + (groups if conditional else []), len(pooled), few) is None, call


def true_values(pooled, found):
    """Raise AssertionError unless each value that is shown is that of the pooled rows."""
    for keys, shown in found:
        for row in shown:
            inside = [each for each, here in zip(pooled, members(pooled, keys, row), strict=True) if here]
            vs = [each["v"] for each in inside if each["v"] is not None]
            wanted = [
                len(inside),
                sum(vs),
                sum(vs) / len(vs) if vs else None,
                len(vs),
                sum(each["w"] > 0 for each in inside),
                sum(each["v"] or 0 for each in inside if each["w"] > 1),
            ]
            for number, value in enumerate(wanted):
                got = row[f"a{number}"]
                assert got is None or float(got) == pytest.approx(value), list(VALUES)[number]


PARTIES = st.lists(st.lists(ROW, min_size=1, max_size=12), min_size=1, max_size=3)


@settings(max_examples=60, deadline=None)
@given(PARTIES, st.sampled_from(SETS), st.integers(2, 3), st.integers(1, 2), st.booleans())
def test_nothing_that_can_be_calculated_rests_on_fewer_units(parties, sets, k, min_parties, unique):
    pooled, found = asked(parties, sets, k, min(min_parties, len(parties)), unique)
    true_values(pooled, found)
    attack(pooled, found, k, min(min_parties, len(parties)))
