"""Fragments: the SQL that each party's DuckDB runs, generated from the plan alone.

A fragment yields one row per group: the keys as text (k0, ...), then the tests (t0, ...) and the partials (p0, ..., or
p0_high and p0_low for sums taken in halves). It names only the party's own table, and only functions of the allow-list.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field

from sqlglot import exp

from fedsql.errors import InternalError, NotSupportedError
from fedsql.planner.bounds import Interval, Known, column_interval
from fedsql.planner.inputs import INPUT
from fedsql.planner.logical import Release
from fedsql.planner.partials import Partial, Test, counted
from fedsql.planner.positions import position
from fedsql.planner.relations import Filter, Leaf, Scan
from fedsql.planner.rows_sql import UNIT
from fedsql.planner.safe import asked_as, safe, safe_condition
from fedsql.planner.schema import UNION
from fedsql.planner.sensitivity import Contribution
from fedsql.planner.siblings import TOLD
from fedsql.planner.trees import sql_of
from fedsql.planner.typer import Typer
from fedsql.types import SqlType, quoted

SAMPLING_KEY = "{sampling_key}"  # put in by the party: hexadecimal, fresh per attempt
_READ = ("main", "copies")  # schemas of a party's own tables, and of public ones of others

Source = Callable[[str, bool, bool, bool], str]  # party, with values clamped, with the unit, with row numbers


@dataclass
class Typing:
    """Types of row-wise expressions over one relation, by DuckDB, each asked once. ``table`` is it as the typer knows it.

    ``digits``: how many a float may be coded with, in binary, where it is multiplied.
    """

    typer: Typer
    leaf: Leaf
    table: str
    digits: int = 62
    _seen: dict[Hashable, str] = field(default_factory=dict)
    _read: dict[str, list[tuple[str, str]]] = field(default_factory=dict)

    def type_of(self, expression: exp.Expr) -> str:
        """Return DuckDB's type of ``expression``."""
        return self.types_of([expression])[0]

    def types_of(self, expressions: Sequence[exp.Expr]) -> list[str]:
        """Return DuckDB's types of ``expressions``, in one question."""
        keys = [asked_as(e) for e in expressions]
        missing = {key: e for key, e in zip(keys, expressions, strict=True) if key not in self._seen}
        if missing:
            listed = ", ".join(f"{sql_of(each)} AS c{i}" for i, each in enumerate(missing.values()))
            described = self.typer.describe(f"SELECT {listed} FROM {self.table}")
            self._seen.update({key: type_ for key, (_, type_) in zip(missing, described, strict=True)})
        return [self._seen[key] for key in keys]

    def checked(self, relation: str, sql: str) -> str:
        """Return a fragment as it is. Raises InternalError unless it reads what its relation reads, and that is the party's.

        It is built so. But what a name in a question could slip into it would be an answer about anybody.
        """
        inside, read = self._tables(relation), self._tables(sql)
        if inside != read or not all(_is_own(*table) for table in inside):
            raise InternalError("a fragment does not read exactly what it should")
        return sql

    def _tables(self, sql: str) -> list[tuple[str, str]]:
        if sql not in self._read:  # parties whose tables have the same columns have the same fragment
            self._read[sql] = self.typer.reads(sql)
        return self._read[sql]


def mirrored(scan: Scan) -> str:
    """Return the mirror's name of a scanned table, with its alias."""
    schema = scan.party.lower() if scan.party else UNION
    return f"{quoted(schema)}.{quoted(scan.name)} AS {quoted(scan.alias)}"


def known_bounds(leaf: Leaf) -> Known:
    """Return the intervals of columns that every contributor has verified."""
    known: dict[str, Interval] = {}
    for name in leaf.schema:
        columns = [column for offer in leaf.offers if (column := offer.column(name)) is not None]
        if (range_ := column_interval(columns)) is not None:
            known[name] = range_
    return known


def unit_counter(unique: bool) -> Callable[[str | None], str]:
    """Return how to count units under a condition: rows where each unit has one, else distinct units."""

    def count(condition: str | None) -> str:
        if unique:
            return counted(condition)
        return f'COUNT(DISTINCT "{UNIT}")' + (f" FILTER (WHERE {condition})" if condition else "")

    return count


