"""A store holds what its party lists, verified, and nothing else can be reached from it."""

import math
import threading
from datetime import date
from decimal import Decimal

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedsql.config.loading import federation_from
from fedsql.errors import ConfigError, OperationalError
from fedsql.executors.engines.store import PartyStore
from fedsql.planner.offer import ColumnOffer, Offer, ReleasePolicy

SECRET = bytes(range(32))
PATIENTS = pa.table(
    {
        "ID": [1, 2, 3, 3],
        "sex": ["F", "M", None, "F"],
        "age": pa.array([0, 120, None, 55], pa.int16()),
        "charges": pa.array([Decimal("0.50"), Decimal("99.99"), None, Decimal("1.00")], pa.decimal128(10, 2)),
        "score": [0.25, math.nan, math.inf, None],
        "born": [date(1970, 1, 31), date(1980, 2, 1), None, date(1990, 3, 2)],
        "alive": [True, False, None, True],
        "secret_note": ["zebra", "zebra", "zebra", "zebra"],
    }
)


def config(base=".", **tables):
    return federation_from({"parties": {"north": {"tables": tables}}}, base).embedded["north"]


def store(base=".", **tables):
    return PartyStore(config(base, **tables), SECRET)


def patients(source=PATIENTS, columns=None, **settings):
    return {"source": source, "columns": columns or {"age": {"use": ["filter"]}}, **settings}


def lines(base=".", **tables):
    with pytest.raises(ConfigError) as error:
        store(base, **tables)
    return list(error.value.problems)


def test_an_offer_says_what_was_listed_and_verified():
    columns = {
        "SEX": {"use": ["group", "filter"], "values": ["F", "M"]},
        "age": {"use": ["aggregate"], "bounds": [0, 120.5]},
        "charges": {"use": ["aggregate"], "bounds": [0.5, 99.99], "scale": 2},
        "score": {"use": ["aggregate"], "scale": 2},
        "born": {"use": ["group"], "values": [date(1970, 1, 31), "1980-02-01", "1990-03-02"]},
        "alive": {"use": ["group"], "values": [True, "FALSE"]},
    }
    held = store(patients=patients(columns=columns, privacy_unit="id", max_rows_per_unit=2, analysts=["ada"]))
    (table,) = held.offers()
    assert table.columns == (
        ColumnOffer("ID", "BIGINT"),
        ColumnOffer("sex", "VARCHAR", frozenset({"group", "filter"}), values=("F", "M")),
        ColumnOffer("age", "SMALLINT", frozenset({"aggregate"}), bounds=(Decimal(0), Decimal("120.5"))),
        ColumnOffer("charges", "DECIMAL(10,2)", frozenset({"aggregate"}), (Decimal("0.5"), Decimal("99.99")), 2),
        ColumnOffer("score", "DOUBLE", frozenset({"aggregate"}), scale=2),
        ColumnOffer("born", "DATE", frozenset({"group"}), values=("1970-01-31", "1980-02-01", "1990-03-02")),
        ColumnOffer("alive", "BOOLEAN", frozenset({"group"}), values=("true", "false")),
    )
    assert (table.party, table.name, table.privacy_unit, table.unit_unique, table.rows) == (
        "north",
        "patients",
        "ID",
        False,
        4,
    )
    assert (table.max_rows_per_unit, table.analysts) == (2, ("ada",))
    assert held.offer(b"i", b"s") == Offer("north", (table,), ReleasePolicy(), b"i", b"s")


def test_only_what_is_listed_is_there():
    held = store(patients=patients(privacy_unit="ID"), silent={"source": PATIENTS})
    assert held.run("SELECT * FROM patients ORDER BY ALL").to_pydict() == {
        "ID": [1, 2, 3, 3],
        "age": [0, 120, 55, None],
    }
    assert [row["table_name"] for row in held.run("SELECT table_name FROM duckdb_tables()").to_pylist()] == ["patients"]
    assert [table.name for table in held.offers()] == ["patients"]
    everywhere = held.run("SELECT view_name FROM duckdb_views() WHERE NOT internal")
    assert everywhere.num_rows == 0


