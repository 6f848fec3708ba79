"""What clients write: statements that change local tables, the parameters of prepared ones, and whole tables of rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa

from fedsql.answer import Answer
from fedsql.errors import NotSupportedError
from fedsql.flight import messages
from fedsql.flight.client import Client
from fedsql.flight.commands import check_rows, kind, prepared_of, statement
from fedsql.flight.parameters import rows_of, sound
from fedsql.planner.schema import UNION
from fedsql.planner.statements import Query, read_statement
from fedsql.session import Session

_FAIL, _APPEND, _REPLACE = 1, 2, 3  # TableExistsOption
_MUST_EXIST = 2  # TableNotExistOption


def put(client: Client, command: Any, reader: Any, gone: Callable[[], bool]) -> bytes:
    """Carry out a command that brings rows; return its result. ``gone`` tells whether the client has hung up."""
    name = kind(command)
    if name == "CommandPreparedStatementQuery":
        prepared = prepared_of(client, command.prepared_statement_handle)
        rows = rows_of(reader)
        check_rows(prepared, rows)
        prepared.rows = rows
        result = messages.DoPutPreparedStatementResult(prepared_statement_handle=command.prepared_statement_handle)
        return bytes(result.SerializeToString())
    if name == "CommandStatementIngest":
        return _count(_ingest(client, command, reader, gone))
    prepared = statement(client, command)
    rows = list(prepared.rows)
    if name == "CommandPreparedStatementUpdate" and prepared.parameters:
        rows = rows_of(reader)
        check_rows(prepared, rows)
    return _count(_changed(client, prepared.sql, rows, gone))


def _count(number: int) -> bytes:
    return bytes(messages.DoPutUpdateResult(record_count=number).SerializeToString())


def _changed(client: Client, sql: str, rows: list[tuple[object, ...]], gone: Callable[[], bool]) -> int:
    """Run a statement for each row of parameters; return how many rows it has changed, -1 where that is not said.

    A query that is run as an update is run as what it is: some clients run everything so. Its rows are dropped.
    """
    if len(rows) > 1 and isinstance(read_statement(sql), Query):
        raise NotSupportedError(
            f"a query takes one row of parameters, {len(rows)} are bound",
            hint="run it for each: every query is charged by itself",
        )

    def work(session: Session) -> Answer:
        return session.execute(sql, rows[0]) if len(rows) == 1 else session.execute_many(sql, rows)

    changed = client.change(work, gone).changed
    return -1 if changed is None else changed


def _ingest(client: Client, command: Any, reader: Any, gone: Callable[[], bool]) -> int:
    if command.temporary:
        raise NotSupportedError("temporary tables are not needed: local tables end with the session")
    if command.schema.lower() not in ("", UNION):
        raise NotSupportedError(f"tables are loaded into {UNION} alone, not into {command.schema}")
    options = command.table_definition_options
    rows = pa.Table.from_batches(sound(reader), reader.schema)  # here: what comes from the client ends with its call

    def work(session: Session) -> Answer:
        client.wrote(None)
        return session.load(
            command.table,
            rows,
            create=options.if_not_exist != _MUST_EXIST,
            append=options.if_exists == _APPEND,
            replace=options.if_exists == _REPLACE,
        )

    return client.change(work, gone).changed or 0
