"""What both drivers do: the flags of the dialect, and reflection by SHOW and DESCRIBE, which ask no party for anything.

The default schema, ``main``, holds the unions over the parties and the analyst's local tables and views; every party is
a schema of its own. Federated tables have no keys that could be told. Local tables are written and read at once: there
are no transactions, so commit and rollback do nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from sqlalchemy import exc, types
from sqlalchemy.engine import default
from sqlalchemy.schema import CreateTable, DropTable

from fedsql.sqlalchemy.compiler import (
    FedsqlCompiler,
    FedsqlDDLCompiler,
    FedsqlIdentifierPreparer,
    FedsqlTypeCompiler,
    sequences,
)
from fedsql.sqlalchemy.types import BYTES, INTERVAL, NUMERIC, UUID, column_type

MAIN = "main"


class FedsqlExecutionContext(default.DefaultExecutionContext):
    """One statement on its way."""

    def pre_exec(self) -> None:
        """Before a table with an autoincrement key is created, make the sequence that its default takes numbers from."""
        self._serve(CreateTable, "CREATE SEQUENCE IF NOT EXISTS")

    def post_exec(self) -> None:
        """After such a table was dropped, drop its sequence."""
        self._serve(DropTable, "DROP SEQUENCE IF EXISTS")

    def _serve(self, kind: Any, statement: str) -> None:
        compiled: Any = self.compiled
        if self.isddl and isinstance(compiled.statement, kind):
            for name in sequences(compiled.statement.element, compiled.preparer):
                self.cursor.execute(f"{statement} {name}")


class FedsqlDialect(default.DefaultDialect):
    """``fedsql``: see the drivers for how each connects."""

    name = "fedsql"
    statement_compiler = FedsqlCompiler
    ddl_compiler = FedsqlDDLCompiler
    type_compiler: Any = FedsqlTypeCompiler
    preparer = FedsqlIdentifierPreparer
    execution_ctx_cls = FedsqlExecutionContext

    default_paramstyle = "qmark"
    default_schema_name = MAIN
    max_identifier_length = 255
    div_is_floordiv = False
    supports_statement_cache = True
    supports_alter = False
    supports_comments = False
    supports_sequences = False
    supports_default_values = True
    supports_empty_insert = False
    supports_multivalues_insert = True
    supports_native_boolean = True
    supports_native_decimal = True
    supports_native_uuid = True
    supports_sane_rowcount = True
    supports_sane_multi_rowcount = True
    supports_is_distinct_from = True
    supports_unicode_statements = True
    supports_unicode_binds = True
    postfetch_lastrowid = False
    insert_returning = update_returning = delete_returning = True
    use_insertmanyvalues = True
    implicit_returning = full_returning = True  # SQLAlchemy 1.4's names for it
    tuple_in_values = True
    cte_follows_insert = True
    supports_sane_rowcount_returning = hasattr(types, "Uuid")  # SQLAlchemy 1.4 asks a cursor that is closed

    colspecs: Any = {  # noqa: RUF012
        types.Interval: INTERVAL,
        types.LargeBinary: BYTES,
        types.Numeric: NUMERIC,
        types.Float: types.Float,
    }
    if hasattr(types, "Uuid"):  # since SQLAlchemy 2
        colspecs[types.Uuid] = UUID

    def _get_server_version_info(self, connection: Any) -> None:
        return None

    def _get_default_schema_name(self, connection: Any) -> str:
        return MAIN

    def _check_max_identifier_length(self, connection: Any) -> None:
        return None

    def do_begin(self, dbapi_connection: Any) -> None:
        """Do nothing: there are no transactions."""

    def do_rollback(self, dbapi_connection: Any) -> None:
        """Do nothing: what was written stays."""

    def do_commit(self, dbapi_connection: Any) -> None:
        """Do nothing: what was written is there."""

    def do_ping(self, dbapi_connection: Any) -> bool:
        """Say whether the connection answers."""
        with dbapi_connection.cursor() as cursor:
            cursor.execute("SHOW SETTINGS")
        return True

    def get_schema_names(self, connection: Any, **kw: Any) -> list[str]:
        """Return main, and the parties."""
        parties = {row["party"].lower() for row in self._tables(connection, **kw) if row["party"]}
        return [MAIN, *sorted(parties)]

    def has_schema(self, connection: Any, schema_name: str, **kw: Any) -> bool:
        """Say whether there is such a schema."""
        return schema_name.lower() in self.get_schema_names(connection, **kw)

    def get_table_names(self, connection: Any, schema: str | None = None, **kw: Any) -> list[str]:
        """Return the tables of a party, or the unions and local tables."""
        rows = [row for row in self._tables(connection, **kw) if row["columns"] is not None]
        if _is_main(schema):
            return sorted({row["table"] for row in rows})
        assert schema is not None
        return sorted(row["table"] for row in rows if (row["party"] or "").lower() == schema.lower())

    def get_view_names(self, connection: Any, schema: str | None = None, **kw: Any) -> list[str]:
        """Return the analyst's views."""
        return [row["view"] for row in self._listed(connection, "SHOW VIEWS", **kw)] if _is_main(schema) else []

    def get_view_definition(self, connection: Any, view_name: str, schema: str | None = None, **kw: Any) -> str:
        """Return the query of a view."""
        rows = self._listed(connection, "SHOW VIEWS", **kw) if _is_main(schema) else []
        for row in rows:
            if row["view"].lower() == view_name.lower():
                return str(row["query"])
        raise exc.NoSuchTableError(f"{schema}.{view_name}" if schema else view_name)

    def has_table(self, connection: Any, table_name: str, schema: str | None = None, **kw: Any) -> bool:
        """Say whether there is a table or a view of this name."""
        names = [*self.get_table_names(connection, schema, **kw), *self.get_view_names(connection, schema, **kw)]
        return table_name.lower() in (name.lower() for name in names)

    def has_sequence(self, connection: Any, sequence_name: str, schema: str | None = None, **kw: Any) -> bool:
        """Say no: there are no sequences."""
        return False

    def get_columns(self, connection: Any, table_name: str, schema: str | None = None, **kw: Any) -> list[Any]:
        """Return the columns of a table or view. What a party offers may always hold NULL."""
        self._check(connection, table_name, schema, **kw)
        quote = self.identifier_preparer.quote_identifier
        name = quote(table_name) if schema is None else f"{quote(schema)}.{quote(table_name)}"
        return [
            {
                "name": row["column"],
                "type": column_type(row["type"]),
                "nullable": row.get("nullable", "yes") == "yes",
                "default": row.get("default"),
                **({"comment": row["use"]} if "use" in row else {}),
            }
            for row in self._listed(connection, f"DESCRIBE {name}", **kw)
        ]

    def get_pk_constraint(self, connection: Any, table_name: str, schema: str | None = None, **kw: Any) -> Any:
        """Return the primary key of a local table."""
        for rows in self._keys(connection, table_name, schema, "primary key", **kw):
            return {"name": None, "constrained_columns": [row["column"] for row in rows]}
        return {"name": None, "constrained_columns": []}

    def get_unique_constraints(
        self, connection: Any, table_name: str, schema: str | None = None, **kw: Any
    ) -> list[Any]:
        """Return the unique constraints of a local table."""
        return [
            {"name": None, "column_names": [row["column"] for row in rows]}
            for rows in self._keys(connection, table_name, schema, "unique", **kw)
        ]

    def get_foreign_keys(self, connection: Any, table_name: str, schema: str | None = None, **kw: Any) -> list[Any]:
        """Return the foreign keys of a local table."""
        return [
            {
                "name": rows[0]["name"],
                "constrained_columns": [row["column"] for row in rows],
                "referred_schema": schema,
                "referred_table": rows[0]["referenced_table"],
                "referred_columns": [row["referenced_column"] for row in rows],
                "options": {},
            }
            for rows in self._keys(connection, table_name, schema, "foreign key", **kw)
        ]

    def get_indexes(self, connection: Any, table_name: str, schema: str | None = None, **kw: Any) -> list[Any]:
        """Return the indexes of a local table; an expression stands among ``expressions``, and as None for its column."""
        found = []
        for kind in ("index", "unique index"):
            for rows in self._keys(connection, table_name, schema, kind, **kw):
                columns = [_column(row["column"]) for row in rows]
                index = {
                    "name": rows[0]["name"],
                    "column_names": columns,
                    "unique": kind != "index",
                    "dialect_options": {},
                }
                if None in columns:
                    index["expressions"] = [_column(row["column"]) or row["column"][1:-1] for row in rows]  # (lower(x))
                found.append(index)
        return found

    def get_check_constraints(
        self, connection: Any, table_name: str, schema: str | None = None, **kw: Any
    ) -> list[Any]:
        """Raise NotImplementedError: the conditions of local tables are not told."""
        raise NotImplementedError

    def _check(self, connection: Any, table_name: str, schema: str | None, **kw: Any) -> None:
        if not self.has_table(connection, table_name, schema, **kw):
            raise exc.NoSuchTableError(f"{schema}.{table_name}" if schema else table_name)

    def _keys(
        self, connection: Any, table_name: str, schema: str | None, kind: str, **kw: Any
    ) -> Iterable[list[dict[str, Any]]]:
        """Return the columns of each key of ``kind``. Its name is DuckDB's own, not the one that it was given."""
        self._check(connection, table_name, schema, **kw)
        found: dict[str, list[dict[str, Any]]] = {}
        for row in self._listed(connection, "SHOW KEYS", **kw) if _is_main(schema) else []:
            if row["kind"] == kind and row["table"].lower() == table_name.lower():
                found.setdefault(row["name"], []).append(row)
        return found.values()

    def _tables(self, connection: Any, **kw: Any) -> list[dict[str, Any]]:
        return self._listed(connection, "SHOW TABLES", **kw)

    def _listed(self, connection: Any, statement: str, **kw: Any) -> list[dict[str, Any]]:
        """Return the rows of a listing by the names of its columns; an Inspector keeps them."""
        cache = kw.get("info_cache", {})
        if ("fedsql", statement) not in cache:
            result = connection.exec_driver_sql(statement)
            names = list(result.keys())
            cache["fedsql", statement] = [dict(zip(names, row, strict=True)) for row in result]
        rows: list[dict[str, Any]] = cache["fedsql", statement]
        return rows


def _is_main(schema: str | None) -> bool:
    return schema is None or schema.lower() == MAIN


def _column(text: str) -> str | None:
    """Return the name of a column as an index names it; None for an expression."""
    if re.fullmatch('"([^"]|"")+"', text):
        return text[1:-1].replace('""', '"')
    return text if re.fullmatch(r"\w+", text) else None
