"""Answers as text keep to the width, cut only what the table may cut, and lose nothing in csv and json."""

import csv
import io
import json
from decimal import Decimal

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedsql.answer import Answer
from fedsql.shell.render import MOST_ROWS, clean, cut, display_width, render


def answer(sql: str) -> Answer:
    with duckdb.connect() as database:
        relation = database.sql(sql)
        columns = tuple(zip(relation.columns, map(str, relation.types), strict=True))
        return Answer(relation.to_arrow_table(), columns)


def table(sql: str, width: int = 80, **options: bool) -> list[str]:
    return render(answer(sql), "table", width, **options).splitlines()


def test_numbers_stand_right_and_null_is_shown() -> None:
    assert table("SELECT * FROM (VALUES ('a', 1, 2.5::DOUBLE), (NULL, 20, NULL)) t (name, n, x)") == [
        "name   n     x",
        "----  --  ----",
        "a      1   2.5",
        "NULL  20  NULL",
    ]


def test_values_of_a_table() -> None:
    lines = table(
        "SELECT true AS b, 1.50::DECIMAL(5,2) AS d, 2::DOUBLE / 3 AS x, DATE '2024-02-29' AS day, [1, 2] AS l"
    )
    assert lines[2].split(maxsplit=4) == ["true", "1.50", "0.6666666667", "2024-02-29", "[1, 2]"]


def test_no_result_set_and_no_rows() -> None:
    assert render(Answer(), "table", 80) == render(Answer(), "csv", 80) == ""
    assert table("SELECT 1 AS a WHERE false") == ["a", "-"]
    assert render(answer("SELECT 1 AS a WHERE false"), "json", 80) == "[]\n"
    assert render(answer("SELECT 1 AS a WHERE false"), "csv", 80) == "a\r\n"


def test_many_rows_are_cut_to_head_and_tail() -> None:
    lines = table(f"SELECT * FROM range({MOST_ROWS + 1}) t (n)")
    assert len(lines) == 2 + MOST_ROWS + 1 + 1
    assert [line.strip() for line in lines[2:4]] == ["0", "1"]
    assert lines[2 + MOST_ROWS // 2] == ".."
    assert lines[-2].strip() == str(MOST_ROWS)
    assert lines[-1] == f"({MOST_ROWS + 1} rows, {MOST_ROWS} shown; --format csv shows all)"
    assert len(table(f"SELECT * FROM range({MOST_ROWS})")) == 2 + MOST_ROWS


def test_long_texts_give_way_before_columns_and_numbers_do_not() -> None:
    lines = table(f"SELECT 123456789 AS n, '{'x' * 100}' AS long, 'short' AS s", 40)
    assert lines[0] == "        n  long" + " " * 18 + "  s"
    assert lines[2].split()[0] == "123456789"
    assert lines[2].split()[1].endswith("x...")
    assert lines[2].split()[2] == "short"
    assert max(map(len, lines)) == 40


def test_middle_columns_are_left_out_of_a_wide_table() -> None:
    listed = ", ".join(f"{10**9 + i} AS c{i}" for i in range(20))
    lines = table(f"SELECT {listed}", 60)
    assert lines[0].split()[0] == "c0"
    assert "..." in lines[0].split()
    assert lines[0].split()[-1] == "c19"
    assert lines[-1] == "(20 columns, 4 shown; --format csv shows all)"
    assert max(map(len, lines)) <= 60


@given(st.lists(st.text(max_size=60), min_size=1, max_size=12), st.integers(20, 120))
def test_no_line_is_wider_than_the_terminal(texts: list[str], width: int) -> None:
    columns = tuple((f"column {i}", "VARCHAR") for i in range(len(texts)))
    rows = pa.table({name: [text] for (name, _), text in zip(columns, texts, strict=True)})
    shown = render(Answer(rows, columns), "table", width).splitlines()
    assert all(display_width(line) <= max(width, 50) for line in shown)  # the note below may be 50 wide
    assert all(clean(line) == line for line in shown)


def test_what_a_label_holds_cannot_steer_the_terminal() -> None:
    lines = table("SELECT 'a' || chr(27) || '[2J' || chr(10) AS label")
    assert lines[2] == r"a\x1b[2J\n"


def test_wide_characters_count_twice() -> None:
    assert display_width("漢字") == 4
    assert cut("漢字漢字", 7) == "漢字..."
    assert table("SELECT '漢字' AS a, 1 AS b") == ["a     b", "----  -", "漢字  1"]


def test_expanded_has_a_line_for_each_value() -> None:
    lines = table("SELECT 1 AS a, NULL AS long_name UNION ALL SELECT 2, NULL", expanded=True)
    assert lines[0].startswith("-- row 1 ---")
    assert lines[1:3] == ["a          1", "long_name  NULL"]
    assert len(lines) == 6


def test_explain_is_text_as_it_is() -> None:
    assert table(f"SELECT '  {'x' * 90}' AS explain", 80) == ["  " + "x" * 90]


def test_csv_is_read_back() -> None:
    found = render(
        answer("""SELECT 'a,"b"' AS "x,y", 'two
lines' AS t, '' AS empty, NULL AS none, 1.10::DECIMAL(38,2) AS d, 0.1::DOUBLE AS f"""),
        "csv",
        80,
    )
    assert found == '"x,y",t,empty,none,d,f\r\n"a,""b""","two\nlines","",,1.10,0.1\r\n'
    assert list(csv.reader(io.StringIO(found, newline="")))[1] == ['a,"b"', "two\nlines", "", "", "1.10", "0.1"]


def test_json_keeps_every_digit() -> None:
    sql = """SELECT 12345678901234567890123456789012345678::HUGEINT AS h, 0.10::DECIMAL(38,2) AS d, 1 AS same, 2 AS same,
        'nan'::DOUBLE AS x, {'k': [1.50::DECIMAL(4,2), NULL]} AS s, DATE '2024-02-29' AS day, 'é"' AS t"""
    found = render(answer(sql), "json", 80)
    (row,) = json.loads(found, parse_float=Decimal)
    assert row == {
        "h": 12345678901234567890123456789012345678,
        "d": Decimal("0.10"),
        "same": 1,
        "same_1": 2,
        "x": None,
        "s": {"k": [Decimal("1.50"), None]},
        "day": "2024-02-29",
        "t": 'é"',
    }
    assert '"d": 0.10' in found


def test_json_has_one_row_a_line() -> None:
    assert render(answer("SELECT * FROM range(3) t (n)"), "json", 80) == '[{"n": 0},\n{"n": 1},\n{"n": 2}]\n'


@pytest.mark.parametrize("format_", ["csv", "json"])
def test_csv_and_json_hold_all_rows(format_: str) -> None:
    lines = render(answer("SELECT * FROM range(1000)"), format_, 80).splitlines()
    assert len(lines) == 1000 + (format_ == "csv")
