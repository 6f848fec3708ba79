"""The analyst's local tables and views: CREATE, INSERT, UPDATE, DELETE, DROP in the session's own locked DuckDB.

Released results can be saved here (CREATE TABLE x AS SELECT ...) and need no budget any more. A view is a query that is
put in its place wherever its name stands, and asked anew each time. Federated tables are read-only.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import duckdb
import pyarrow as pa
import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from fedsql.answer import Answer
from fedsql.errors import NotSupportedError, ProgrammingError
from fedsql.executors.engines.typer import as_sql_error, read_twice
from fedsql.planner.catalog import Catalog
from fedsql.planner.parse import parse, unread
from fedsql.planner.positions import position
from fedsql.planner.schema import RESERVED, UNION, is_cte_reference
from fedsql.types import quoted

Save = Callable[[str, Sequence[object], str], Answer]  # (query, parameters, what to run its rows into) -> what it cost
_DEEPEST = 16


@dataclass(frozen=True)
class Saved:
    """A view: its query, and the names of its columns where they were given."""

    sql: str
    columns: tuple[str, ...] = ()


class LocalTables:
    """The tables and views of one session. ``catalog`` returns the newest catalog, whose names are taken."""

    def __init__(self, database: duckdb.DuckDBPyConnection, catalog: Callable[[], Catalog]) -> None:
        self._database = database
        self._catalog = catalog
        self._views: dict[str, Saved] = {}

    def execute(self, sql: str, parameters: Sequence[object], save: Save, check: Callable[[str], object]) -> Answer:
        """Run a statement that writes; ``save`` answers a query over federated tables, ``check`` binds one."""
        with read_twice(sql):
            tree = _parsed(sql)
        if isinstance(tree, exp.Drop) and tree.args.get("kind") == "VIEW":
            return self._drop_view(tree)
        name = self._target(tree)
        if isinstance(tree, exp.Create) and tree.args.get("kind") == "VIEW":
            return self._create_view(tree, name, check)
        if name in self._views:
            raise ProgrammingError(f"{name} is a view", hint=f"DROP VIEW {name} first, or name a table")
        if not isinstance(tree, exp.Create) and name not in (known := self.tables()) and not tree.args.get("exists"):
            raise ProgrammingError(
                f"there is no local table {name}",
                hint=f"local tables: {', '.join(known) or 'none'}; CREATE TABLE x AS SELECT ... makes one",
            )
        query = tree.expression if isinstance(tree, exp.Create | exp.Insert) else None
        if isinstance(query, exp.Query) and self._reads_others(query):
            return save(query.sql("duckdb"), parameters, _into(tree))
        for part in [tree.expression] if isinstance(query, exp.Query) else list(tree.find_all(exp.Query)):
            if self._reads_others(part):
                raise NotSupportedError(
                    f"{tree.key.upper()} cannot read federated tables or views",
                    hint="save them first: CREATE TABLE x AS SELECT ...",
                    position=position(part),
                )
        with self._running() as cursor:
            result = cursor.execute(sql, list(parameters)) if parameters else cursor.execute(sql)
            counted = result.fetchall() if not isinstance(tree, exp.Create | exp.Drop) or result.description else []
        return Answer(changed=int(counted[0][0]) if counted and isinstance(counted[0][0], int) else None)

    def load(self, name: str, rows: pa.Table, *, create: bool, append: bool, replace: bool) -> int:
        """Write rows to a local table; return how many. ``create``: it may be new; else ``append`` to it or ``replace`` it.

        All rows are written or none.
        """
        name = self._target(_parsed(f"CREATE TABLE {quoted(name)} AS SELECT 1"))
        there = name in self.tables()
        if name in self._views:
            raise ProgrammingError(f"{name} is a view", hint=f"DROP VIEW {name} first, or name a table")
        if not there and not create:
            raise ProgrammingError(f"there is no local table {name}")
        if there and not (append or replace):
            raise ProgrammingError(f"there is a local table {name} already", hint="append to it, or replace it")
        made = f"CREATE OR REPLACE TABLE {quoted(name)} AS"
        sql = f"INSERT INTO {quoted(name)} BY NAME" if there and append else made
        with self._running() as cursor:
            cursor.register("_rows", rows)
            cursor.execute(f"{sql} SELECT * FROM _rows")
        return int(rows.num_rows)

    def schemas(self, tree: exp.Expr) -> tuple[tuple[str, tuple[tuple[str, str], ...]], ...]:
        """Return the columns of every local table that ``tree`` names."""
        named = {t.name.lower() for t in tree.find_all(exp.Table) if t.db.lower() in ("", UNION)}
        named -= set(self._catalog().names())
        known = self.tables() if named else {}
        return tuple((name, known[name]) for name in sorted(named & known.keys()))

    def tables(self) -> dict[str, tuple[tuple[str, str], ...]]:
        """Return the columns (name, type) of every local table."""
        with self._database.cursor() as cursor:
            rows = cursor.execute(
                "SELECT table_name, column_name, data_type FROM duckdb_columns()"
                " WHERE schema_name = 'main' AND database_name = 'memory' AND NOT internal ORDER BY 1, column_index"
            ).fetchall()
        found: dict[str, list[tuple[str, str]]] = {}
        for table, column, type_ in rows:
            found.setdefault(table.lower(), []).append((column.lower(), type_))
        return {name: tuple(columns) for name, columns in found.items()}

    def primary_keys(self) -> dict[str, tuple[str, ...]]:
        """Return the columns of the primary key of every local table that has one."""
        with self._database.cursor() as cursor:
            rows = cursor.execute(
                "SELECT table_name, constraint_column_names FROM duckdb_constraints()"
                " WHERE schema_name = 'main' AND database_name = 'memory' AND constraint_type = 'PRIMARY KEY'"
            ).fetchall()
        return {table.lower(): tuple(column.lower() for column in columns) for table, columns in rows}

    def views(self) -> tuple[str, ...]:
        """Return the names of the views."""
        return tuple(sorted(self._views))

    def expanded(self, tree: exp.Query) -> bool:
        """Put the views that ``tree`` names in their places; return whether there was any."""
        changed = False
        for _ in range(_DEEPEST):
            found = [t for t in tree.find_all(exp.Table) if self._view(t) is not None and not is_cte_reference(t)]
            if not found:
                return changed
            for table in found:
                view = self._view(table)
                assert view is not None
                columns = [exp.to_identifier(name, quoted=True) for name in view.columns] or None
                alias = exp.TableAlias(this=exp.to_identifier(table.alias_or_name, quoted=True), columns=columns)
                table.replace(exp.Subquery(this=parse(view.sql), alias=alias))
            changed = True
        raise ProgrammingError("views stand in each other too deeply")

    def _view(self, table: exp.Table) -> Saved | None:
        if table.db.lower() not in ("", UNION) or not isinstance(table.this, exp.Identifier):
            return None
        return self._views.get(table.name.lower())

    def _reads_others(self, query: exp.Expr) -> bool:
        """Say whether a query reads anything that is no local table."""
        local = self.tables()
        return any(
            (table.db and table.db.lower() != UNION) or table.name.lower() not in local
            for table in query.find_all(exp.Table)
            if isinstance(table.this, exp.Identifier) and not is_cte_reference(table)
        )

    def _target(self, tree: exp.Expr) -> str:
        """Return the name that a statement writes to. Raises ProgrammingError for one that it may not have."""
        table = tree.find(exp.Table)
        where = position(table) if table is not None else None
        if table is None or not isinstance(table.this, exp.Identifier):
            raise ProgrammingError(f"{tree.key.upper()} names no table", hint="CREATE TABLE x AS SELECT ...")
        name = table.name.lower()
        if table.catalog or (table.db and table.db.lower() != UNION):
            raise NotSupportedError(
                f"{table.sql('duckdb')} is not yours: federated tables are read-only",
                hint="local tables have no party in their names: CREATE TABLE x AS SELECT ...",
                position=where,
            )
        if name in self._catalog().names():
            raise NotSupportedError(
                f"{table.name} is a federated table, and these are read-only",
                hint="choose another name for a local table",
                position=where,
            )
        if name in RESERVED or name.startswith("_"):
            raise ProgrammingError(f"{table.name} is a name that fedsql keeps for itself", position=where)
        return name

    def _create_view(self, tree: exp.Create, name: str, check: Callable[[str], object]) -> Answer:
        if name in self._views and not tree.args.get("replace"):
            if tree.args.get("exists"):
                return Answer()
            raise ProgrammingError(f"there is a view {name} already", hint="CREATE OR REPLACE VIEW replaces it")
        if name in self.tables():
            raise ProgrammingError(f"{name} is a local table", hint=f"DROP TABLE {name} first, or choose another name")
        if not isinstance(tree.expression, exp.Query):
            raise ProgrammingError("a view is a query", hint="CREATE VIEW v AS SELECT ...")
        holder = tree.this
        columns = tuple(each.name for each in holder.expressions) if isinstance(holder, exp.Schema) else ()
        if any(table.name.lower() == name for table in tree.expression.find_all(exp.Table)):
            raise ProgrammingError(f"the view {name} names itself")
        text = tree.expression.sql("duckdb")
        check(text)
        self._views[name] = Saved(text, columns)
        return Answer()

    def _drop_view(self, tree: exp.Drop) -> Answer:
        table = tree.find(exp.Table)
        name = table.name.lower() if table is not None else ""
        if name not in self._views:
            if tree.args.get("exists"):
                return Answer()
            near = difflib.get_close_matches(name, self._views, n=1)
            hint = f"did you mean {near[0]}?" if near else f"views: {', '.join(self.views()) or 'none'}"
            raise ProgrammingError(f"there is no view {name}", hint=hint)
        del self._views[name]
        return Answer()

    @contextmanager
    def _running(self) -> Iterator[duckdb.DuckDBPyConnection]:
        try:
            with self._database.cursor() as cursor:
                yield cursor
        except duckdb.Error as error:
            raise as_sql_error(error) from None


def _parsed(sql: str) -> exp.Expr:
    try:
        statements = [each for each in sqlglot.parse(sql, dialect="duckdb") if each is not None]
    except SqlglotError:
        raise unread() from None
    if len(statements) != 1:
        raise ProgrammingError("one statement at a time", hint="separate statements are run one after the other")
    (tree,) = statements
    kinds = (exp.Create, exp.Drop, exp.Insert, exp.Update, exp.Delete, exp.TruncateTable, exp.Alter)
    creates = not isinstance(tree, exp.Create | exp.Drop) or tree.args.get("kind") in ("TABLE", "VIEW")
    if not isinstance(tree, kinds) or not creates:
        raise NotSupportedError(
            f"{' '.join(sql.upper().split()[:2])} is not answered",
            hint="local tables and views: CREATE TABLE, CREATE VIEW, INSERT, UPDATE, DELETE, DROP",
        )
    if tree.find(exp.TemporaryProperty) is not None:
        raise NotSupportedError(
            "TEMP is not needed: local tables end with the session", hint="CREATE TABLE x AS SELECT ..."
        )
    return tree


def _into(tree: exp.Expr) -> str:
    """Return the statement that a query's rows run into: ``{query}`` stands for them."""
    copy = tree.copy()
    mark = exp.Select(expressions=[exp.Star()]).from_(exp.to_table("_rows"))
    copy.set("expression", mark)
    return copy.sql("duckdb").replace(mark.sql("duckdb"), "{query}")
