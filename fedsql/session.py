"""One statement's way through fedsql. Read this page first; every hop is a call that you can follow.

read_statement    is it SET, SHOW, DESCRIBE, EXPLAIN or a query?                      planner/statements.py
describe          DuckDB names and types the answer over empty tables                 executors/engines/typer.py
plan              parse -> cut -> rules -> policy -> partials -> fragments            planner/planning.py
sign              the question, with everything that the answer depends on            executors/roles/analyst.py
ask               each party verifies, plans, charges, runs its fragment; together they align keys, decide which
                  groups are large enough, and send masked, encrypted sums            executors/roles/, protocol/
finalize          open, check, compute the aggregates                                 executors/finalize.py
answer            the block above the cut, in the analyst's own locked DuckDB         workbench.py

The first three are called here; from ``sign`` on in queries.py, stage by stage, and again where a party was lost.
"""

from __future__ import annotations

import datetime
import logging
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from fedsql.answer import Answer, listing
from fedsql.config.models import FederationConfig
from fedsql.errors import Cancelled, InterfaceError, NotSupportedError, ProgrammingError
from fedsql.executors.connecting import open_federation
from fedsql.executors.engines.typer import read_twice
from fedsql.executors.federation import Federation, OnProgress
from fedsql.executors.roles.analyst import Analyst
from fedsql.listings import describe, show
from fedsql.local import LocalTables
from fedsql.planner.constants import bind_now, bind_parameters, parameter
from fedsql.planner.explain import explain
from fedsql.planner.parameters import Parameters, positional, positional_rows
from fedsql.planner.parse import parse
from fedsql.planner.question import Question, Settings
from fedsql.planner.schema import UNION, resolve_tables
from fedsql.planner.statements import Explain, Query, Set, Show, Write, changed, read_statement
from fedsql.queries import Columns, Planned, Queries
from fedsql.types import quoted
from fedsql.workbench import CANCELLED, UNLIMITED, Limits

# What goes wrong at a party is for its log alone: without a handler Python would print it at the analyst.
logging.getLogger("fedsql").addHandler(logging.NullHandler())

_LOCK = (
    "SET GLOBAL TimeZone = 'UTC'",  # of every cursor
    "SET python_enable_replacements = false",
    "SET enable_external_access = false",
    "SET lock_configuration = true",
)


