"""`fedsql.connect` for asyncio: every call that may take a while runs in a thread, one at a time for each connection.

``connection = await fedsql.aio.connect(...)``. A task that is cancelled while it waits for a statement stops the statement,
as Cursor.cancel does, and goes on being cancelled once it has stopped.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import suppress
from os import PathLike
from types import TracebackType
from typing import Any, TypeVar

import pyarrow as pa

from fedsql import cursor, dbapi, errors
from fedsql.planner.parameters import Parameters

T = TypeVar("T")
_SAME = ("arraysize", "description", "messages", "notices", "privacy", "rowcount", "rownumber", "scroll")


async def connect(source: str | PathLike[str] | Mapping[str, Any], **options: Any) -> Connection:
    """Open a federation as `fedsql.connect` does, with the same options."""
    return Connection(await asyncio.to_thread(dbapi.connect, source, **options))


class Connection:
    """A connection whose statements are awaited; ``sync`` is the one below."""

    def __init__(self, sync: dbapi.Connection) -> None:
        self.sync = sync
        self._turn = asyncio.Lock()

    def cursor(self) -> Cursor:
        """Return a new cursor."""
        return Cursor(self, self.sync.cursor())

    async def execute(self, sql: str, parameters: Parameters = ()) -> Cursor:
        """Run one statement on a new cursor and return that."""
        return await self.cursor().execute(sql, parameters)

    async def explain(self, sql: str, parameters: Parameters = ()) -> str:
        """Return what EXPLAIN prints. Costs nothing."""
        return await self.run(lambda: self.sync.explain(sql, parameters))

    async def commit(self) -> None:
        """Do nothing: every statement is committed by itself."""
        self.sync.commit()

    async def rollback(self) -> None:
        """Do nothing: what was written stays."""
        self.sync.rollback()

    async def close(self) -> None:
        """Close the connection, once what runs on it has ended."""
        await self.run(self.sync.close)

    async def run(self, work: Callable[[], T]) -> T:
        """Call ``work`` in a thread when nothing else runs on this connection. When cancelled, stop it and wait until it has."""
        async with self._turn:
            running = asyncio.ensure_future(asyncio.to_thread(work))
            try:
                return await asyncio.shield(running)
            except asyncio.CancelledError:
                while not running.done():  # it may not have begun yet; and nothing may ask before it has ended
                    with suppress(asyncio.CancelledError, errors.InterfaceError):  # once more; it was closed
                        await asyncio.to_thread(self.sync.cancel)
                    with suppress(asyncio.CancelledError):
                        await asyncio.wait([running], timeout=0.02)
                if not running.cancelled():
                    running.exception()  # it is known why
                raise

    async def __aenter__(self) -> Connection:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


class Cursor:
    """A cursor whose statements and fetches are awaited. All else is as in `fedsql.Cursor`: description, privacy, ..."""

    def __init__(self, connection: Connection, sync: cursor.Cursor) -> None:
        self.connection = connection
        self.sync = sync

    async def execute(self, sql: str, parameters: Parameters = ()) -> Cursor:
        """Run one statement and return this cursor."""
        await self.connection.run(lambda: self.sync.execute(sql, parameters))
        return self

    async def executemany(self, sql: str, seq_of_parameters: Iterable[Parameters]) -> Cursor:
        """Run an INSERT, UPDATE or DELETE of a local table once for each of the parameters: for all or for none."""
        await self.connection.run(lambda: self.sync.executemany(sql, seq_of_parameters))
        return self

    async def fetchone(self) -> cursor.Row | None:
        """Return the next row, or None at the end."""
        return self.sync.fetchone()

    async def fetchmany(self, size: int | None = None) -> list[cursor.Row]:
        """Return the next ``size`` rows (default: arraysize), or as many as there are."""
        return await self.connection.run(lambda: self.sync.fetchmany(size))

    async def fetchall(self) -> list[cursor.Row]:
        """Return all rows that are left."""
        return await self.connection.run(self.sync.fetchall)

    async def fetch_arrow_table(self) -> pa.Table:
        """Return the rows that are left as a pyarrow.Table."""
        return self.sync.fetch_arrow_table()

    async def fetch_df(self) -> Any:
        """Return the rows that are left as a pandas.DataFrame."""
        return await self.connection.run(self.sync.fetch_df)

    async def fetch_polars(self) -> Any:
        """Return the rows that are left as a polars.DataFrame."""
        return await self.connection.run(self.sync.fetch_polars)

    async def close(self) -> None:
        """Close the cursor."""
        self.sync.close()

    def __getattr__(self, name: str) -> Any:
        if name in _SAME:
            return getattr(self.sync, name)
        raise AttributeError(f"a cursor has no {name}")

    def __setattr__(self, name: str, value: object) -> None:
        if name == "arraysize":
            self.sync.arraysize = value  # type: ignore[assignment]
        else:
            super().__setattr__(name, value)

    async def __aiter__(self) -> AsyncIterator[cursor.Row]:
        for row in self.sync:
            yield row

    async def __aenter__(self) -> Cursor:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
