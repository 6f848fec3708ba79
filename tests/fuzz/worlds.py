"""Random federations: parties, tables with privacy units and references, policies and rows, as a test draws them.

Ids are unique over all parties, so that DuckDB's pooled rows mean what party-scoped ids mean. Values come from small
ranges, so that joins meet and groups have several rows; doubles are multiples of a quarter, so that every sum is exact.
"""

from __future__ import annotations

import datetime
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, TypeVar

import pyarrow as pa
from hypothesis import strategies as st

T = TypeVar("T")

DATA = ("n", "k", "m", "f", "s", "u", "b", "d", "w")  # names of data columns; FAMILIES says what each holds
FAMILIES = {
    "n": "integer", "k": "integer", "m": "decimal", "f": "double", "s": "text", "u": "text", "b": "boolean", "d": "date",
    "w": "timestamp", "code": "text", "rank": "integer", "label": "text",
}  # fmt: skip
LOCAL = "CREATE TABLE l0 AS SELECT * FROM (VALUES ('a', 1), ('c', 2), ('a', 3), (NULL, 4)) AS v(code, rank)"
_INTEGERS = (pa.int32(), pa.int64(), pa.int16(), pa.int8())
_ARROW = {
    "decimal": pa.decimal128(8, 2), "double": pa.float64(), "text": pa.string(), "boolean": pa.bool_(), "date": pa.date32(),
    "timestamp": pa.timestamp("us"),
}  # fmt: skip
_DAY = datetime.date(2020, 2, 27)
_VALUES: dict[str, Callable[[random.Random], Any]] = {
    "integer": lambda rng: rng.choice([0, 1, 2, 3, 4, -1, -7, 9]),
    "decimal": lambda rng: Decimal(rng.choice([0, 25, 100, 150, -275, 999_999])).scaleb(-2),
    "double": lambda rng: rng.choice([0.0, 0.25, 1.0, 1.5, 2.0, -3.75, 99.0]),
    "text": lambda rng: rng.choice(["a", "b", "c", "", "Zz", "a_b", "o'x", 'q"z']),
    "boolean": lambda rng: rng.random() < 0.5,
    "date": lambda rng: _DAY + datetime.timedelta(rng.choice([0, 1, 2, 3, 40, 400])),
    "timestamp": lambda rng: (
        datetime.datetime(2020, 2, 28, 23) + datetime.timedelta(hours=rng.choice([0, 1, 2, 50, 9000]))
    ),
}


class Draw:
    """Choices that Hypothesis makes and shrinks: towards the first, the fewest, and no."""

    def __init__(self, draw: Callable[[st.SearchStrategy[Any]], Any]) -> None:
        self.draw = draw

    def number(self, low: int, high: int) -> int:
        """Return an integer of [low, high]."""
        return int(self.draw(st.integers(low, high)))

    def pick(self, among: Sequence[T]) -> T:
        """Return one of several, the simplest first."""
        return among[self.number(0, len(among) - 1)]

    def chance(self, percent: int) -> bool:
        """Return True in about ``percent`` of a hundred cases."""
        return self.number(0, 99) >= 100 - percent

    def some(self, among: Sequence[T], least: int = 0, most: int | None = None) -> list[T]:
        """Return some of several, each once, in order."""
        limit = min(len(among), len(among) if most is None else most)
        count = self.number(min(least, limit), limit)
        return [among[i] for i in sorted(self._distinct(len(among), count))]

    def _distinct(self, size: int, count: int) -> list[int]:
        left = list(range(size))
        return [left.pop(self.number(0, len(left) - 1)) for _ in range(count)]


@dataclass(frozen=True)
class Column:
    """A column of a table. ``domain``: the table whose ids it holds, party-scoped; ``nullable``: whether NULL occurs."""

    name: str
    family: str
    domain: str | None = None
    nullable: bool = True


@dataclass(frozen=True)
class Table:
    """A table as a query may name it. ``parties`` offer it; a public one is at one."""

    name: str
    columns: tuple[Column, ...]
    parties: tuple[str, ...]
    public: bool = False


