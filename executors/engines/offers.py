"""From a party's loaded tables to what it offers: types from DuckDB, and every promise of the file verified by a scan.

Bounds, public values and privacy units are used in proofs (of widths, of sensitivity), so a party offers them only after
counting the rows that break them. Messages give such counts and never a value. NaN and infinities count as NULL.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from fractions import Fraction

import duckdb

from fedsql.config.models import ColumnConfig, ReleaseConfig, TableConfig
from fedsql.config.problems import key
from fedsql.planner.offer import USES, ColumnOffer, ReleasePolicy, TableOffer, days
from fedsql.types import DATED, SqlType, quoted

SCALED_LIMIT = 1 << 48  # the integer part of a fixed-point value, where no bounds tell more
_NUMBERS = ("integer", "decimal", "float")
_INLINE = 32  # comparing with more literals than this is slower than hashing them


@dataclass(frozen=True)
class Verified:
    """What a scan of one table found: its offer, if nothing is wrong, and (rest of the key, message) for what is."""

    offer: TableOffer | None
    problems: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class _Check:
    """One count in the scan: how many rows break the promise at ``where``; ``message`` follows "3 rows "."""

    where: str
    condition: str
    message: str


def literal(text: str) -> str:
    """Return ``text`` as an SQL string."""
    return "'" + text.replace("'", "''") + "'"


def release_policy(release: ReleaseConfig) -> ReleasePolicy:
    """Return the [release] part of a party's file as the catalog has it."""
    budget, quota = release.budget, release.quota
    return ReleasePolicy(
        noise=release.noise,
        noise_colluders=release.noise_colluders,
        min_group_size=release.min_group_size,
        min_parties=release.min_parties,
        allow_alone=release.allow_alone,
        join_both_sides=release.join_both_sides,
        aggregates=release.aggregates,
        epsilon=budget.epsilon,
        total_epsilon=budget.epsilon if budget.total_epsilon is None else budget.total_epsilon,
        delta=budget.delta,
        budget_period=budget.period,
        queries=quota.queries,
        quota_period=quota.period,
    )


def verify(
    database: duckdb.DuckDBPyConnection,
    party: str,
    name: str,
    table: TableConfig,
    data_version: str,
    referred: Collection[str] = (),
) -> Verified:
    """Check the loaded table ``memory.main.<name>`` against ``table`` in one scan and describe it.

    ``rows`` of the offer is rounded up to a power of two. Without a privacy unit of its own columns, a table's rows are
    its units (unique); with one that is reached along references, uniqueness is not known (false). ``referred`` are the
    columns, in lower case, that references of the party's tables refer to.
    """
    described = database.execute(f"DESCRIBE memory.main.{quoted(name)}").fetchall()
    listed = {column.lower(): config for column, config in table.columns.items()}
    columns: list[ColumnOffer] = []
    checks: list[_Check] = []
    problems: list[tuple[str, str]] = []
    for column, type_, *_ in described:
        config = listed.get(column.lower(), ColumnConfig(use=()))
        values = None
        if config.values is not None:
            values, wrong = _public_values(database, type_, config.values)
            problems += ((key("columns", column, "values"), message) for message in wrong)
        problems += ((key("columns", column, where), message) for where, message in _misplaced(type_, config))
        checks += _checks(column, SqlType.parse(type_), config, values)
        checks += _exact(column, type_) if table.public else ()
        columns.append(
            ColumnOffer(
                name=column,
                type=type_,
                use=frozenset(USES if config.use is None else config.use),
                bounds=_bounds(config),
                scale=config.scale,
                values=values,
                join_with=config.join_with,
                required=config.required,
            )
        )
    unit = next((c.name for c in columns if c.name.lower() == (table.privacy_unit or "").lower()), None)
    rows, known, units, *counts = _scan(database, name, unit, checks)
    problems += ((check.where, _rows(n) + check.message) for check, n in zip(checks, counts, strict=True) if n)
    if unit and known < rows:
        advice = f'filter them: sql = "SELECT ... FROM source WHERE {unit} IS NOT NULL"'
        problems.append(("privacy_unit", f"{_rows(rows - known)}without one ({unit} is NULL); {advice}"))
    if problems:
        return Verified(None, tuple(problems))
    keys = [column.name for column in columns if table.public or column.name.lower() in referred]
    distinct = _unique(database, name, keys) if keys else set()
    columns = [replace(column, unique=column.name in distinct) for column in columns]
    if table.public:
        for names in table.unique:
            if several := _shared(database, name, names):
                return Verified(None, (("unique", f"{_rows(several)}equal to another one in {', '.join(names)}"),))
    offer = TableOffer(
        party=party,
        name=name,
        columns=tuple(columns),
        privacy_unit=unit or table.privacy_unit,
        unit_scope=table.unit_scope,
        unit_unique=rows == units if unit else table.privacy_unit is None,
        max_rows_per_unit=table.max_rows_per_unit,
        max_groups_per_unit=table.max_groups_per_unit,
        references=dict(table.references),
        analysts=table.analysts,
        public=table.public,
        rows=1 << (rows - 1).bit_length() if rows else 0,
        data_version=data_version,
        unique=table.unique,
    )
    return Verified(offer, ())


