"""A row may not carry a value made of other people's rows above min_group_size 1: as a label it would tell one person's."""

import pyarrow as pa
import pytest

from fedsql.errors import NotSupportedError
from fedsql.session import Session

ROWS = pa.table({"id": list(range(20)), "seg": ["rare"] + ["other"] * 19, "y": [777] + [1] * 19})
USES = ["group", "filter", "aggregate", "join"]


@pytest.fixture(scope="module")
def session():
    table = {"source": ROWS, "privacy_unit": "id", "columns": {name: {"use": USES} for name in ROWS.column_names}}
    release = {"min_group_size": 3, "min_parties": 1}
    opened = Session.open({"parties": {"alone": {"tables": {"t": table}, "release": release}}})
    yield opened
    opened.close()


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT m, COUNT(*) FROM (SELECT sum(CASE WHEN seg = 'rare' THEN y END) OVER () AS m FROM t) r GROUP BY m",
        "SELECT COUNT(*) FROM (SELECT y, max(y) OVER (PARTITION BY y // 1000) AS m FROM t) r WHERE m > 700",
        "SELECT COUNT(*) FROM t WHERE y < (SELECT max(u.y) FROM t u WHERE u.seg <> t.seg)",
        "SELECT m, COUNT(*) FROM (SELECT (SELECT max(u.y) FROM t u WHERE u.seg <> t.seg) AS m FROM t) r GROUP BY m",
    ],
)
def test_a_value_of_other_peoples_rows_is_refused(session, sql):
    with pytest.raises(NotSupportedError, match="must be by their privacy unit"):
        session.execute(sql)


def test_one_of_the_own_rows_is_not(session):
    sql = "SELECT r, COUNT(*) AS n FROM (SELECT row_number() OVER (PARTITION BY id) AS r FROM t) x GROUP BY r"
    assert session.execute(sql).table.to_pylist() == [{"r": 1, "n": 20}]