@pytest.mark.parametrize(
    ("settings", "unique", "rows"),
    [
        ({}, True, 4),
        ({"privacy_unit": "ID"}, False, 4),
        ({"privacy_unit": "ID", "sql": "SELECT * FROM source WHERE ID < 3"}, True, 2),
        ({"sql": "SELECT s.* FROM source AS s, range(5)"}, True, 32),
        ({"sql": "SELECT * FROM source WHERE false"}, True, 0),
        ({"public": True}, True, 4),
    ],
)
def test_units_and_sizes(settings, unique, rows):
    (table,) = store(patients=patients(**settings)).offers()
    assert (table.unit_unique, table.rows) == (unique, rows)


def test_a_unit_along_references_is_kept_with_its_key():
    visits = {
        "source": pa.table({"patient": [1, None], "ward": ["a", "b"]}),
        "references": {"patient": "patients.id"},
        "privacy_unit": "patients.id",
        "columns": {"ward": {"use": ["group"]}},
    }
    table = store(patients=patients(privacy_unit="id"), visits=visits).offers()[1]
    assert (table.privacy_unit, table.unit_unique, dict(table.references)) == (
        "patients.id",
        False,
        {"patient": "patients.id"},
    )
    assert [column.name for column in table.columns] == ["patient", "ward"]


def test_every_column_of_a_public_table_may_be_used():
    (table,) = store(codes=patients(public=True, columns={"sex": {}})).offers()
    assert table.columns[0].use == frozenset({"group", "filter", "aggregate", "join"})


def test_the_owner_s_sql_sees_its_source_alone():
    first = patients()
    assert lines(a=first, b=patients(sql="SELECT * FROM a")) == [
        'federation: parties.north.tables.b.sql: Table with name a does not exist! Did you mean "memory.a"?'
    ]
    assert store(source=first, b=patients(sql="SELECT age + 1 AS age FROM source -- kept")).run(
        "SELECT max(age) AS x FROM b"
    ).to_pylist() == [{"x": 121}]


@pytest.mark.parametrize("values", [None, ["F", "M", "X"]])
def test_an_enum_is_offered_as_text_for_its_type_names_every_value(values):
    enum = "SELECT sex::ENUM('F', 'M') AS sex FROM source"
    held = store(patients=patients(columns={"sex": {"use": ["group"], "values": values}}, sql=enum))
    assert held.offers()[0].columns[0].type == "VARCHAR"


def test_an_enum_of_public_values_stays_one():
    enum = "SELECT sex::ENUM('M', 'F') AS Sex FROM source"
    held = store(patients=patients(columns={"sex": {"use": ["group"], "values": ["F", "M"]}}, sql=enum))
    assert held.offers()[0].columns[0].type == "ENUM('M', 'F')"
    assert held.run("SELECT typeof(any_value(sex)) AS t FROM patients")["t"].to_pylist() == ["ENUM('M', 'F')"]


def test_a_list_of_an_enum_is_refused():
    nested = patients(columns={"both": {"use": ["group"]}}, sql="SELECT [sex::ENUM('F', 'M')] AS both FROM source")
    assert lines(patients=nested) == [
        "federation: parties.north.tables.patients.columns.both: its type holds an ENUM; cast it in sql"
    ]


