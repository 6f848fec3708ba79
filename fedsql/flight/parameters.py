"""The parameters of prepared statements: how many there are, of which types, and the rows that a client binds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import duckdb
import pyarrow as pa
from sqlglot import exp

from fedsql.errors import DataError, NotSupportedError, ProgrammingError
from fedsql.local_statements import read_write
from fedsql.planner.parse import parse
from fedsql.planner.statements import Query, Write, read_statement
from fedsql.session import Session

MOST = 10_000
"""How many rows may be bound at once."""
MOST_MARKS = 65_535
"""How many parameters a statement may have: the largest number after a $, for what lies between takes room too."""
ROOM = 64 << 20
"""How many bytes their values may have together."""
TEXT = 1 << 20
"""How many characters a statement may have: reading it holds up everybody."""
LOADED = 1 << 30
"""How many bytes a client may send at once."""
_SHARING = (pa.types.is_dictionary, pa.types.is_run_end_encoded, pa.types.is_list_view, pa.types.is_large_list_view)
_VIEWS = (pa.types.is_string_view, pa.types.is_binary_view)


def count(sql: str) -> int:
    """Return how many parameters a statement has: 0 where DuckDB cannot read it, which others say better.

    Raises ProgrammingError for a text that is too long, NotSupportedError for parameters with names.
    """
    if len(sql) > TEXT:
        raise ProgrammingError(f"the statement has over {TEXT} characters", hint="bind parameters, or load a table")
    try:
        statements = duckdb.extract_statements(sql)
    except duckdb.Error:
        return 0
    names = [name for statement in statements for name in statement.named_parameters]
    if named := sorted(name for name in names if not name.isdigit()):
        raise NotSupportedError(f"the parameter ${named[0]} has a name", hint="write ? or $1")
    if (number := max(map(int, names), default=0)) > MOST_MARKS:
        raise ProgrammingError(f"the parameter ${number}: a statement has at most {MOST_MARKS}", sqlstate="07001")
    return number


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


def sound(reader: Iterable[Any]) -> Iterator[pa.RecordBatch]:
    """Yield the batches that a client sends. Raises DataError for one that is not what it says, or for over `LOADED` bytes.

    Nothing else looks at them before they are read: an offset beyond a column's end would read this process's memory.
    """
    room = LOADED
    for chunk in reader:
        room -= chunk.data.nbytes
        if room < 0:
            raise DataError(f"over {LOADED >> 20} MiB at once", hint="load it in several parts")
        try:
            chunk.data.validate(full=True)
        except pa.ArrowException:
            raise DataError("the rows are malformed: a value lies outside of its column") from None
        yield chunk.data


def rows_of(reader: Iterable[Any]) -> list[tuple[object, ...]]:
    """Return bound batches as rows of Python values. Raises DataError when there are over `MOST`, or over `ROOM` bytes."""
    rows: list[tuple[object, ...]] = []
    room = ROOM
    for batch in sound(reader):
        if len(rows) + batch.num_rows > MOST:
            raise DataError(f"over {MOST} rows of parameters", hint="bind fewer at once, or load them as a table")
        columns: list[list[object]] = []
        for column in batch.columns:
            values, room = _values(column, room)
            columns.append(values)
        rows += zip(*columns, strict=True) if columns else [()] * batch.num_rows
    return rows


def _values(column: pa.Array, room: int) -> tuple[list[object], int]:
    """Return the values of a column, and how many bytes of ``room`` they leave: a few bytes may hold a value many times."""
    if _shares(column.type):
        raise DataError(f"a parameter of the type {column.type} cannot be bound")
    values: list[object] = []
    room -= column.nbytes
    for scalar in column:
        try:
            value = scalar.as_py()
        except (pa.ArrowException, ValueError) as error:
            raise DataError(f"a parameter cannot be read: {error}") from None
        room -= len(value) if isinstance(value, str | bytes) else 0
        if room < 0:
            raise DataError(f"over {ROOM >> 20} MiB of parameters", hint="bind fewer at once, or load them as a table")
        values.append(value)
    return values, room


def _shares(type_: pa.DataType, inner: bool = False) -> bool:
    """Say whether many values inside of one value of this type may stand in the same place."""
    if any(known(type_) for known in _SHARING):
        if inner or not (pa.types.is_dictionary(type_) or pa.types.is_run_end_encoded(type_)):
            return True
        return _shares(type_.value_type, True)
    if inner and any(known(type_) for known in _VIEWS):
        return True
    return any(_shares(type_.field(i).type, True) for i in range(type_.num_fields))
