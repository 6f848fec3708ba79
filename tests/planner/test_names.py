"""Names of tables: unions, parties, common table expressions that hide them, and types that do not go together."""

import duckdb
import pytest

from fedsql.errors import ProgrammingError
from fedsql.planner.catalog import Catalog
from fedsql.planner.offer import ColumnOffer, Offer, ReleasePolicy, TableOffer
from fedsql.planner.parse import parse
from fedsql.planner.schema import clash, list_nothing, mirror, resolve_tables, union_columns


def offer(party, **tables):
    offers = tuple(
        TableOffer(party, name, tuple(ColumnOffer(column, type_) for column, type_ in columns.items()))
        for name, columns in tables.items()
    )
    return Offer(party, offers, ReleasePolicy(), b"", b"")


CATALOG = Catalog(
    "f",
    (
        offer("North", patients={"Id": "INTEGER", "age": "SMALLINT"}, beds={"ward": "VARCHAR"}),
        offer("south", Patients={"ID": "BIGINT", "weight": "DOUBLE"}),
    ),
)


def supertype(types):
    text = " UNION ALL ".join(f"SELECT CAST(NULL AS {t}) AS x" for t in types)
    return duckdb.connect().execute(f"DESCRIBE {text}").fetchall()[0][1]


SCHEMA = mirror(CATALOG, [("Mine", [("A", "DATE")])], supertype)


def test_the_mirror_holds_unions_parties_and_local_tables():
    assert SCHEMA == {
        "main": {
            "patients": {"id": "BIGINT", "age": "SMALLINT", "weight": "DOUBLE"},
            "beds": {"ward": "VARCHAR"},
            "mine": {"a": "DATE"},
        },
        "north": {"patients": {"id": "INTEGER", "age": "SMALLINT"}, "beds": {"ward": "VARCHAR"}},
        "south": {"patients": {"id": "BIGINT", "weight": "DOUBLE"}},
    }


@pytest.mark.parametrize(
    ("sql", "resolved"),
    [
        ("SELECT 1 FROM patients", "main.patients"),
        ("SELECT 1 FROM Patients p", "main.Patients AS p"),
        ("SELECT 1 FROM main.patients", "main.patients"),
        ("SELECT 1 FROM NORTH.beds", "north.beds"),
        ("WITH patients AS (SELECT 1) SELECT 1 FROM patients", "FROM patients"),
        ("WITH t AS (SELECT 1 FROM patients) SELECT 1 FROM t", "main.patients) SELECT 1 FROM t"),
        ("WITH patients AS (SELECT 1 FROM patients) SELECT 1 FROM patients", "main.patients) SELECT 1 FROM patients"),
        ("SELECT 1 FROM (WITH beds AS (SELECT 1) SELECT 1 FROM beds) x, beds", "FROM beds) AS x, main.beds"),
        (
            "WITH RECURSIVE t AS (SELECT 1 UNION ALL SELECT 1 FROM t) SELECT 1 FROM t",
            "SELECT 1 FROM t) SELECT 1 FROM t",
        ),
    ],
)
def test_tables_are_resolved_where_they_stand(sql, resolved):
    assert resolved in resolve_tables(parse(sql), SCHEMA).sql("duckdb")


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("SELECT 1 FROM patiens", "did you mean patients?"),
        ("SELECT 1 FROM nort.beds", "did you mean north?"),
        ("SELECT 1 FROM south.beds", "south offers no table beds"),
        ("SELECT 1 FROM x.main.beds", "a table is named table or party.table"),
        ("WITH t AS (SELECT 1 FROM u), u AS (SELECT 1) SELECT 1 FROM t", "there is no table u"),
    ],
)
def test_unknown_names_name_what_is_there(sql, message):
    with pytest.raises(ProgrammingError) as caught:
        resolve_tables(parse(sql), SCHEMA)
    assert message in caught.value.message
    assert caught.value.position is not None


@pytest.mark.parametrize(
    ("types", "clashes"),
    [
        (["INTEGER", "BIGINT"], False),
        (["INTEGER", "DOUBLE"], False),
        (["DECIMAL(4,1)", "HUGEINT"], False),
        (["DATE", "TIMESTAMP"], False),
        (["VARCHAR", "INTEGER"], True),
        (["DATE", "INTEGER"], True),
        (["BOOLEAN", "INTEGER"], True),
        (["VARCHAR"], False),
    ],
)
def test_types_that_do_not_go_together(types, clashes):
    assert clash(types) is clashes


def test_a_clash_keeps_the_first_type():
    offers = [*offer("a", t={"x": "VARCHAR"}).tables, *offer("b", t={"x": "INTEGER"}).tables]
    assert union_columns(offers, supertype) == {"x": "VARCHAR"}


@pytest.mark.parametrize(
    ("inside", "becomes"),
    [
        ("SELECT * FROM u", "SELECT 1 FROM u"),
        ("SELECT * EXCLUDE (a) FROM u WHERE u.a = t.a", "SELECT 1 FROM u WHERE u.a = t.a"),
        ("SELECT DISTINCT * FROM u LIMIT 1", "SELECT DISTINCT * FROM u LIMIT 1"),
        ("SELECT *, sum(a) FROM u", "SELECT *, SUM(a) FROM u"),
        ("SELECT count(*) FROM u", "SELECT COUNT(*) FROM u"),
        ("SELECT a FROM (SELECT * FROM u)", "SELECT a FROM (SELECT * FROM u)"),
    ],
)
def test_what_exists_lists_is_not_planned_for(inside, becomes):
    tree = parse(f"SELECT count(*) FROM t WHERE NOT EXISTS ({inside})")
    list_nothing(tree)
    assert tree.sql("duckdb") == f"SELECT COUNT(*) FROM t WHERE NOT EXISTS({becomes})"
