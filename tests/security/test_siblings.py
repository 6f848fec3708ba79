"""ROLLUP, CUBE and GROUPING SETS with a least size: no calculation from what is shown opens fewer units.

The attack is linear algebra over the pooled rows. Each value that is shown is a sum over known rows: a vector. An analyst
who knows all but the values could calculate whatever is in the span of these vectors, so nothing but zero in it may rest on
the rows of fewer than k units, nor (for groups) on those of one party where two are asked for.
"""

from __future__ import annotations

import os
from dataclasses import replace
from itertools import combinations

import numpy as np
import pyarrow as pa
import pytest
from harness import Watched, alter, federation, flipped, lies, party, small
from hypothesis import given, settings
from hypothesis import strategies as st

from fedsql.codec import decode
from fedsql.errors import InternalError, OperationalError

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
VALUES = {  # aggregate -> (which rows its parts are sums over, the condition in the query if there is one)
    "COUNT(*)": ([lambda row: True], None),
    "SUM(v)": ([lambda row: row["v"] is not None, lambda row: row["v"]], None),
    "AVG(v)": ([lambda row: row["v"] is not None, lambda row: row["v"]], None),
    "COUNT(v)": ([lambda row: row["v"] is not None], None),
    "COUNT(*) FILTER (WHERE w > 0)": ([lambda row: row["w"] > 0], lambda row: row["w"] > 0),
    "SUM(v) FILTER (WHERE w > 1)": (
        [lambda row: row["w"] > 1 and row["v"] is not None, lambda row: row["w"] > 1 and row["v"]],
        lambda row: row["w"] > 1,
    ),
}

EXAMPLES = int(os.environ.get("FEDSQL_FUZZ", "200")) // 8

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


def asked(parties, sets, calls, k, min_parties, unique):
    """Return the pooled rows, and for each release its keys and its rows; ``calls`` are some of `VALUES`."""
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
    listed = ", ".join(f"{call} AS x{n}" for n, call in enumerate(calls))
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


def attack(pooled, found, calls, k, min_parties):
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
    for number, call in enumerate(calls):
        parts, condition = VALUES[call]
        # Of a group less what a condition takes of it at least k units are left, or none. Plain NULLs and zeros of a
        # column ask nothing of the rest.
        for part, beside in [*((part, []) for part in parts), *([(condition, groups)] if condition else [])]:
            takes = np.array([bool(part(row)) for row in pooled], bool)
            vectors = [
                members(pooled, keys, row) & takes
                for keys, shown in found
                for row in shown
                if row[f"a{number}"] is not None
            ]
            assert opened(vectors + beside, len(pooled), few) is None, call


def true_values(pooled, found, calls):
    """Raise AssertionError unless each value that is shown is that of the pooled rows."""
    for keys, shown in found:
        for row in shown:
            inside = [each for each, here in zip(pooled, members(pooled, keys, row), strict=True) if here]
            vs = [each["v"] for each in inside if each["v"] is not None]
            wanted = {
                "COUNT(*)": len(inside),
                "SUM(v)": sum(vs),
                "AVG(v)": sum(vs) / len(vs) if vs else None,
                "COUNT(v)": len(vs),
                "COUNT(*) FILTER (WHERE w > 0)": sum(each["w"] > 0 for each in inside),
                "SUM(v) FILTER (WHERE w > 1)": sum(each["v"] or 0 for each in inside if each["w"] > 1),
            }
            for number, call in enumerate(calls):
                got = row[f"a{number}"]
                assert got is None or float(got) == pytest.approx(wanted[call]), call


PARTIES = st.lists(st.lists(ROW, min_size=1, max_size=12), min_size=1, max_size=3)
CALLS = st.lists(st.sampled_from([call for call in VALUES if call != "COUNT(*)"]), min_size=1, max_size=2, unique=True)


