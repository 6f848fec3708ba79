"""The actions of Flight SQL: prepared statements, transactions, cancelling, session options, goodbye.

Local tables are written at once and federated ones are read-only, so a transaction holds nothing back: clients that want
one have it, and are told so where they would roll back what was written.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pyarrow as pa

from fedsql.errors import Error, NotSupportedError, OperationalError, ProgrammingError
from fedsql.flight import messages
from fedsql.flight.client import Client
from fedsql.flight.clients import Clients
from fedsql.flight.commands import kind
from fedsql.flight.parameters import count, returns_rows, schema
from fedsql.flight.statements import HANDLE, Prepared, new_handle
from fedsql.planner.question import Settings
from fedsql.planner.statements import changed

MOST_PREPARED = 1000  # statements of one client
_CANCELLED, _NOT_CANCELLABLE = 1, 3
_CLOSED = 1
_INVALID_NAME, _INVALID_VALUE = 1, 2
_OPTIONS = ("epsilon", "accuracy", "allow_missing")
_COMMIT, _ROLLBACK = 1, 2

ACTIONS = {
    "CreatePreparedStatement": "Prepare a statement.",
    "ClosePreparedStatement": "Forget a prepared statement.",
    "BeginTransaction": "Begin a transaction, which holds nothing back.",
    "EndTransaction": "Commit; or roll back, if nothing was written.",
    "CancelQuery": "Cancel a statement.",
    "CancelFlightInfo": "Cancel a statement.",
    "SetSessionOptions": "Set options of the session.",
    "GetSessionOptions": "Tell the options of the session.",
    "CloseSession": "End the session.",
}


def act(clients: Clients, client: Client, type_: str, body: bytes) -> list[bytes]:
    """Carry out an action; return its results. Raises NotSupportedError for one that is not known."""
    handlers: dict[str, Callable[[], bytes | None]] = {
        "CreatePreparedStatement": lambda: _prepare(client, _sql(type_, body)),
        "ClosePreparedStatement": lambda: _forget(client, _sql(type_, body)),
        "BeginTransaction": lambda: _begin(client),
        "EndTransaction": lambda: _end(client, _sql(type_, body)),
        "CancelQuery": lambda: messages.pack(
            messages.ActionCancelQueryResult(result=_cancel(client, _plain("FlightInfo", _sql(type_, body).info)))
        ),
        "CancelFlightInfo": lambda: _bytes(
            messages.CancelFlightInfoResult(status=_cancel(client, _plain("CancelFlightInfoRequest", body).info))
        ),
        "SetSessionOptions": lambda: _set_options(client, _plain("SetSessionOptionsRequest", body)),
        "GetSessionOptions": lambda: _options(client),
        "CloseSession": lambda: _close(clients, client),
    }
    if type_ not in handlers:
        raise NotSupportedError(f"the action {type_[:80]!a} is not known", hint=f"actions: {', '.join(ACTIONS)}")
    result = handlers[type_]()
    return [] if result is None else [result]


def _sql(type_: str, body: bytes) -> Any:
    try:
        message = messages.unpack(body)
    except ValueError:
        message = None
    if message is None or kind(message) != f"Action{type_}Request":
        raise ProgrammingError(f"the body of the action {type_} is malformed")
    return message


def _plain(name: str, body: bytes) -> Any:
    try:
        return messages.read(name, body)
    except ValueError as error:
        raise ProgrammingError(str(error)) from None


def _bytes(message: Any) -> bytes:
    return bytes(message.SerializeToString())


def _prepare(client: Client, request: Any) -> bytes:
    if len(client.prepared) >= MOST_PREPARED:
        raise OperationalError(f"there are {MOST_PREPARED} prepared statements", hint="close those that are not used")
    prepared = Prepared(request.query, count(request.query))
    with client.turn() as session:
        shape, update = _shape(client, prepared)
        parameters = schema(session, prepared.sql, prepared.parameters)
    handle = new_handle()
    client.prepared[handle] = prepared
    result = messages.ActionCreatePreparedStatementResult(
        prepared_statement_handle=handle,
        dataset_schema=shape.serialize().to_pybytes(),
        parameter_schema=parameters.serialize().to_pybytes(),
        is_update=update,
    )
    return messages.pack(result)


def _shape(client: Client, prepared: Prepared) -> tuple[pa.Schema, bool]:
    """Return the schema of a statement's result, as far as it is known before parameters are bound; whether it changes."""
    try:
        found = client.describe(prepared, [None] * prepared.parameters)
    except Error:
        if not prepared.parameters:
            raise
        return pa.schema([]), False  # what is wrong with NULLs need not be wrong with what will be bound
    return client.shape(found), found is None and not returns_rows(prepared.sql)


