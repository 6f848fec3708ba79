"""Private joins of generated tables: duplicates, NULLs, empty sides, skew, nothing and everything matching; equal to DuckDB."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st
from pool import Pool

_KEYS = st.one_of(st.none(), st.integers(0, 4), st.just(1))  # some NULL; 1 is in many rows
_TEXTS = st.sampled_from([None, "", "a", "A", "a "])
_NUMBERS = st.one_of(st.none(), st.integers(-3, 9))
_TRUTHS = st.sampled_from([None, True, False])
_ANCHOR = st.tuples(_KEYS, _TEXTS, st.sampled_from([None, "x", "y"]), _NUMBERS, _NUMBERS, _TRUTHS)
_PROVIDER = st.tuples(_KEYS, _TEXTS, st.sampled_from([None, "m", "n"]), _NUMBERS, _TRUTHS)
_OWN = ["a.v > 2", "a.g = 'x'", "a.f", "a.v IS NULL", "a.d BETWEEN 0 AND 0.05", "a.k IN (0, 1)"]
_THEIRS = ["{}.w < 3", "{}.h = 'm'", "{}.b", "{}.w IS NULL", "{}.k IS NOT NULL", "coalesce({}.w, 9) > 2"]
_SUMS = ["SUM(a.v)", "AVG(a.d)", "COUNT(a.g)", "VAR_POP(a.v)", "SUM(a.v * a.d)"]
_SUMS_OF = [
    *("SUM({0}.w)", "AVG({0}.w)", "COUNT({0}.h)", "VAR_POP({0}.w)", "SUM(a.v * {0}.w)", "COVAR_POP(a.d, {0}.w)"),
    *("SUM(2 * a.v - {0}.w)", "SUM(coalesce({0}.w, 2))", "REGR_SXY(a.v, {0}.w)", "BOOL_OR({0}.b)"),
]


@dataclass
class Asked:
    """The tables of one federation, and a query over them. ``unique``: which providers have each key once."""

    anchors: int
    unique: list[bool]
    rows: dict[str, list[tuple[Any, ...]]] = field(default_factory=dict)
    sql: list[str] = field(default_factory=list)

    def pool(self) -> Pool:
        """Return the federation: ``a`` is at one or two parties, ``p1`` and the others at one each."""
        parties = {}
        for name, rows in self.rows.items():
            listed = list(zip(*rows, strict=True)) or [()] * (6 if name.startswith("a") else 5)
            if name.startswith("a"):
                k, text, g, v, d, f = map(list, listed)
                parties[name] = {
                    "t": {
                        **_keys(k, text),
                        "g": pa.array(g, pa.string()),
                        "v": pa.array(v, pa.int32()),
                        "d": pa.array([None if x is None else Decimal(x) / 100 for x in d], pa.decimal128(9, 2)),
                        "f": pa.array(f, pa.bool_()),
                    }
                }
            else:
                k, text, h, w, b = map(list, listed)
                parties[name] = {
                    name: {
                        **_keys(k, text, pa.int16()),
                        "h": pa.array(h, pa.string()),
                        "w": pa.array(w, pa.int16()),
                        "b": pa.array(b, pa.bool_()),
                    }
                }
        config = {f"p{n}": {"privacy_unit": "k"} for n, once in enumerate(self.unique, 1) if once}
        return Pool({p: {t: pa.table(c) for t, c in held.items()} for p, held in parties.items()}, config)


def _keys(k: list[Any], text: list[Any], kind: pa.DataType | None = None) -> dict[str, pa.Array]:
    return {"k": pa.array(k, kind or pa.int64()), "s": pa.array(text, pa.string())}


@st.composite
def asked(draw: st.DrawFn) -> Asked:
    """Draw a federation and some queries of the shapes that are answered."""
    links = draw(st.integers(1, 3))
    special = draw(st.integers(1, links))  # the only provider that may have a key twice, or group
    once = [True if n != special else draw(st.booleans()) for n in range(1, links + 1)]
    made = Asked(draw(st.integers(1, 2 if links < 3 else 1)), once)
    for n in range(made.anchors):
        made.rows[f"a{n}"] = draw(st.lists(_ANCHOR, max_size=9))
    for n in range(1, links + 1):
        rows = draw(st.lists(_PROVIDER, max_size=7))
        if once[n - 1]:
            rows = list({row[0]: row for row in rows if row[0] is not None}.values())
        made.rows[f"p{n}"] = rows
    made.sql = [draw(_queries(made, special)) for _ in range(3)]
    return made


@st.composite
def _queries(draw: st.DrawFn, made: Asked, special: int) -> str:
    providers = [f"p{n}" for n in range(1, len(made.unique) + 1)]
    chosen = f"p{special}"
    pairs = draw(st.sampled_from([["k"], ["k"], ["k", "s"]])) if len(providers) == 1 else ["k"]
    outer = {p: draw(st.booleans()) for p in providers}
    grouped = draw(st.booleans()) and not (outer[chosen] and not all(outer.values()))
    where = draw(_conditions([*_OWN, *(t.format(chosen) for t in _THEIRS)])) if draw(st.booleans()) else None
    mixes = grouped or where is not None or not made.unique[special - 1]
    right = len(providers) == 1 and made.anchors == 1 and draw(st.integers(0, 4)) == 0
    joins = []
    for p in sorted(providers, key=lambda p: outer[p]):
        on = [f"a.{key} = {p}.{key}" for key in pairs]
        on += draw(st.lists(st.sampled_from([*_OWN, *(t.format(p) for t in _THEIRS)]), max_size=1))
        joins.append(f"{'RIGHT' if right else 'LEFT' if outer[p] else ''} JOIN {p}.{p} ON {' AND '.join(on)}")
    keys = draw(st.lists(st.sampled_from(["a.g", "a.f", "a.k"]), max_size=2, unique=True))
    keys += draw(st.lists(st.sampled_from([f"{chosen}.h", f"{chosen}.b"]), min_size=1, unique=True)) if grouped else []
    about = [chosen] if mixes or right else providers
    calls = ["COUNT(*)", *draw(st.lists(st.sampled_from(_SUMS), max_size=1))]
    calls += [c.format(draw(st.sampled_from(about))) for c in draw(st.lists(st.sampled_from(_SUMS_OF), max_size=3))]
    condition = draw(_conditions([*_OWN, *(t.format(chosen) for t in _THEIRS)]))
    calls += draw(
        st.sampled_from([[], [f"COUNT(*) FILTER (WHERE {condition})"], [f"SUM(CASE WHEN {condition} THEN a.v END)"]])
    )
    once = made.unique[0] and not right  # else keys are not counted under a condition of both sides
    if len(providers) == 1 and pairs == ["k"] and made.anchors == 1 and (once or where is None) and draw(st.booleans()):
        calls += ["COUNT(DISTINCT a.k)", f"COUNT(DISTINCT {chosen}.k)"]
    listed = ", ".join(f"{e} AS c{n}" for n, e in enumerate([*keys, *calls]))
    tail = f" GROUP BY {', '.join(keys)}" if keys else ""
    table = "a0.t a" if made.anchors == 1 else "t a"
    return f"SELECT {listed} FROM {table} {' '.join(joins)}{f' WHERE {where}' if where else ''}{tail}"


@st.composite
def _conditions(draw: st.DrawFn, atoms: list[str]) -> str:
    """Draw a condition of up to three comparisons."""
    parts = draw(st.lists(st.sampled_from(atoms), min_size=1, max_size=3))
    text = parts[0]
    for part in parts[1:]:
        text = f"({text}) {draw(st.sampled_from(['AND', 'OR']))} {part}"
    return f"NOT ({text})" if draw(st.booleans()) else text


@settings(max_examples=15)
@given(asked())
def test_generated(made: Asked) -> None:
    pool = made.pool()
    try:
        for sql in made.sql:
            pool.check(sql, scale=1e3)
    finally:
        pool.close()
