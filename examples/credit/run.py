"""Ask the bank and its ten sources together, and compare every answer with DuckDB's on the pooled rows.

    python examples/credit/prepare.py [FOLDER]
    python examples/credit/run.py [FOLDER]

Prints each question, its answer beside the pooled one, and the time it took. Exits with 1 if any of them differ.
"""

from __future__ import annotations

import math
import sys
import time
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import sqlglot
from sqlglot import exp

import fedsql

HERE = Path(__file__).resolve().parent
LEAST = 10  # min_group_size in the party files
UNIT = "customer_id"
Row = tuple[Any, ...]

QUESTIONS = {
    "What the bank knows alone: how many loans of each purpose went bad": """
        SELECT l.purpose, COUNT(*) AS loans, AVG(l.defaulted) AS default_rate
        FROM bank.loans l
        GROUP BY l.purpose ORDER BY l.purpose""",
    "By the state of the current account, which another bank knows": """
        SELECT g.balance, COUNT(*) AS loans, AVG(l.defaulted) AS default_rate
        FROM bank.loans l JOIN giro.accounts g ON l.customer_id = g.customer_id
        GROUP BY g.balance ORDER BY g.balance""",
    "By what the bank knows and what the housing association does": """
        SELECT l.purpose, h.home, COUNT(*) AS loans, AVG(l.defaulted) AS default_rate
        FROM bank.loans l JOIN housing.residents h ON l.customer_id = h.customer_id
        GROUP BY l.purpose, h.home ORDER BY l.purpose, h.home""",
    "The age of those who paid, and of those who did not": """
        SELECT l.defaulted, COUNT(*) AS loans, AVG(r.age) AS age, STDDEV_SAMP(r.age) AS deviation
        FROM bank.loans l JOIN registry.persons r ON l.customer_id = r.customer_id
        GROUP BY l.defaulted ORDER BY l.defaulted""",
    "The amount at the bank against the class of the instalment at the tax office": """
        SELECT COUNT(*) AS loans, COVAR_SAMP(l.amount, t.rate) AS covariance, CORR(l.amount, t.rate) AS correlation,
               REGR_SLOPE(l.amount, t.rate) AS slope
        FROM bank.loans l JOIN tax.payers t ON l.customer_id = t.customer_id""",
    "Customers whom all ten sources know": """
        SELECT COUNT(*) AS loans, AVG(l.defaulted) AS default_rate, AVG(l.amount) AS amount
        FROM bank.loans l
        JOIN telco.users telco ON l.customer_id = telco.customer_id
        JOIN giro.accounts giro ON l.customer_id = giro.customer_id
        JOIN savings.accounts savings ON l.customer_id = savings.customer_id
        JOIN pension.members pension ON l.customer_id = pension.customer_id
        JOIN bureau.reports bureau ON l.customer_id = bureau.customer_id
        JOIN retailer.accounts retailer ON l.customer_id = retailer.customer_id
        JOIN housing.residents housing ON l.customer_id = housing.customer_id
        JOIN insurer.policies insurer ON l.customer_id = insurer.customer_id
        JOIN tax.payers tax ON l.customer_id = tax.customer_id
        JOIN registry.persons registry ON l.customer_id = registry.customer_id""",
}


def pooled(folder: Path) -> duckdb.DuckDBPyConnection:
    """Return a database with what nobody has: the rows of all parties, named as in the federation."""
    connection = duckdb.connect()
    for file in sorted(folder.glob("*.toml")):
        party = tomllib.loads(file.read_text(encoding="utf-8"))
        for table, held in party.get("tables", {}).items():
            connection.execute(f"CREATE SCHEMA IF NOT EXISTS {party['name']}")
            rows = f"FROM read_parquet('{folder / held['source']}')"
            connection.execute(f"CREATE TABLE {party['name']}.{table} AS {rows}")
    return connection