@dataclass
class World:
    """A federation. ``rows`` maps party -> table -> rows, ``config`` table -> what stands in each party's file."""

    tables: list[Table]
    rows: dict[str, dict[str, pa.Table]]
    config: dict[str, dict[str, Any]]
    release: dict[str, Any]
    exact: bool = True  # min_group_size = 1

    @property
    def federated(self) -> list[Table]:
        """The tables whose rows stay at their parties."""
        return [table for table in self.tables if not table.public]

    @property
    def public(self) -> list[Table]:
        """The tables that anybody may read."""
        return [table for table in self.tables if table.public]

    def script(self, sql: str) -> str:
        """Return a Python script that asks ``sql`` of this federation and of DuckDB."""
        lines = [
            "# cd tests/equality",
            "import datetime",
            "from decimal import Decimal",
            "import pyarrow as pa",
            "from pool import Pool",
        ]
        lines += ["parties = {"]
        for party, held in self.rows.items():
            lines += [f"    {party!r}: {{"]
            for name, rows in held.items():
                types = [(f.name, str(f.type)) for f in rows.schema]
                made = [f"pa.field({n!r}, {_TYPE_TEXTS.get(t, f'pa.{t}()')})" for n, t in types]
                lines += [
                    f"        {name!r}: pa.Table.from_pylist({rows.to_pylist()}, pa.schema([{', '.join(made)}])),"
                ]
            lines += ["    },"]
        lines += ["}", f"pool = Pool(parties, {self.config!r}, {self.release!r})"]
        lines += [f'for side in (pool.duckdb, pool.session):\n    side.execute("{LOCAL}")']
        return "\n".join([*lines, f'pool.check("""{sql}""", scale=1e4)'])


_TYPE_TEXTS = {
    "decimal128(8, 2)": "pa.decimal128(8, 2)", "date32[day]": "pa.date32()", "timestamp[us]": "pa.timestamp('us')", "double": "pa.float64()",
    "bool": "pa.bool_()",
}  # fmt: skip


@dataclass
class _Plan:
    """A table before its rows: references as (column, target)."""

    name: str
    parties: list[str]
    references: list[tuple[str, str]] = field(default_factory=list)
    data: list[str] = field(default_factory=list)
    nullable: set[str] = field(default_factory=set)


def world(draw: Draw, exact: bool = True) -> World:
    """Draw a federation; ``exact``: without a least size of groups."""
    parties = [f"p{i}" for i in range(draw.pick([2, 3, 2, 4]))]
    plans = _plans(draw, parties, exact)
    units = draw.pick(["root", "root", "root", "none"]) if exact else "root"
    targets = {target for plan in plans for _, target in plan.references}
    nulls = draw.chance(60)
    rng = random.Random(draw.number(0, 1 << 16))
    tables, config = [], {}
    rows: dict[str, dict[str, pa.Table]] = {party: {} for party in parties}
    sizes = {party: draw.pick([6, 10, 16, 3, 0]) if exact else draw.pick([8, 14, 20, 3]) for party in parties}
    ids: dict[tuple[str, str], list[int]] = {}
    for number, plan in enumerate(plans):
        config[plan.name] = _config(plan, units, draw)
        if nulls and number > 0:
            plan.nullable = {column for column, _ in plan.references} - {config[plan.name].get("privacy_unit")}
        columns = [Column("id", "integer", _domain(plan, plans, units, targets), nullable=False)]
        columns += [
            Column(
                name, "integer", _domain(_named(plans, target), plans, units, targets), nullable=name in plan.nullable
            )
            for name, target in plan.references
        ]
        columns += [Column(n, FAMILIES[n]) for n in plan.data if n not in config[plan.name].get("hidden", ())]
        tables.append(Table(plan.name, tuple(columns), tuple(plan.parties)))
        for party in plan.parties:
            count = sizes[party] * (1 if number == 0 else rng.randint(1, 2))
            base = 1000 * (10 * parties.index(party) + number)
            ids[party, plan.name] = [base + i for i in range(count)]
            rows[party][plan.name] = _rows(rng, plan, party, ids, parties.index(party) if draw.chance(20) else 0)
    for number in range(draw.number(1, 2)):
        name = f"q{number}"
        columns = [Column("code", "text"), Column("rank", "integer"), Column("label", "text")]
        tables.append(Table(name, tuple(columns), (parties[0],), public=True))
        rows[parties[0]][name] = _public_rows(rng, unique=draw.chance(50) or not exact)
        config[name] = {"public": True}
    release = {"min_group_size": 1 if exact else draw.number(2, 4), "min_parties": 1, "quota": {"queries": 1_000_000}}
    return World(tables, rows, config, release, exact)


