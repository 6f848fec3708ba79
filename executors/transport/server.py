"""The hub's Flight server: one method is served, and no other tells anything."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.flight as flight

_log = logging.getLogger("fedsql.transport")


class Server(flight.FlightServerBase):  # type: ignore[misc]
    """Listens from its construction until `shutdown`. Every method is here: pyarrow's own ones answer with a traceback.

    ``exchange`` serves one connection, given who it is from, as gRPC names it, its reader and its writer. ``tls`` is
    (certificate chain, private key) in PEM.
    """

    def __init__(
        self, location: str, exchange: Callable[[str, Any, Any], None], tls: tuple[bytes, bytes] | None
    ) -> None:
        self._exchange = exchange
        super().__init__(location, tls_certificates=[tls] if tls else None)

    def do_exchange(self, context: Any, descriptor: Any, reader: Any, writer: Any) -> None:
        """Serve one connection to its end."""
        try:
            self._exchange(context.peer(), reader, writer)
        except Exception:
            _log.exception("a connection failed")
            raise flight.FlightInternalError("the connection failed") from None

    def _refuse(self, *_: Any) -> Any:
        raise flight.FlightUnauthorizedError("only fedsql participants are served here")

    def get_schema(self, *_: Any) -> Any:
        """Return an empty schema: to an error pyarrow would add the traceback here, whatever its kind."""
        return flight.SchemaResult(pa.schema([]))

    list_flights = get_flight_info = do_get = do_put = do_action = list_actions = _refuse
