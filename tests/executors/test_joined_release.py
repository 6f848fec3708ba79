"""A release over a private join, with all roles in one process: what the analyst opens is DuckDB's answer on pooled rows."""

from __future__ import annotations

from dataclasses import dataclass, replace

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joint import Release, anchor_table, answered, provider_table

from fedsql.crypto.circuit import Cell, Circuit
from fedsql.errors import InternalError, OperationalError
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


def star(keyed, public):
    """Return a release over one anchor and three providers, of which depot is added by LEFT unless ``keyed`` groups it."""
    names = ("clinic", "depot", "east")
    places = {name: (0,) if name == keyed else () for name in names}
    labels = {name: ((None,), ("n",), ("s",)) if public else None for name in names if name == keyed}
    links = tuple(
        LinkPlan(name, name != "depot", (0, 1), (1, 1), ((0, 1),), places[name], labels.get(name, ((),)))
        for name in names
    )
    if keyed:
        one, y = Term(1, keyed, provided=0), Term(1, keyed, provided=1)
        tests = ((one,), (Term(1, own=1, everywhere=True), Term(-1, keyed, provided=0)))
        partials = ((one,), (y,), (Term(1, keyed, own=0, provided=1),))
    else:
        rows, absent = Term(1, "clinic"), Term(NOTHING, "clinic", own=1)
        tests = ((rows,), (Term(1), Term(-1, "clinic")))
        sums = tuple((Term(1, name, provided=1), *([absent] if name == "depot" else [])) for name in names)
        partials = ((rows,), (Term(1, "clinic", own=0),), *sums, (Term(1, "east", own=0, provided=1),))
    mine = (1,) if keyed else (0,)
    plan = JoinPlan(("bank",), links, (1, 1), tests, partials, mine, None)
    keys = 2 if keyed else 1
    circuit = Circuit((1, 1), (0, 1), shared=True)
    return Release(plan, circuit, (8,) * len(partials), keys, ((None,),) * len(partials))


def key_of(draw, alphabet):
    return draw(st.none() | st.sampled_from(alphabet))


@st.composite
def stars(draw):
    def row():
        own = {name: key_of(draw, "abc") for name in ("clinic", "depot", "east")}
        return {**own, "g": draw(st.sampled_from("fm")), "x": draw(st.integers(-9, 9))}

    tables = {}
    for name in ("clinic", "depot", "east"):
        held = draw(st.lists(st.sampled_from("abcd"), unique=True, max_size=4))
        tables[name] = [
            {"key": k, "v": draw(st.sampled_from([None, "n", "s"])), "y": draw(st.integers(-9, 9))} for k in held
        ]
    return [row() for _ in range(draw(st.integers(0, 20)))], tables


@settings(max_examples=15, deadline=None)
@given(stars(), st.sampled_from(["", "clinic", "east"]), st.booleans())
def test_rows_of_a_star_count_where_all_inner_providers_match(world, keyed, public):
    rows, providers = world
    release = star(keyed, public)
    (place,) = release.plan.keys
    listed = [
        {f"k{place}": r["g"], "kept": True, "x0": r["x"], "x1": 1}
        | {f"key_{n}": r[name] for n, name in enumerate(("clinic", "depot", "east"))}
        for r in rows
    ]
    tables = {"bank": anchor_table(listed, 3, 2, (place,))}
    for name, held in providers.items():
        keys = (0,) if name == keyed else ()
        found = [{"key": r["key"], "absent": False, "y0": 1, "y1": r["y"], "k0": r["v"]} for r in held]
        if name == "depot":
            found.append({"absent": True, "y0": 1, "y1": NOTHING})
        tables[name] = provider_table(found, 2, keys)
    run = answered(release, tables)

    of = {name: {r["key"]: r for r in held} for name, held in providers.items()}
    joined = [r for r in rows if r["clinic"] in of["clinic"] and r["east"] in of["east"]]
    wanted = {}
    for r in joined:
        label = (of[keyed][r[keyed]]["v"], r["g"]) if keyed else (r["g"],)
        y = {name: of[name][r[name]]["y"] if r[name] in of[name] else NOTHING for name in of}
        values = [1, y[keyed], r["x"] * y[keyed]] if keyed else [1, r["x"], *y.values(), r["x"] * y["east"]]
        wanted[label] = [a + b for a, b in zip(wanted.get(label, [0] * len(values)), values, strict=True)]
    every = {g: sum(r["g"] == g for r in rows) for g in "fm"}
    assert run.rows == {label: v for label, v in wanted.items() if every[label[-1]] > v[0]}


