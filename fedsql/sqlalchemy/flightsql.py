"""``fedsql+flightsql://``: a gateway (`fedsql serve`), through PyPI's adbc-driver-flightsql.

    fedsql+flightsql://ada:password@gateway:31338/?tls=/data/ca.pem    trusting this authority alone
    fedsql+flightsql://ada:password@gateway:31338/                     trusting those that this machine trusts
    fedsql+flightsql://ada:password@127.0.0.1:31338/?tls=off           in the clear, within one machine
    fedsql+flightsql://gateway:31338/?token=fedsql_...                 with a token in place of a name and a password

Every connection is a session of its own at the gateway, with local tables of its own. Nothing here needs the engine: this
process may have other versions of what the engine uses.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any

from sqlalchemy import exc

from fedsql.sqlalchemy.dialect import FedsqlDialect, FedsqlExecutionContext

_PORT = 31338
_OPTIONS = ("tls", "token")
_AUTHORITIES = "adbc.flight.sql.client_option.tls_root_certs"
_GONE = ("UNAUTHENTICATED", "UNAVAILABLE", "[FlightSQL] connection error", "closed connection")
_WHOLE = "decimal128(38, 0)"  # what HUGEINT is in Arrow


class _Cursor:
    """A cursor of ADBC's as PEP 249 has it: sums are whole numbers, and a statement without rows has no description."""

    def __init__(self, cursor: Any) -> None:
        self._cursor = cursor

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)

    @property
    def description(self) -> Any:
        return self._cursor.description or None

    def fetchone(self) -> Any:
        row = self._cursor.fetchone()
        return row if row is None else self._rows([row])[0]

    def fetchmany(self, size: int | None = None) -> list[Any]:
        return self._rows(self._cursor.fetchmany(size))

    def fetchall(self) -> list[Any]:
        return self._rows(self._cursor.fetchall())

    def _rows(self, rows: list[Any]) -> list[Any]:
        whole = [str(column[1]) == _WHOLE for column in self.description or ()]
        if not any(whole):
            return rows
        return [
            tuple(
                int(value) if made and isinstance(value, Decimal) else value
                for value, made in zip(row, whole, strict=True)
            )
            for row in rows
        ]


class _ExecutionContext(FedsqlExecutionContext):
    def create_cursor(self) -> Any:
        return _Cursor(super().create_cursor())


class FedsqlFlightSqlDialect(FedsqlDialect):
    """The driver that asks a gateway."""

    driver = "flightsql"
    supports_statement_cache = True
    execution_ctx_cls = _ExecutionContext
    supports_sane_rowcount = supports_sane_multi_rowcount = supports_sane_rowcount_returning = False  # ADBC tells none

    @classmethod
    def import_dbapi(cls) -> ModuleType:
        """Return ADBC's PEP 249 module."""
        import adbc_driver_flightsql.dbapi as dbapi

        module: ModuleType = dbapi
        return module

    dbapi = import_dbapi  # type: ignore[assignment]  # its name in SQLAlchemy 1.4

    def create_connect_args(self, url: Any) -> tuple[list[Any], dict[str, Any]]:
        """Return what `connect` takes. Raises ArgumentError for options that it does not."""
        options = dict(url.query)
        if unknown := sorted(set(options) - set(_OPTIONS)):
            raise exc.ArgumentError(f"fedsql+flightsql:// takes {', '.join(_OPTIONS)}, not {', '.join(unknown)}")
        if not url.host:
            raise exc.ArgumentError("the address names no gateway: fedsql+flightsql://user:password@gateway:31338/")
        host = f"[{url.host}]" if ":" in url.host else url.host
        given = {"username": url.username, "password": url.password, **options}
        return [f"{host}:{url.port or _PORT}"], {name: value for name, value in given.items() if value}

    def connect(self, *cargs: Any, **cparams: Any) -> Any:
        """Connect to ``host:port``. ``tls``: "off", or the file of the authority to trust; ``authority``: its text."""
        (address,), given = cargs, dict(cparams)
        tls, authority, token = (given.pop(name, None) for name in ("tls", "authority", "token"))
        if tls not in (None, "off"):
            authority = Path(tls).read_text()
        if authority is not None:
            given[_AUTHORITIES] = authority
        if token is not None:
            given["adbc.flight.sql.authorization_header"] = f"Bearer {token}"
        location = f"grpc{'' if tls == 'off' else '+tls'}://{address}"
        return self.import_dbapi().connect(location, db_kwargs=given, autocommit=True)

    def is_disconnect(self, e: Any, connection: Any, cursor: Any) -> bool:
        """Say whether the gateway is gone, or the session has ended there."""
        return any(sign in str(e) for sign in _GONE)
