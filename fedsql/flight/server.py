"""The Flight SQL server: which method of Arrow Flight leads where. Every one is here: pyarrow's own answer with tracebacks.

GetFlightInfo describes and plans, which costs nothing; DoGet runs. A ticket's statement runs once, so a client may
repeat a DoGet (see `fedsql.flight.statements`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import pyarrow.flight as flight

from fedsql.errors import NotSupportedError
from fedsql.flight import messages
from fedsql.flight.actions import ACTIONS, act
from fedsql.flight.auth import MIDDLEWARE, Auth, NoHandshake
from fedsql.flight.batches import reader_of
from fedsql.flight.client import Client
from fedsql.flight.clients import Clients
from fedsql.flight.commands import described, kind, listing, listing_schema, read_command, submit
from fedsql.flight.errors import told
from fedsql.flight.puts import put
from fedsql.flight.users import Users

_TICKET = "TicketStatementQuery"


class Server(flight.FlightServerBase):  # type: ignore[misc]
    """Listens from its construction until `shutdown`. ``tls`` is (certificate chain, private key) in PEM."""

    def __init__(self, location: str, users: Users, clients: Clients, tls: tuple[bytes, bytes] | None = None) -> None:
        self._clients = clients
        super().__init__(
            location,
            auth_handler=NoHandshake(),
            middleware={MIDDLEWARE: Auth(users, clients)},
            tls_certificates=[tls] if tls else None,
        )

    @contextmanager
    def _client(self, context: Any) -> Iterator[Client]:
        """Give the client of a call; whatever goes wrong inside is told without a traceback."""
        with told(), self._clients.call(context.get_middleware(MIDDLEWARE).client) as client:
            yield client

    def get_flight_info(self, context: Any, descriptor: Any) -> Any:
        """Describe what a command yields; a statement that changes something is run."""
        with self._client(context) as client:
            command = read_command(descriptor.command)
            schema, ticket, rows = listing_schema(command), descriptor.command, None
            if schema is None:
                handle, pending = submit(client, command, context.is_cancelled)
                schema, ticket = pending.schema, messages.pack(messages.TicketStatementQuery(statement_handle=handle))
                rows = pending.rows
            # No location: where it was asked.
            return flight.FlightInfo(
                schema, descriptor, [flight.FlightEndpoint(ticket, [])], -1 if rows is None else rows, -1
            )

    def get_schema(self, context: Any, descriptor: Any) -> Any:
        """Return the schema of what a command yields; an empty one where that cannot be said.

        To an error pyarrow would add the traceback here, whatever its kind: it comes when the statement is run.
        """
        try:
            with self._client(context) as client:
                command = read_command(descriptor.command)
                schema = listing_schema(command)
                return flight.SchemaResult(described(client, command) if schema is None else schema)
        except flight.FlightError:
            return flight.SchemaResult(pa.schema([]))

    def do_get(self, context: Any, ticket: Any) -> Any:
        """Return the rows behind a ticket."""
        with self._client(context) as client:
            command = read_command(ticket.ticket)
            if kind(command) == _TICKET:
                rows = client.fetch(command.statement_handle, context.is_cancelled)
            elif (listed := listing(client, command)) is not None:
                rows = listed
            else:
                raise NotSupportedError(f"{kind(command)} is no ticket", hint="ask for its FlightInfo first")
            return flight.RecordBatchStream(reader_of(rows))

    def do_put(self, context: Any, descriptor: Any, reader: Any, writer: Any) -> None:
        """Take rows, or a statement that changes something."""
        with self._client(context) as client:
            writer.write(pa.py_buffer(put(client, read_command(descriptor.command), reader, context.is_cancelled)))

    def do_action(self, context: Any, action: Any) -> list[bytes]:
        """Carry out an action."""
        with self._client(context) as client:
            return act(self._clients, client, action.type, action.body.to_pybytes())

    def list_actions(self, context: Any) -> list[tuple[str, str]]:
        """Return what actions there are."""
        return list(ACTIONS.items())

    def list_flights(self, context: Any, criteria: bytes) -> list[Any]:
        """Return nothing: what there is, Flight SQL's commands tell."""
        return []

    def do_exchange(self, context: Any, descriptor: Any, reader: Any, writer: Any) -> None:
        """Refuse: Flight SQL has no use for it."""
        with told():
            raise NotSupportedError("DoExchange is not answered", hint="the gateway speaks Arrow Flight SQL")
