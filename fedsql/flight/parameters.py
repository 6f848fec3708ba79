"""The parameters of prepared statements: how many there are, of which types, and the rows that a client binds."""

from __future__ import annotations

from collections.abc import Iterable

import duckdb
import pyarrow as pa
from sqlglot import exp

from fedsql.errors import DataError, NotSupportedError
from fedsql.local_statements import read_write
from fedsql.planner.parse import parse
from fedsql.planner.statements import Query, Write, read_statement
from fedsql.session import Session

MOST = 10_000
"""How many rows may be bound at once."""


def count(sql: str) -> int:
    """Return how many parameters a statement has: 0 where DuckDB cannot read it, which others say better."""
    try:
        statements = duckdb.extract_statements(sql)
    except duckdb.Error:
        return 0
    names = [name for statement in statements for name in statement.named_parameters]
    if named := sorted(name for name in names if not name.isdigit()):
        raise NotSupportedError(f"the parameter ${named[0]} has a name", hint="write ? or $1")
    return max(map(int, names), default=0)


def returns_rows(sql: str) -> bool:
    """Say whether a statement that writes has RETURNING: then clients must ask for rows, and not for their number."""
    return isinstance(read_statement(sql), Write) and bool(read_write(sql).args.get("returning"))


def schema(session: Session, sql: str, number: int) -> pa.Schema:
    """Return the schema of a statement's parameters, for clients that convert what they bind by it.

    A parameter that is compared with a column has that column's type; what it is in any other place is not known before
    it is bound, and told as text, which DuckDB compares with anything.
    """
    types = ["VARCHAR"] * number
    if number and isinstance(statement := read_statement(sql), Query):
        columns = _columns(session)
        for mark in parse(statement.sql).find_all(exp.Placeholder):
            parent = mark.parent
            other = parent.this if isinstance(parent, exp.In | exp.Between) else None
            if isinstance(parent, exp.Predicate | exp.Binary) and other is None:
                other = parent.expression if parent.this is mark else parent.this
            if isinstance(other, exp.Column) and mark.name.isdigit():
                types[int(mark.name) - 1] = columns.get(other.name.lower(), "VARCHAR")
    return session.schema([(f"parameter_{i}", type_) for i, type_ in enumerate(types, start=1)])


def _columns(session: Session) -> dict[str, str]:
    """Return the type of every column name that has only one, in whatever table."""
    found: dict[str, set[str]] = {}
    tables = [each.items() for each in session.federation.directory.typer(()).tables["main"].values()]
    for columns in (*tables, *session.local.tables().values()):
        for name, type_ in columns:
            found.setdefault(name, set()).add(type_)
    return {name: types.pop() for name, types in found.items() if len(types) == 1}


def rows_of(batches: Iterable[pa.RecordBatch]) -> list[tuple[object, ...]]:
    """Return bound batches as rows of Python values. Raises DataError when there are over `MOST`."""
    rows: list[tuple[object, ...]] = []
    for batch in batches:
        if len(rows) + batch.num_rows > MOST:
            raise DataError(f"over {MOST} rows of parameters", hint="bind fewer at once, or load them as a table")
        try:
            columns = [column.to_pylist() for column in batch.columns]
        except (pa.ArrowException, ValueError) as error:
            raise DataError(f"a parameter cannot be read: {error}") from None
        rows += zip(*columns, strict=True) if columns else [()] * batch.num_rows
    return rows
