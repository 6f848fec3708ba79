"""The cursor of `fedsql.connect`'s connections: runs a statement and hands out its rows, as tuples, Arrow or data frames.

A result set is in memory, all of it, from the moment when `execute` returns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from types import TracebackType
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from fedsql import errors
from fedsql.answer import Answer
from fedsql.interrupts import execute, stoppable
from fedsql.planner.parameters import Parameters
from fedsql.session import Session
from fedsql.values import for_frames, rows_of

if TYPE_CHECKING:
    from fedsql.dbapi import Connection

Row = tuple[Any, ...]
Column = tuple[str, str, None, None, None, None, None]


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


class Cursor:
    """A cursor: runs a statement and hands out its rows."""

    lastrowid = None  # no row has an id of its own: INSERT ... RETURNING tells what was made

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
    def rownumber(self) -> int | None:
        """The 0-based number of the next row in the result set; None where there is none."""
        return None if self._answer.table is None else self._position

    @property
    def privacy(self) -> Privacy:
        """What the last statement cost."""
        a = self._answer
        return Privacy(a.query_id, a.parties, a.epsilon, a.delta, a.margins, a.notices)

    @property
    def notices(self) -> tuple[str, ...]:
        """What must be said with the answer, such as that small groups are not shown."""
        return self._answer.notices

    @property
    def messages(self) -> list[tuple[type[errors.Warning], errors.Warning]]:
        """The `notices` of the last statement as PEP 249's (class, value) pairs."""
        return [(errors.Warning, errors.Warning(notice)) for notice in self._answer.notices]

    def execute(self, sql: str, parameters: Parameters = ()) -> Cursor:
        """Run one statement and return this cursor.

        ``parameters``: a list or tuple for its ? (or $1, $2, ...), or a mapping for its :name (or $name).
        """
        session = self._begin(sql)
        with only_our_errors():
            self._answer = execute(session, sql, parameters)
        return self

    def executemany(self, sql: str, seq_of_parameters: Iterable[Parameters]) -> Cursor:
        """Run an INSERT, UPDATE or DELETE of a local table once for each of the parameters; `rowcount` is the sum.

        All or nothing: where one fails, the table is as it was. Raises NotSupportedError for another statement.
        """
        session = self._begin(sql)
        if isinstance(seq_of_parameters, str | bytes | Mapping) or not isinstance(seq_of_parameters, Iterable):
            raise errors.ProgrammingError("executemany takes a sequence of parameters", hint="[(1, 'a'), (2, 'b')]")
        with only_our_errors():
            self._answer = stoppable(session, partial(session.execute_many, sql, seq_of_parameters))
        return self

    def explain(self, sql: str, parameters: Parameters = ()) -> str:
        """Return what EXPLAIN prints of a query. Costs nothing."""
        self._open()
        return self.connection.explain(sql, parameters)

    def cancel(self) -> None:
        """Stop what runs on this connection, from another thread: its `execute` raises OperationalError."""
        self._open()
        self.connection.cancel()

    def fetchone(self) -> Row | None:
        """Return the next row, or None at the end."""
        rows = self.fetchmany(1)
        return rows[0] if rows else None

    def fetchmany(self, size: int | None = None) -> list[Row]:
        """Return the next ``size`` rows (default: arraysize), or as many as there are."""
        wanted = self.arraysize if size is None else size
        if wanted < 0:
            raise errors.InterfaceError(f"fetchmany takes a number of rows, not {wanted}")
        return self._rows(wanted)

    def fetchall(self) -> list[Row]:
        """Return all rows that are left."""
        return self._rows(None)

    def scroll(self, value: int, mode: str = "relative") -> None:
        """Move to another row: ``value`` rows further, or ("absolute") to row ``value``, counted from 0.

        Raises IndexError, as PEP 249 asks, where that is outside of the result set; the position then stays.
        """
        if mode not in ("relative", "absolute"):
            raise errors.ProgrammingError(f"scroll moves relative or absolute, not {mode!r}")
        target = value + (self._position if mode == "relative" else 0)
        if not 0 <= target <= self._result().num_rows:
            raise IndexError(f"row {target} is outside of the result set, which has {self.rowcount} rows")
        self._position = target

    def fetch_arrow_table(self) -> pa.Table:
        """Return the rows that are left as a pyarrow.Table, in the types in which DuckDB hands them to Arrow."""
        return self._take(None)

    def fetch_record_batch(self) -> pa.RecordBatchReader:
        """Return the rows that are left as a pyarrow.RecordBatchReader."""
        return self._take(None).to_reader()

    def fetch_df(self) -> Any:
        """Return the rows that are left as a pandas.DataFrame. HUGEINT becomes int64 where it fits."""
        return self._frame("fetch_df", "pandas", lambda table, _: table.to_pandas())

    def fetch_polars(self) -> Any:
        """Return the rows that are left as a polars.DataFrame. HUGEINT becomes Int64 where it fits."""
        return self._frame("fetch_polars", "polars", lambda table, polars: polars.from_arrow(table))

    def setinputsizes(self, sizes: Any) -> None:
        """Do nothing, as PEP 249 allows."""

    def setoutputsize(self, size: int, column: int | None = None) -> None:
        """Do nothing, as PEP 249 allows."""

    def close(self) -> None:
        """Close the cursor."""
        self._closed = True
        self._answer = Answer()

    def __iter__(self) -> Iterator[Row]:
        return self

    def __next__(self) -> Row:
        row = self.fetchone()
        if row is None:
            raise StopIteration
        return row

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

    def _begin(self, sql: object) -> Session:
        """Forget the last statement, and return the session for the next one."""
        session = self._open()
        self._answer, self._position = Answer(), 0
        if not isinstance(sql, str):
            raise errors.ProgrammingError(f"the statement is a {type(sql).__name__}, not a str")
        return session

    def _result(self) -> pa.Table:
        self._open()
        if self._answer.table is None:
            raise errors.ProgrammingError("there is no result set to fetch from", hint="call execute() first")
        return self._answer.table

    def _rows(self, count: int | None) -> list[Row]:
        """Return the next ``count`` rows as tuples. Where a value cannot be one of Python's they are still the next."""
        with only_our_errors():
            rows = rows_of(self._result().slice(self._position, count), self._answer.columns)
        self._position += len(rows)
        return rows

    def _frame(self, method: str, module: str, make: Callable[[pa.Table, Any], Any]) -> Any:
        """Return the rows that are left as ``make(table, the imported module)``."""
        try:
            library = import_module(module)
        except ImportError:
            raise errors.NotSupportedError(f"{method} needs {module}", hint=f"pip install 'fedsql[{module}]'") from None
        with only_our_errors():
            table = for_frames(self._result().slice(self._position), self._answer.columns)
        try:
            frame = make(table, library)
        except Exception as error:
            raise errors.DataError(f"{module} cannot hold a column: {error}", hint="fetch_arrow_table() can") from error
        self._position += table.num_rows
        return frame

    def _take(self, count: int | None) -> pa.Table:
        """Return the next ``count`` rows (None: all that are left)."""
        taken = self._result().slice(self._position, count)
        self._position += taken.num_rows
        return taken


@contextmanager
def only_our_errors() -> Iterator[None]:
    """Let errors of fedsql pass; anything else is a bug here, and is told as InternalError."""
    try:
        yield
    except errors.Error:
        raise
    except Exception as error:
        raise errors.InternalError(f"{type(error).__name__}: {error}") from error
