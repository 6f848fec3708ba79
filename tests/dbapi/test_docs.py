"""docs/python.md cannot lie: its blocks run in order in one folder, what they print is as it stands, its figures are counted."""

import contextlib
import doctest
import io
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import fedsql
from tests.dbapi import test_dbapi20

PAGE = Path(__file__).parents[2] / "docs" / "python.md"
TEXT = PAGE.read_text(encoding="utf-8")
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def test_every_block_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shared: dict[str, Any] = {}
    blocks = re.findall(r"^```(python|pycon)\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
    assert len(blocks) > 10
    with pd.option_context("display.width", 120):
        for kind, block in blocks:
            if kind == "python":
                with contextlib.redirect_stdout(io.StringIO()):
                    exec(compile(block, str(PAGE), "exec"), shared)
                continue
            said: list[str] = []
            test = doctest.DocTestParser().get_doctest(block, shared, PAGE.name, str(PAGE), 0)
            doctest.DocTestRunner(optionflags=FLAGS).run(test, out=said.append, clear_globs=False)
            shared.update(test.globs)
            assert not said, "".join(said)


def test_errors_have_the_states_of_the_table() -> None:
    states: dict[str, list[str]] = {}
    name = ""
    for line in TEXT.partition("## Errors")[2].partition("## Threads")[0].splitlines():
        if match := re.match(r"\| (?:`(\w+)`)? ?\|[^|]*\| (.*) \|", line):
            name = match[1] or name
            states.setdefault(name, []).append(match[2])
        if match := re.match(r"\| \| `(\w+)`:[^|]*\| (\w+) \|", line):
            assert getattr(fedsql, match[1]).sqlstate == match[2]
    for name, listed in states.items():
        assert getattr(fedsql, name).sqlstate in " ".join(listed), name


def test_figures_of_the_suites_are_counted() -> None:
    table = re.findall(r"^\| (?:psycopg's|`dbapi-compliance`).* \| (\d+) \| (\d+) \|$", TEXT, re.MULTILINE)
    suites = (test_dbapi20.TestPsycopg, test_dbapi20.TestCompliance)
    if any(hasattr(suite, "test_suite") for suite in suites):
        pytest.skip("the suites were not fetched: make .venv/dbapi20/.ready")
    for (tests, passed), suite, excepted in zip(table, suites, (0, len(test_dbapi20.EXCEPTIONS)), strict=True):
        counted = sum(name.startswith("test") for name in dir(suite))
        assert (int(tests), int(passed)) == (counted, counted - excepted)
