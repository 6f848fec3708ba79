"""Fragments: the SQL that each party's DuckDB runs, generated from the plan alone.

A fragment yields one row per group: the keys as text (k0, ...), then the tests (t0, ...) and the partials (p0, ..., or
p0_high and p0_low for sums taken in halves). It names only the party's own table, and only functions of the allow-list.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from sqlglot import exp, parse_one

from fedsql.errors import InternalError, NotSupportedError
from fedsql.planner.bounds import Interval, Known, type_interval
from fedsql.planner.catalog import TableOffer
from fedsql.planner.logical import Filter, Key, Release, Scan
from fedsql.planner.partials import Partial, Test
from fedsql.planner.positions import position
from fedsql.planner.safe import safe, safe_condition
from fedsql.planner.schema import UNION
from fedsql.planner.typer import Typer
from fedsql.types import SqlType, quoted

UNIT = "_unit"
SAMPLING_KEY = "{sampling_key}"  # put in by the party: hexadecimal, fresh per attempt
_FLOAT_LIMIT = 1 << 48  # what parties verify for DOUBLE columns that declare a scale and no bounds


@dataclass
class Typing:
    """Types of row-wise expressions over one scan, by DuckDB, each asked once."""

    typer: Typer
    scan: Scan
    _seen: dict[str, str] = field(default_factory=dict)

    def type_of(self, expression: exp.Expr) -> str:
        """Return DuckDB's type of ``expression``."""
        return self.types_of([expression])[0]

    def types_of(self, expressions: Sequence[exp.Expr]) -> list[str]:
        """Return DuckDB's types of ``expressions``, in one question."""
        texts = [e.sql("duckdb") for e in expressions]
        missing = list(dict.fromkeys(t for t in texts if t not in self._seen))
        if missing:
            listed = ", ".join(f"{text} AS c{i}" for i, text in enumerate(missing))
            described = self.typer.describe(f"SELECT {listed} FROM {self.table()}")
            self._seen.update({text: type_ for text, (_, type_) in zip(missing, described, strict=True)})
        return [self._seen[t] for t in texts]

    def table(self) -> str:
        """Return the mirror's name of the scanned table, with its alias."""
        schema = self.scan.party.lower() if self.scan.party else UNION
        return f"{quoted(schema)}.{quoted(self.scan.name)} AS {quoted(self.scan.alias)}"


def known_bounds(scan: Scan) -> Known:
    """Return the intervals of columns that every contributor has verified; a DOUBLE with a scale is below 2^48."""
    known: dict[str, Interval] = {}
    for name in scan.schema:
        columns = [column for offer in scan.offers if (column := offer.column(name)) is not None]
        intervals = []
        for column in columns:
            if column.bounds is not None:
                intervals.append(Interval(*(_fraction(b) for b in column.bounds)))
            elif SqlType.parse(column.type).family == "float":
                if column.scale is not None:
                    intervals.append(Interval(_fraction(-_FLOAT_LIMIT), _fraction(_FLOAT_LIMIT)))
            elif (range_ := type_interval(SqlType.parse(column.type))) is not None:
                intervals.append(range_)
        if len(intervals) == len(columns):
            known[name] = Interval(min(i.low for i in intervals), max(i.high for i in intervals))
    return known


def unit_counter(unique: bool) -> Callable[[str | None], str]:
    """Return how to count units under a condition: rows where each unit has one, else distinct units."""

    def count(condition: str | None) -> str:
        where = f" FILTER (WHERE {condition})" if condition else ""
        return f"COUNT(*){where}" if unique else f'COUNT(DISTINCT "{UNIT}"){where}'

    return count