BAD = [
    (
        patients(columns={"agee": {"use": []}}),
        "columns.agee: agee is no column of the source; did you mean age?; its columns: "
        "ID, sex, age, charges, score, born, alive, secret_note",
    ),
    (
        patients(privacy_unit="pid", sql="SELECT ID, age FROM source"),
        "privacy_unit: pid is no column of sql; did you mean ID?; its columns: ID, age",
    ),
    (
        patients(sql="SELECT ID, age FROM source", references={"doc": "patients.age"}),
        "references.doc: doc is no column of sql; its columns: ID, age",
    ),
    (
        patients(sql="SELECT nothing FROM source"),
        'sql: Referenced column "nothing" not found in FROM clause! Candidate bindings: "born", "charges"',
    ),
    (patients(sql="SELECT FROM source"), "sql: SELECT clause without selection list"),
    (patients(sql="SELECT 1; SELECT 2"), "sql: write exactly one SELECT ... FROM source"),
    (patients(sql="DROP TABLE x"), "sql: write exactly one SELECT ... FROM source"),
    (
        patients(sql="SELECT secret_note::INTEGER AS age FROM source"),
        "sql: DuckDB stops with ConversionException; its message may quote rows and is left out here: read the source with DuckDB to see it",
    ),
    (patients("nothing.csv"), "source: there is no file {}/nothing.csv"),
    (
        patients("bad.parquet"),
        "source: DuckDB stops with InvalidInputException; its message may quote rows and is left out here: read the source with DuckDB to see it",
    ),
    (
        patients(columns={"age": {"use": [], "bounds": [1, 100]}}),
        "columns.age.bounds: 2 rows are outside [1, 100]; widen the bounds, or filter the rows in sql",
    ),
    (
        patients(columns={"age": {"use": [], "bounds": [0, 119.9]}}),
        "columns.age.bounds: 1 row is outside [0, 119.9]; widen the bounds, or filter the rows in sql",
    ),
    (
        patients(columns={"age": {"use": [], "bounds": [1e9, 1e10]}}),
        "columns.age.bounds: 3 rows are outside [1000000000.0, 10000000000.0]; widen the bounds, or filter the rows in sql",
    ),
    (
        patients(columns={"charges": {"use": [], "bounds": [0.505, 99.989]}}),
        "columns.charges.bounds: 2 rows are outside [0.505, 99.989]; widen the bounds, or filter the rows in sql",
    ),
    (
        patients(columns={"score": {"use": [], "bounds": [1, 2]}}),
        "columns.score.bounds: 1 row is outside [1, 2]; widen the bounds, or filter the rows in sql",
    ),
    (
        patients(
            columns={"score": {"use": [], "required": True}}, sql="SELECT unnest([1, 'nan'::DOUBLE, NULL]) AS score"
        ),
        "columns.score.required: 2 rows are without a value; filter the rows in sql, or remove required",
    ),
    (
        patients(columns={"sex": {"use": [], "bounds": [1, 2]}}),
        "columns.sex.bounds: the column is no number but VARCHAR; remove bounds, or cast the column in sql",
    ),
    (
        patients(columns={"sex": {"use": [], "bounds": ["1990-01-01", "2030-12-31"]}}),
        "columns.sex.bounds: the column is no DATE but VARCHAR; write numbers for a number, or cast the column in sql",
    ),
    (
        patients(columns={"born": {"use": [], "bounds": [1990, 2030]}}),
        'columns.born.bounds: the column is a DATE; write dates, such as ["1990-01-01", "2030-12-31"]',
    ),
    (
        patients(
            columns={"d": {"use": [], "bounds": ["2020-01-01", "2020-12-31"]}},
            sql="SELECT unnest(['2019-12-31 23:59:59.9', '2020-01-01', '2020-12-31 23:59:59.9', '2021-01-01', 'infinity', NULL])"
            "::TIMESTAMP AS d FROM source LIMIT 6",
        ),
        "columns.d.bounds: 3 rows are outside [2020-01-01, 2020-12-31]; widen the bounds, or filter the rows in sql",
    ),
    (
        patients(
            columns={"d": {"use": [], "bounds": ["2020-01-01", "2020-12-31"]}},
            sql="SELECT unnest(['2019-12-31', '2020-01-01', '2020-12-31', 'infinity', NULL])::DATE AS d FROM source LIMIT 5",
        ),
        "columns.d.bounds: 2 rows are outside [2020-01-01, 2020-12-31]; widen the bounds, or filter the rows in sql",
    ),
    (
        patients(columns={"born": {"use": [], "scale": 2}}),
        "columns.born.scale: the column is no number but DATE; remove scale, or cast the column in sql",
    ),
    (
        patients(
            columns={"x": {"use": [], "scale": 2}},
            sql="SELECT unnest([2.0**48, -2.0**60, 1, 'nan'::DOUBLE]) AS x FROM source LIMIT 4",
        ),
        "columns.x.scale: 2 rows are of magnitude 2^48 or more; write bounds, or filter the rows in sql",
    ),
    (
        patients(columns={"sex": {"use": [], "values": ["F"]}}),
        "columns.sex.values: 1 row is outside the listed values; list theirs, or filter the rows in sql",
    ),
    (
        patients(columns={"sex": {"use": [], "values": [f"v{i}" for i in range(40)]}}),
        "columns.sex.values: 3 rows are outside the listed values; list theirs, or filter the rows in sql",
    ),
    (
        patients(columns={"age": {"use": [], "values": [0, 55, 120, "old"]}}),
        "columns.age.values: 'old' is no SMALLINT; write values of the column's type",
    ),
    (
        patients(columns={"age": {"use": [], "values": [0, 55, 120, 1.5]}}),
        "columns.age.values: '1.5' is no SMALLINT; write values of the column's type",
    ),
    (
        patients(columns={"age": {"use": [], "values": [0, 55, 120, "0.0"]}}),
        "columns.age.values: '0' and '0.0' are the same SMALLINT; remove one",
    ),
    (
        patients(privacy_unit="sex"),
        'privacy_unit: 1 row is without one (sex is NULL); filter them: sql = "SELECT ... FROM source WHERE sex IS NOT NULL"',
    ),
]


