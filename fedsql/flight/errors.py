"""From fedsql's errors to those of Flight: a clean message for every client, and the details for those who read them.

pyarrow sends the traceback, with paths and source lines, of any exception that is not a FlightError: `told` lets none
through. The details are a google.rpc.Status with an ErrorInfo (reason: the SQLSTATE; metadata: hint, position, query_id,
kind), which ADBC shows as ``error.details``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pyarrow.flight as flight

from fedsql import errors
from fedsql.flight import messages

_log = logging.getLogger("fedsql.gateway")
_Made = Callable[[str, bytes], flight.FlightError]
# By class, most special first: how Flight calls it, and the number of that in gRPC (the details must agree with it).
_KINDS: tuple[tuple[type[errors.Error], _Made, int], ...] = (
    (errors.PrivacyError, flight.FlightUnauthorizedError, 7),
    (errors.LoginFailed, flight.FlightUnauthenticatedError, 16),
    (errors.PartyUnreachable, flight.FlightUnavailableError, 14),
    (errors.Cancelled, flight.FlightCancelledError, 1),
    (errors.InternalError, flight.FlightInternalError, 13),
    (errors.Error, flight.FlightServerError, 2),
)
DOMAIN = "fedsql"


def as_flight_error(error: errors.Error) -> flight.FlightError:
    """Return what a client is told of ``error``."""
    make, code = next((make, code) for kind, make, code in _KINDS if isinstance(error, kind))
    message = str(error)
    info = messages.ErrorInfo(reason=error.sqlstate, domain=DOMAIN)
    where = None if error.position is None else f"{error.position[0]}:{error.position[1]}"
    told = {"kind": type(error).__name__, "hint": error.hint, "position": where, "query_id": error.query_id}
    for key, value in told.items():
        if value is not None:
            info.metadata.add(key=key, value=value)
    status = messages.Status(code=code, message=message)
    status.details.add().ParseFromString(messages.pack(info))
    return make(message, bytes(status.SerializeToString()))


@contextmanager
def told() -> Iterator[None]:
    """Turn whatever is raised inside into a FlightError that holds no traceback and no path."""
    try:
        yield
    except flight.FlightError:
        raise
    except errors.Error as error:
        raise as_flight_error(error) from None
    except Exception:
        _log.exception("a call failed")
        raise as_flight_error(errors.InternalError("the gateway failed", hint="its log says why")) from None
