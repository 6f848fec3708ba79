"""``fedsql+flightsql://``: a gateway (`fedsql serve`), through PyPI's adbc-driver-flightsql.

    fedsql+flightsql://user:password@gateway.example:31338/?ca=gateway/ca.pem
    fedsql+flightsql://gateway.example:31338/?token=fedsql_...

``ca`` names a file with the authority that the gateway's certificate is signed by (default: the system's), ``tls=false``
does without TLS. Every connection is a session at the gateway, with local tables of its own. Nothing here needs the
engine: this process may have other versions of what the engine uses.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any

from sqlalchemy import exc, pool

from fedsql.sqlalchemy.dialect import FedsqlDialect

DEFAULT_PORT = 31338
_OPTIONS = ("ca", "tls", "token")
_SWITCH = {"true": True, "1": True, "on": True, "false": False, "0": False, "off": False}
_ENDED = ("IO", "UNAUTHENTICATED")  # ADBC's statuses of a gateway that is gone, and of a session that is


class FedsqlFlightSqlDialect(FedsqlDialect):
    """The driver that asks through a gateway."""

    driver = "flightsql"
    supports_statement_cache = True
    supports_sane_rowcount = supports_sane_multi_rowcount = False  # ADBC tells none of a statement with a result
    supports_sane_rowcount_returning = False

    @classmethod
    def import_dbapi(cls) -> ModuleType:
        """Return ADBC's PEP 249 module."""
        import adbc_driver_flightsql.dbapi

        module: ModuleType = adbc_driver_flightsql.dbapi
        return module

    dbapi = import_dbapi  # type: ignore[assignment]  # its name in SQLAlchemy 1.4

    @classmethod
    def get_pool_class(cls, url: Any) -> type[pool.Pool]:
        """Return QueuePool: a connection for each thread that asks."""
        return pool.QueuePool

    def create_connect_args(self, url: Any) -> tuple[list[Any], dict[str, Any]]:
        """Return what ADBC's connect takes. Raises ArgumentError for options that there are not."""
        options = dict(url.query)
        if unknown := sorted(set(options) - set(_OPTIONS)):
            raise exc.ArgumentError(f"fedsql+flightsql:// takes {', '.join(_OPTIONS)}, not {', '.join(unknown)}")
        if not url.host:
            raise exc.ArgumentError("the address names no gateway: fedsql+flightsql://user:password@host:31338/")
        if (tls := _SWITCH.get(str(options.get("tls", "true")).lower())) is None:
            raise exc.ArgumentError(f"tls is true or false, not {options['tls']}")
        given = {}
        if url.username:
            given |= {"username": url.username, "password": url.password or ""}
        if "token" in options:
            given["adbc.flight.sql.authorization_header"] = f"Bearer {options['token']}"
        if "ca" in options:
            given["adbc.flight.sql.client_option.tls_root_certs"] = Path(options["ca"]).read_text()
        host = f"[{url.host}]" if ":" in url.host else url.host
        address = f"{'grpc+tls' if tls else 'grpc'}://{host}:{url.port or DEFAULT_PORT}"
        return [address], {"db_kwargs": given, "autocommit": True}

    def is_disconnect(self, e: Any, connection: Any, cursor: Any) -> bool:
        """Say whether the gateway, or the session there, is gone."""
        return getattr(getattr(e, "status_code", None), "name", "") in _ENDED or "closed connection" in str(e)
