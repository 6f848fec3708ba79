"""The analyst's local tables: CREATE, INSERT, UPDATE, DELETE, DROP in the session's own locked DuckDB.

Released results can be saved here (CREATE TABLE x AS SELECT ...) and need no budget any more. Federated tables are
read-only. Views (`local_views.py`) share the names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice

import duckdb
import pyarrow as pa
from sqlglot import exp

from fedsql.answer import Answer
from fedsql.errors import Cancelled, NotSupportedError, ProgrammingError
from fedsql.executors.engines.typer import as_sql_error
from fedsql.local_statements import into, kind_of, read_write, rows_each, run, serves_tables, values_of
from fedsql.local_views import Views
from fedsql.planner.catalog import Catalog
from fedsql.planner.constants import count_marks
from fedsql.planner.positions import position
from fedsql.planner.schema import RESERVED, UNION, is_cte_reference
from fedsql.planner.trees import find
from fedsql.types import quoted
from fedsql.workbench import CANCELLED

Save = Callable[[str, Sequence[object], str], Answer]  # (query, parameters, what to run its rows into) -> what it cost
_BATCH = 1000  # rows of executemany between looks at whether it was cancelled


class LocalTables:
    """The tables and views of one session. ``catalog`` returns the newest catalog, whose names are taken.

    ``check_cancelled`` raises when what runs was cancelled; ``running`` is the cursor that then is to be interrupted.
    ``most``: bytes of the rows that RETURNING yields.
    """

    def __init__(
        self,
        database: duckdb.DuckDBPyConnection,
        catalog: Callable[[], Catalog],
        check_cancelled: Callable[[], None] = lambda: None,
        most: int | None = None,
    ) -> None:
        self._database = database
        self._catalog = catalog
        self._check_cancelled = check_cancelled
        self._most = most
        self.running: duckdb.DuckDBPyConnection | None = None
        self.views = Views()

    def execute(self, sql: str, parameters: Sequence[object], save: Save, check: Callable[[str], object]) -> Answer:
        """Run a statement that writes; ``save`` answers a query over federated tables, ``check`` binds one."""
        tree = read_write(sql)
        if kind_of(tree) == "VIEW" and parameters:
            raise NotSupportedError("a view has no parameters", hint="write the values in its query")
        if isinstance(tree, exp.Drop) and kind_of(tree) == "VIEW":
            return self.views.drop(tree)
        name = self._target(tree)
        if isinstance(tree, exp.Create) and kind_of(tree) == "VIEW":
            return self.views.create(tree, name, self.tables(), check)
        if kind_of(tree) == "TABLE" and isinstance(tree, exp.Create) and name in self.tables():
            if tree.args.get("exists"):
                return Answer()
            if not tree.args.get("replace"):
                raise ProgrammingError(
                    f"there is a local table {name} already",
                    hint=f"CREATE OR REPLACE TABLE {name} replaces it, CREATE TABLE IF NOT EXISTS {name} keeps it",
                    sqlstate="42P07",
                )
        query = tree.expression if isinstance(tree, exp.Create | exp.Insert) else None
        if isinstance(query, exp.Query) and self._reads_others(query):
            if tree.args.get("returning"):
                raise NotSupportedError(
                    "RETURNING is for rows of your own, not for those of federated tables",
                    hint=f"leave it out, and SELECT from {name} afterwards",
                )
            return save(query.sql("duckdb"), parameters, into(tree))
        self._check_reads(tree)
        values = values_of(count_marks(tree), parameters)
        with self._running() as cursor:
            return run(tree, cursor, sql, values, self._most)

    def execute_many(self, sql: str, rows: Iterable[object]) -> Answer:
        """Run INSERT, UPDATE or DELETE once for each of ``rows``: for all, or, where one fails, for none."""
        tree = read_write(sql)
        if not isinstance(tree, exp.Insert | exp.Update | exp.Delete):
            raise NotSupportedError(f"executemany does not run {tree.key.upper()}", hint="call execute for each")
        self._target(tree)
        self._check_reads(tree)
        wanted, each, total = count_marks(tree), rows_each(tree), 0
        waiting = (values_of(wanted, row) for row in rows)
        with self._running() as cursor:
            cursor.begin()
            try:
                while batch := list(islice(waiting, _BATCH)):
                    self._check_cancelled()
                    if each is not None:
                        cursor.executemany(sql, batch)
                        total += each * len(batch)
                    else:
                        total += sum(run(tree, cursor, sql, values).changed or 0 for values in batch)
                cursor.commit()
            except BaseException:
                cursor.rollback()
                raise
        return Answer(changed=total)

    def load(self, name: str, rows: pa.Table, *, create: bool, append: bool, replace: bool) -> int:
        """Write rows to a local table; return how many. ``create``: it may be new; else ``append`` to it or ``replace`` it.

        All rows are written or none.
        """
        name = self._target(read_write(f"CREATE TABLE {quoted(name)} AS SELECT 1"))
        there = name in self.tables()
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
        named = {t.name.lower() for t in find(tree, exp.Table) if t.db.lower() in ("", UNION)}
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

    def columns(self, table: str) -> list[tuple[str, str, str, str | None]]:
        """Return (name, type, "yes" where it takes NULL, its default as SQL) of each column of a local table."""
        with self._database.cursor() as cursor:
            return cursor.execute(
                "SELECT column_name, data_type, if(is_nullable, 'yes', 'no'), column_default FROM duckdb_columns()"
                " WHERE schema_name = 'main' AND database_name = 'memory' AND NOT internal AND lower(table_name) = ?"
                " ORDER BY column_index",
                [table],
            ).fetchall()

    def keys(self) -> list[tuple[str | None, ...]]:
        """Return each column of each key and index: (table, name, kind, column, and what a foreign key refers to)."""
        with self._database.cursor() as cursor:
            return cursor.execute(
                "SELECT table_name, constraint_name, lower(constraint_type), unnest(constraint_column_names),"
                " referenced_table, unnest(referenced_column_names) FROM duckdb_constraints()"
                " WHERE schema_name = 'main' AND database_name = 'memory'"
                " AND constraint_type IN ('PRIMARY KEY', 'UNIQUE', 'FOREIGN KEY')"
                " UNION ALL SELECT table_name, index_name, if(is_unique, 'unique index', 'index'),"
                " unnest(CAST(expressions AS VARCHAR[])), NULL, NULL FROM duckdb_indexes()"
                " WHERE schema_name = 'main' AND database_name = 'memory'"
            ).fetchall()

    def listed(self) -> list[tuple[str, int]]:
        """Return the name of each local table, as it was written, and how many columns it has."""
        with self._database.cursor() as cursor:
            return cursor.execute(
                "SELECT table_name, column_count FROM duckdb_tables()"
                " WHERE schema_name = 'main' AND database_name = 'memory' AND NOT internal ORDER BY lower(table_name)"
            ).fetchall()

    def _reads_others(self, query: exp.Expr) -> bool:
        """Say whether a query reads anything that is no local table."""
        local = self.tables()
        return any(
            (table.db and table.db.lower() != UNION) or table.name.lower() not in local
            for table in find(query, exp.Table)
            if isinstance(table.this, exp.Identifier) and not is_cte_reference(table)
        )

    def _check_reads(self, tree: exp.Expr) -> None:
        """Raise NotSupportedError where a statement that DuckDB alone runs reads what is no local table."""
        query = tree.expression if isinstance(tree, exp.Create | exp.Insert) else None
        for part in [query] if isinstance(query, exp.Query) else find(tree, exp.Query):
            if self._reads_others(part):
                raise NotSupportedError(
                    f"{tree.key.upper()} cannot read federated tables or views",
                    hint="save them first: CREATE TABLE x AS SELECT ...",
                    position=position(part),
                )

    def _target(self, tree: exp.Expr) -> str:
        """Return the name that a statement writes to. Raises ProgrammingError for one that it may not have."""
        table = tree.find(exp.Table)
        if table is None or not isinstance(table.this, exp.Identifier):
            raise ProgrammingError(f"{tree.key.upper()} names no table", hint="CREATE TABLE x AS SELECT ...")
        name = self._own(table)
        renamed = [self._own(to.this) for to in find(tree, exp.AlterRename) if isinstance(to.this, exp.Table)]
        for each in (name, *renamed) if kind_of(tree) != "VIEW" else ():
            if each in self.views:
                raise ProgrammingError(f"{each} is a view", hint=f"DROP VIEW {each} first, or name a table")
        needed = not isinstance(tree, exp.Create) and not serves_tables(tree) and not tree.args.get("exists")
        if needed and name not in (known := self.tables()):
            raise ProgrammingError(
                f"there is no local table {name}",
                hint=f"local tables: {', '.join(known) or 'none'}; CREATE TABLE x AS SELECT ... makes one",
                position=position(table),
                sqlstate="42P01",
            )
        return name

    def _own(self, table: exp.Table) -> str:
        """Return a table's name in lower case. Raises NotSupportedError, ProgrammingError where it is not the analyst's."""
        where, name = position(table), table.name.lower()
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

    @contextmanager
    def _running(self) -> Iterator[duckdb.DuckDBPyConnection]:
        cursor = self.running = self._database.cursor()
        try:
            self._check_cancelled()
            yield cursor
        except duckdb.InterruptException:
            raise Cancelled(CANCELLED) from None
        except duckdb.Error as error:
            raise as_sql_error(error) from None
        finally:
            self.running = None
            cursor.close()
