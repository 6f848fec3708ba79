"""A release over a private join, with all roles in one process: what the analyst opens is DuckDB's answer on pooled rows."""

from __future__ import annotations

from dataclasses import dataclass

import duckdb
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st
from joint import Release, anchor_table, answered, provider_table

from fedsql.crypto.circuit import Cell, Circuit
from fedsql.planner.joint import JoinPlan, LinkPlan, Term

PUBLIC, HIDDEN, NONE = "public", "hidden", "none"
GROUPS, VALUES = ("f", "m", "é" * 70), ("n", "s", "w")
NOTHING = 7  # what COALESCE makes of a provider's value where nothing matches


@dataclass(frozen=True)
class World:
    """One anchor table (or two) and a provider's, as rows; how they are grouped, and from how many rows on they are shown."""

    anchors: tuple[list[dict], ...]
    provider: list[dict]
    inner: bool
    by_anchor: str
    by_provider: str
    least: int

    @property
    def places(self):
        """The places of the anchor's and the provider's grouping keys in the release: the provider's come first."""
        theirs = (0,) if self.by_provider != NONE else ()
        return ((len(theirs),) if self.by_anchor != NONE else ()), theirs

    def release(self):
        """Return COUNT(*), SUM(x), SUM(COALESCE(y, 7)) and SUM(x * y) of it; the third needs enough rows with y <> 0."""
        mine, theirs = self.places
        name = "depot"
        values = (None, *VALUES)
        link = LinkPlan(
            name,
            self.inner,
            (0, 1),
            (1, 2, 2, 1),
            ((0, 0), (1, 2)),
            theirs,
            {NONE: ((),), PUBLIC: tuple((v,) for v in values), HIDDEN: None}[self.by_provider],
        )
        local = not self.inner
        number = (Term(1, name, provided=0), *([Term(1)] if local else []))
        terms = (
            number,
            (Term(1, name, own=0, provided=0), *([Term(1, own=0)] if local else [])),
            (Term(1, name, provided=1), *([Term(NOTHING)] if local else [])),
            (Term(3, name, own=1, provided=2), Term(-2, name, own=1, provided=2)),
        )
        some = (Term(1, name, provided=3),)
        labels = {NONE: ((),), PUBLIC: tuple((g,) for g in (*GROUPS, None)), HIDDEN: None}[self.by_anchor]
        names = ("bank", "east")[: len(self.anchors)]
        plan = JoinPlan(names, (link,), (1, 2), (number, some), terms, mine, labels)
        circuit = Circuit((self.least, 2), (0,), (Cell(1),), shared=True)
        return Release(plan, circuit, (8, 8, 16, 16), len(mine) + len(theirs), ((None,), (None,), (0,), (None,)))

    def tables(self):
        mine, theirs = self.places
        found = {}
        for name, rows in zip(("bank", "east"), self.anchors, strict=False):
            listed = [
                {"kept": r["kept"], "key_0": r["key"], "x0": r["x"], "x1": r["x"], **{f"k{k}": r["g"] for k in mine}}
                for r in rows
            ]
            found[name] = anchor_table(listed, 1, 2, mine, wide=(1,))
        rows = [
            {
                "key": r["key"],
                "absent": False,
                "y0": 1,
                "y1": NOTHING if r["y"] is None else r["y"],
                "y2": r["y"],
                "y3": int(bool(r["y"])),
                **{f"k{k}": r["v"] for k in theirs},
            }
            for r in self.provider
        ]
        if not self.inner:
            rows.append({"absent": True, "y0": 1, "y1": NOTHING, "y2": 0, "y3": 0})
        found["depot"] = provider_table(rows, 4, theirs, wide=(1, 2))
        return found

    def pooled(self):
        """Return what DuckDB answers, by label."""
        con = duckdb.connect()
        text, number, flag = pa.string(), pa.decimal128(38, 0), pa.bool_()
        kinds = {"key": text, "kept": flag, "g": text, "x": number}
        rows = [row for part in self.anchors for row in part]
        con.register("a", pa.table({c: pa.array([r[c] for r in rows], k) for c, k in kinds.items()}))
        kinds = {"key": text, "v": text, "y": number}
        con.register("p", pa.table({c: pa.array([r[c] for r in self.provider], k) for c, k in kinds.items()}))
        keys = [*(["v"] if self.by_provider != NONE else []), *(["g"] if self.by_anchor != NONE else [])]
        listed = "".join(f"{key}, " for key in keys)
        found = con.execute(
            f"SELECT {listed} count(*), coalesce(sum(x), 0), "
            f"CASE WHEN count(*) FILTER (WHERE y <> 0) >= 2 THEN sum(coalesce(y, {NOTHING})) END, "
            "coalesce(sum(x::HUGEINT * y::HUGEINT), 0) "
            f"FROM a {'' if self.inner else 'LEFT'} JOIN p USING (key) WHERE kept "
            f"GROUP BY ({', '.join(keys)}) HAVING count(*) >= {self.least}"
            if keys
            else f"SELECT count(*), coalesce(sum(x), 0), "
            f"CASE WHEN count(*) FILTER (WHERE y <> 0) >= 2 THEN sum(coalesce(y, {NOTHING})) END, "
            "coalesce(sum(x::HUGEINT * y::HUGEINT), 0) "
            f"FROM a {'' if self.inner else 'LEFT'} JOIN p USING (key) WHERE kept HAVING count(*) >= {self.least}"
        ).fetchall()
        con.close()
        return {tuple(row[: len(keys)]): [None if v is None else int(v) for v in row[len(keys) :]] for row in found}


@st.composite
def worlds(draw):
    alphabet = draw(st.sampled_from(["abcd", "a", "aaab"]))
    none, every = draw(st.sampled_from([(False, False), (True, False), (False, True)]))
    theirs = "uvwx" if none else alphabet
    null = st.nothing() if every else st.none()
    anchor = st.fixed_dictionaries(
        {
            "key": null | st.sampled_from(alphabet),
            "kept": st.sampled_from([True, True, True, False]),
            "g": st.none() | st.sampled_from(GROUPS),
            "x": st.none() | st.integers(-(2**40), 2**40),
        }
    )
    provider = st.fixed_dictionaries(
        {
            "key": null | st.sampled_from(theirs),
            "v": st.none() | st.sampled_from(VALUES),
            "y": st.none() | st.integers(-3, 3) | st.integers(-(2**62), 2**62),
        }
    )
    anchors = draw(st.lists(st.lists(anchor, max_size=20), min_size=1, max_size=2))
    rows = draw(st.lists(provider, max_size=12))
    kinds = [draw(st.sampled_from([NONE, PUBLIC, HIDDEN])) for _ in range(2)]
    return World(tuple(anchors), rows, draw(st.booleans()), *kinds, draw(st.integers(1, 3)))


@settings(max_examples=60, deadline=None)
@given(worlds())
def test_what_opens_is_what_duckdb_answers_on_pooled_rows(world):
    run = answered(world.release(), world.tables())
    assert run.rows == world.pooled()
    assert all(value == 0 for column in run.hidden for value in column)