@pytest.mark.parametrize(("table", "line"), BAD)
def test_a_broken_promise_is_one_line_without_a_value(tmp_path, table, line):
    (tmp_path / "bad.parquet").write_text("zebra zebra zebra")
    found = lines(tmp_path, patients=table)
    assert found == [f"federation: parties.north.tables.patients.{line.format(tmp_path)}"]
    assert "zebra" not in found[0]


def test_a_csv_error_tells_the_line_and_not_its_text(tmp_path):
    (tmp_path / "late.csv").write_text("a\n1\nzebra\n")
    (found,) = lines(tmp_path, t=patients("late.csv", {"a": {"use": []}}, sql="SELECT a::INTEGER AS a FROM source"))
    assert found.startswith("federation: parties.north.tables.t.sql: DuckDB stops with ConversionException")
    assert "zebra" not in found


def test_the_problems_of_all_tables_are_told_and_the_right_ones_can_be_kept():
    bad = patients(columns={"sex": {"use": [], "values": ["F"]}, "age": {"use": [], "bounds": [1, 2]}})
    tables = {"a": bad, "b": patients(), "c": patients("no.csv")}
    assert len(lines(**tables)) == 3
    held = PartyStore(config(**tables), SECRET, partial=True)
    assert [table.name for table in held.offers()] == ["b"]
    assert len(held.problems) == 3
    with pytest.raises(duckdb.CatalogException):
        held.run("SELECT * FROM a")


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_csv('{}')",
        "SELECT * FROM '{}'",
        "SELECT * FROM read_text('{}')",
        "SELECT * FROM read_blob('{}')",
        "SELECT * FROM read_parquet('{}')",
        "SELECT * FROM glob('*')",
        "COPY patients TO '{}.out'",
        "COPY patients FROM '{}'",
        "ATTACH '{}.db'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "EXPORT DATABASE '{}.d'",
        "SET enable_external_access = true",
        "SET lock_configuration = false",
        "RESET TimeZone",
        "SET temp_directory = '/tmp'",
        "SET python_enable_replacements = true",
        "CALL enable_logging(storage = 'file')",
        "SELECT * FROM PATIENTS_IN_PYTHON",
        "SELECT * FROM source",
        "SELECT * FROM loading.prepared",
        "SELECT * FROM sqlite_scan('{}', 't')",
    ],
)
def test_the_lock_locks(tmp_path, sql):
    PATIENTS_IN_PYTHON = PATIENTS  # noqa: F841 - DuckDB would find it by name
    file = tmp_path / "a.csv"
    file.write_text("a\n1\n")
    held = store(patients=patients(str(file), {"a": {"use": ["filter"]}}, sql="SELECT * FROM source"))
    with pytest.raises((duckdb.Error, ValueError)):
        held.run(sql.format(file))
    with pytest.raises(duckdb.Error):
        held._database.execute(sql.format(file)).fetchall()
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]


@pytest.mark.parametrize(
    "sql", ["CREATE TABLE x (a INTEGER)", "ATTACH ':memory:' AS m", "DELETE FROM patients", "SELECT 1; SELECT 2", ""]
)
def test_run_takes_one_query_only(sql):
    with pytest.raises(ValueError, match="exactly one query"):
        store(patients=patients()).run(sql)


