"""The commands of Flight SQL that ask for rows: what each one's schema is, and the rows behind its ticket.

Commands about what there is carry all they ask for, so they are their own tickets. Statements get a handle.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa

from fedsql.errors import DataError, NotSupportedError, OperationalError
from fedsql.flight import messages, metadata
from fedsql.flight.client import Client
from fedsql.flight.parameters import count
from fedsql.flight.sql_info import SQL_INFO, sql_info
from fedsql.flight.statements import Pending, Prepared
from fedsql.flight.types import TYPE_INFO, type_info
from fedsql.session import Session

_Answer = Callable[[Session, Any], pa.Table]


def _keys_of(command: Any) -> tuple[str, str]:
    return command.db_schema.lower(), command.table


def _cross(session: Session, command: Any) -> pa.Table:
    of, to = (command.fk_db_schema.lower(), command.fk_table), (command.pk_db_schema.lower(), command.pk_table)
    return metadata.references(session, of, to)


def _tables_schema(command: Any) -> pa.Schema:
    return metadata.TABLES_AND_SCHEMAS if command.include_schema else metadata.TABLES


_LISTINGS: dict[str, tuple[pa.Schema, _Answer]] = {
    "CommandGetCatalogs": (metadata.CATALOGS, lambda session, command: metadata.catalogs(session)),
    "CommandGetDbSchemas": (metadata.SCHEMAS, metadata.schemas),
    "CommandGetTables": (metadata.TABLES, metadata.tables),
    "CommandGetTableTypes": (metadata.TABLE_TYPES, lambda session, command: metadata.table_types()),
    "CommandGetPrimaryKeys": (metadata.PRIMARY_KEYS, metadata.primary_keys),
    "CommandGetImportedKeys": (
        metadata.REFERENCES,
        lambda session, command: metadata.references(session, _keys_of(command), None),
    ),
    "CommandGetExportedKeys": (
        metadata.REFERENCES,
        lambda session, command: metadata.references(session, None, _keys_of(command)),
    ),
    "CommandGetCrossReference": (metadata.REFERENCES, _cross),
    "CommandGetSqlInfo": (SQL_INFO, lambda session, command: sql_info(command.info)),
    "CommandGetXdbcTypeInfo": (
        TYPE_INFO,
        lambda session, command: type_info(command.data_type if command.HasField("data_type") else None),
    ),
}


def kind(command: Any) -> str:
    """Return the name of a command."""
    return str(command.DESCRIPTOR.name)


def read_command(data: bytes | None) -> Any:
    """Return the command of a descriptor or ticket. Raises NotSupportedError for others than those of Flight SQL."""
    try:
        return messages.unpack(data or b"")
    except ValueError as error:
        raise NotSupportedError(
            f"{str(error)[:80]!a} is not answered", hint="the gateway speaks Arrow Flight SQL"
        ) from None


def listing_schema(command: Any) -> pa.Schema | None:
    """Return the schema of a command about what there is; None for a statement."""
    if kind(command) == "CommandGetTables":
        return _tables_schema(command)
    return found[0] if (found := _LISTINGS.get(kind(command))) is not None else None


def listing(client: Client, command: Any) -> pa.Table | None:
    """Return the rows of a command about what there is; None for another."""
    found = _LISTINGS.get(kind(command))
    if found is None:
        return None
    if kind(command) in ("CommandGetSqlInfo", "CommandGetXdbcTypeInfo", "CommandGetTableTypes"):
        return found[1](None, command)  # type: ignore[arg-type]  # these need no session, and none is opened for them
    with client.turn() as session:
        return found[1](session, command)


def submit(client: Client, command: Any, gone: Callable[[], bool]) -> tuple[bytes, Pending]:
    """Return the handle of a statement's result, which is computed when it is asked for. See `Client.submit`."""
    prepared = statement(client, command)
    if len(prepared.rows) != 1:
        raise NotSupportedError(
            f"a query takes one row of parameters, {len(prepared.rows)} are bound",
            hint="run it for each: every query is charged by itself",
        )
    return client.submit(prepared, prepared.rows[0], gone)


def described(client: Client, command: Any) -> pa.Schema:
    """Return the schema of a statement's result, and run nothing; an empty one for what changes something."""
    prepared = statement(client, command)
    return client.shape(client.describe(prepared, prepared.rows[0] if prepared.rows else ()))


def statement(client: Client, command: Any) -> Prepared:
    """Return the statement that a command names or holds."""
    if kind(command) in ("CommandStatementQuery", "CommandStatementUpdate"):
        return Prepared(command.query, count(command.query))
    if kind(command) in ("CommandPreparedStatementQuery", "CommandPreparedStatementUpdate"):
        return prepared_of(client, command.prepared_statement_handle)
    raise NotSupportedError(f"{kind(command)} is not answered")


def prepared_of(client: Client, handle: bytes) -> Prepared:
    """Return a prepared statement. Raises OperationalError when there is none of this handle."""
    prepared = client.prepared.get(handle)
    if prepared is None:
        raise OperationalError("this prepared statement is closed, or was another session's", hint="prepare it again")
    return prepared


def check_rows(prepared: Prepared, rows: list[tuple[object, ...]]) -> None:
    """Raise DataError where bound rows have another number of values than the statement has parameters."""
    for row in rows[:1]:
        if len(row) != prepared.parameters:
            raise DataError(f"the statement has {prepared.parameters} parameters, {len(row)} were given")