def _bounds(config: ColumnConfig) -> tuple[Decimal, Decimal] | None:
    """Return a column's bounds as they are offered: dates as days."""
    if config.bounds is None:
        return None
    low, high = (days(bound) if isinstance(bound, datetime.date) else bound for bound in config.bounds)
    return low, high


def _misplaced(type_: str, config: ColumnConfig) -> Iterator[tuple[str, str]]:
    is_number = SqlType.parse(type_).family in _NUMBERS
    has_dates = config.bounds is not None and isinstance(config.bounds[0], datetime.date)
    if config.bounds is not None and type_ in DATED and not has_dates:
        yield "bounds", f'the column is a {type_}; write dates, such as ["1990-01-01", "2030-12-31"]'
    elif has_dates and type_ not in DATED:
        yield "bounds", f"the column is no DATE but {type_}; write numbers for a number, or cast the column in sql"
    for where, given in (("bounds", config.bounds), ("scale", config.scale)):
        if given is not None and not is_number and (where == "scale" or not (type_ in DATED or has_dates)):
            yield where, f"the column is no number but {type_}; remove {where}, or cast the column in sql"


def _checks(column: str, type_: SqlType, config: ColumnConfig, values: Sequence[str] | None) -> Iterator[_Check]:
    name = quoted(column)
    finite = f"isfinite({name}) AND " if type_.family == "float" else ""
    kinds = (datetime.date,) if type_.text in DATED else (Decimal,) if type_.family in _NUMBERS else ()
    if config.bounds is not None and isinstance(config.bounds[0], kinds):
        low, high = config.bounds
        message = f"outside [{low}, {high}]; widen the bounds, or filter the rows in sql"
        yield _Check(key("columns", column, "bounds"), f"{finite}({_outside(name, type_, low, high)})", message)
    elif config.scale is not None and type_.family == "float":
        message = "of magnitude 2^48 or more; write bounds, or filter the rows in sql"
        yield _Check(key("columns", column, "scale"), f"{finite}abs({name}) >= {SCALED_LIMIT}", message)
    if config.required:
        empty = f"{name} IS NULL" + (f" OR NOT isfinite({name})" if finite else "")
        message = "without a value; filter the rows in sql, or remove required"
        yield _Check(key("columns", column, "required"), empty, message)
    if values:
        typed = [f"CAST({literal(v)} AS {type_.text})" for v in values]
        inline = len(typed) <= _INLINE
        among = ", ".join(typed) if inline else f"SELECT unnest([{', '.join(typed)}])"
        message = "outside the listed values; list theirs, or filter the rows in sql"
        yield _Check(key("columns", column, "values"), f"{finite}{name} NOT IN ({among})", message)


def _exact(column: str, type_: str) -> Iterator[_Check]:
    """A public table is sent as texts: each value must come back from its own."""
    if type_ == "VARCHAR":
        return
    name, text = quoted(column), f"CAST({quoted(column)} AS VARCHAR)"
    back = f"TRY_CAST({text} AS {type_})"
    lost = f"{back} IS DISTINCT FROM {name} OR CAST({back} AS VARCHAR) IS DISTINCT FROM {text}"
    yield _Check(key("columns", column), lost, f"lost when {type_} becomes text and back; cast the column in sql")