def released(sql: str, least: int = LEAST) -> str:
    """Return what DuckDB must be asked for what is shown of a question: counts over ``least`` customers, or nothing.

    A group is shown if it has so many, and if so many of the bank's that are like them (in keys of the bank's own) are
    not in it, for else that it is shown would tell the bank whom the sources know. A value takes so many customers whose
    arguments are neither NULL nor zero. ``sql`` has the bank's table first in FROM, and names keys in GROUP BY.
    """
    select = sqlglot.parse_one(sql, dialect="duckdb", into=exp.Select)
    anchor = select.args["from_"].this
    group = select.args.get("group")
    keys = group.expressions if group else []
    units = f"count(DISTINCT {anchor.alias}.{UNIT})"
    shown = f"{units} >= {least}"
    if select.args.get("joins"):
        alike = [f"e.{k.name} IS NOT DISTINCT FROM {k.sql()}" for k in keys if k.table == anchor.alias]
        everybody = (
            f"SELECT count(DISTINCT e.{UNIT}) FROM {anchor.db}.{anchor.name} e WHERE {' AND '.join(['true', *alike])}"
        )
        shown = f"{units} BETWEEN {least} AND ({everybody}) - {least}"
    for value in select.expressions:
        if value.unalias() in keys:
            continue
        there = " AND ".join(f"{column.sql()} <> 0" for column in value.find_all(exp.Column))
        needed = [f"{units} FILTER (WHERE {there}) >= {least}"] if there else []
        needed += [] if keys else [shown]  # without GROUP BY there is one row, of NULLs if it must not be shown
        if needed:
            guarded = f"CASE WHEN {' AND '.join(needed)} THEN {value.unalias().sql('duckdb')} END AS {value.alias}"
            value.replace(sqlglot.parse_one(guarded, dialect="duckdb"))
    return (select.having(shown, dialect="duckdb") if keys else select).sql("duckdb")


def same(got: Sequence[Row], wanted: Sequence[Row]) -> bool:
    """Say whether two answers are equal: doubles to nine digits, all else, and every type, exactly."""

    def equal(one: Any, other: Any) -> bool:
        close = isinstance(one, float) and isinstance(other, float) and math.isclose(one, other, rel_tol=1e-9)
        return close or (type(one) is type(other) and one == other)

    return len(got) == len(wanted) and all(
        len(one) == len(other) and all(map(equal, one, other)) for one, other in zip(got, wanted, strict=True)
    )


def beside(names: Sequence[str], got: Sequence[Row], wanted: Sequence[Row]) -> str:
    """Return two answers as one table, with the first on the left."""
    text = [[*names, "|", *names]]
    for at in range(max(len(got), len(wanted))):
        both = [rows[at] if at < len(rows) else ("",) * len(names) for rows in (got, wanted)]
        text.append([*map(_shown, both[0]), "|", *map(_shown, both[1])])
    widths = [max(map(len, column)) for column in zip(*text, strict=True)]
    return "\n".join("  " + "  ".join(map(str.ljust, line, widths)).rstrip() for line in text)


def _shown(value: Any) -> str:
    return "NULL" if value is None else f"{value:.4f}" if isinstance(value, float) else str(value)


def main(folder: Path) -> int:
    """Ask everything; return the number of answers that differ from the pooled ones."""
    different = 0
    with fedsql.connect(folder / "federation.toml") as connection, pooled(folder) as everything:
        for number, (title, text) in enumerate(QUESTIONS.items(), 1):
            sql = "\n".join(line.strip() for line in text.strip().splitlines())
            print(f"{number}. {title}\n\n{sql}\n")
            wanted = everything.execute(released(sql))
            names, rows = [column[0] for column in wanted.description], wanted.fetchall()
            started = time.perf_counter()
            try:
                with connection.cursor() as cursor:
                    got = cursor.execute(sql).fetchall()
            except fedsql.Error as error:
                print(f"  not answered: {error}\n")
                got = None
            seconds = time.perf_counter() - started
            equal = got is not None and same(got, rows)
            different += not equal
            print(beside(names, got or [], rows))
            print(f"\n  fedsql | all rows in one DuckDB: {'equal' if equal else 'DIFFERENT'}; {seconds:.2f} s\n")
    return different


if __name__ == "__main__":
    sys.exit(min(main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE), 1))
