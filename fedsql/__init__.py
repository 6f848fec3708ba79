"""fedsql: ask one SQL question of many organisations' data; no readable row leaves home.

This is the PEP 249 module: ``fedsql.connect("federation.toml")`` gives a connection. Names are resolved when they are
first used (PEP 562), so that ``import fedsql``, which every module of the package implies, costs nothing; what a name
is, is said in `fedsql.dbapi`, `fedsql.type_objects` and `fedsql.errors` alone.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from fedsql.errors import (
    BudgetExhausted,
    Cancelled,
    ConfigError,
    DatabaseError,
    DataError,
    Error,
    IntegrityError,
    InterfaceError,
    InternalError,
    LoginFailed,
    NotSupportedError,
    OperationalError,
    PartyUnreachable,
    PolicyDenied,
    PrivacyError,
    ProgrammingError,
    ProtocolError,
    TooComplex,
    Warning,
)

if TYPE_CHECKING:
    from fedsql.cursor import Cursor
    from fedsql.dbapi import Connection, connect
    from fedsql.type_objects import (
        BINARY,
        DATETIME,
        NUMBER,
        ROWID,
        STRING,
        Binary,
        Date,
        DateFromTicks,
        Time,
        TimeFromTicks,
        Timestamp,
        TimestampFromTicks,
    )

    __version__: str

apilevel = "2.0"
paramstyle = "qmark"
threadsafety = 1  # threads may share the module, not a connection; cancel() alone may come from another thread

__all__ = [
    "BINARY",
    "Binary",
    "BudgetExhausted",
    "Cancelled",
    "ConfigError",
    "Connection",
    "Cursor",
    "DATETIME",
    "DataError",
    "DatabaseError",
    "Date",
    "DateFromTicks",
    "Error",
    "IntegrityError",
    "InterfaceError",
    "InternalError",
    "LoginFailed",
    "NUMBER",
    "NotSupportedError",
    "OperationalError",
    "PartyUnreachable",
    "PolicyDenied",
    "PrivacyError",
    "ProgrammingError",
    "ProtocolError",
    "ROWID",
    "STRING",
    "Time",
    "TimeFromTicks",
    "Timestamp",
    "TimestampFromTicks",
    "TooComplex",
    "Warning",
    "__version__",
    "apilevel",
    "connect",
    "paramstyle",
    "threadsafety",
]


if not TYPE_CHECKING:  # a type checker would take any name for one that exists

    def __getattr__(name: str) -> Any:
        if name == "__version__":
            found: Any = import_module("importlib.metadata").version("fedsql")
        elif name in __all__:
            module = "fedsql.dbapi" if name in ("connect", "Connection", "Cursor") else "fedsql.type_objects"
            found = getattr(import_module(module), name)
        else:
            raise AttributeError(f"module 'fedsql' has no attribute {name!r}")
        globals()[name] = found
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