def _outside(name: str, type_: SqlType, low: Decimal | datetime.date, high: Decimal | datetime.date) -> str:
    """Return the condition for a value out of [low, high], with both rounded inwards to what the type can hold."""
    if isinstance(low, datetime.date) or isinstance(high, datetime.date):
        day = f"CAST({name} AS DATE)" if type_.text == "TIMESTAMP" else name
        return f"{day} < DATE '{low}' OR {day} > DATE '{high}'"  # and so is infinity
    if type_.family == "float":
        return " OR ".join(
            f"{name} {sign} CAST({literal(format(bound, 'f'))} AS {type_.text})"
            for sign, bound in (("<", low), (">", high))
        )
    least, most = math.ceil(Fraction(low) * 10**type_.scale), math.floor(Fraction(high) * 10**type_.scale)
    if least > most or least > type_.high or most < type_.low:
        return f"{name} IS NOT NULL"
    least, most = max(least, type_.low), min(most, type_.high)
    return " OR ".join(
        f"{name} {sign} CAST('{format(Decimal(f'{n}E-{type_.scale}'), 'f')}' AS {type_.text})"
        for sign, n in (("<", least), (">", most))
    )


def _public_values(
    database: duckdb.DuckDBPyConnection, type_: str, values: Sequence[str]
) -> tuple[tuple[str, ...], list[str]]:
    """Return DuckDB's text of each value in the column's type, and what is wrong with those that have none."""
    as_text = f"SELECT list_transform(?::VARCHAR[], lambda v: CAST(TRY_CAST(v AS {type_}) AS VARCHAR))"
    (found,) = database.execute(as_text, [list(values)]).fetchall()[0]
    exact = SqlType.parse(type_).family in ("integer", "decimal")
    problems = [
        f"{value!r} is no {type_}; write values of the column's type"
        for value, text in zip(values, found, strict=True)
        if text is None or (exact and not _equal(value, text))
    ]
    kept: dict[str, str] = {}
    for value, text in zip(values, found, strict=True):
        if text is not None and kept.setdefault(text, value) != value:
            problems.append(f"{kept[text]!r} and {value!r} are the same {type_}; remove one")
    return tuple(kept), problems


def _equal(value: str, text: str) -> bool:
    try:
        return Decimal(value) == Decimal(text)
    except InvalidOperation:
        return False


def _scan(database: duckdb.DuckDBPyConnection, name: str, unit: str | None, checks: Sequence[_Check]) -> Sequence[int]:
    """Return the row count, the rows with a unit, the distinct units, and each check's count of broken rows."""
    counts = ["count(*)"]
    counts += [f"count({quoted(unit)})", f"count(DISTINCT {quoted(unit)})"] if unit else ["0", "0"]
    counts += [
        f"(SELECT count(*) FROM memory.main.{quoted(name)} WHERE {check.condition})"
        if "(SELECT unnest" in check.condition
        else f"count(*) FILTER (WHERE {check.condition})"
        for check in checks
    ]
    row: tuple[int, ...] = database.execute(f"SELECT {', '.join(counts)} FROM memory.main.{quoted(name)}").fetchall()[0]
    return row


def _unique(database: duckdb.DuckDBPyConnection, name: str, columns: Sequence[str]) -> set[str]:
    """Return the columns of a table in which no two rows share a value; NULLs equal nothing."""
    tests = ", ".join(f"count(DISTINCT {quoted(column)}) = count({quoted(column)})" for column in columns)
    row = database.execute(f"SELECT {tests} FROM memory.main.{quoted(name)}").fetchall()[0]
    return {column for column, unique in zip(columns, row, strict=True) if unique}


def _shared(database: duckdb.DuckDBPyConnection, name: str, columns: Sequence[str]) -> int:
    """Return how many rows of a table share the values of ``columns`` with an earlier one; NULLs equal nothing."""
    listed = ", ".join(map(quoted, columns))
    known = " AND ".join(f"{quoted(column)} IS NOT NULL" for column in columns)
    row: tuple[int] = database.execute(
        f"SELECT count(*) - count(DISTINCT ({listed})) FROM memory.main.{quoted(name)} WHERE {known}"
    ).fetchall()[0]
    return row[0]


def _rows(count: int) -> str:
    return f"{count} row{'s are ' if count > 1 else ' is '}"
