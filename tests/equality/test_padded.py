"""Sums above min_group_size 1 over columns that an outer join made NULL, and over COALESCE: each is DuckDB's or refused."""

from collections.abc import Iterator

import pyarrow as pa
import pytest
from pool import ALL, Pool, rows_of, same

from fedsql.errors import PolicyDenied

VALUES = """
AVG(coalesce(b.n, 0))
AVG(coalesce(b.n, 0) + a.k)
SUM(coalesce(b.n, 0) + a.k)
SUM(coalesce(b.n * a.k, 0))
AVG(coalesce(a.n, 0) * coalesce(a.k, 0))
AVG(b.n)
AVG(2 * b.n - a.k)
VAR_SAMP(b.n)
COVAR_POP(b.n, a.k)
AVG(CASE WHEN b.n IS NULL THEN 1 ELSE 0 END)
AVG(CASE WHEN a.k > 1 THEN b.n ELSE 0 END)
AVG(CASE WHEN a.k > 1 THEN coalesce(b.n, 0) ELSE 0 END)
AVG(CASE WHEN b.n IS DISTINCT FROM 0 THEN a.k ELSE 0 END)
SUM(CASE WHEN b.n IS NULL THEN a.k END)
COUNT_IF(b.n IS NULL)
COUNT_IF(b.n > 0)
COUNT_IF(a.n IS DISTINCT FROM 100)
COUNT(coalesce(b.n, 0))
COUNT(CASE WHEN b.n IS NULL THEN 1 END)
BOOL_AND(b.n IS DISTINCT FROM 0)
AVG((b.n > 0)::INT)
AVG((b.n IS NULL)::INT)
MAX(b.n)
MEDIAN(b.n)
"""
REFUSED = """
SUM(coalesce(b.n + a.k, 0))
AVG(coalesce(a.n - a.k, 0))
VAR_SAMP(coalesce(b.n, 0))
CORR(a.k, coalesce(a.n, 0))
"""
JOINS = ("t a LEFT JOIN u b ON a.id = b.t_id", "t a FULL JOIN u b ON a.id = b.t_id")


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    parties = {}
    for party, first in (("p0", 0), ("p1", 100)):
        people = [{"id": first + i, "n": (None, 1, 2, -5)[i % 4], "k": (3, None, -2)[i % 3]} for i in range(40)]
        things = [{"id": first + i, "t_id": first + i // 2, "n": (4, None, 0, -1, 7)[i % 5]} for i in range(40)]
        parties[party] = {"t": pa.Table.from_pylist(people), "u": pa.Table.from_pylist(things)}
    bounds = {"bounds": [-100, 100]}
    opened = Pool(
        parties,
        {
            "t": {"columns": {"n": bounds, "k": bounds}, "privacy_unit": "id"},
            "u": {"columns": {"n": bounds}, "references": {"t_id": "t.id"}, "privacy_unit": "t.id"},
        },
        {"min_group_size": 3, "min_parties": 1, "aggregates": ALL},
    )
    yield opened
    opened.close()


@pytest.mark.parametrize("rows", JOINS)
@pytest.mark.parametrize("value", VALUES.strip().splitlines())
def test_a_value_is_shown_and_equals_duckdb(pool: Pool, value: str, rows: str) -> None:
    sql = f"SELECT {value} AS v FROM {rows}"
    answer = pool.session.execute(sql).table
    assert answer is not None
    ((got,),), ((wanted,),) = rows_of(answer), rows_of(pool.duckdb.sql(sql).to_arrow_table())
    assert got is not None
    assert same(got, wanted, 1e4)


@pytest.mark.parametrize("value", REFUSED.strip().splitlines())
def test_what_no_sums_of_columns_make_is_refused(pool: Pool, value: str) -> None:
    with pytest.raises(PolicyDenied, match=r"may not be (summed|squared)"):
        pool.session.execute(f"SELECT {value} AS v FROM {JOINS[0]}")
