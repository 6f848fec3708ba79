"""``fedsql://``: the engine in this process, through `fedsql.connect`.

    fedsql:////data/federation.toml?analyst=ada                                the parties in this process, or a network
    fedsql://coordinator:31337/?federation=/data/federation.toml&analyst=ada   a coordinator at this address

``key`` names the analyst's private key. One engine of SQLAlchemy is one session of the federation: its local tables are
seen by all connections of that engine and end with it, and its threads take turns.
"""

from __future__ import annotations

import threading
from types import ModuleType
from typing import Any

from sqlalchemy import exc, pool

from fedsql.sqlalchemy.dialect import FedsqlDialect

_OPTIONS = ("analyst", "key", "federation")


class FedsqlNativeDialect(FedsqlDialect):
    """The driver that opens the federation itself."""

    driver = "native"
    supports_statement_cache = True

    def __init__(self, **kw: Any) -> None:
        super().__init__(**kw)
        self._turn = threading.RLock()

    @classmethod
    def import_dbapi(cls) -> ModuleType:
        """Return fedsql, which is the PEP 249 module."""
        import fedsql

        return fedsql

    dbapi = import_dbapi  # type: ignore[assignment]  # its name in SQLAlchemy 1.4

    @classmethod
    def get_pool_class(cls, url: Any) -> type[pool.Pool]:
        """Return StaticPool: one session for the whole engine."""
        return pool.StaticPool

    def create_connect_args(self, url: Any) -> tuple[list[Any], dict[str, Any]]:
        """Return what `fedsql.connect` takes. Raises ArgumentError for options that it does not."""
        options = dict(url.query)
        if url.username:
            options.setdefault("analyst", url.username)
        if unknown := sorted(set(options) - set(_OPTIONS)):
            raise exc.ArgumentError(f"fedsql:// takes {', '.join(_OPTIONS)}, not {', '.join(unknown)}")
        if url.host:
            host = f"[{url.host}]" if ":" in url.host else url.host
            return [f"fedsql://{host}" + (f":{url.port}" if url.port else "")], options
        if not url.database:
            raise exc.ArgumentError("the address names no federation: fedsql:////path/to/federation.toml?analyst=...")
        return [url.database], options

    def do_execute(self, cursor: Any, statement: str, parameters: Any, context: Any = None) -> None:
        """Run a statement when no other thread does."""
        with self._turn:
            cursor.execute(statement, parameters or ())

    def do_execute_no_params(self, cursor: Any, statement: str, context: Any = None) -> None:
        """Run a statement when no other thread does."""
        with self._turn:
            cursor.execute(statement)

    def do_executemany(self, cursor: Any, statement: str, parameters: Any, context: Any = None) -> None:
        """Run a statement for each of the parameters when no other thread does."""
        with self._turn:
            cursor.executemany(statement, parameters)

    def is_disconnect(self, e: Any, connection: Any, cursor: Any) -> bool:
        """Say whether the session has ended."""
        return isinstance(e, self.loaded_dbapi.InterfaceError) and "is closed" in str(e)

    @property
    def loaded_dbapi(self) -> Any:
        """Return fedsql (SQLAlchemy 1.4 has no such name)."""
        return self.import_dbapi()