class Session:
    """An analyst's session with a federation: settings, keys, and a local DuckDB for what is above the cut."""

    def __init__(
        self,
        federation: Federation,
        analyst: str | Analyst = "analyst",
        *,
        owns: bool = False,
        limits: Limits = UNLIMITED,
    ) -> None:
        self.federation = federation
        self.settings = Settings()
        self._analyst = analyst if isinstance(analyst, Analyst) else federation.admit(analyst)
        self._owns = owns
        self._closed = False
        self._cancelled, self._idle = threading.Event(), threading.Event()
        self._idle.set()
        self.on_progress: OnProgress | None = None  # called from several threads; own stages are told as ANALYST
        self._local = duckdb.connect(":memory:", config=limits.config)
        for statement in _LOCK:
            self._local.execute(statement)
        self._arrow: dict[str, pa.DataType] = {}  # by DuckDB's type: asking takes milliseconds
        most, check = limits.result, self._check_cancelled
        self._queries = Queries(federation, self._analyst, self._local, check, most)
        self.local = LocalTables(self._local, lambda: federation.directory.catalog, check, most)

    @classmethod
    def open(
        cls,
        source: str | Path | Mapping[str, Any] | FederationConfig,
        analyst: str = "analyst",
        *,
        key: str | Path | None = None,
        federation: str | Path | None = None,
    ) -> Session:
        """Open a federation for this session alone: see `open_federation`."""
        return cls(open_federation(source, analyst, key=key, federation=federation), analyst, owns=True)

    def execute(self, sql: str, parameters: Parameters = ()) -> Answer:
        """Run one statement. Raises the errors of fedsql.errors; nothing is spent unless a question was sent."""
        self._check_open()
        statement = read_statement(sql)
        if isinstance(statement, Query | Write):
            text, values = positional(statement.sql, parameters)
            with self._busy():
                if isinstance(statement, Query):
                    return self._query(text, values)
                return self.local.execute(text, values, self._query, lambda sql: self._bound(sql, ()))
        if isinstance(statement, Explain):
            return self._explain(statement, parameters)
        if parameters:
            raise ProgrammingError(f"the statement has 0 parameters, {len(parameters)} were given")
        if isinstance(statement, Set):
            self.settings = changed(self.settings, statement.name, statement.value)
            return Answer()
        if isinstance(statement, Show):
            return show(statement, self.federation, self._analyst, self.settings, self.local)
        if statement.schema in ("", UNION) and statement.table in self.local.views:
            return listing(("column", "type"), self._bound(f"SELECT * FROM {quoted(statement.table)}", ())[1])
        return describe(statement, self.federation.directory, self.local)

    def describe(self, sql: str, parameters: Parameters = ()) -> Columns | Answer | None:
        """Plan a query and return its (name, DuckDB type) columns. Asks nobody, costs nothing and changes nothing.

        Statements that list are answered at once. None: the statement changes a setting or a local table.
        """
        self._check_open()
        sql, parameters = positional(sql, parameters)
        statement = read_statement(sql)
        if isinstance(statement, Query):
            return self._plan(statement.sql, parameters)[2]
        return None if isinstance(statement, Write | Set) else self.execute(sql, parameters)

    def schema(self, columns: Sequence[tuple[str, str]]) -> pa.Schema:
        """Return the Arrow schema in which DuckDB hands out a result of these (name, DuckDB type) columns."""
        if unknown := [type_ for type_ in dict.fromkeys(t for _, t in columns) if type_ not in self._arrow]:
            listed = ", ".join(f"CAST(NULL AS {type_})" for type_ in unknown)
            with self._local.cursor() as cursor:
                empty: pa.Table = cursor.sql(f"SELECT {listed} LIMIT 0").to_arrow_table()
            self._arrow.update(zip(unknown, empty.schema.types, strict=True))
        return pa.schema([(name, self._arrow[type_]) for name, type_ in columns])

    def execute_many(self, sql: str, rows: Iterable[Parameters]) -> Answer:
        """Run an INSERT, UPDATE or DELETE of a local table once for each of ``rows``: for all of them or for none."""
        self._check_open()
        statement = read_statement(sql)
        if not isinstance(statement, Write):
            kind = "a query" if isinstance(statement, Query) else "this statement"
            raise NotSupportedError(
                f"executemany does not run {kind}", hint="call execute for each: every query is charged by itself"
            )
        with self._busy():
            return self.local.execute_many(*positional_rows(statement.sql, rows))

    def load(self, name: str, rows: pa.Table, *, create: bool, append: bool, replace: bool) -> Answer:
        """Write rows to a local table: see `LocalTables.load`."""
        self._check_open()
        with self._busy():
            return Answer(changed=self.local.load(name, rows, create=create, append=append, replace=replace))

    def explain(self, sql: str, parameters: Parameters = (), stage: str | None = None) -> str:
        """Return what EXPLAIN prints. Costs nothing, and asks parties for nothing but what is left of a budget."""
        self._check_open()
        sql, parameters = positional(sql, parameters)
        plan, question, _ = self._plan(sql, parameters)
        left: dict[str, float | None] = {}
        if plan.epsilon is not None and stage is None:
            spent = self.federation.budgets(self._analyst)
            left = {name: None if (s := spent.get(name)) is None else s.left for name in plan.parties}
        return explain(plan, self.federation.directory.stages(question), stage, left)

    def interrupt(self) -> None:
        """Stop the query that runs now, from another thread, and return when it has; do nothing when none runs.

        Its `execute` raises OperationalError.
        """
        self._cancelled.set()
        while not self._idle.wait(0.02):  # DuckDB forgets an interrupt that comes a moment before it begins
            self.federation.interrupt(self._analyst)
            for cursor in (self._queries.running, self.local.running):
                with suppress(duckdb.ConnectionException):  # it has just ended
                    if cursor is not None:
                        cursor.interrupt()

    def close(self) -> None:
        """End the session; its local tables and keys are gone."""
        if self._closed:
            return
        self._closed = True
        self._local.close()
        if self._owns:
            self.federation.close()

    def _check_cancelled(self) -> None:
        if self._cancelled.is_set():
            raise Cancelled(CANCELLED)

    def _check_open(self) -> None:
        if self._closed:
            raise InterfaceError("the session is closed")

    @contextmanager
    def _busy(self) -> Iterator[None]:
        """Run something that `interrupt` stops."""
        self._cancelled.clear()
        self._idle.clear()
        try:
            yield
        finally:
            self._idle.set()

    def _plan(self, sql: str, parameters: Sequence[object], lost: Collection[str] = ()) -> Planned:
        """Plan a query; return the plan, the unsigned question, and the names and types of its answer.

        ``lost``: parties that did not answer when it was asked before. They are left out where allow_missing is set.
        """
        question, described = self._bound(sql, parameters, lost)
        return self.federation.directory.plan(question), question, described

    def _bound(self, sql: str, parameters: Sequence[object], lost: Collection[str] = ()) -> tuple[Question, Columns]:
        """Return the unsigned question of a query, views in their places, and the names and types of its columns."""
        directory = self.federation.directory
        now = datetime.datetime.now(datetime.UTC).replace(tzinfo=None).isoformat(sep=" ")
        given = tuple(parameter(value) for value in parameters)
        missing = self._missing(lost) if self.settings.allow_missing else ()
        name = self._analyst.name
        with read_twice(sql):
            tree = parse(sql)
        if self.local.views.expanded(tree):
            sql = tree.sql("duckdb")
        local = self.local.schemas(tree)
        question = Question(directory.catalog.federation, name, sql, now, given, self.settings, local, missing=missing)
        bound = bind_now(bind_parameters(tree, given), now) or bool(given)
        text = tree.sql("duckdb") if bound else sql.strip()
        typer = directory.typer(local)
        resolve_tables(tree, typer.tables)  # complains about unknown tables in our words: it knows the parties
        described = typer.describe(text)
        return question, tuple(described)

    def _missing(self, lost: Collection[str]) -> tuple[str, ...]:
        presence = self.federation.presence()
        return tuple(each.party for each in presence if each.party in lost or not each.reachable)

    def _query(self, sql: str, parameters: Sequence[object], into: str | None = None) -> Answer:
        return self._queries.answer(partial(self._plan, sql, parameters), self.on_progress, into)

    def _explain(self, statement: Explain, parameters: Parameters) -> Answer:
        inner = read_statement(statement.sql)
        if not isinstance(inner, Query) or inner.sql.lower().startswith("analyze"):
            raise NotSupportedError("EXPLAIN explains queries, and runs none", hint="EXPLAIN SELECT ...")
        text = self.explain(inner.sql, parameters, statement.stage)
        return listing(("explain",), [(line,) for line in text.splitlines()])