def test_a_fragment_has_no_more_groups_or_rows_of_a_join_than_its_limit():
    limits = {"groups": 3, "rows": 4}
    party = {"tables": {"patients": patients()}, "limits": limits}
    opened = PartyStore(federation_from({"parties": {"north": party}}).embedded["north"], SECRET)
    assert opened.run("SELECT * FROM range(3)").num_rows == 3
    assert opened.run("SELECT * FROM range(4)", joined=True).num_rows == 4
    with pytest.raises(OperationalError, match=r"more than 3 groups: \[limits\] groups allows"):
        opened.run("SELECT * FROM range(4)")
    with pytest.raises(OperationalError, match=r"more than 4 rows: \[limits\] rows allows"):
        opened.run("SELECT * FROM range(5)", joined=True)


def test_timestamps_are_in_utc():
    held = store(patients=patients())
    assert held.run("SELECT CAST(TIMESTAMPTZ '2024-07-01 00:00:00+00' AS VARCHAR) AS t").to_pylist() == [
        {"t": "2024-07-01 00:00:00+00"}
    ]


def test_a_table_s_name_is_never_a_python_variable():
    held = store(patients=patients())
    assert held.run("SELECT current_setting('python_enable_replacements') AS x").to_pylist() == [{"x": False}]


def test_errors_of_a_query_are_duckdb_s():
    with pytest.raises(duckdb.Error):
        store(patients=patients()).run("SELECT nothing FROM patients")


def test_a_query_can_be_stopped_while_others_go_on():
    held = store(patients=patients())
    stopped = threading.Event()

    def endless():
        try:
            held.run("SELECT count(*) FROM range(1000000000000) AS a, patients WHERE a.range % 7 = age")
        except OperationalError:
            stopped.set()

    thread = threading.Thread(target=endless)
    thread.start()
    while not stopped.is_set():
        held.interrupt()
    thread.join()
    assert held.run("SELECT count(*) AS n FROM patients").to_pylist() == [{"n": 4}]


def test_a_closed_store_holds_nothing():
    held = store(patients=patients())
    held.close()
    with pytest.raises(duckdb.ConnectionException):
        held.run("SELECT * FROM patients")


def test_a_data_version_is_keyed_and_changes_with_data_and_file():
    def version(secret=SECRET, **settings):
        return PartyStore(config(patients=patients(**settings)), secret).offers()[0].data_version

    assert version() == version()
    others = [
        version(bytes(32)),
        version(source=PATIENTS.slice(1)),
        version(columns={"age": {"use": []}}),
        version(sql="FROM source"),
    ]
    assert len({version(), *others}) == 5


@given(
    st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=8),
    st.tuples(st.decimals(-1e12, 1e12, places=3), st.decimals(-1e12, 1e12, places=3)).map(sorted),
    st.sampled_from(["INTEGER", "BIGINT", "HUGEINT", "DECIMAL(18,3)", "DECIMAL(38,0)", "DOUBLE"]),
)
def test_bounds_are_counted_as_arithmetic_has_it(numbers, bounds, type_):
    broken = sum(not bounds[0] <= n <= bounds[1] for n in numbers)
    table = patients(
        pa.table({"x": numbers}), {"x": {"use": [], "bounds": bounds}}, sql=f"SELECT x::{type_} AS x FROM source"
    )
    held = PartyStore(config(t=table), SECRET, partial=True)
    assert [line.split("bounds: ")[1].split()[0] for line in held.problems] == ([str(broken)] if broken else [])


def test_a_million_rows_are_checked_in_one_scan(tmp_path):
    numbers = np.arange(1_000_000)
    source = pa.table({"id": numbers, "age": numbers % 97, "ward": (numbers % 5).astype(str), "pay": numbers / 7.0})
    pyarrow.parquet.write_table(source, tmp_path / "big.parquet")
    columns = {
        "age": {"use": ["filter"], "bounds": [0, 96]},
        "ward": {"use": ["group"], "values": ["0", "1", "2", "3", "4"]},
        "pay": {"use": ["aggregate"], "scale": 2},
    }
    (table,) = store(tmp_path, big=patients("big.parquet", columns, privacy_unit="id")).offers()
    assert (table.unit_unique, table.rows) == (True, 1 << 20)
