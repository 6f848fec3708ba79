"""What equality means here: a `Pool` asks fedsql and DuckDB the same question and compares names, types and rows.

DuckDB sees the pooled rows: each party's table in a schema of the party's name, and in `main` their union BY NAME.
Integers, decimals and all else must be equal to the last digit; doubles to 1e-9 of the larger of their own size and
``scale``, the size of the sums that they were made of.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import duckdb
import pyarrow as pa

from fedsql.answer import Answer
from fedsql.config.values import AGGREGATES, UNLISTED_AGGREGATES
from fedsql.session import Session

USES = ["group", "filter", "aggregate", "join"]
ALL = [*AGGREGATES, *UNLISTED_AGGREGATES]
OPEN = {"min_group_size": 1, "min_parties": 1, "quota": {"queries": 1_000_000}, "aggregates": ALL}


class Pool:
    """Tables of several parties, open to a fedsql session and, pooled, to a DuckDB connection.

    ``parties`` maps party -> table -> rows; ``tables`` maps table -> what stands in every party's file besides the
    source and plain columns (``hidden``: those that are not listed); ``release`` is every party's [release].
    """

    def __init__(
        self,
        parties: Mapping[str, Mapping[str, pa.Table]],
        tables: Mapping[str, Mapping[str, Any]] | None = None,
        release: Mapping[str, Any] = OPEN,
    ) -> None:
        self.duckdb = duckdb.connect(":memory:")
        self.duckdb.execute("SET TimeZone = 'UTC'")
        federation: dict[str, Any] = {}
        for party, held in parties.items():
            self.duckdb.execute(f"CREATE SCHEMA {party}")
            listed = {
                name: self._load(party, name, rows, dict((tables or {}).get(name, {}))) for name, rows in held.items()
            }
            federation[party] = {"tables": listed, "release": dict(release)}
        for name in {name for held in parties.values() for name in held}:
            sides = [f"SELECT * FROM {party}.{name}" for party, held in parties.items() if name in held]
            self.duckdb.execute(f"CREATE TABLE main.{name} AS {' UNION ALL BY NAME '.join(sides)}")
        self.session = Session.open({"parties": federation})

    def _load(self, party: str, name: str, rows: pa.Table, config: dict[str, Any]) -> dict[str, Any]:
        hidden = config.pop("hidden", ())
        self.duckdb.register("source", rows)
        self.duckdb.execute(f"CREATE TABLE {party}.{name} AS {config.get('sql', 'SELECT * FROM source')}")
        self.duckdb.unregister("source")
        for column in hidden:
            self.duckdb.execute(f"ALTER TABLE {party}.{name} DROP {column}")
        names = [row[0] for row in self.duckdb.execute(f"DESCRIBE {party}.{name}").fetchall()]
        given = config.pop("columns", {})
        return {"source": rows, **config, "columns": {n: {"use": USES, **given.get(n, {})} for n in names}}

    def close(self) -> None:
        """Drop both sides."""
        self.session.close()
        self.duckdb.close()

    def check(
        self,
        sql: str,
        parameters: Sequence[object] = (),
        *,
        reference: str | None = None,
        scale: float = 0.0,
    ) -> Answer:
        """Assert that the answer of ``sql`` equals DuckDB's of ``reference`` (the same text, when None)."""
        text = reference or sql
        relation = self.duckdb.sql(text, params=list(parameters)) if parameters else self.duckdb.sql(text)
        columns = tuple((name, str(type_)) for name, type_ in zip(relation.columns, relation.types, strict=True))
        expected = relation.to_arrow_table()
        answer = self.session.execute(sql, parameters)
        assert answer.table is not None
        assert answer.columns == columns, sql
        assert answer.table.schema == expected.schema, sql
        ordered = "order by" in text.lower().rsplit(")", 1)[-1]
        got, wanted = (rows_of(table, ordered) for table in (answer.table, expected))
        assert same_rows(got, wanted, scale), f"{sql}\nfedsql {got}\nDuckDB {wanted}"
        return answer


def rows_of(table: pa.Table, ordered: bool = False) -> list[tuple[Any, ...]]:
    """Return the rows of a table, sorted unless their order counts."""
    rows = list(zip(*(column.to_pylist() for column in table.columns), strict=True)) if table.num_columns else []
    return rows if ordered else sorted(rows, key=_sort_key)


def _sort_key(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """Sort by what is exact first, so that the last digits of doubles do not decide."""
    exact = tuple((n, v is not None, str(v)) for n, v in enumerate(row) if not isinstance(v, float))
    return exact + tuple((math.isnan(v), round(v, 6)) for v in row if isinstance(v, float))


def same_rows(got: Sequence[tuple[Any, ...]], wanted: Sequence[tuple[Any, ...]], scale: float = 0.0) -> bool:
    """Say whether two lists of rows are equal, value by value in order."""
    return len(got) == len(wanted) and all(
        len(a) == len(b) and all(same(x, y, scale) for x, y in zip(a, b, strict=True))
        for a, b in zip(got, wanted, strict=True)
    )


def same(got: Any, wanted: Any, scale: float = 0.0) -> bool:
    """Say whether two values are equal; doubles to 1e-9."""
    if type(got) is not type(wanted):
        return False
    if isinstance(got, list):
        return len(got) == len(wanted) and all(same(x, y, scale) for x, y in zip(got, wanted, strict=True))
    if isinstance(got, float):
        if math.isnan(got) or math.isnan(wanted):
            return math.isnan(got) and math.isnan(wanted)
        return math.isclose(got, wanted, rel_tol=1e-9, abs_tol=1e-9 * scale)
    return bool(got == wanted)