@pytest.mark.parametrize("inner", [True, False])
@pytest.mark.parametrize("provided", [True, False])
def test_places_of_no_group_are_never_shown(inner, provided):
    """Though constants fill them, and any count would do."""
    anchor = [{"key": str(i), "kept": True, "g": GROUPS[i % 2], "x": i} for i in range(6)]
    held = [{"key": str(i), "v": VALUES[i % 2], "y": i} for i in range(6)]
    world = World((anchor,), held, inner, HIDDEN, HIDDEN, 1)
    release = world.release()
    beside = [Term(100, "depot", beside=True, provided=0)] if provided else [Term(100, own=-1, everywhere=True)]
    tests = tuple((*terms, *beside) for terms in release.plan.tests)
    plan = replace(release.plan, tests=tests)
    run = answered(replace(release, plan=plan, circuit=replace(release.circuit, survive=(0,))), world.tables())
    values = (
        {*VALUES[:2]} if inner or provided else {*VALUES[:2], None}
    )  # a provider has no rows of its own where nothing matches
    groups = set(GROUPS[:2])
    assert set(run.rows) == {(v, g) for v in values for g in groups}


@pytest.mark.parametrize("alone", [{1}, {1, 3}, set()])
def test_beside_sums_are_over_the_providers_own_rows_in_each_group_value(alone):
    """Whether or not their column is also joined."""
    anchor = [{"key": "a", "kept": True, "g": "f", "x": 1}] * 2 + [{"key": None, "kept": True, "g": "m", "x": 1}]
    held = [{"key": "a", "v": "n", "y": 1}, {"key": "z", "v": "n", "y": 5}, {"key": None, "v": "n", "y": 9}]
    held += [{"key": "q", "v": "s", "y": 4}]
    world = World((anchor, anchor), held, True, HIDDEN, HIDDEN, 1)
    release = world.release()
    partials = ((Term(1, "depot", provided=1 if alone else 2, beside=True), Term(-1, "depot", provided=2)),) * 4
    tests = ((Term(1, "depot", provided=0, beside=True),), (Term(1, "depot", provided=3, beside=3 in alone),))
    (link,) = release.plan.links
    plan = replace(release.plan, links=(replace(link, alone=frozenset(alone)),), tests=tests, partials=partials)
    least = replace(release.circuit, survive=(0,))
    run = answered(
        replace(release, plan=plan, circuit=least, cells=((None,),) * 4, widths=(16,) * 4),
        world.tables(),
    )
    # 15 in n, of which four rows of both anchors match one of value 1; the group m matches nothing
    assert {label: row[0] for label, row in run.rows.items()} == {
        ("n", "f"): 11,
        ("n", "m"): 15,
        ("s", "f"): 4,
        ("s", "m"): 4,
    }


@pytest.mark.parametrize("by", ["anchor", "provider", "both"])
def test_a_party_that_computes_over_fewer_groups_gives_up(by):
    anchor = [{"key": str(i), "kept": True, "g": str(i), "x": 1} for i in range(20)]
    held = [{"key": str(i), "v": str(i), "y": 1} for i in range(20)]
    kinds = (HIDDEN if by != "provider" else NONE, HIDDEN if by != "anchor" else NONE)
    world = World((anchor,), held, True, *kinds, 1)
    with pytest.raises(OperationalError, match="allows 19 here" if by != "both" else "allows 100 here"):
        answered(world.release(), world.tables(), most=100 if by == "both" else 19)


def test_a_label_that_is_not_public_is_an_error():
    anchor = [{"key": "a", "kept": True, "g": "other", "x": 1}]
    world = World((anchor,), [], True, PUBLIC, NONE, 1)
    with pytest.raises(InternalError, match="public list"):
        answered(world.release(), world.tables())
    kept = World(([anchor[0] | {"kept": False}],), [], True, PUBLIC, NONE, 1)
    assert answered(kept.release(), kept.tables()).rows == {}