def _plans(draw: Draw, parties: list[str], exact: bool) -> list[_Plan]:
    """Draw which tables there are, where, and what they refer to: chains, stars and mixtures.

    With a least size of groups there is one way from each row to its unit: by others, joins are refused.
    """
    plans: list[_Plan] = []
    for number in range(draw.number(1, 4)):
        targets = draw.some(plans, 1, 2 if exact else 1) if plans else []
        offered = [p for p in parties if all(p in target.parties for target in targets)]
        held = draw.some(offered, 1) if draw.chance(15) else offered
        references = [(f"{target.name}_id", target.name) for target in targets]
        if number == 0 and exact and draw.chance(10):
            references = [("t0_id", "t0")]  # of the table itself
        plans.append(_Plan(f"t{number}", held, references, draw.some(DATA, 2, 5)))
    return plans


def _config(plan: _Plan, units: str, draw: Draw) -> dict[str, Any]:
    made: dict[str, Any] = {"columns": {"f": {"bounds": [-100, 100]}} if "f" in plan.data else {}}
    if plan.references:
        made["references"] = {column: f"{target}.id" for column, target in plan.references}
    if units == "root":
        direct = next((column for column, target in plan.references if target == "t0"), None)
        own = direct is not None and plan.name != "t0" and draw.chance(20)
        made["privacy_unit"] = "id" if plan.name == "t0" else direct if own else "t0.id"
    if draw.chance(10):
        made["hidden"] = [plan.data[-1]] if len(plan.data) > 2 else []
    return made


def _domain(plan: _Plan, plans: list[_Plan], units: str, targets: set[str]) -> str | None:
    """Return the domain of a table's ids: it has one where every party that offers it has a unit of it or refers to it."""
    if units == "root" and plan.name == "t0":
        return plan.name
    referring = {p for other in plans for p in other.parties if plan.name in [target for _, target in other.references]}
    return plan.name if plan.name in targets and set(plan.parties) <= referring else None


def _named(plans: list[_Plan], name: str) -> _Plan:
    return next(plan for plan in plans if plan.name == name)


def _rows(rng: random.Random, plan: _Plan, party: str, ids: dict[tuple[str, str], list[int]], width: int) -> pa.Table:
    own = ids[party, plan.name]
    columns: dict[str, pa.Array] = {"id": pa.array(own, pa.int64())}
    for name, target in plan.references:
        among = ids[party, target] or [1000 * (10 * int(party[1:]) + 9)]  # refers to nothing
        values = [None if name in plan.nullable and rng.random() < 0.12 else rng.choice(among) for _ in own]
        columns[name] = pa.array(values, pa.int64())
    for name in plan.data:
        family = FAMILIES[name]
        type_ = _INTEGERS[width % len(_INTEGERS)] if family == "integer" else _ARROW[family]
        values = [None if rng.random() < 0.15 else _VALUES[family](rng) for _ in own]
        columns[name] = pa.array(values, type_)
    return pa.table(columns)


def _public_rows(rng: random.Random, *, unique: bool) -> pa.Table:
    codes = ["a", "b", "c", "Zz"] if unique else ["a", "a", "b", "", None]
    ranks = [rng.choice([0, 1, 2, 3, None]) for _ in codes]
    labels = [rng.choice(["x", "y", "a", None]) for _ in codes]
    return pa.table({"code": codes, "rank": pa.array(ranks, pa.int32()), "label": pa.array(labels, pa.string())})