@settings(max_examples=EXAMPLES, deadline=None)
@given(PARTIES, st.sampled_from(SETS), CALLS, st.integers(2, 3), st.integers(1, 2), st.booleans())
def test_nothing_that_can_be_calculated_rests_on_fewer_units(parties, sets, calls, k, min_parties, unique):
    calls, min_parties = ["COUNT(*)", *calls], min(min_parties, len(parties))
    pooled, found = asked(parties, sets, calls, k, min_parties, unique)
    true_values(pooled, found, calls)
    attack(pooled, found, calls, k, min_parties)


def rows(units, a="1", b=0, v=1, w=1, c=0):
    return [{"id": unit, "a": a, "b": b, "c": c, "v": v, "w": w} for unit in units]


CASES = {  # name -> (rows of each party, sets, aggregate, what is shown of each set: labels and values)
    "a small group takes the total with it": (
        [rows(range(5)) + rows([5], "2"), rows(range(5)) + rows([6], "2")],
        "ROLLUP (a)",
        "COUNT(*)",
        [{("1",): 10}, {}],
    ),
    "small groups that are enough together do not": (
        [rows(range(5)) + rows([5, 6], "2"), rows(range(5)) + rows([7], "3")],
        "ROLLUP (a)",
        "COUNT(*)",
        [{("1",): 10}, {(): 13}],
    ),
    "a unit in two small groups is one": (
        [rows(range(5)) + rows([5, 6], "2") + rows([5, 6], "3"), rows(range(5))],
        "ROLLUP (a)",
        "COUNT(*)",
        [{("1",): 10}, {}],
    ),
    "a hidden total counts less what is shown of it": (
        [rows(range(5)) + rows(range(10, 15), "2") + rows([15], "2", 1), rows(range(5)) + rows(range(10, 15), "2")],
        "ROLLUP (a, b)",
        "COUNT(*)",
        [{("1", "0"): 10, ("2", "0"): 10}, {("1",): 10}, {}],
    ),
    "a rest of one party": (
        [rows(range(5)) + rows(range(5, 15), "2"), rows(range(5))],
        "ROLLUP (a)",
        "COUNT(*)",
        [{("1",): 10}, {}],
    ),
    "a group across": (
        [
            rows(range(5)) + rows([5, 6], b=1) + rows([7, 8, 9], "2", 1),
            rows(range(5)) + rows([5], b=2) + rows([7], "2", 1),
        ],
        "GROUPING SETS ((a, b), (a), (b))",
        "COUNT(*)",
        [{("1", "0"): 10, ("2", "1"): 4}, {("1",): 13, ("2",): 4}, {("0",): 10}],
    ),
    "a value of few": (
        [
            rows(range(5)) + rows(range(10, 12), "2") + rows(range(12, 15), "2", v=0),
            rows(range(5)) + rows([1], "2", v=0),
        ],
        "ROLLUP (a)",
        "SUM(v)",
        [{("1",): 10, ("2",): None}, {(): None}],
    ),
    "a condition's values that are hidden in groups shown, though enough together": (
        [
            rows(range(5)) + [row for a in "23" for row in rows([5, 6], a) + rows(range(7, 12), a, w=0)],
            rows(range(5)) + rows([5], "2", w=0) + rows([6], "3", w=0),
        ],
        "ROLLUP (a)",
        "COUNT(*) FILTER (WHERE w > 0)",
        [{("1",): 10, ("2",): None, ("3",): None}, {(): None}],
    ),
}


def _label(row, keys):
    return tuple(row[f"k{n}"] for n in range(len(keys)))


@pytest.mark.parametrize("name", CASES)
def test_what_is_shown(name):
    parties, sets, call, wanted = CASES[name]
    lone = name == "a rest of one party"
    for each in range(2) if lone else (0,):  # where one party is enough, its rest is shown
        _, found = asked(parties, sets, ["COUNT(*)", call], 3, 2 - each, False)
        last = "a0" if call == "COUNT(*)" else "a1"
        got = [{_label(row, keys): row[last] and int(row[last]) for row in shown} for keys, shown in found]
        assert (got == wanted) != bool(each)