def _forget(client: Client, request: Any) -> None:
    client.prepared.pop(request.prepared_statement_handle, None)


def _begin(client: Client) -> bytes:
    if len(client.transactions) >= MOST_PREPARED:
        raise OperationalError(f"there are {MOST_PREPARED} transactions", hint="end those that are not used")
    handle = new_handle()
    client.transactions[handle] = client.writes
    return messages.pack(messages.ActionBeginTransactionResult(transaction_id=handle))


def _end(client: Client, request: Any) -> None:
    written = client.transactions.pop(request.transaction_id, None)
    if written is None:
        raise OperationalError("there is no such transaction", hint="begin one")
    if request.action not in (_COMMIT, _ROLLBACK):
        raise ProgrammingError("a transaction ends by commit or rollback")
    if request.action == _ROLLBACK and written != client.writes:
        raise NotSupportedError(
            "what was written is not taken back: local tables are written at once",
            hint="DROP, DELETE or UPDATE what should not be there",
        )


def _cancel(client: Client, info: Any) -> int:
    """Cancel the statements behind the tickets of a FlightInfo; return a CancelStatus."""
    status = _NOT_CANCELLABLE
    for endpoint in info.endpoint:
        try:
            ticket = messages.unpack(endpoint.ticket.ticket)
        except ValueError:
            continue
        handle = getattr(ticket, "statement_handle", b"")
        if len(handle) == HANDLE and not (pending := client.results.get(handle)).done.is_set():
            client.stop(pending)
            status = _CANCELLED
    return status


def _set_options(client: Client, request: Any) -> bytes:
    result = messages.SetSessionOptionsResult()
    for option in request.session_options:
        if (wrong := _set_option(client, option.key, option.value)) is not None:
            result.errors.add(key=option.key, value=messages.SessionError(value=wrong))
    return _bytes(result)


def _set_option(client: Client, name: str, given: Any) -> int | None:
    """Set one option; return what is wrong with it. An option without a value gets the one it begins with."""
    which = given.WhichOneof("option_value")
    value = None if which is None else getattr(given, which)
    with client.turn(changes=True) as session:
        places = {"catalog": session.federation.directory.catalog.federation, "schema": "main"}
        if name in places:
            return None if value in (None, "", places[name]) else _INVALID_VALUE
        if name not in _OPTIONS:
            return _INVALID_NAME
        if value is None:
            session.settings = replace(session.settings, **{name: getattr(Settings(), name)})
            return None
        try:
            text = str(value).lower() if isinstance(value, bool) else str(value)
            session.settings = changed(session.settings, name, text)
        except Error:
            return _INVALID_VALUE
        return None


def _options(client: Client) -> bytes:
    with client.turn() as session:
        settings, catalog = session.settings, session.federation.directory.catalog.federation
    result = messages.GetSessionOptionsResult()
    value = messages.SessionOptionValue
    result.session_options.add(key="catalog", value=value(string_value=catalog))
    result.session_options.add(key="schema", value=value(string_value="main"))
    result.session_options.add(key="epsilon", value=value(double_value=settings.epsilon))
    accuracy = value() if settings.accuracy is None else value(double_value=settings.accuracy)
    result.session_options.add(key="accuracy", value=accuracy)
    result.session_options.add(key="allow_missing", value=value(bool_value=settings.allow_missing))
    return _bytes(result)


def _close(clients: Clients, client: Client) -> bytes:
    clients.end(client)
    return _bytes(messages.CloseSessionResult(status=_CLOSED))
