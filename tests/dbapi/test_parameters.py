"""Parameters: ? and $1, :name and $name, and a value of every type, at parties, above the cut and in local tables."""

import datetime
import math
import uuid
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest

import fedsql
from tests.dbapi.conftest import ROWS, STAMP

EAST = datetime.timezone(datetime.timedelta(hours=2))
VALUES = {
    "int": 7,
    "wide": 2**100,
    "least": -(2**127),
    "float": 0.1,
    "nan": math.nan,
    "infinite": -math.inf,
    "text": "it's $1, ? and :x -- \\",
    "bytes": b"\x00a'\\\xff",
    "decimal": Decimal("-1.50"),
    "thousand": Decimal("1E+3"),
    "date": datetime.date(9999, 12, 31),
    "time": datetime.time(1, 2, 3, 4),
    "naive": STAMP,
    "aware": STAMP.replace(tzinfo=EAST),
    "duration": datetime.timedelta(days=-1, seconds=5, microseconds=7),
    "uuid": uuid.UUID(int=2**127 + 5),
    "true": True,
    "null": None,
}


def pooled(sql: str, parameters: Sequence[Any] = ()) -> list[tuple]:
    with duckdb.connect() as database:
        database.execute("SET TimeZone = 'UTC'")
        database.register("rows", ROWS)
        database.execute("CREATE TABLE t AS FROM rows UNION ALL FROM rows")
        return database.execute(sql, list(parameters)).fetchall()


@pytest.mark.parametrize("name", VALUES)
def test_values_come_back_as_they_were(small: fedsql.Connection, name: str) -> None:
    value = VALUES[name]
    (row,) = small.execute("SELECT ?, typeof(?)", (value, value)).fetchall()
    expected = pooled("SELECT ?, typeof(?)", (value, value))[0]
    assert [repr(each) for each in row] == [repr(each) for each in expected] or row[0] == value
    small.execute(f"CREATE OR REPLACE TABLE kept (v {expected[1] if value is not None else 'INTEGER'})")
    (written,) = small.execute("INSERT INTO kept VALUES (?) RETURNING v", (value,)).fetchall()
    assert written[0] == value or (written[0] != written[0] and value != value)
    assert type(written[0]) is type(value)


@pytest.mark.parametrize(
    ("condition", "value"),
    [
        ("x <= ?", 7),
        ("x <= ?", 7.5),
        ("x <= ?", np.int64(7)),
        ("x < ?", 2**100),
        ("x > ?", -math.inf),
        ("x < ?", None),
        ("g = ?", "a"),
        ("price < ?", Decimal("2.000")),
        ("day <= ?", datetime.date(2020, 1, 5)),
        ("moment <= ?", STAMP + datetime.timedelta(hours=4)),
        ("zoned = ?", datetime.datetime(2020, 1, 2, 5, 4, 5, 6, EAST)),
        ("clock <= ?", datetime.time(4, 30)),
        ("code = ?", b"\x01'"),
        ("yes = ?", True),
        ("day + ? > DATE '2020-01-05'", datetime.timedelta(days=1)),
    ],
)
def test_parties_compare_with_values_of_every_type(small: fedsql.Connection, condition: str, value: Any) -> None:
    sql = f"SELECT COUNT(*), SUM(x) FILTER ({condition}) FROM t WHERE {condition}"
    plain = value.item() if isinstance(value, np.generic) else value
    assert small.execute(sql, (value, value)).fetchall() == pooled(sql, (plain, plain))


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (2**127, "does not fit 128 bits"),
        (Decimal("1e50"), "51 digits"),
        (Decimal("nan"), "must be finite"),
        ([1, 2], "type list cannot be sent"),
        ({1}, "type set cannot be sent"),
        (object(), "type object cannot be sent"),
        (datetime.time(1, tzinfo=EAST), "a time with a time zone"),
        (datetime.datetime.max.replace(tzinfo=datetime.timezone(-datetime.timedelta(hours=5))), "years 1 to 9999"),
        (pd.NaT, "type NaTType cannot be sent"),
        (np.datetime64("2020-01-01"), "type datetime64 cannot be sent"),
        ("\ud800", "a character that cannot be sent"),
        ("a\0b", "a character that cannot be sent"),
    ],
)
def test_what_cannot_be_asked_with_says_so(small: fedsql.Connection, value: Any, said: str) -> None:
    with pytest.raises(fedsql.DataError, match=said) as caught:
        small.execute("SELECT COUNT(*) FROM t WHERE g = ?", (value,))
    assert caught.value.sqlstate.startswith("22")


@pytest.mark.parametrize("value", [object(), {1}, 1j, Decimal("1e50"), Decimal("inf"), 2**200, "\ud800"])
def test_what_cannot_be_written_says_so(small: fedsql.Connection, value: Any) -> None:
    small.execute("CREATE OR REPLACE TABLE kept (v VARCHAR)")
    with pytest.raises(fedsql.DataError):
        small.execute("INSERT INTO kept VALUES (?)", (value,))


def test_local_tables_take_what_questions_do_not(small: fedsql.Connection) -> None:
    small.execute("CREATE OR REPLACE TABLE kept (l INTEGER[], s STRUCT(a INTEGER))")
    row = small.execute("INSERT INTO kept VALUES (?, ?) RETURNING *", ([1, None], {"a": 2})).fetchone()
    assert row == ([1, None], {"a": 2})