def fragment(
    release: Release,
    party: str,
    tests: Sequence[Test],
    partials: Sequence[Partial],
    typing: Typing,
    known: Known,
    source: Source,
    bound: Contribution | None,
) -> str:
    """Return the SQL of one party's part of ``release``.

    ``source`` makes the relation, without its alias. ``bound``: what a unit may contribute, by a keyed sample (noise), or
    None.
    """
    leaf = typing.leaf
    inner = [f"{label_sql('GROUP BY', k.expression, k.type, known, typing)} AS {k.name}" for k in release.keys]
    inner += [f"{test.sql} AS {test.name}" for test in tests]
    for partial in (each for each in partials if each.sql):
        names = [partial.name] if len(partial.sql) == 1 else [f"{partial.name}_high", f"{partial.name}_low"]
        inner += [f"{sql} AS {name}" for sql, name in zip(partial.sql, names, strict=True)]
    condition = _condition(release, known, typing)
    offer = next(o for o in leaf.offers if o.party == party)
    bounded = bound is not None and not offer.unit_unique
    counted = bounded or any(f'"{UNIT}"' in text for text in inner)
    relation = source(party, bound is not None, counted, bounded)
    rows = f"({relation}) AS {quoted(leaf.alias)}"
    if bound is not None and bounded:
        labels = inner[: len(release.keys)] if bound.groups < bound.rows else []
        rows = _bounded(rows, leaf, condition, bound, [label.rpartition(" AS ")[0] for label in labels])
        condition = None
    sql = f"SELECT {', '.join(inner)} FROM {rows}" + (f" WHERE {condition}" if condition else "")
    if not release.keys:
        return typing.checked(relation, sql)
    numbers = ", ".join(str(i + 1) for i in range(len(release.keys)))
    keys = ", ".join(f"CAST({key.name} AS VARCHAR) AS {key.name}" for key in release.keys)
    rest = f", * EXCLUDE ({', '.join(k.name for k in release.keys)})" if tests or partials else ""
    return typing.checked(relation, f"SELECT {keys}{rest} FROM ({sql} GROUP BY {numbers})")


def _is_own(schema: str, table: str) -> bool:
    """Say whether a party has a table for itself, or as the input of a fragment."""
    return schema in _READ or (not schema and table.startswith((INPUT, TOLD)))


def label_sql(what: str, expression: exp.Expr, type_: str, known: Known, typing: Typing) -> str:
    """Return SQL of a value whose text stands for it: equal values have equal texts, at all parties.

    Raises NotSupportedError naming ``what`` is to be done with it, where there is no such text.
    """
    family = SqlType.parse(type_).family
    if family in ("interval", "other"):
        raise NotSupportedError(
            f"{what} over {type_} is not answered",
            hint="cast it to text, a number or a date",
            position=position(expression),
        )
    sql = sql_of(safe(expression, known, typing.type_of))
    return f"({sql}) + 0.0::{type_}" if family == "float" else sql  # -0.0 and 0.0 are one


def _condition(release: Release, known: Known, typing: Typing) -> str | None:
    if not isinstance(release.input, Filter):
        return None
    return sql_of(safe_condition(release.input.condition, known, typing.type_of))


def _bounded(source: str, leaf: Leaf, condition: str | None, bound: Contribution, labels: Sequence[str]) -> str:
    """Keep as many rows of each unit as it may have: those with the least keyed hashes, so the choice is random.

    Before that, where there are ``labels``, the rows of as many groups as it may be in, chosen in the same way.
    """
    where = f" WHERE {condition}" if condition else ""
    alias = quoted(leaf.alias)
    if labels:
        texts = ", ".join(f"CAST({label} AS VARCHAR)" for label in labels)
        order = f"sha256('{SAMPLING_KEY}' || CAST([{texts}] AS VARCHAR))"
        ranked = f'SELECT *, dense_rank() OVER (PARTITION BY "{UNIT}" ORDER BY {order}) AS _group FROM {source}{where}'
        source, where = f"(SELECT * FROM ({ranked}) WHERE _group <= {bound.groups}) AS {alias}", ""
    order = f"sha256('{SAMPLING_KEY}' || CAST(_row AS VARCHAR))"
    ranked = f'SELECT *, row_number() OVER (PARTITION BY "{UNIT}" ORDER BY {order}) AS _rank FROM {source}{where}'
    return f"(SELECT * FROM ({ranked}) WHERE _rank <= {bound.rows}) AS {alias}"
