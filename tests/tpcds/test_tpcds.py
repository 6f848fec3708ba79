"""The 99 queries of TPC-DS over three parties: which of them equal DuckDB on the pooled rows, and what is said of the rest.

`golden.txt` has a line for each: "equal", "equal, no rows" (at scale 0.01), or the first line of a refusal. Without more,
a third are planned and a handful is asked; `make tpcds` asks all. FEDSQL_REWRITE_GOLDEN=1 asks all and writes the list anew.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pool import Pool
from stores import OPEN, PLACE, federation, generate, opened

from fedsql.errors import NotSupportedError, PolicyDenied

GOLDEN = Path(__file__).with_name("golden.txt")
LISTED = dict(line.split(": ", 1) for line in GOLDEN.read_text().splitlines())
REWRITES = "FEDSQL_REWRITE_GOLDEN" in os.environ
ASKS_ALL = REWRITES or "FEDSQL_TPCDS" in os.environ
# channels united, sets compared, nested by customer, windows above, ROLLUP, returns joined with sales, stages
ASKED = ("q05", "q38", "q44", "q49", "q80", "q97")
PLANNED = {*list(LISTED)[::3], *(name for name, line in LISTED.items() if not line.startswith("equal"))}


@dataclass
class Stores:
    """The pooled stores, the queries by name, and what came of those that were asked."""

    pool: Pool
    queries: dict[str, str]
    found: dict[str, str]


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stores]:
    if not PLACE.exists():
        pytest.skip("make .venv/tpcds/.ready brings what makes rows and queries")
    folder = tmp_path_factory.mktemp("tpcds")
    queries = generate(folder, 0.01)
    with opened(folder) as database:
        made = Stores(Pool(*federation(database), OPEN), queries, {})
    assert list(queries) == list(LISTED)
    yield made
    made.pool.close()
    if REWRITES:
        GOLDEN.write_text("".join(f"{name}: {line}\n" for name, line in made.found.items()))


@pytest.mark.parametrize("name", LISTED if ASKS_ALL else sorted({*PLANNED, *ASKED}))
def test_equal_or_refused_as_listed(stores: Stores, name: str) -> None:
    sql, is_equal = stores.queries[name], LISTED[name].startswith("equal")
    try:
        if ASKS_ALL or name in ASKED:
            answer = stores.pool.check(sql, scale=1e6)
            line = "equal" if answer.table is not None and answer.table.num_rows else "equal, no rows"
        else:
            assert stores.pool.session.explain(sql)
            line = LISTED[name] if is_equal else "planned"
    except (NotSupportedError, PolicyDenied) as refusal:
        line = refusal.message
    stores.found[name] = line
    assert line == LISTED[name] or REWRITES
