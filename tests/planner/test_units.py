"""Whose rows a block yields: of one privacy unit each, or not, and then nobody can say whom min_group_size protects."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pytest

from fedsql.errors import NotSupportedError
from fedsql.session import Session

USES = ["group", "filter", "aggregate", "join"]
TABLES = {
    "people": ({"id": [1, 2], "boss": [2, 1], "age": [30, 40]}, "id", {"boss": "people.id"}),
    "stays": (
        {"stay": [5, 6], "person": [1, 2], "referrer": [2, 1], "days": [3, 4]},
        "person",
        {"person": "people.id", "referrer": "people.id"},
    ),
    "meals": ({"stay": [5, 5], "cents": [700, 800]}, "people.id", {"stay": "stays.stay"}),
}

OF_ONE = """
SELECT AVG(s.days) FROM people p JOIN stays s ON s.person = p.id
SELECT AVG(s.days) FROM people p LEFT JOIN stays s ON s.person = p.id
SELECT AVG(m.cents) FROM stays s JOIN meals m USING (stay) JOIN people p ON p.id = s.person
SELECT AVG(a.days) FROM stays a JOIN stays b ON a.stay = b.stay
SELECT COUNT(*) FROM (SELECT person, COUNT(*) AS n FROM stays GROUP BY person) t WHERE n > 1
SELECT COUNT(*) FROM (SELECT stay, SUM(cents) AS s FROM meals GROUP BY stay) t WHERE s > 1
SELECT COUNT(*) FROM (SELECT p.id, COUNT(s.stay) AS n FROM people p LEFT JOIN stays s ON s.person = p.id GROUP BY p.id) t
SELECT AVG(age) FROM people p SEMI JOIN stays s ON s.referrer = p.id
SELECT AVG(age) FROM people p WHERE EXISTS (SELECT 1 FROM stays s WHERE s.referrer = p.id)
"""
OF_SEVERAL = """
SELECT AVG(s.days) FROM people p JOIN stays s ON s.referrer = p.id
SELECT AVG(a.age) FROM people a JOIN people b ON b.id = a.boss
SELECT AVG(a.age) FROM people a JOIN people b ON a.boss = b.boss
SELECT AVG(s.days) FROM people p JOIN stays s ON s.person = p.boss
SELECT COUNT(*) FROM (SELECT boss, COUNT(*) AS n FROM people GROUP BY boss) t WHERE n > 1
SELECT COUNT(*) FROM (SELECT referrer, COUNT(*) AS n FROM stays GROUP BY referrer) t
"""


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    tables = {
        name: {
            "source": pa.table(rows),
            "privacy_unit": unit,
            "references": references,
            "columns": {column: {"use": USES} for column in rows},
        }
        for name, (rows, unit, references) in TABLES.items()
    }
    party = {"tables": tables, "release": {"min_group_size": 2, "min_parties": 1}}
    opened = Session.open({"parties": {"north": party, "south": party}})
    yield opened
    opened.close()


@pytest.mark.parametrize("sql", OF_ONE.strip().splitlines())
def test_rows_of_one_unit_each(session: Session, sql: str) -> None:
    assert session.explain(sql)


@pytest.mark.parametrize("sql", OF_SEVERAL.strip().splitlines())
def test_rows_of_several_units(session: Session, sql: str) -> None:
    with pytest.raises(NotSupportedError, match="not of one privacy unit each"):
        session.explain(sql)
