"""Random tables, policies and queries against a model in SQL: which groups and cells are shown, and their values.

The model runs in DuckDB on the pooled rows and restates the rule (DESIGN, section 3) on its own: a group needs k units
and min_parties parties; above k = 1 every aggregate but COUNT(*) needs k units with a non-NULL, non-zero argument, in
each column that a sum adds up; with a condition, the rest of the group must hold no unit or k.

`make fuzz-rules` asks 10,000 queries instead of about 100 (FEDSQL_FUZZ is their number). With one of four conditions taken
out of the rule, a wrong answer came within 70 queries in 15 of 16 runs, in the middle of them after 40.
"""

import os
from dataclasses import dataclass

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

AGGREGATES = [
    "count",
    "sum",
    "avg",
    "stddev",
    "var",
    "covar",
    "corr",
    "regr",
    "count_distinct",
    "min",
    "max",
    "quantile",
]
QUERIES = 6  # of each example
EXAMPLES = int(os.environ.get("FEDSQL_FUZZ", "100")) // QUERIES


@dataclass(frozen=True)
class Call:
    """An aggregate: its SQL; the conditions of its cell: ``present`` and each of ``parts`` in k units, under ``when``.

    ``when`` "" is no condition. Of each of ``others`` there are no units or k.
    """

    sql: str
    present: str = "true"
    when: str = ""
    parts: tuple[str, ...] = ()
    others: tuple[str, ...] = ()


