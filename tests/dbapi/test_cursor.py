"""PEP 249's optional extensions, and rows as pandas, polars and Arrow have them."""

import datetime
import warnings
from decimal import Decimal

import pandas as pd
import polars as pl
import pytest

import fedsql

KINDS = """SELECT * FROM (VALUES
    (1::INTEGER, 'a', 1.50::DECIMAL(10,2), 7::HUGEINT, TIMESTAMP '2020-01-02 03:04:05', INTERVAL '1 day', true, DATE '2020-01-02'),
    (2::INTEGER, NULL, NULL, 8::HUGEINT, NULL, INTERVAL '2 days', false, NULL)
) v(i, s, d, h, t, v, b, day) ORDER BY i"""


def test_a_cursor_moves_about(small: fedsql.Connection) -> None:
    cursor = small.cursor()
    assert cursor.rownumber is None
    cursor.execute("SELECT * FROM range(5)")
    assert cursor.rownumber == 0
    assert cursor.fetchmany(2) == [(0,), (1,)]
    assert cursor.rownumber == 2
    cursor.scroll(2)
    assert cursor.fetchone() == (4,)
    cursor.scroll(-4)
    assert cursor.fetchone() == (1,)
    cursor.scroll(0, mode="absolute")
    assert cursor.fetch_arrow_table().num_rows == 5
    cursor.scroll(5, "absolute")
    assert cursor.fetchone() is None
    for move in ((6, "absolute"), (-1, "absolute"), (1,), (-6,)):
        with pytest.raises(IndexError):
            cursor.scroll(*move)
    assert cursor.rownumber == 5
    with pytest.raises(fedsql.ProgrammingError):
        cursor.scroll(1, "sideways")
    cursor.execute("SET epsilon = 1")
    with pytest.raises(fedsql.ProgrammingError, match="no result set"):
        cursor.scroll(0)


def test_a_cursor_is_an_iterator(small: fedsql.Connection) -> None:
    cursor = small.execute("SELECT * FROM range(3)")
    assert iter(cursor) is cursor
    assert next(cursor) == (0,)
    assert list(cursor) == [(1,), (2,)]
    assert next(cursor, None) is None


def test_what_else_a_cursor_has(small: fedsql.Connection) -> None:
    cursor = small.execute("SELECT g, COUNT(*) FROM t GROUP BY g")
    assert cursor.connection is small
    assert cursor.lastrowid is None
    assert [type(value) for _, value in cursor.messages] == [kind for kind, _ in cursor.messages]
    assert [str(value) for _, value in cursor.messages] == list(cursor.notices)
    assert cursor.execute("SELECT 1").messages == []
    cursor.setinputsizes([25])
    cursor.setoutputsize(1, 0)
    for name in ("nextset", "callproc"):
        assert not hasattr(cursor, name)


def test_a_value_that_python_does_not_have_is_still_there(small: fedsql.Connection) -> None:
    cursor = small.execute("SELECT 'infinity'::TIMESTAMP AS late, 1 AS one")
    with pytest.raises(fedsql.DataError, match="late has a TIMESTAMP outside of Python's years") as caught:
        cursor.fetchone()
    assert caught.value.sqlstate == "22008"
    assert cursor.fetch_arrow_table().column("one").to_pylist() == [1]


def test_pandas(small: fedsql.Connection) -> None:
    frame = small.execute(KINDS).fetch_df()
    assert [str(kind) for kind in frame.dtypes.iloc[[0, 3, 4, 5, 6]]] == [
        "int32",
        "int64",
        "datetime64[us]",
        "timedelta64[us]",
        "bool",
    ]
    assert frame["v"].tolist() == [pd.Timedelta(days=1), pd.Timedelta(days=2)]
    cursor = small.execute(KINDS)
    cursor.fetchone()
    assert cursor.fetch_df()["i"].tolist() == [2]


def test_pandas_reads_by_itself(small: fedsql.Connection) -> None:
    with pytest.warns(UserWarning, match="pandas only supports SQLAlchemy"):
        frame = pd.read_sql("SELECT g, SUM(x) AS s FROM t WHERE x < ? GROUP BY g ORDER BY g", small, params=(10,))
    expected = small.execute("SELECT g, SUM(x) AS s FROM t WHERE x < 10 GROUP BY g ORDER BY g").fetch_df()
    pd.testing.assert_frame_equal(frame, expected)


def test_polars(small: fedsql.Connection) -> None:
    frame = small.execute(KINDS).fetch_polars()
    assert frame.schema == {
        "i": pl.Int32,
        "s": pl.String,
        "d": pl.Decimal(10, 2),
        "h": pl.Int64,
        "t": pl.Datetime("us"),
        "v": pl.Duration("us"),
        "b": pl.Boolean,
        "day": pl.Date,
    }
    assert frame.row(0)[2:6] == (
        Decimal("1.50"),
        7,
        datetime.datetime(2020, 1, 2, 3, 4, 5),
        datetime.timedelta(days=1),
    )


def test_polars_reads_by_itself(small: fedsql.Connection) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sql = "SELECT g, SUM(x) AS s FROM t WHERE x < ? GROUP BY g ORDER BY g"
        frame = pl.read_database(sql, small, execute_options={"parameters": (10,)})
    assert frame.rows() == small.execute(sql, (10,)).fetchall()
    assert frame["s"].dtype.is_integer()


@pytest.mark.parametrize(("method", "module"), [("fetch_df", "pandas"), ("fetch_polars", "polars")])
def test_a_frame_without_its_library(
    small: fedsql.Connection, monkeypatch: pytest.MonkeyPatch, method: str, module: str
) -> None:
    cursor = small.execute("SELECT 1 AS a")
    monkeypatch.setitem(__import__("sys").modules, module, None)
    with pytest.raises(fedsql.NotSupportedError, match=f"{method} needs {module}") as caught:
        getattr(cursor, method)()
    assert caught.value.hint == f"pip install 'fedsql[{module}]'"
    assert cursor.fetchone() == (1,)
