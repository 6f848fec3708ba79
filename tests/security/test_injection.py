"""Names and types that others choose do nothing but name: no SQL of theirs runs anywhere, and no fragment reads more.

An analyst names aliases, parameters and the columns of its local tables, a party its tables, columns and types. All of these stand in
SQL that every other participant runs in a DuckDB of its own.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from harness import Watched, small

from fedsql.codec import decode, encode
from fedsql.errors import Error, InternalError, NotSupportedError, ProgrammingError
from fedsql.executors.engines.typer import DuckDBTyper
from fedsql.planner import fragments, functions
from fedsql.planner.catalog import Catalog
from fedsql.planner.offer import ColumnOffer, Offer, ReleasePolicy, TableOffer
from fedsql.types import is_type, quoted

HELD = {name: {"aa": 20, "bb": 30} for name in ("north", "south", "west")}
TYPES = [
    "INTEGER); COPY (SELECT 1) TO '{file}'; CREATE TABLE main.other (b INTEGER",
    "INTEGER); COPY (SELECT 1) TO '{file}' --",
    "INTEGER) AS x, (SELECT 1 FROM t",
    "INTEGER, b INTEGER",
    "INTEGER /*",
    "INTEGER; SELECT 1",
    'INTEGER "',
    "ENUM('a",
    "DECIMAL(38, 2",
    "",
    "  ",
    "INTEGER -- ",
]
ALIASES = [
    'a" , (SELECT 1 FROM range(100)) AS "z',
    'a" , (SELECT id AS q FROM main.t WHERE id = 3) AS "z',
    'a" CROSS JOIN main.t AS "z',
    "a\"; COPY (SELECT 1) TO '/tmp/x' --",
    'a" WHERE id = 3 --',
    'a"',
    '"',
    "a b",
    "a'b",
    "a/*b",
    "a--b",
]


@pytest.fixture(scope="module")
def world():
    made = Watched(small(HELD))
    yield made
    made.close()


@pytest.mark.parametrize("alias", ALIASES)
def test_an_alias_is_a_name_and_nothing_more(world, alias):
    """It stands in every fragment. It would join another table, and count anybody as often as it takes."""
    for sql in (
        "SELECT count(*) FROM t AS {}",
        "SELECT sum({}.v) FROM t AS {} WHERE {}.v > 0",
        "SELECT count(*) FROM t AS {} JOIN t AS other ON {}.id = other.id",
        "WITH {} AS (SELECT id, v AS {} FROM t) SELECT sum({}) FROM {}",
        "SELECT count(*) FROM t WHERE EXISTS (SELECT 1 FROM t AS {} WHERE {}.id = t.id)",
    ):
        run = world.ask(sql.replace("{}", quoted(alias)))
        assert [row["a0"] for row in run.rows] == ["150"]


def test_no_alias_reaches_around_the_noise():
    """There a second query stands around the rows, with the alias once more."""
    columns = {"g": {"values": ["aa", "bb"]}, "v": {"bounds": [0, 9]}}
    budget = {"epsilon": 1000.0}
    made = Watched(small(HELD, noise="required", columns=columns, table={"max_rows_per_unit": 2}, budget=budget))
    for alias in ALIASES:
        run = made.ask(f"SELECT count(*) FROM t AS {quoted(alias)}", epsilon=8.0)
        assert 100 < float(run.rows[0]["a0"]) < 200
    made.close()


def test_a_fragment_that_read_another_table_would_not_leave_the_planner(world, monkeypatch):
    monkeypatch.setattr(fragments, "quoted", lambda name: f'"{name}"')
    with pytest.raises(InternalError, match="does not read exactly what it should"):
        world.ask(f"SELECT count(*) AS not_yet_planned FROM t AS {quoted(ALIASES[0])}")


@pytest.mark.parametrize(
    "expression",
    [
        """CAST(v AS DECIMAL("10,0)) > 1 OR CAST(v AS DECIMAL(10", 0)) = 7""",
        """CAST(v AS "INT) = 1 OR CAST(v AS INT") = 7""",
        """v::"INT) OR (1=1" = 7""",
        """CAST(v AS "INT"[]) IS NOT NULL""",
        """CAST(v AS STRUCT("a) OR (1=1" INT)) IS NOT NULL""",
        """DATE '2020-01-01' + INTERVAL '1' YEAR TO "MONTH) OR (1=1" IS NULL""",
        """DATE '2020-01-01' + INTERVAL '1' "DAY) OR (1=1" IS NULL""",
        """extract("YEAR FROM DATE '2020-01-01') > 1 OR extract(YEAR" FROM DATE '2020-01-01') = 7""",
        """date_trunc("day', DATE '2020-01-01') IS NOT NULL OR date_trunc('day", DATE '2020-01-01') IS NULL""",
        """datediff("day', DATE '2020-01-01', DATE '2020-01-01') = 0 OR datediff('day", NULL, NULL) = 7""",
    ],
)
def test_a_type_or_unit_in_a_question_is_one_and_nothing_more(world, expression):
    """sqlglot prints some words as they are, also those that stood in quotes: the condition of a party would be another."""
    try:
        run = world.ask(f"SELECT count(*) FROM t WHERE {expression}")
    except (NotSupportedError, ProgrammingError):
        return
    assert run.rows == [{"a0": None}]  # as it says, it holds for no row
    assert " OR " not in run.plan.releases[0].fragments["north"]


def test_what_is_printed_for_a_party_is_what_was_checked(world, monkeypatch):
    """The wall behind the one above, for whatever else is printed as it is."""
    monkeypatch.setattr(functions, "_check_words", lambda node: None)
    sql = """SELECT count(*) FROM t WHERE CAST(v AS DECIMAL("10,0)) > 1 OR CAST(v AS DECIMAL(10", 0)) = 7"""
    with pytest.raises(NotSupportedError, match="it would mean something else there"):
        world.ask(sql)


@pytest.mark.parametrize("type_", TYPES)
def test_the_type_of_a_local_table_is_a_type_and_nothing_more(world, tmp_path, type_):
    """An analyst says what its local tables look like. Each party makes tables like them."""
    file = tmp_path / "written.csv"
    local = (("x", (("a", type_.replace("{file}", str(file))),)),)
    run = world.ask("SELECT count(*) FROM t", edit=lambda question: replace(question, local=local))
    assert isinstance(run.error, Error)
    assert "a question is malformed" in str(run.error)
    assert not file.exists()


NAMES = ["a\"; COPY (SELECT 1) TO '{file}'; --", "a\" INTEGER); COPY (SELECT 1) TO '{file}'; --", 'a"b', "a b"]


@pytest.mark.parametrize("name", NAMES)
def test_the_name_of_a_local_table_or_column_is_a_name_and_nothing_more(world, tmp_path, name):
    file = tmp_path / "written.csv"
    name = name.replace("{file}", str(file))
    for local in (((name, (("a", "INTEGER"),)),), (("x", ((name, "INTEGER"),)),)):
        run = world.ask("SELECT count(*) FROM t", edit=lambda question, local=local: replace(question, local=local))
        assert [row["a0"] for row in run.rows] == ["150"]
    assert not file.exists()


def test_a_local_table_does_not_take_the_place_of_an_offered_one(world):
    local = (("T", (("v", "TINYINT"),)),)
    run = world.ask("SELECT count(*) FROM t", edit=lambda question: replace(question, local=local))
    assert isinstance(run.error, ProgrammingError)
    assert "the local table T has the name of one that parties offer" in str(run.error)


def offer(name: str = "t", column: str = "v", type_: str = "INTEGER") -> Offer:
    table = TableOffer("north", name, (ColumnOffer(column, type_),), unique=((column,),))
    return Offer("north", (table,), ReleasePolicy(), bytes(32))


@pytest.mark.parametrize("type_", TYPES)
def test_an_offer_with_a_type_that_is_none_is_not_read(tmp_path, type_):
    made = offer(type_=type_.replace("{file}", str(tmp_path / "written.csv")))
    with pytest.raises(ValueError, match="a type that is none"):
        Offer.decode(made.encode())
    with pytest.raises(ProgrammingError, match="is not a type"):  # the second wall
        DuckDBTyper(Catalog("f", (made,)))
    assert not (tmp_path / "written.csv").exists()


@pytest.mark.parametrize("name", NAMES)
def test_names_of_an_offer_name_and_do_nothing_else(tmp_path, name):
    name = name.replace("{file}", str(tmp_path / "written.csv"))
    for made in (offer(name=name), offer(column=name), replace(offer(), party=name)):
        typer = DuckDBTyper(Catalog("f", (made,)))
        assert [type_ for _, type_ in typer.describe(f"SELECT * FROM main.{quoted(made.tables[0].name)}")] == [
            "INTEGER"
        ]
    assert not (tmp_path / "written.csv").exists()


def test_the_typer_reaches_nothing_outside(tmp_path):
    rows = tmp_path / "rows.csv"
    rows.write_text("a\n1\n")
    typer = DuckDBTyper(Catalog("f", (offer(),)))
    for sql in (f"SELECT * FROM '{rows}'", f"SELECT * FROM read_csv('{rows}')", "SELECT 1; DROP TABLE main.t"):
        with pytest.raises(Error):
            typer.describe(sql)
    assert typer.describe("SELECT v FROM main.t") == [("v", "INTEGER")]


@pytest.mark.parametrize(
    "text",
    [
        *("INTEGER", "DECIMAL(18,3)", "TIMESTAMP WITH TIME ZONE", "INTEGER[]", "DOUBLE[3][]", "MAP(VARCHAR, INTEGER)"),
        *('STRUCT(a INTEGER, "b c" VARCHAR)[]', "UNION(num INTEGER, str VARCHAR)", "ENUM('a', 'b''c')", '"NULL"'),
    ],
)
def test_types_as_duckdb_prints_them_are_types(text):
    assert is_type(text)


def broken(edit: object) -> bytes:
    record = decode(offer().encode())
    edit(record)
    return encode(record)


@pytest.mark.parametrize(
    "edit",
    [
        lambda r: r.update(party=7),
        lambda r: r.update(tables=[7]),
        lambda r: r.update(more=1),
        lambda r: r.pop("seal_key"),
        lambda r: r.update(identity_key="x"),
        lambda r: r["release"].update(min_group_size=-1),
        lambda r: r["release"].update(min_group_size="10"),
        lambda r: r["release"].update(min_group_size=1 << 70),
        lambda r: r["release"].update(epsilon=float("nan")),
        lambda r: r["release"].update(aggregates=[7]),
        lambda r: r["tables"][0].update(rows=None),
        lambda r: r["tables"][0].update(analysts="*"),
        lambda r: r["tables"][0].update(references={"a": 1}),
        lambda r: r["tables"][0].update(unique=[[]]),
        lambda r: r["tables"][0].update(unique=["v"]),
        lambda r: r["tables"][0]["columns"][0].update(bounds=["0", "NaN"]),
        lambda r: r["tables"][0]["columns"][0].update(bounds=["0", "x"]),
        lambda r: r["tables"][0]["columns"][0].update(bounds=["1", "0"]),
        lambda r: r["tables"][0]["columns"][0].update(bounds=["1"]),
        lambda r: r["tables"][0]["columns"][0].update(values=[1]),
        lambda r: r["tables"][0]["columns"][0].update(scale=-1),
        lambda r: r["tables"][0]["columns"][0].update(use=[None]),
        lambda r: r["tables"][0]["columns"][0].update(type=None),
    ],
)
def test_an_offer_of_another_shape_is_not_read(edit):
    """A party signs it. It would end in an exception wherever somebody plans."""
    assert Offer.decode(offer().encode()) == offer()
    with pytest.raises(ValueError):
        Offer.decode(broken(edit))
