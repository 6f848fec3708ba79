"""Federated tables through SQLAlchemy: every answer is DuckDB's over the rows of all parties."""

from __future__ import annotations

import datetime
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import pandas as pd
import pytest
import sqlalchemy as sa
from sqlalchemy import case, cast, func, select
from sqlalchemy.orm import Session, declarative_base

import fedsql
from fedsql.sqlalchemy.compiler import FedsqlIdentifierPreparer
from fedsql.sqlalchemy.types import HUGEINT, column_type

patients = sa.Table(
    "patients",
    sa.MetaData(),
    *(
        sa.Column(n, t)
        for n, t in (("sex", sa.String), ("age", sa.Integer), ("charges", sa.Numeric), ("seen", sa.Date))
    ),
)
c = patients.c


@pytest.fixture(scope="module")
def engine(federation: Path) -> Iterator[sa.engine.Engine]:
    engine = sa.create_engine(f"fedsql:///{federation}?analyst=ada")
    yield engine
    engine.dispose()


_grown = case((c.age < 18, "child"), else_="adult")
_by_sex = select(c.sex, func.count().label("n")).group_by(c.sex)
QUERIES = {
    "filter": select(func.count()).select_from(patients).where(c.age > 5),
    "groups": select(c.sex, func.count(), func.avg(c.age)).group_by(c.sex).order_by(c.sex),
    "limit": _by_sex.order_by(sa.desc("n")).limit(1).offset(1),
    "offset": _by_sex.order_by(c.sex).offset(1),
    "in": select(func.count()).where(c.sex.in_(["F", "X"])),
    "in nothing": select(func.coalesce(func.count(), 0)).where(c.sex.in_([])),
    "not in nothing": select(func.count()).where(c.sex.not_in([])),
    "ilike": select(func.count()).where(c.sex.ilike("f%")),
    "like": select(func.count()).where(c.sex.like("M%")),
    "escaped": select(func.count()).where(c.sex.startswith("M", autoescape=True)),
    "between": select(func.sum(c.age), func.sum(c.charges)).where(c.age.between(10, 40), c.sex.is_not(None)),
    "case": select(_grown.label("kind"), func.count()).group_by(_grown).order_by("kind"),
    "filtered": select(func.count().filter(c.age > 60)),
    "cast": select(func.sum(cast(c.age, sa.BigInteger))).where(c.age > cast("30", sa.Integer)),
    "date_trunc": select(func.date_trunc("month", c.seen).label("m"), func.count())
    .group_by(func.date_trunc("month", c.seen))
    .order_by("m"),
    "date": select(func.count()).where(c.seen >= datetime.date(2024, 2, 1)),
    "having": _by_sex.having(func.count() > 60).order_by(c.sex),
    "cte": (lambda x: select(x.c.sex, x.c.n * 2).where(x.c.n > 10).order_by(x.c.sex))(_by_sex.cte("x")),
    "subquery": (lambda x: select(x.c.sex, x.c.n / 2).order_by(x.c.n.desc()))(_by_sex.subquery()),
    "distinct": select(c.sex).distinct().order_by(c.sex),
    "union": sa.union_all(select(func.count()).where(c.age > 5), select(func.count()).where(c.age <= 5)).order_by(
        sa.text("1")
    ),
    "text": sa.text(
        "SELECT sex, max(n) FROM (SELECT sex, count(*) AS n FROM patients WHERE age > :a GROUP BY sex) t GROUP BY sex ORDER BY sex"
    ).bindparams(a=5),
}


@pytest.mark.parametrize("name", QUERIES)
def test_an_answer_is_that_of_all_rows(name: str, engine: sa.engine.Engine, pooled: duckdb.DuckDBPyConnection) -> None:
    query = QUERIES[name]
    plain = query.compile(engine, compile_kwargs={"literal_binds": True, "render_postcompile": True})
    expected = pooled.execute(str(plain)).fetchall()
    with engine.connect() as connection:
        assert [tuple(row) for row in connection.execute(query)] == expected
        assert [tuple(row) for row in connection.exec_driver_sql(str(plain))] == expected


def test_reflection_knows_unions_and_parties(engine: sa.engine.Engine) -> None:
    inspector = sa.inspect(engine)
    assert inspector.get_schema_names() == ["main", "north", "south", "west"]
    assert inspector.get_table_names() == inspector.get_table_names("north") == ["patients"]
    columns = {column["name"]: column for column in inspector.get_columns("patients", "north")}
    assert isinstance(columns["seen"]["type"], sa.Date)
    assert (columns["charges"]["type"].precision, columns["charges"]["type"].scale) == (9, 2)
    assert inspector.get_pk_constraint("patients")["constrained_columns"] == []
    table = sa.Table("patients", sa.MetaData(), autoload_with=engine, schema="north")
    with engine.connect() as connection:
        assert connection.execute(select(func.count()).select_from(table)).scalar() == 40
    with pytest.raises(sa.exc.NoSuchTableError):
        inspector.get_columns("nothing")


