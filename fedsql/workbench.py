"""The analyst's own part of a statement: what its locked DuckDB computes over released relations.

Stage inputs before a stage is asked, and at the end the block above the cut, in DuckDB's own names and types.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import duckdb
import pyarrow as pa

from fedsql.errors import Cancelled, OperationalError, PolicyDenied
from fedsql.executors.engines.typer import as_sql_error
from fedsql.executors.finalize import column_sql
from fedsql.executors.roles.analyst import REPEATED
from fedsql.planner.logical import margin_of
from fedsql.planner.plans import PlannedInput, ReleasePlan
from fedsql.planner.question import StageInput

CANCELLED = "the query was cancelled"
_BATCH = 1 << 16  # rows


@dataclass(frozen=True)
class Limits:
    """What one session may take of its machine. None: what DuckDB takes by itself, and a result of any size.

    ``memory`` and ``threads`` are DuckDB's, the first as it writes sizes; ``result`` is in bytes.
    """

    memory: str | None = None
    threads: int | None = None
    result: int | None = None

    @property
    def config(self) -> dict[str, str | bool | int | float | list[str]]:
        """Return the configuration of a database."""
        given = {"memory_limit": self.memory, "threads": self.threads}
        # No folder to spill to: statements could read it after the lock.
        return {"temp_directory": "", **{name: value for name, value in given.items() if value is not None}}


UNLIMITED = Limits()


def taken(relation: duckdb.DuckDBPyRelation, most: int | None) -> pa.Table:
    """Return the rows of ``relation``. Raises OperationalError when they take over ``most`` bytes (None: any)."""
    if most is None:
        table: pa.Table = relation.to_arrow_table()
        return table
    batches, size = [], 0
    try:
        with relation.to_arrow_reader(_BATCH) as reader:
            for batch in reader:
                size += batch.nbytes
                if size > most:
                    raise OperationalError(
                        f"the result takes over {most >> 20} MiB", hint="LIMIT it, or ask for fewer columns"
                    )
                batches.append(batch)
            return pa.Table.from_batches(batches, reader.schema)
    except OSError as error:  # a complaint of DuckDB's as Arrow passes it on: its class is the first words
        words = str(error).partition(" Error:")[0].split()
        kind = getattr(duckdb, "".join(map(str.capitalize, words)) + "Exception", duckdb.Error)
        raise kind(str(error)) from None


class Workbench:
    """One statement's released relations, in a cursor of the session's database. ``check`` raises when it is cancelled.

    ``most``: bytes of the answer.
    """

    def __init__(self, cursor: duckdb.DuckDBPyConnection, check: Callable[[], None], most: int | None = None) -> None:
        self._cursor = cursor
        self._most = most
        self._check = check
        self.charged = False  # for any release
        self.margins: dict[tuple[str, str], float | None] = {}  # the largest of each (relation, column)

    def keep(self, release: ReleasePlan, table: pa.Table) -> None:
        """Make a released relation known under its name, in DuckDB's types."""
        self.charged |= REPEATED not in (table.schema.metadata or {})
        for output in release.outputs if release.noise is not None else ():
            known = [value for value in table[margin_of(output.name)].to_pylist() if value is not None]
            self.margins[release.release.relation, output.name] = max(known, default=None)
        with self._running():
            self._cursor.register(f"_opened_{release.number}", table)
            self._cursor.execute(
                f"CREATE OR REPLACE TEMP TABLE {release.release.relation} AS"
                f" SELECT {column_sql(release)} FROM _opened_{release.number}"
            )

    def input(self, planned: PlannedInput) -> StageInput:
        """Compute a stage input, as it is signed: every value as DuckDB's text."""
        names = [f"c{i}" for i in range(len(planned.columns))]
        texts = ", ".join(f"CAST({name} AS VARCHAR)" for name in names)
        with self._running():
            rows = self._cursor.execute(
                f"SELECT {texts} FROM ({planned.sql}) AS _input ({', '.join(names)})"
            ).fetchall()
        for unique in planned.unique:
            _check_unique(planned, unique, rows)
        return StageInput(planned.name, planned.columns, tuple(tuple(row) for row in rows), planned.unique)

    def answer(self, final: str, columns: Sequence[tuple[str, str]]) -> pa.Table:
        """Run the block above the cut; return a table of ``columns`` (name, DuckDB type)."""
        names = [f"c{i}" for i in range(len(columns))]
        casts = ", ".join(f"CAST({name} AS {type_}) AS {name}" for name, (_, type_) in zip(names, columns, strict=True))
        with self._running():
            relation = self._cursor.sql(final)
            if [str(t) for t in relation.types] != [type_ for _, type_ in columns]:
                relation = self._cursor.sql(f"SELECT {casts} FROM ({final}) AS _answer ({', '.join(names)})")
            result = taken(relation, self._most)
        return result.rename_columns([name for name, _ in columns])

    def save(self, final: str, columns: Sequence[tuple[str, str]], statement: str) -> int | None:
        """Run ``statement``, in which {query} stands for the block above the cut; return how many rows it wrote."""
        names = [f"c{i}" for i in range(len(columns))]
        listed = ", ".join(
            f'CAST({name} AS {type_}) AS "{column.replace(chr(34), chr(34) * 2)}"'
            for name, (column, type_) in zip(names, columns, strict=True)
        )
        rows = f"SELECT {listed} FROM ({final}) AS _answer ({', '.join(names)})"
        with self._running():
            counted = self._cursor.execute(statement.replace("{query}", rows)).fetchall()
        return int(counted[0][0]) if counted and isinstance(counted[0][0], int) else None

    @contextmanager
    def _running(self) -> Iterator[None]:
        self._check()
        try:
            yield
        except duckdb.InterruptException:
            raise Cancelled(CANCELLED) from None
        except duckdb.Error as error:
            raise as_sql_error(error) from None


def _check_unique(planned: PlannedInput, unique: Sequence[str], rows: Sequence[Sequence[str | None]]) -> None:
    """Raise PolicyDenied where two rows of an input have the same key. NULLs meet nothing."""
    at = [i for i, (name, _) in enumerate(planned.columns) if name.lower() in unique]
    counts = Counter(key for row in rows if None not in (key := tuple(row[i] for i in at)))
    for key, count in counts.most_common(1):
        if count > 1:
            shown = ", ".join(f"{planned.columns[i][0]} {value}" for i, value in zip(at, key, strict=True))
            raise PolicyDenied(
                f"without noise, a join may not repeat rows: {shown} stands in {count} rows of what you join",
                hint="join each key once: GROUP BY it first, or use it in IN (SELECT ...)",
            )