def fragment(
    release: Release,
    offer: TableOffer,
    tests: Sequence[Test],
    partials: Sequence[Partial],
    typing: Typing,
    known: Known,
    columns: Mapping[str, str],
    rows_per_unit: int | None,
) -> str:
    """Return the SQL of one party's part of ``release``.

    ``columns``: the columns used, with their types in the union. ``rows_per_unit``: bound on the rows of a unit, by a
    keyed sample (noise), or None.
    """
    scan = typing.scan
    inner = [f"{_key_sql(key, known, typing)} AS {key.name}" for key in release.keys]
    inner += [f"{test.sql} AS {test.name}" for test in tests]
    for partial in partials:
        names = [partial.name] if len(partial.sql) == 1 else [f"{partial.name}_high", f"{partial.name}_low"]
        inner += [f"{sql} AS {name}" for sql, name in zip(partial.sql, names, strict=True)]
    condition = _condition(release, known, typing)
    source = _source(offer, scan, columns, known if rows_per_unit is not None else {})
    if rows_per_unit is not None and not offer.unit_unique:
        source = _bounded(source, scan, condition, rows_per_unit)
        condition = None
    sql = f"SELECT {', '.join(inner)} FROM {source}" + (f" WHERE {condition}" if condition else "")
    if not release.keys:
        return _reading(offer, sql)
    numbers = ", ".join(str(i + 1) for i in range(len(release.keys)))
    keys = ", ".join(f"CAST({key.name} AS VARCHAR) AS {key.name}" for key in release.keys)
    rest = f", * EXCLUDE ({', '.join(k.name for k in release.keys)})" if tests or partials else ""
    return _reading(offer, f"SELECT {keys}{rest} FROM ({sql} GROUP BY {numbers})")


def _reading(offer: TableOffer, sql: str) -> str:
    """Return a fragment as it is. Raises InternalError unless it reads the offered table, once, and nothing else.

    It is built so. But what a name in a question could slip into it would be an answer about anybody.
    """
    read = [table.sql("duckdb") for table in parse_one(sql, dialect="duckdb").find_all(exp.Table)]
    if read != [f"main.{quoted(offer.name)}"]:
        raise InternalError("a fragment does not read exactly what it should")
    return sql


def _key_sql(key: Key, known: Known, typing: Typing) -> str:
    family = SqlType.parse(key.type).family
    if family in ("interval", "other"):
        raise NotSupportedError(
            f"GROUP BY over {key.type} is not answered",
            hint="cast the key to text, a number or a date",
            position=position(key.expression),
        )
    sql = safe(key.expression, known, typing.type_of).sql("duckdb")
    return f"({sql}) + 0.0::{key.type}" if family == "float" else sql  # -0.0 and 0.0 are one group


def _condition(release: Release, known: Known, typing: Typing) -> str | None:
    if not isinstance(release.input, Filter):
        return None
    return safe_condition(release.input.condition, known, typing.type_of).sql("duckdb")


def _source(offer: TableOffer, scan: Scan, columns: Mapping[str, str], clamp: Known) -> str:
    """Return FROM: the party's own table with the columns used, in the union's types, and the unit.

    Columns in ``clamp`` are held inside their bounds: noise hides a unit only if its values cannot exceed them.
    """
    listed = []
    for name, type_ in columns.items():
        column = offer.column(name)
        assert column is not None, name
        value = quoted(name) if column.type == type_ else f"TRY_CAST({quoted(name)} AS {type_})"
        if column.bounds is not None and name in clamp:
            clamped = f"CAST(least(greatest({value}, {column.bounds[0]}), {column.bounds[1]}) AS {type_})"
            counts = f"isfinite({value})" if SqlType.parse(type_).family == "float" else f"{value} IS NOT NULL"
            value = f"CASE WHEN {counts} THEN {clamped} END"  # least and greatest would make NULL a bound
        listed.append(f"{value} AS {quoted(name)}")
    if offer.privacy_unit is not None:
        listed.append(f'{quoted(offer.privacy_unit)} AS "{UNIT}"')
    listed.append("rowid AS _row")
    return f"(SELECT {', '.join(listed)} FROM main.{quoted(offer.name)}) AS {quoted(scan.alias)}"


def _bounded(source: str, scan: Scan, condition: str | None, rows_per_unit: int) -> str:
    """Keep at most ``rows_per_unit`` rows of each unit: those with the least keyed hashes, so the choice is random."""
    where = f" WHERE {condition}" if condition else ""
    order = f"sha256('{SAMPLING_KEY}' || CAST(_row AS VARCHAR))"
    ranked = f'SELECT *, row_number() OVER (PARTITION BY "{UNIT}" ORDER BY {order}) AS _rank FROM {source}{where}'
    return f"(SELECT * FROM ({ranked}) WHERE _rank <= {rows_per_unit}) AS {quoted(scan.alias)}"


def _fraction(value: object) -> Fraction:
    return Fraction(str(value))
