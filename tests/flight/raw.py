"""A client that sends any command as it is, for what no driver sends."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.flight as flight

from fedsql.flight import messages
from fedsql.flight.service import GatewayService
from tests.flight.accounts import PASSWORD


class Raw:
    """One client. It logs in as ``user``, or sends ``headers`` alone."""

    timeout = 60.0

    def __init__(self, service: GatewayService, user: str | None = "ada", headers: Any = ()) -> None:
        self.client = flight.FlightClient(f"grpc://127.0.0.1:{service.port}")
        self.headers = list(headers)
        if user is not None:
            self.headers.append(self.client.authenticate_basic_token(user, PASSWORD))

    @property
    def options(self) -> flight.FlightCallOptions:
        return flight.FlightCallOptions(headers=self.headers, timeout=self.timeout)

    def info(self, command: Any) -> flight.FlightInfo:
        return self.client.get_flight_info(flight.FlightDescriptor.for_command(messages.pack(command)), self.options)

    def get(self, info: flight.FlightInfo) -> pa.Table:
        (endpoint,) = info.endpoints
        return self.client.do_get(endpoint.ticket, self.options).read_all()

    def rows(self, command: Any) -> pa.Table:
        info = self.info(command)
        table = self.get(info)
        assert table.schema.equals(info.schema, check_metadata=True)
        return table

    def query(self, sql: str) -> pa.Table:
        return self.rows(messages.CommandStatementQuery(query=sql))

    def action(self, name: str, body: bytes) -> list[bytes]:
        return [each.body.to_pybytes() for each in self.client.do_action(flight.Action(name, body), self.options)]

    def prepare(self, sql: str) -> Any:
        request = messages.ActionCreatePreparedStatementRequest(query=sql)
        (result,) = self.action("CreatePreparedStatement", messages.pack(request))
        return messages.unpack(result)

    def put(self, command: Any, table: pa.Table | None = None) -> bytes:
        rows = pa.table({}) if table is None else table
        descriptor = flight.FlightDescriptor.for_command(messages.pack(command))
        writer, reader = self.client.do_put(descriptor, rows.schema, self.options)
        if table is not None:
            writer.write_table(rows)
        writer.done_writing()
        result = reader.read()
        writer.close()
        return b"" if result is None else bytes(result.to_pybytes())

    def close_session(self) -> None:
        self.action("CloseSession", b"")

    def close(self) -> None:
        self.client.close()
