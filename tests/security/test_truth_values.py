"""Averages of conditions are made of two counts: neither may be so near to the other, or to the group, that it opens few."""

from collections.abc import Iterator

import pyarrow as pa
import pytest

from fedsql.session import Session

K = 5
TABLE = {"privacy_unit": "id", "columns": {"id": {"use": ["join"]}, "x": {"use": ["filter", "aggregate"]}}}


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    """Many have an x of 9 and of 1; one person alone has 5."""
    north = pa.table({"id": list(range(13)), "x": [9] * 6 + [5] + [1] * 6})
    south = pa.table({"id": list(range(12)), "x": [9] * 6 + [1] * 6})
    release = {"min_group_size": K, "min_parties": 1}
    parties = {
        name: {"tables": {"t": {"source": rows, **TABLE}}, "release": release}
        for name, rows in (("north", north), ("south", south))
    }
    opened = Session.open({"name": "watched", "parties": parties})
    yield opened
    opened.close()


OPENS_ONE = """
AVG(CASE WHEN x > 5 THEN 1 ELSE 0 END) FILTER (WHERE x > 4)
AVG((x > 5)::INT) FILTER (WHERE x > 4)
AVG((x > 5)::INT) FILTER (WHERE x <> 5)
AVG((x > 5 OR NULLIF(x = 5, true))::INT) FILTER (WHERE x > 0)
BOOL_AND(x > 5) FILTER (WHERE x > 4)
BOOL_OR(CASE WHEN x > 5 THEN true WHEN x > 4 THEN false END)
BOOL_OR(x < 5 OR NULLIF(x > 5, true))
COUNT(x > 5 OR NULLIF(x = 5, true)) FILTER (WHERE x > 0)
SUM(CASE WHEN x > 5 THEN true WHEN x > 4 THEN true END) FILTER (WHERE x < 9)
COUNT_IF(x = 5)
"""
OPENS_NOBODY = """
AVG((x > 5)::INT)
AVG((x > 4)::INT)
AVG(CASE WHEN x > 5 THEN 1 ELSE 0 END) FILTER (WHERE x > 0)
BOOL_OR(x > 5)
SUM(CASE WHEN x > 5 THEN true WHEN x > 4 THEN false END)
"""


@pytest.mark.parametrize("call", OPENS_ONE.strip().splitlines())
def test_a_count_less_another_of_one_aggregate_opens_nobody(session: Session, call: str) -> None:
    table = session.execute(f"SELECT {call} AS v FROM t").table
    assert table is not None
    assert table.to_pylist() == [{"v": None}]


@pytest.mark.parametrize("call", OPENS_NOBODY.strip().splitlines())
def test_what_rests_on_many_is_shown(session: Session, call: str) -> None:
    table = session.execute(f"SELECT {call} AS v FROM t").table
    assert table is not None
    assert table.to_pylist()[0]["v"] is not None