def test_local_tables_and_views_round_trip(engine: sa.engine.Engine) -> None:
    metadata = sa.MetaData()
    one = sa.Table("Kept", metadata, sa.Column("order", sa.Integer, primary_key=True), sa.Column("Name", sa.String))
    sa.Table(
        "many",
        metadata,
        sa.Column("k", sa.Integer, sa.ForeignKey("Kept.order")),
        sa.Column("d", sa.Numeric(8, 2)),
        sa.Index("ix_k", "k"),
    )
    with engine.begin() as connection:
        metadata.create_all(connection)
        assert connection.execute(one.insert(), {"Name": "a"}).inserted_primary_key == (1,)
        connection.execute(one.insert(), [{"Name": "b"}, {"Name": "c"}])
        assert connection.execute(select(one).order_by(one.c.order)).fetchall() == [(1, "a"), (2, "b"), (3, "c")]
        connection.exec_driver_sql('CREATE VIEW seen AS SELECT "Name" FROM "Kept"')
        inspector = sa.inspect(connection)
        assert {"Kept", "many"} <= set(inspector.get_table_names())
        assert inspector.get_view_names() == ["seen"]
        assert "Kept" in inspector.get_view_definition("seen")
        assert [each["name"] for each in inspector.get_columns("Kept")] == ["order", "Name"]
        assert inspector.get_pk_constraint("Kept")["constrained_columns"] == ["order"]
        assert inspector.get_foreign_keys("many")[0]["referred_table"] == "Kept"
        assert [(each["name"], each["column_names"]) for each in inspector.get_indexes("many")] == [("ix_k", ["k"])]
        connection.exec_driver_sql("DROP VIEW seen")
        with pytest.raises(sa.exc.IntegrityError):
            connection.execute(one.insert(), {"order": 1})
        metadata.drop_all(connection)


def test_released_rows_are_kept_and_mapped(engine: sa.engine.Engine, pooled: duckdb.DuckDBPyConnection) -> None:
    base = declarative_base()

    class Count(base):
        __tablename__ = "counts"
        id = sa.Column(sa.Integer, primary_key=True)
        sex = sa.Column(sa.String)
        n = sa.Column(sa.BigInteger)

    base.metadata.create_all(engine)
    with Session(engine) as session:
        session.execute(sa.insert(Count.__table__).from_select(["sex", "n"], _by_sex))
        session.add(Count(sex="?", n=0))
        session.commit()
        rows = session.query(Count).order_by(Count.n).all()
        assert [(row.sex, row.n) for row in rows] == [
            ("?", 0), *pooled.execute("SELECT sex, count(*) FROM patients GROUP BY 1 ORDER BY 2").fetchall()
        ]  # fmt: skip
        rows[0].n = 7
        session.commit()
        session.delete(rows[1])
        session.commit()
        assert session.execute(select(func.sum(Count.n))).scalar() == rows[2].n + 7
    base.metadata.drop_all(engine)


@pytest.mark.skipif(sa.__version__ < "2", reason="pandas wants SQLAlchemy 2")
def test_pandas_reads_and_writes(engine: sa.engine.Engine, pooled: duckdb.DuckDBPyConnection) -> None:
    sql = "SELECT sex, count(*) AS n, sum(age) AS s FROM patients GROUP BY sex ORDER BY sex"
    frame = pd.read_sql(sql, engine)
    pd.testing.assert_frame_equal(frame, pooled.sql(sql).df(), check_dtype=False)
    frame.to_sql("kept", engine)
    assert pd.read_sql_table("kept", engine)["n"].tolist() == frame["n"].tolist()
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE kept")


@pytest.mark.parametrize(
    ("sql", "kind", "cause"),
    [
        ("SELECT age FROM patients", sa.exc.DatabaseError, fedsql.PolicyDenied),
        ("SELECT nothing FROM patients", sa.exc.ProgrammingError, fedsql.ProgrammingError),
        ("VALUES (1)", sa.exc.NotSupportedError, fedsql.NotSupportedError),
    ],
)
def test_errors_are_wrapped(engine: sa.engine.Engine, sql: str, kind: type, cause: type) -> None:
    with engine.connect() as connection, pytest.raises(kind) as raised:
        connection.exec_driver_sql(sql)
    assert type(raised.value) is kind
    assert isinstance(raised.value.orig, cause)
    assert not raised.value.connection_invalidated


