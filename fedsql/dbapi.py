"""The PEP 249 face: `connect`, and Connection over a `fedsql.session.Session`. Cursors are in `fedsql.cursor`.

``fedsql.connect`` and the other names are reached through the package; here is what they are. Nothing but the errors of
`fedsql.errors` comes out. Arrow and data frames come as ADBC and DuckDB name them: fetch_arrow_table,
fetch_record_batch, fetch_df, fetch_polars. What a query cost is `Cursor.privacy`.

There are no transactions: each statement that writes a local table is done, or has failed and done nothing, when `execute`
or `executemany` returns. Federated tables are read-only.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from fedsql import errors
from fedsql.cursor import Cursor, only_our_errors
from fedsql.planner.parameters import Parameters
from fedsql.session import Session


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
    with only_our_errors():
        opened = Session.open(
            source if isinstance(source, Mapping) else os.fspath(source),
            analyst,
            key=None if key is None else os.fspath(key),
            federation=None if federation is None else os.fspath(federation),
        )
        return Connection(opened)


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

    def execute(self, sql: str, parameters: Parameters = ()) -> Cursor:
        """Run one statement on a new cursor and return that."""
        return self.cursor().execute(sql, parameters)

    def explain(self, sql: str, parameters: Parameters = ()) -> str:
        """Return what EXPLAIN prints: who sends and learns what, the cost, the expected error. Costs nothing."""
        with only_our_errors():
            return self.session.explain(sql, parameters)

    def cancel(self) -> None:
        """Stop what runs on this connection, from another thread: its `execute` raises OperationalError."""
        self.session.interrupt()

    @property
    def autocommit(self) -> bool:
        """True: what a statement writes to local tables stays. Setting it to False raises NotSupportedError."""
        return True

    @autocommit.setter
    def autocommit(self, value: bool) -> None:
        if not value:
            raise errors.NotSupportedError(
                "there are no transactions: every statement is committed by itself",
                hint="executemany writes all of its rows or none",
            )

    def commit(self) -> None:
        """Do nothing: every statement is committed by itself."""
        _ = self.session

    def rollback(self) -> None:
        """Do nothing: what was written stays. It raises no error, for connection pools call it on every connection."""
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
