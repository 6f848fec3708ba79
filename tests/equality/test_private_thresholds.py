"""Which groups and cells of a private join are shown, and their values, against a model in SQL on the pooled rows.

The model restates the rule (DESIGN, section 7): above k = 1 a group needs k of the anchor's units that are in it, k that are
not though its own label has them, k of the provider's units that matched, and k that did not; without `join_both_sides` it
need not have those that did not. With LEFT JOIN and grouping keys of the provider, rows that match nothing may be alone.
Every value needs k units as without a join; a provider's column that LEFT makes NULL is a condition.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
from hypothesis import event, given, settings
from hypothesis import strategies as st
from pool import Pool

from fedsql.errors import NotSupportedError

QUERIES = 4  # of each example
EXAMPLES = 15
LIMIT = "people or distinct keys are not counted under a condition of several parties' columns (OR, NOT)"
AGGREGATES = ["count", "sum", "avg", "stddev", "var", "covar", "corr", "regr", "count_distinct"]


@dataclass(frozen=True)
class Call:
    """An aggregate: its SQL; its cell needs k units where it is ``present``, under ``when``, of whose rest none or k are.

    ``when`` "" is no condition. ``padded``: the column of the provider's that it is NULL with.
    """

    sql: str
    present: str = "true"
    when: str = ""
    padded: str = ""


CALLS = [
    Call("COUNT(*)"),
    Call("SUM(v)", "v <> 0"),
    Call("AVG(v)", "v <> 0"),
    Call("SUM(w)", "w <> 0", padded="w"),
    Call("AVG(w)", "w <> 0", padded="w"),
    Call("VAR_POP(w)", "w <> 0", padded="w"),
    Call("COUNT(w)", "w IS NOT NULL", padded="w"),
    Call("COUNT(v)", "v IS NOT NULL"),
    Call("SUM(v * w)", "v * w <> 0", padded="w"),
    Call("COVAR_POP(v, w)", "v <> 0 AND w <> 0", padded="w"),
    Call("REGR_COUNT(v, w)", "v IS NOT NULL AND w IS NOT NULL", padded="w"),
    Call("SUM(v) FILTER (WHERE f)", "v <> 0", "f"),
    Call("SUM(v) FILTER (WHERE b)", "v <> 0", "b"),
    Call("COUNT(*) FILTER (WHERE b AND f)", "true", "b AND f"),
    Call("COUNT(*) FILTER (WHERE b OR f)", "true", "b OR f"),
    Call("COUNT(*) FILTER (WHERE w > 1 OR NOT f)", "true", "w > 1 OR NOT f"),
    Call("SUM(CASE WHEN b THEN v END)", "v <> 0", "b"),
    Call("SUM(CASE WHEN f THEN w END)", "w <> 0", "f", padded="w"),
    Call("SUM(CASE WHEN f AND b THEN v * w END)", "v * w <> 0", "f AND b", padded="w"),
]
ROWS = st.tuples(
    st.integers(0, 11),
    st.sampled_from([None, *range(12)]),
    st.sampled_from(["x", "x", "x", "y", None]),
    st.sampled_from([0, 1, 2, 3, None]),
    st.sampled_from([True, True, False, None]),
)
PROVIDED = st.tuples(
    st.sampled_from([None, *range(12)]),
    st.sampled_from(["m", "m", "m", "n", None]),
    st.sampled_from([0, 1, 2, 5, None]),
    st.sampled_from([True, True, False, None]),
)


@dataclass(frozen=True)
class World:
    """A join of ``bank.t`` and ``telco.p``. ``on_unit``: on the anchor's privacy unit, which may have several rows.

    Else each of the anchor's rows is a unit, joined by a key that may be in several. ``provider``: its units are its keys,
    "once" or in several rows ("repeated"), or its rows, with any keys ("rows").
    """

    own: list[tuple[Any, ...]]
    provided: list[tuple[Any, ...]]
    on_unit: bool
    provider: str
    k: int
    both: bool

    def pool(self) -> Pool:
        """Return the federation."""
        ids, keys, g, v, f = ([row[at] for row in self.own] for at in range(5))
        if not self.on_unit:
            ids = list(range(len(ids)))
        pid, h, w, b = ([row[at] for row in self.provided] for at in range(4))
        own = {
            "id": pa.array(ids, pa.int64()),
            "key": pa.array(ids if self.on_unit else keys, pa.int64()),
            "g": pa.array(g, pa.string()),
            "v": pa.array(v, pa.int32()),
            "f": pa.array(f, pa.bool_()),
        }
        provided = {
            "pid": pa.array(pid, pa.int64()),
            "h": pa.array(h, pa.string()),
            "w": pa.array(w, pa.int32()),
            "b": pa.array(b, pa.bool_()),
        }
        release = {"min_group_size": self.k, "min_parties": 1, "aggregates": AGGREGATES, "join_both_sides": self.both}
        return Pool(
            {"bank": {"t": pa.table(own)}, "telco": {"p": pa.table(provided)}},
            {"t": {"privacy_unit": "id"}, "p": {} if self.provider == "rows" else {"privacy_unit": "pid"}},
            release,
        )


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Draw a world."""
    made = World(
        draw(st.lists(ROWS, min_size=8, max_size=24)),
        draw(st.lists(PROVIDED, min_size=6, max_size=16)),
        draw(st.booleans()),
        draw(st.sampled_from(["once", "once", "repeated", "rows"])),
        draw(st.integers(2, 3)),
        draw(st.booleans()),
    )
    held = [row for row in made.provided if row[0] is not None or made.provider == "rows"]
    return replace(made, provided=[*{row[0]: row for row in held}.values()] if made.provider == "once" else held)


