"""The PEP 249 face: Connection and Cursor over a `fedsql.session.Session`.

``fedsql.connect`` and the other names are reached through the package; here is what they are. Nothing but the errors of
`fedsql.errors` comes out. Arrow and data frames come as ADBC and DuckDB name them: fetch_arrow_table,
fetch_record_batch, fetch_df. What a query cost is `Cursor.privacy`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import pyarrow as pa

from fedsql import errors
from fedsql.answer import Answer
from fedsql.interrupts import execute
from fedsql.planner.statements import Query, Write, read_statement
from fedsql.session import Session
from fedsql.values import rows_of, whole_numbers

Row = tuple[Any, ...]
Column = tuple[str, str, None, None, None, None, None]


def connect(
    source: str | os.PathLike[str] | Mapping[str, Any],
    *,
    analyst: str = "analyst",
    key: str | os.PathLike[str] | None = None,
    federation: str | os.PathLike[str] | None = None,
) -> Connection:
    """Open a federation: the path of a federation.toml, a mapping of the same shape, or ``fedsql://host:port``.

    Over the network ``key`` is the analyst's private key (default: ``<analyst>/identity.pem`` beside the federation
    file), and with a fedsql:// address ``federation`` the federation file that pins everybody's keys (default:
    federation.toml in the current folder).

    In a mapping a source may be an Arrow table or a data frame: ``{"parties": {"north": {"tables": {"t": {"source":
    table, ...}}}}}``. Raises ConfigError with a line for each mistake.
    """
    if not isinstance(source, str | os.PathLike | Mapping):
        raise errors.InterfaceError(
            f"connect() takes the path of a federation.toml or a mapping of its shape, not {type(source).__name__}"
        )
    with _only_our_errors():
        opened = Session.open(
            source if isinstance(source, Mapping) else os.fspath(source),
            analyst,
            key=None if key is None else os.fspath(key),
            federation=None if federation is None else os.fspath(federation),
        )
        return Connection(opened)


@dataclass(frozen=True)
class Privacy:
    """What a query cost and what its answer says of itself.

    ``epsilon`` and ``delta`` were charged at each of ``parties`` (None: an exact query, which counts against the quota
    instead). ``query_id`` is the hexadecimal id in the parties' logs. ``margins`` holds the half-width of the 95 %
    interval of each column that is a noisy aggregate, the largest of all its rows (margin(...) in SQL tells each).
    """

    query_id: str | None = None
    parties: tuple[str, ...] = ()
    epsilon: float | None = None
    delta: float | None = None
    margins: Mapping[str, float | None] = field(default_factory=dict)
    notices: tuple[str, ...] = ()


class Connection:
    """A connection to a federation. Its settings, keys and local tables end with it."""

    Warning = errors.Warning
    Error = errors.Error
    InterfaceError = errors.InterfaceError
    DatabaseError = errors.DatabaseError
    DataError = errors.DataError
    OperationalError = errors.OperationalError
    IntegrityError = errors.IntegrityError
    InternalError = errors.InternalError
    ProgrammingError = errors.ProgrammingError
    NotSupportedError = errors.NotSupportedError

    def __init__(self, session: Session) -> None:
        self._session: Session | None = session

    @property
    def session(self) -> Session:
        """The session below. Raises InterfaceError when the connection is closed."""
        if self._session is None:
            raise errors.InterfaceError("the connection is closed")
        return self._session

    def cursor(self) -> Cursor:
        """Return a new cursor."""
        _ = self.session
        return Cursor(self)

    def execute(self, sql: str, parameters: Sequence[object] = ()) -> Cursor:
        """Run one statement on a new cursor and return that."""
        return self.cursor().execute(sql, parameters)

    def explain(self, sql: str, parameters: Sequence[object] = ()) -> str:
        """Return what EXPLAIN prints: who sends and learns what, the cost, the expected error. Costs nothing."""
        with _only_our_errors():
            return self.session.explain(sql, _checked(parameters))

    def commit(self) -> None:
        """Do nothing: federated tables are read-only, and there are no transactions."""
        _ = self.session

    def rollback(self) -> None:
        """Do nothing, as nothing was written; connection pools call it whenever a connection comes back."""
        _ = self.session

    def close(self) -> None:
        """Close the connection; its cursors raise InterfaceError from now on."""
        session, self._session = self._session, None
        if session is not None:
            session.close()

    def __enter__(self) -> Connection:
        _ = self.session
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Cursor:
    """A cursor: runs a statement and hands out its rows."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.arraysize = 1
        self._answer = Answer()
        self._position = 0
        self._closed = False

    @property
    def description(self) -> tuple[Column, ...] | None:
        """One (name, type_code, None, None, None, None, None) a column; None where there is no result set.

        The type_code is DuckDB's text of the type, and equal to the type object of its kind: ``'BIGINT' == NUMBER``.
        """
        if self._answer.table is None:
            return None
        return tuple((name, type_, None, None, None, None, None) for name, type_ in self._answer.columns)

    @property
    def rowcount(self) -> int:
        """Number of rows of the result, or that a statement wrote to a local table; -1 where there is neither."""
        if self._answer.table is not None:
            return int(self._answer.table.num_rows)
        return -1 if self._answer.changed is None else self._answer.changed

    @property
    def privacy(self) -> Privacy:
        """What the last statement cost."""
        a = self._answer
        return Privacy(a.query_id, a.parties, a.epsilon, a.delta, a.margins, a.notices)

    @property
    def notices(self) -> tuple[str, ...]:
        """What must be said with the answer, such as that small groups are not shown."""
        return self._answer.notices

    def execute(self, sql: str, parameters: Sequence[object] = ()) -> Cursor:
        """Run one statement, with ``parameters`` for its ? (or $1, $2, ...), and return this cursor."""
        session = self._open()
        self._answer, self._position = Answer(), 0
        if not isinstance(sql, str):
            raise errors.ProgrammingError(f"the statement is a {type(sql).__name__}, not a str")
        with _only_our_errors():
            self._answer = execute(session, sql, _checked(parameters))
        return self

    def executemany(self, sql: str, seq_of_parameters: Sequence[Sequence[object]]) -> Cursor:
        """Run a statement that writes local tables once for each of the parameters. Raises NotSupportedError for others."""
        session = self._open()
        self._answer, self._position = Answer(), 0
        written = 0
        with _only_our_errors():
            statement = read_statement(sql)
            if not isinstance(statement, Write):
                kind = "a query" if isinstance(statement, Query) else "this statement"
                raise errors.NotSupportedError(
                    f"executemany does not run {kind}", hint="call execute for each: every query is charged by itself"
                )
            for parameters in seq_of_parameters:
                written += execute(session, sql, _checked(parameters)).changed or 0
        self._answer = Answer(changed=written)
        return self

    def explain(self, sql: str, parameters: Sequence[object] = ()) -> str:
        """Return what EXPLAIN prints of a query. Costs nothing."""
        self._open()
        return self.connection.explain(sql, parameters)

    def cancel(self) -> None:
        """Stop what runs on this connection, from another thread: its `execute` raises OperationalError."""
        self._open().interrupt()

    def fetchone(self) -> Row | None:
        """Return the next row, or None at the end."""
        rows = self.fetchmany(1)
        return rows[0] if rows else None

    def fetchmany(self, size: int | None = None) -> list[Row]:
        """Return the next ``size`` rows (default: arraysize), or as many as there are."""
        wanted = self.arraysize if size is None else size
        if wanted < 0:
            raise errors.InterfaceError(f"fetchmany takes a number of rows, not {wanted}")
        with _only_our_errors():
            return rows_of(self._take(wanted), self._answer.columns)

    def fetchall(self) -> list[Row]:
        """Return all rows that are left."""
        with _only_our_errors():
            return rows_of(self._take(None), self._answer.columns)

    def fetch_arrow_table(self) -> pa.Table:
        """Return the rows that are left as a pyarrow.Table, in the types in which DuckDB hands them to Arrow."""
        return self._take(None)

    def fetch_record_batch(self) -> pa.RecordBatchReader:
        """Return the rows that are left as a pyarrow.RecordBatchReader."""
        return self._take(None).to_reader()

    def fetch_df(self) -> Any:
        """Return the rows that are left as a pandas.DataFrame. HUGEINT becomes int64 where it fits."""
        try:
            import pandas  # noqa: F401 (pyarrow needs it, and says so less clearly)
        except ImportError:
            raise errors.NotSupportedError("fetch_df needs pandas", hint="pip install 'fedsql[pandas]'") from None
        with _only_our_errors():
            return whole_numbers(self._take(None), self._answer.columns).to_pandas()

    def setinputsizes(self, sizes: Sequence[object]) -> None:
        """Do nothing, as PEP 249 allows."""

    def setoutputsize(self, size: int, column: int | None = None) -> None:
        """Do nothing, as PEP 249 allows."""

    def close(self) -> None:
        """Close the cursor."""
        self._closed = True
        self._answer = Answer()

    def __iter__(self) -> Iterator[Row]:
        return iter(self.fetchone, None)

    def __enter__(self) -> Cursor:
        self._open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _open(self) -> Session:
        if self._closed:
            raise errors.InterfaceError("the cursor is closed")
        return self.connection.session

    def _take(self, count: int | None) -> pa.Table:
        """Return the next ``count`` rows (None: all that are left)."""
        self._open()
        table = self._answer.table
        if table is None:
            raise errors.ProgrammingError("there is no result set to fetch from", hint="call execute() first")
        taken = table.slice(self._position, count)
        self._position += taken.num_rows
        return taken


def _checked(parameters: Sequence[object]) -> Sequence[object]:
    """Return positional parameters. Raises ProgrammingError for names, or for one text that was meant as a list."""
    if isinstance(parameters, Mapping):
        raise errors.ProgrammingError("parameters are positional", hint="write ? or $1 and give a list or tuple")
    if not isinstance(parameters, Sequence) or isinstance(parameters, str | bytes):
        raise errors.ProgrammingError(
            f"parameters are a list or tuple, not a {type(parameters).__name__}", hint="execute(sql, (value,))"
        )
    return parameters


@contextmanager
def _only_our_errors() -> Iterator[None]:
    """Let errors of fedsql pass; anything else is a bug here, and is told as InternalError."""
    try:
        yield
    except errors.Error:
        raise
    except Exception as error:
        raise errors.InternalError(f"{type(error).__name__}: {error}") from error
