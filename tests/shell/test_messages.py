"""Errors point at the place, footers say what an answer cost, exit codes tell errors from refusals."""

import pyarrow as pa
import pytest

from fedsql import errors
from fedsql.answer import Answer
from fedsql.shell.messages import error_text, exit_code, footer


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.ProgrammingError("x"), 1),
        (errors.NotSupportedError("x"), 1),
        (errors.DataError("x"), 1),
        (errors.OperationalError("x"), 1),
        (errors.ProtocolError("x"), 1),
        (errors.InternalError("x"), 1),
        (errors.ConfigError("x"), 2),
        (errors.PolicyDenied("x"), 3),
        (errors.BudgetExhausted("x"), 3),
    ],
)
def test_exit_codes(error: errors.Error, code: int) -> None:
    assert exit_code(error) == code


def test_a_caret_stands_under_the_place_and_the_hint_follows() -> None:
    error = errors.ProgrammingError("no such column", hint="try b", position=(2, 8))
    assert error_text(error, "SELECT 1,\n\tcount(a)\nFROM t").splitlines() == [
        "error: no such column",
        "LINE 2:  count(a)",
        "        " + " " * 7 + "^",
        "HINT: try b",
    ]


def test_lines_count_from_the_files_beginning() -> None:
    error = errors.ProgrammingError("bad", position=(1, 1))
    assert error_text(error, "SELEC", file="q.sql", line=12).splitlines() == [
        "error: q.sql: bad",
        "LINE 12: SELEC",
        " " * 9 + "^",
    ]


@pytest.mark.parametrize("column", [1, 30, 100, 199, 200, 201])
def test_a_long_line_is_cut_around_the_place(column: int) -> None:
    sql = "".join(chr(ord("a") + i % 26) for i in range(200))
    _, line, caret = error_text(errors.ProgrammingError("bad", position=(1, column)), sql, 80).splitlines()
    assert len(line) <= 80
    if column <= 200:
        assert line[len(caret) - 1] == sql[column - 1]


@pytest.mark.parametrize("position", [(0, 1), (3, 1), (1, 50), (1, 0)])
def test_a_place_outside_the_text_has_no_caret(position: tuple[int, int]) -> None:
    assert error_text(errors.ProgrammingError("bad", position=position), "SELECT 1") == "error: bad\n"


def test_messages_are_wrapped_and_cleaned() -> None:
    error = errors.PolicyDenied("word " * 40 + "\x1b[2J", hint="more " * 40)
    lines = error_text(error, width=40).splitlines()
    assert max(map(len, lines)) <= 40
    assert "\x1b" not in "".join(lines)
    assert "\\x1b[2J" in "".join(lines)


def test_every_problem_of_a_file_has_its_line() -> None:
    assert error_text(errors.ConfigError("a.toml: x", "b.toml: y", hint="z")) == (
        "error: a.toml: x\nerror: b.toml: y\nHINT: z\n"
    )


def test_the_footer_of_a_noisy_answer() -> None:
    answer = Answer(
        pa.table({"n": [1, 2]}),
        (("n", "BIGINT"),),
        ("Every value carries noise.",),
        epsilon=0.5,
        margins={"n": 12.345678, "unknown": None},
        parties=("north", "south"),
    )
    assert footer(answer, 0.254) == (
        "(2 rows, 0.25 s, epsilon 0.5 at each of north, south)\n95 % margins: n +- 12.35\nnote: Every value carries noise.\n"
    )
    assert footer(answer, rows=False).startswith("(epsilon 0.5 at")


def test_the_footer_of_one_row_of_explain_and_of_nothing() -> None:
    one = pa.table({"n": [1]})
    assert footer(Answer(one, (("n", "BIGINT"),)), 0.0) == "(1 row, 0.00 s)\n"
    assert footer(Answer(one, (("explain", "VARCHAR"),)), 0.0) == footer(Answer(), 0.0) == ""