QUERY = st.fixed_dictionaries(
    {
        "left": st.booleans(),
        "own": st.sampled_from([[], ["g"], ["f"], ["g", "f"]]),
        "theirs": st.sampled_from([[], [], ["h"], ["h", "b"]]),
        "calls": st.lists(st.sampled_from(CALLS), min_size=1, max_size=3, unique=True),
        "own_where": st.sampled_from(["true", "true", "f", "v > 0", "v IS NULL OR g = 'x'"]),
        "their_where": st.sampled_from(["true", "true", "b", "w < 3", "h = 'm' OR w = 5"]),
        "where": st.sampled_from(["true", "true", "true", "b OR f", "v > 1 OR w > 1"]),
    }
)


def query(world: World, asked: dict[str, Any]) -> str:
    """Return the SQL of a query."""
    keys = [*asked["own"], *asked["theirs"]]
    key = "id" if world.on_unit else "key"
    on = f"t.{key} = p.pid AND ({asked['their_where']})"
    listed = ", ".join([*keys, *(f"{call.sql} AS c{n}" for n, call in enumerate(asked["calls"]))])
    text = f"SELECT {listed} FROM bank.t {'LEFT ' if asked['left'] else ''}JOIN telco.p ON {on}"
    text += f" WHERE ({asked['own_where']}) AND ({asked['where']})"
    return text + (f" GROUP BY {', '.join(keys)}" if keys else "")


def model(world: World, asked: dict[str, Any]) -> str:
    """Return the model's SQL."""
    k, left, theirs = world.k, asked["left"], asked["theirs"]
    keys = [*asked["own"], *theirs]
    key = "id" if world.on_unit else "key"
    same_own = " AND ".join(f"e.{key} IS NOT DISTINCT FROM t.{key}" for key in asked["own"]) or "true"
    same_theirs = " AND ".join(f"q.{key} IS NOT DISTINCT FROM p.{key}" for key in theirs) or "true"
    here = "COUNT(DISTINCT unit)"
    matched = "COUNT(DISTINCT punit)"  # of this group, whatever WHERE says of both sides together
    needs = [f"COUNT(DISTINCT unit) FILTER (WHERE {asked['where']}) >= {k}"]
    if left and theirs:
        provided = [f"{matched} >= {k}"]
        if world.both:
            needs.append(f"any_value(everyone) - {here} >= {k}")
            provided.append(f"any_value(everybody) - {matched} >= {k}")
        needs.append(f"({matched} = 0 OR ({' AND '.join(provided)}))")
    else:
        needs.append(f"{matched} >= {k}")
        met = "COUNT(DISTINCT unit) FILTER (WHERE punit IS NOT NULL)"
        needs.append(f"{met} >= {k}")
        if world.both:
            needs += [f"any_value(everyone) - {met} >= {k}", f"any_value(everybody) - {matched} >= {k}"]
    shown = " AND ".join(needs)
    columns = list(keys)
    for n, call in enumerate(asked["calls"]):
        body, _, condition = call.sql.partition(" FILTER (WHERE ")
        condition = f"{condition.removesuffix(')') or 'true'}"
        value = f"{body} FILTER (WHERE ({condition}) AND ({asked['where']}))"
        whens = [call.when] if call.when else []
        if left and call.padded:
            whens.append(f"{call.padded} IS NOT NULL")
        when = " AND ".join(f"({each})" for each in whens)
        cell = [shown]
        if call.present != "true" or when:
            cell.append(f"{here} FILTER (WHERE ({call.present}) AND ({when or 'true'}) AND ({asked['where']})) >= {k}")
        if when:
            cell.append(f"{here} FILTER (WHERE ({when}) IS NOT TRUE AND ({asked['where']})) NOT BETWEEN 1 AND {k - 1}")
        columns.append(f"CASE WHEN {' AND '.join(cell)} THEN {value} END AS c{n}")
    text = f"""
        WITH own AS (SELECT *, coalesce({key}::VARCHAR, 'row ' || rowid) AS unit FROM bank.t WHERE {asked["own_where"]}),
        provided AS (SELECT *, coalesce(pid::VARCHAR, 'row ' || rowid) AS punit FROM telco.p WHERE {asked["their_where"]}),
        joined AS (SELECT t.*, p.*,
            (SELECT COUNT(DISTINCT e.unit) FROM own e WHERE {same_own}) AS everyone,
            (SELECT COUNT(DISTINCT q.punit) FROM provided q WHERE {same_theirs}) AS everybody
          FROM own t {"LEFT " if left else ""}JOIN provided p ON t.{key} = p.pid)
        SELECT {", ".join(columns)} FROM joined"""
    return text + (f" GROUP BY {', '.join(keys)} HAVING {shown}" if keys else "")


@settings(max_examples=EXAMPLES)
@given(worlds(), st.lists(QUERY, min_size=QUERIES, max_size=QUERIES))
def test_groups_cells_and_values(world: World, queries: list[dict[str, Any]]) -> None:
    pool = world.pool()
    try:
        for asked in queries:
            try:
                answer = pool.check(query(world, asked), reference=model(world, asked), scale=1e2)
            except NotSupportedError as error:  # the only limit
                if world.provider == "once" or not error.message.startswith(LIMIT):
                    raise
                continue
            assert answer.table is not None
            event(f"shown: {any(value is not None for row in answer.table.to_pylist() for value in row.values())}")
    finally:
        pool.close()
