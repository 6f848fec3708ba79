from __future__ import annotations

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedsql.flight.like import Like

_TEXT = st.text("ab_%\\C", max_size=8)


@given(_TEXT, _TEXT)
def test_it_is_duckdbs(pattern: str, name: str) -> None:
    if pattern.replace("\\\\", "").endswith("\\"):
        return  # DuckDB wants something after it
    sql = "SELECT $1 ILIKE $2 ESCAPE '\\'"
    assert Like(pattern).matches(name) == duckdb.execute(sql, [name, pattern]).fetchall()[0][0]


@pytest.mark.parametrize("pattern", ["%" * 100_000, "%a" * 50_000, "%_" * 50_000 + "b"])
def test_many_wildcards_take_no_time(pattern: str) -> None:
    assert Like(pattern).matches("a" * 200) == (pattern[-1] == "%")