OR = "a > 1 OR NULLIF(h = 2, true)"
TAKES = "coalesce(h = 1 AND a IS NOT NULL, false)"
OF_TWO = ("NOT NULLIF(a > 1, h = 2)", "NULLIF(a > 1, h = 2) IS NULL")
CALLS = [
    Call("COUNT(*)"),
    Call("COUNT(a)", "a IS NOT NULL"),
    Call("COUNT(b)", "b IS NOT NULL"),
    Call("COUNT(a + b)", "a + b IS NOT NULL", "a + b IS NOT NULL"),
    Call("COUNT(CASE WHEN f THEN 1 END)", "true", "CASE WHEN f THEN 1 END IS NOT NULL"),
    Call("COUNT(*) FILTER (WHERE a > 1)", "true", "a > 1"),
    Call("COUNT_IF(f)", "true", "f"),
    Call("MEDIAN(h)", "h IS NOT NULL"),
    Call("QUANTILE_DISC(h, 0.3) FILTER (WHERE f)", "h IS NOT NULL", "f"),
    Call("QUANTILE_CONT(CASE WHEN a > 1 THEN h END, 0.75)", "h IS NOT NULL", "a > 1"),
    Call("MIN(a)", "a IS NOT NULL"),
    Call("MAX(b)", "b IS NOT NULL"),
    Call("MAX(c) FILTER (WHERE f)", "c IS NOT NULL", "f"),
    Call("MIN(CASE WHEN h = 1 THEN b END)", "b IS NOT NULL", "h = 1"),
    Call("COUNT(DISTINCT a)", "a IS NOT NULL"),
    Call("COUNT(DISTINCT c)", "c IS NOT NULL"),
    Call("COUNT(DISTINCT g) FILTER (WHERE h > 0)", "g IS NOT NULL", "h > 0"),
    Call("BOOL_AND(f)", "true", "f", others=("NOT f",)),
    Call("BOOL_OR(a > 1)", "true", "a > 1", others=("a <= 1",)),
    Call(
        "BOOL_AND(a > -2) FILTER (WHERE h = 1)",
        "true",
        "a > -2 AND h = 1",
        others=("a <= -2 AND h = 1", f"NOT ({TAKES})"),
    ),
    Call("BOOL_OR(NULLIF(a > 1, h = 2))", "true", "NULLIF(a > 1, h = 2)", others=OF_TWO),
    Call("AVG((a > 1 OR NULLIF(h = 2, true))::INT)", "true", OR, others=(f"NOT ({OR})", f"({OR}) IS NULL")),
    Call(
        "AVG(CASE WHEN f THEN 1 ELSE 0 END) FILTER (WHERE h = 1)",
        "true",
        "f AND h = 1",
        others=("f IS NOT TRUE AND h = 1", "h <> 1"),
    ),
    Call(
        "AVG((a > 1)::INT) FILTER (WHERE f)",
        "true",
        "a > 1 AND f",
        others=("a <= 1 AND f", "(a IS NOT NULL AND f) IS NOT TRUE"),
    ),
    Call("COUNT(a) FILTER (WHERE f)", "a IS NOT NULL", "f"),
    Call("SUM(a)", "a <> 0"),
    Call("SUM(b)", "b <> 0"),
    Call("SUM(c)", "c <> 0"),
    Call("SUM(f)", "f"),
    Call("SUM(-a)", "a <> 0"),
    Call("SUM(2 * a - 3)", "2 * a - 3 <> 0", parts=("a <> 0",)),
    Call("SUM(a + b)", "a + b <> 0", parts=("a <> 0 AND b IS NOT NULL", "b <> 0 AND a IS NOT NULL")),
    Call("SUM(a * b)", "a * b <> 0"),
    Call("SUM(a * a - b)", "a * a - b <> 0", parts=("a <> 0 AND b IS NOT NULL", "b <> 0 AND a IS NOT NULL")),
    Call("SUM(b / 4)", "b <> 0"),
    Call("AVG(a)", "a <> 0"),
    Call("AVG(b)", "b <> 0"),
    Call("AVG(2 * c + 1)", "2 * c + 1 <> 0", parts=("c <> 0",)),
    Call("SUM(CASE WHEN f THEN a END)", "a <> 0", "f"),
    Call("SUM(CASE WHEN f THEN a ELSE 0 END)", "a <> 0", "f"),
    Call("SUM(CASE WHEN a > 1 THEN 1 ELSE 0 END)", "true", "a > 1"),
    Call("SUM((a > 1)::INT)", "true", "a > 1"),
    Call("SUM(CASE h WHEN 1 THEN b END)", "b <> 0", "h = 1"),
    Call("AVG(CASE WHEN f THEN a ELSE 0 END)", "a <> 0", "f"),
    Call("AVG(CASE WHEN f THEN b END)", "b <> 0", "f"),
    Call("AVG(f::INT)", "f"),
    Call("AVG((a > 1)::INT)", "true", "a > 1", others=("a <= 1",)),
    Call("SUM(a) FILTER (WHERE f)", "a <> 0", "f"),
    Call("AVG(b) FILTER (WHERE g = 'x')", "b <> 0", "g = 'x'"),
    Call("SUM(CASE WHEN f THEN a END) FILTER (WHERE h = 1)", "a <> 0", "f AND h = 1"),
    Call("VAR_SAMP(a)", "a <> 0"),
    Call("STDDEV_POP(c)", "c <> 0"),
    Call("VAR_POP(2 * b)", "b <> 0"),
    Call("STDDEV(a) FILTER (WHERE f)", "a <> 0", "f"),
    Call("CORR(a, c)", "a <> 0 AND c <> 0"),
    Call("COVAR_POP(a, b)", "a <> 0 AND b <> 0"),
    Call("COVAR_SAMP(c, a) FILTER (WHERE f)", "a <> 0 AND c <> 0", "f"),
    Call("REGR_SLOPE(c, a)", "a <> 0 AND c <> 0"),
    Call("REGR_INTERCEPT(b, a)", "a <> 0 AND b <> 0"),
    Call("REGR_R2(c, a)", "a <> 0 AND c <> 0"),
    Call("REGR_COUNT(a, b)", "a IS NOT NULL AND b IS NOT NULL"),
    Call("REGR_AVGX(a, b)", "a <> 0 AND b <> 0"),
]
UNITS = Call("COUNT(DISTINCT id)")
KEYS = ["g", "h", "f", "h % 2", "upper(g)", "CASE WHEN a > 1 THEN 'high' ELSE 'low' END", "coalesce(a, -1)"]
FILTERS = ["", "a > 0", "f", "g = 'x' OR h = 1", "b IS NOT NULL", "NOT f", "c > -1 OR a IS NULL", "a > 100"]

