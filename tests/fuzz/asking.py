"""Asks random queries of random federations: the answer is DuckDB's on the pooled rows, or a refusal in planned words.

`make fuzz-sql` asks many more than `make test`, and other ones each time (FEDSQL_FUZZ_SQL is their number). What fails is
made small, and printed as a script that shows it again.
"""

from __future__ import annotations

import os
import re
from collections import Counter

import duckdb
from hypothesis import given, seed, settings
from hypothesis import strategies as st
from pool import Pool, rows_of, same
from texts import Writer
from worlds import LOCAL, Draw, World, world

from fedsql.errors import NotSupportedError, PolicyDenied

QUERIES = 20  # of each federation
ASKED = int(os.environ.get("FEDSQL_FUZZ_SQL", "300"))
MOST_REFUSED = 0.15
RAISED = (duckdb.ConversionException, duckdb.OutOfRangeException, duckdb.InvalidInputException)
UNCLEAR = "Duplicate alias|Ambiguous reference"  # of names that blocks share


def check_equal_or_refused(share: float, number: int, *, exact: bool = True) -> None:
    """Ask a share of all queries; ``number`` tells one such check from another. ``exact``: without a least size."""
    counts: Counter[str] = Counter()

    @settings(max_examples=round(ASKED * share / QUERIES))
    @given(st.data())
    def ask(data: st.DataObject) -> None:
        draw = Draw(data.draw)
        made = world(draw, exact)
        pool = opened(made)
        writer = Writer(draw, made)
        try:
            for _ in range(QUERIES):
                counts[outcome(pool, made, writer.statement())] += 1
        finally:
            pool.close()

    (ask if "FEDSQL_FUZZ_SQL" in os.environ else seed(number)(ask))()
    assert counts["equal"] > 0
    assert counts["refused"] <= MOST_REFUSED * counts.total(), counts


def opened(made: World) -> Pool:
    """Return the federation and its pooled rows, each with the analyst's own table."""
    pool = Pool(made.rows, made.config, made.release)
    for side in (pool.duckdb, pool.session):
        side.execute(LOCAL)
    return pool


def outcome(pool: Pool, made: World, sql: str) -> str:
    """Ask one query of both sides; return what came of it. Raises AssertionError with a script that shows it again."""
    try:
        pool.duckdb.sql(sql).fetchall()
    except RAISED:
        return "raised by DuckDB"  # where fedsql yields NULL
    except duckdb.BinderException as error:
        if re.search(UNCLEAR, str(error)):
            return "unclear"
        raise AssertionError(f"{error}\n\n{made.script(sql)}") from error
    try:
        if made.exact:
            pool.check(sql, scale=1e4)
        else:
            check_shown(pool, sql)
    except (NotSupportedError, PolicyDenied):
        return "refused"
    except Exception as error:
        if made.exact and equals_unoptimised(pool, sql):
            return "wrong in DuckDB's optimiser"
        raise AssertionError(f"{error}\n\n{made.script(sql)}") from error
    return "equal"


def equals_unoptimised(pool: Pool, sql: str) -> bool:
    """Say whether the answer is what DuckDB gives without its optimiser: then it was DuckDB that was wrong with it."""
    pool.duckdb.execute("PRAGMA disable_optimizer")
    try:
        pool.check(sql, scale=1e4)
    except Exception:
        return False
    finally:
        pool.duckdb.execute("PRAGMA enable_optimizer")
    return True


def check_shown(pool: Pool, sql: str) -> None:
    """Assert that each value that is shown is DuckDB's: groups may be missing, and values NULL."""
    answer = pool.session.execute(sql).table
    assert answer is not None
    expected = pool.duckdb.sql(sql).to_arrow_table()
    assert answer.schema == expected.schema
    keys = sum(name.startswith("k") for name in answer.column_names)
    known = {row[:keys]: row for row in rows_of(expected)}
    for row in rows_of(answer):
        assert row[:keys] in known, f"{sql}\nDuckDB has no group {row}"
        pairs = zip(row, known[row[:keys]], strict=True)
        assert all(got is None or same(got, wanted, 1e4) for got, wanted in pairs), f"{sql}\n{row} {known[row[:keys]]}"
