"""docs/sql.md cannot lie: what it says is answered equals DuckDB, and what it says is refused says so in these words."""

import re
from pathlib import Path
from typing import Any

import pytest

import fedsql
from tests.planner.test_refusals import SCALARS

TEXT = (Path(__file__).parents[2] / "docs" / "sql.md").read_text(encoding="utf-8")


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)


ANSWERED = [" ".join(each.split()) for block in blocks("sql") for each in block.split(";") if each.strip()]
REFUSED = [each.strip() for block in blocks("refused") for each in block.strip().split("\n\n")]


@pytest.mark.parametrize("sql", ANSWERED)
def test_what_is_answered_equals_duckdb(clinics: Any, sql: str) -> None:
    clinics.check(sql, scale=1e4)


@pytest.mark.parametrize("example", REFUSED)
def test_what_is_refused_says_so(clinics: Any, example: str) -> None:
    sql, _, said = example.partition(";\n")
    with pytest.raises(fedsql.Error) as caught:
        clinics.session.execute(sql)
    words = [caught.value.message, f"HINT: {caught.value.hint}"]
    assert [line.removeprefix("-- ") for line in said.splitlines()] == words


def test_functions_are_those_of_the_allow_list() -> None:
    (listed,) = blocks("functions")
    assert listed.split() == SCALARS.split()