ROW = st.fixed_dictionaries(
    {
        "id": st.integers(1, 4),
        "g": st.sampled_from(["x", "y", None]),
        "h": st.integers(0, 2),
        "a": st.sampled_from([0, 0, 1, 2, 3, -1, None]),
        "b": st.sampled_from([0, 1, 2, 3, -2, None]),
        "c": st.sampled_from([0.0, 0.0, 0.25, -1.5, 2.0, 0.1, None]),
        "f": st.sampled_from([True, True, False, None]),
    }
)
TYPES = {
    "id": pa.int64(),
    "g": pa.string(),
    "h": pa.int8(),
    "a": pa.int32(),
    "b": pa.int64(),
    "c": pa.float64(),
    "f": pa.bool_(),
}
QUERY = st.tuples(
    st.lists(st.sampled_from(KEYS), max_size=2, unique=True),
    st.lists(st.sampled_from([*CALLS, UNITS]), min_size=4, max_size=8, unique=True),
    st.sampled_from(FILTERS),
)


def model(keys, calls, where, k, min_parties):
    """Return the model's SQL over `pooled`, which has the columns party and unit."""
    units = "COUNT(DISTINCT unit)"
    group = f"{units} >= {k} AND COUNT(DISTINCT party) >= {min_parties}"
    columns = [f"{key} AS k{n}" for n, key in enumerate(keys)]
    for n, call in enumerate(calls):
        value = call.sql.replace("DISTINCT id", "DISTINCT unit")
        if not keys:
            hidden = "0" if k == 1 and call.sql.startswith(("COUNT(", "REGR_COUNT")) else "NULL"
            value = f"CASE WHEN {group} THEN {value} ELSE {hidden} END"
        if k > 1 and (call.present != "true" or call.when):
            needed = [
                f"{units} FILTER (WHERE ({part}) AND ({call.when or 'true'})) >= {k}"
                for part in (call.present, *call.parts)
            ]
            if call.when:
                needed.append(f"{units} FILTER (WHERE ({call.when}) IS NOT TRUE) NOT BETWEEN 1 AND {k - 1}")
            needed += [f"{units} FILTER (WHERE {other}) NOT BETWEEN 1 AND {k - 1}" for other in call.others]
            value = f"CASE WHEN {' AND '.join(needed)} THEN {value} END"
        columns.append(f"{value} AS c{n}")
    text = f"SELECT {', '.join(columns)} FROM pooled" + (f" WHERE {where}" if where else "")
    return text + (f" GROUP BY {', '.join(map(str, range(1, len(keys) + 1)))} HAVING {group}" if keys else "")


def query(keys, calls, where):
    columns = [f"{key} AS k{n}" for n, key in enumerate(keys)] + [f"{c.sql} AS c{n}" for n, c in enumerate(calls)]
    text = f"SELECT {', '.join(columns)} FROM t" + (f" WHERE {where}" if where else "")
    return text + (f" GROUP BY {', '.join(map(str, range(1, len(keys) + 1)))}" if keys else "")


@settings(max_examples=EXAMPLES)
@given(
    st.lists(st.one_of(st.just([]), *[st.lists(ROW, min_size=6, max_size=9)] * 3), min_size=2, max_size=4),
    st.lists(QUERY, min_size=QUERIES, max_size=QUERIES),
    st.integers(1, 3),
    st.integers(1, 2),
    st.sampled_from(["declared", "unique", "none"]),
)
def test_groups_cells_and_values(pool_of, parties, queries, k, min_parties, unit):
    for rows in parties:
        for number, row in enumerate(rows):
            row["id"] = number if unit == "unique" else row["id"]
    held = {
        f"p{n}": {"t": pa.table({name: pa.array([row[name] for row in rows], type_) for name, type_ in TYPES.items()})}
        for n, rows in enumerate(parties)
    }
    bounds = {"c": {"bounds": [-100, 100]}}
    table = {"columns": bounds} if unit == "none" else {"privacy_unit": "id", "columns": bounds}
    pool = pool_of(held, {"t": table}, {"min_group_size": k, "min_parties": min_parties, "aggregates": AGGREGATES})
    which = "rowid" if unit == "none" else "id"
    sides = [f"SELECT *, '{name}' AS party, '{name}' || '/' || {which} AS unit FROM {name}.t" for name in held]
    pool.duckdb.execute(f"CREATE TABLE pooled AS {' UNION ALL BY NAME '.join(sides)}")
    try:
        for keys, calls, where in queries:
            calls = [call for call in calls if call is not UNITS or unit != "none"] or [CALLS[0]]
            pool.check(query(keys, calls, where), reference=model(keys, calls, where, k, min_parties), scale=1e2)
    finally:
        pool.close()