def test_a_session_that_has_ended_is_opened_again(federation: Path) -> None:
    engine = sa.create_engine(f"fedsql:///{federation}?analyst=ada", pool_pre_ping=True)
    with engine.connect() as connection:
        connection.connection.dbapi_connection.close()
        with pytest.raises(sa.exc.InterfaceError) as raised:
            connection.exec_driver_sql("SELECT 1")
        assert raised.value.connection_invalidated
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT 1").scalar() == 1
    engine.dispose()


def test_threads_take_turns(engine: sa.engine.Engine) -> None:
    def ask(age: int) -> object:
        with engine.connect() as connection:
            return connection.execute(select(func.count()).where(c.age > age)).scalar()

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(ask, [5, 40] * 4)) == [ask(5), ask(40)] * 4


@pytest.mark.parametrize(
    ("url", "connects"),
    [
        ("fedsql:////a/federation.toml?analyst=ada", (["/a/federation.toml"], {"analyst": "ada"})),
        ("fedsql+native://ada@host:1/?federation=f.toml&key=k", (["fedsql://host:1"], {"analyst": "ada", "federation": "f.toml", "key": "k"})),
        ("fedsql://[::1]/", (["fedsql://[::1]"], {})),
        ("fedsql+flightsql://a:b@host/?tls=off", (["host:31338"], {"username": "a", "password": "b", "tls": "off"})),
        ("fedsql+flightsql://host:1/?token=t&tls=ca.pem", (["host:1"], {"token": "t", "tls": "ca.pem"})),
    ],
)  # fmt: skip
def test_urls(url: str, connects: tuple[list[str], dict[str, str]]) -> None:
    made = sa.engine.make_url(url)
    assert made.get_dialect()().create_connect_args(made) == connects


@pytest.mark.parametrize(
    "url", ["fedsql://", "fedsql:///f.toml?user=x", "fedsql+flightsql://", "fedsql+flightsql://h/?x=1"]
)
def test_other_urls_are_refused(url: str) -> None:
    made = sa.engine.make_url(url)
    with pytest.raises(sa.exc.ArgumentError, match="fedsql"):
        made.get_dialect()().create_connect_args(made)


def test_through_a_gateway_nothing_of_the_engine_is_needed() -> None:
    absent = "duckdb sqlglot cryptography pydantic pyarrow numpy gmpy2 phe cbor2 typer".split()  # noqa: SIM905
    code = f"""
import sys
sys.modules.update(dict.fromkeys({absent}))
from sqlalchemy import create_engine
from sqlalchemy.engine import make_url
from fedsql.sqlalchemy import dialect, compiler, types
url = make_url("fedsql+flightsql://ada:secret@gateway/?tls=off")
url.get_dialect()().create_connect_args(url)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_words_that_cannot_name_everything_are_quoted() -> None:
    words = duckdb.sql(
        "SELECT DISTINCT keyword_name FROM duckdb_keywords() WHERE keyword_category <> 'unreserved'"
    ).fetchall()
    assert {word for (word,) in words} == FedsqlIdentifierPreparer.reserved_words


TYPES = """
BIGINT BIT BLOB BOOLEAN DATE DOUBLE FLOAT HUGEINT INTEGER INTERVAL JSON SMALLINT TIME TIMESTAMP TINYINT UBIGINT UHUGEINT
UINTEGER USMALLINT UTINYINT UUID VARCHAR
""".split()  # noqa: SIM905
TYPES += ["TIME WITH TIME ZONE", "TIMESTAMP WITH TIME ZONE", "DECIMAL(10,2)", "INTEGER[]", "INTEGER[3]", "VARCHAR[][]"]
TYPES += ["DECIMAL(4,1)[]", "STRUCT(a INTEGER, b VARCHAR[])", "MAP(VARCHAR, INTEGER)"]


@pytest.mark.parametrize("text", TYPES)
def test_a_reflected_type_is_written_as_it_was(text: str, engine: sa.engine.Engine) -> None:
    compiler = engine.dialect.type_compiler
    described = [
        duckdb.sql(f"DESCRIBE SELECT CAST(NULL AS {each}) AS x").fetchall()[0][1]
        for each in (text, compiler.process(column_type(text)))
    ]
    assert described[0] == described[1]


def test_types_have_their_counterparts() -> None:
    assert isinstance(column_type("HUGEINT"), HUGEINT)
    assert isinstance(column_type("TIMESTAMP_NS"), sa.DateTime)
    assert column_type("TIMESTAMP WITH TIME ZONE").timezone
    assert column_type("ENUM('a', 'it''s')").enums == ["a", "it's"]