def test_a_set_that_holds_all_keys_is_released_first_where_it_is_not_asked_for():
    parties = [rows(range(5)), rows(range(5), "2", 1)]
    _, found = asked(parties, "GROUPING SETS ((a), (b))", ["COUNT(*)"], 3, 1, False)
    assert [len(keys) for keys, _ in found] == [2, 1, 1]


HELD = {
    "north": {"Quillwort": 20, "Xylotomy1": 2},
    "south": {"Quillwort": 20, "Xylotomy2": 3},
    "west": {"Quillwort": 20, "Xylotomy3": 2},
}
ROLLUP = "SELECT g, count(*) AS n, sum(v) AS s FROM t GROUP BY ROLLUP (g)"


@pytest.fixture(scope="module")
def world():
    made = Watched(small(HELD, value=77_345_101))
    yield made
    made.close()


def test_a_party_is_told_of_its_own_groups_once_and_before_anybody_is_ready(world):
    run = world.ask(ROLLUP)
    assert run.error is None
    kinds = [m.kind for m in run.messages]
    assert max(i for i, kind in enumerate(kinds) if kind == "0/told") < kinds.index("0/ready")
    told = {by: decode(plain) for by, kind, _, plain in run.opened if kind == "0/told"}
    assert {by: len(each["salts"]) for by, each in told.items()} == {by: 16 * len(held) for by, held in HELD.items()}
    assert all(set(go) == {"rows", "labels"} for go in run.said("0/go"))
    assert not [kind for kind in kinds if kind in ("1/told", "1/verdict")]  # nothing comes after the total
    assert not [m for m in world.ask("SELECT g, count(*) AS n FROM t GROUP BY g").messages if "told" in m.kind]


TOLD = ("0/verdict", "0/told", "1/threshold/shares", "1/ready")
DAMAGE = {
    "a bit": lambda m: [replace(m, body=flipped(m.body, 4 * len(m.body)))],
    "cut": lambda m: [replace(m, body=m.body[:-1])],
    "twice": lambda m: [m, m],
    "lost": lambda m: [],
}


@pytest.mark.parametrize("kind", TOLD)
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_message_between_two_sets_that_is_damaged_does_no_harm(world, kind, damage):
    run = world.ask(ROLLUP, first=0, wire=alter(kind, DAMAGE[damage]))
    if damage == "twice":
        assert run.rows
    else:
        assert isinstance(run.error, OperationalError | InternalError)
        assert not run.of("vector")


def test_computing_parties_that_disagree_between_two_sets_are_refused(world):
    with lies("south", "0/verdict", lambda said, recipient: {**said, "salts": flipped(said["salts"], 5)}):
        run = world.ask(ROLLUP, first=0)
    assert "disagree about a verdict" in str(run.error)
    assert not run.of("told")


def test_a_total_that_would_open_what_is_hidden_is_as_if_there_were_nothing(world):
    """One hidden group more, where the total is hidden anyway: the analyst gets the same, and no label is in a message."""
    other = Watched(small({**HELD, "south": {"Quillwort": 20, "Xylotomy2": 3, "Xylotomy4": 1}}, value=77_345_101))
    runs = [each.ask(ROLLUP, first=0) for each in (world, other)]
    other.close()
    assert [row["k0"] for row in runs[0].rows] == ["Quillwort"]
    assert runs[0].tables[1].to_pylist() == [{"a0": None, "a1": None}]
    assert runs[0].tables == runs[1].tables
    assert len({len(run.of("answer")[0].body) for run in runs}) == 1
    for run in runs:
        assert not any(b"Xylotomy" in m.body for m in run.messages)
        assert not any(b"Xylotomy" in plain for _, _, _, plain in run.opened)