@pytest.mark.parametrize(
    ("sql", "numbered"),
    [
        ("SELECT :a, :b", "SELECT ?1, ?2"),
        ("SELECT $a,$b", "SELECT ?1, ?2"),
        ("SELECT :b,:a,:b", "SELECT ?2, ?1, ?2"),
        ("SELECT :a::VARCHAR || ':b' || $$:b$$, :b -- :c\n /* $d */", "SELECT ?1::VARCHAR || ':b' || ':b', ?2"),
        ("SELECT {'k':1}, {'k': :a}, [1,2,3][1:2], [1,2,3][2: :b]", "SELECT {'k':1}, {'k': ?1}, [1,2,3][1:2], [2,3]"),
        ("SELECT COUNT(*) FROM t WHERE x BETWEEN :a AND :b", "SELECT COUNT(*) FROM t WHERE x BETWEEN ?1 AND ?2"),
        (
            "SELECT x::INTEGER FROM (VALUES (:a), (:b)) v(x) ORDER BY 1",
            "SELECT x FROM (VALUES (?1), (?2)) v(x) ORDER BY 1",
        ),
        ("SELECT CASE WHEN true THEN :a ELSE :b END LIMIT :a", "SELECT ?1 LIMIT 3"),
    ],
)
def test_names_are_values(small: fedsql.Connection, sql: str, numbered: str) -> None:
    expected = pooled(numbered.replace("?1", "3").replace("?2", "5"))
    assert small.execute(sql, {"a": 3, "b": 5} if "b" in sql else {"a": 3}).fetchall() == expected


def test_a_slice_is_no_parameter(small: fedsql.Connection) -> None:
    with pytest.raises(fedsql.ProgrammingError, match="the statement has no parameter n"):
        small.execute("SELECT [1, 2, 3][:n]", {"n": 2})


@pytest.mark.parametrize("write", [False, True])
@pytest.mark.parametrize(
    ("text", "parameters", "said"),
    [
        (":a + :b", {"a": 1}, "the parameter b was not given"),
        ("$a + $b", {"b": 1}, "the parameter a was not given"),
        (":a + 1", {"a": 1, "c": 2}, "the statement has no parameter c"),
        ("1", {"a": 1}, "the statement has no parameter a"),
        (":a + ?", {"a": 1}, "the parameter \\? has no name"),
        (":a + $1", {"a": 1}, "the parameter \\$1 has no name"),
        (":a", (1,), "the parameter a was not given"),
        ("$a", [1], "the parameter a was not given"),
        (":a", (), "the parameter a was not given"),
        (":a", {}, "the parameter a was not given"),
        ("?", (), "the statement has 1 parameters, 0 were given"),
        ("?,?", (1,), "the statement has 2 parameters, 1 were given"),
        ("$1,$3", (1, 2), "the statement has 3 parameters, 2 were given"),
        ("$0", (1,), "there is no parameter \\$0"),
        ("?", "a", "a list, a tuple or a mapping, not a str"),
        ("?", 1, "a list, a tuple or a mapping, not a int"),
    ],
)
def test_wrong_parameters_are_named(
    small: fedsql.Connection, write: bool, text: str, parameters: Any, said: str
) -> None:
    small.execute("CREATE OR REPLACE TABLE kept (v INTEGER)")
    sql = f"INSERT INTO kept VALUES ({text})" if write else f"SELECT COUNT(*) FROM t WHERE x IN ({text})"
    with pytest.raises(fedsql.ProgrammingError, match=said) as caught:
        small.execute(sql, parameters)
    assert type(caught.value) is fedsql.ProgrammingError
    assert caught.value.sqlstate in ("07001", "42000")
    assert small.execute("SELECT COUNT(*) FROM kept").fetchone() == (0,)


def test_marks_without_spaces(small: fedsql.Connection) -> None:
    sql = "SELECT ?,?+1,?::INTEGER,'?,$1,$2'"
    assert small.execute(sql, (1, 2, "3")).fetchall() == [(1, 3, 3, "?,$1,$2")]
    assert small.execute("SELECT $2,$1,$1||$$,$2$$", ("a", "b")).fetchall() == [("b", "a", "a,$2")]


def test_errors_point_to_the_text_as_it_was_written(small: fedsql.Connection) -> None:
    with pytest.raises(fedsql.ProgrammingError) as caught:
        small.execute("SELECT COUNT(*) FROM t WHERE g = :group_name AND nothing = 1", {"group_name": "a"})
    assert caught.value.sqlstate == "42703"
    assert "nothing" in caught.value.message


def test_explain_takes_parameters(small: fedsql.Connection) -> None:
    expected = small.explain("SELECT COUNT(*) FROM t WHERE x > 3")
    assert small.explain("SELECT COUNT(*) FROM t WHERE x > :least", {"least": 3}) == expected
    rows = small.execute("EXPLAIN SELECT COUNT(*) FROM t WHERE x > $least", {"least": 3}).fetchall()
    assert [row[0] for row in rows] == expected.splitlines()


def test_saved_results_take_parameters(small: fedsql.Connection) -> None:
    sql = "SELECT g, COUNT(*) AS n FROM t WHERE x < :most GROUP BY g"
    small.execute(f"CREATE OR REPLACE TABLE kept AS {sql}", {"most": 5})
    assert small.execute("SELECT * FROM kept ORDER BY g").fetchall() == pooled(
        sql.replace(":most", "5") + " ORDER BY g"
    )
