"""What is planned once is not planned again, and what is not the same question is."""

from dataclasses import replace

import pyarrow as pa
import pytest

from fedsql.planner.question import Question, Settings
from fedsql.session import Session

NOON, ONE = "2020-02-29 12:00:00", "2020-02-29 13:00:00"
ASKED = Question("federation", "analyst", "SELECT COUNT(*) FROM t WHERE v < 7", NOON)


@pytest.fixture(scope="module")
def directory():
    columns = {"v": {"use": ["group", "filter", "aggregate"]}, "seen": {"use": ["filter"]}}
    rows = pa.table({"v": [1, 2], "seen": pa.array([0, 0], pa.timestamp("us"))})
    release = {"min_parties": 1, "allow_alone": True}
    parties = {n: {"tables": {"t": {"source": rows, "columns": columns}}, "release": release} for n in ("a", "b")}
    session = Session.open({"parties": parties})
    yield session.federation.directory
    session.close()


def test_the_same_text_is_planned_once_whenever_it_is_asked(directory):
    plan = directory.plan(ASKED)
    assert directory.plan(replace(ASKED, now=ONE)) is plan
    assert directory.plan(replace(ASKED, sql="select  COUNT(*) FROM t WHERE v < 7 -- the same")) is plan


def test_a_text_that_reads_the_clock_is_planned_for_its_time(directory):
    asked = replace(ASKED, sql="SELECT COUNT(*) FROM t WHERE seen < now()")
    noon, one = directory.plan(asked), directory.plan(replace(asked, now=ONE))
    assert "12:00:00" in noon.releases[0].fragments["a"]
    assert "13:00:00" in one.releases[0].fragments["a"]
    assert noon.digest != one.digest
    assert directory.plan(asked) is noon


@pytest.mark.parametrize(
    "change",
    [
        {"sql": "SELECT COUNT(*) FROM t WHERE v < 8"},
        {"sql": "SELECT COUNT(*) FROM t WHERE v < ?", "parameters": (("INTEGER", "8"),)},
        {"analyst": "bob"},
        {"settings": Settings(epsilon=2.0)},
        {"missing": ("b",)},
    ],
    ids=["text", "parameter", "analyst", "epsilon", "missing"],
)
def test_another_question_is_planned_anew(directory, change):
    plan = directory.plan(ASKED)
    other = directory.plan(replace(ASKED, **change))
    assert other is not plan
    assert directory.plan(replace(ASKED, **change)) is other
    assert directory.plan(ASKED) is plan


def test_parameters_are_part_of_a_text(directory):
    asked = replace(ASKED, sql="SELECT COUNT(*) FROM t WHERE v < ?")
    seven, eight = (directory.plan(replace(asked, parameters=(("INTEGER", n),))) for n in "78")
    assert seven is directory.plan(ASKED)  # the same once they are in place
    assert seven.digest != eight.digest
