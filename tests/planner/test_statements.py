"""fedsql's own statements, and the signed record of a question."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedsql.codec import encode
from fedsql.errors import DataError, ProgrammingError
from fedsql.planner.question import Question, Settings
from fedsql.planner.statements import Describe, Explain, Query, Set, Show, changed, read_statement


@pytest.mark.parametrize(
    ("text", "statement"),
    [
        ("SELECT 1", Query("SELECT 1")),
        ("  SELECT 1;", Query("SELECT 1")),
        ("SELECT 'SET x = 1'", Query("SELECT 'SET x = 1'")),
        ("set epsilon = 0.5", Set("epsilon", "0.5")),
        ("SET allow_missing TO on;", Set("allow_missing", "on")),
        ("SET epsilon='2'", Set("epsilon", "2")),
        ("show Tables", Show("tables")),
        ("SHOW budget;", Show("budget")),
        ("DESCRIBE patients", Describe("patients")),
        ('desc North."Patients";', Describe("patients", "north")),
        ("explain SELECT\n 1", Explain("SELECT\n 1")),
        ("EXPLAIN (STAGE Cut) SELECT 1", Explain("SELECT 1", "cut")),
        ("explain ( stage merge_filters ) SELECT 1", Explain("SELECT 1", "merge_filters")),
        ("-- a comment\n/* and\nanother */ SHOW parties", Show("parties")),
    ],
)
def test_statements_are_told_apart(text, statement):
    assert read_statement(text) == statement


@pytest.mark.parametrize("text", ["", "  ;  ", "-- only a comment", "/* so */"])
def test_nothing_is_no_statement(text):
    with pytest.raises(ProgrammingError, match="there is no statement"):
        read_statement(text)


def test_show_names_what_can_be_shown():
    with pytest.raises(ProgrammingError) as caught:
        read_statement("SHOW secrets")
    assert "SHOW BUDGET" in (caught.value.hint or "")


def test_settings_change_one_at_a_time():
    settings = changed(Settings(), "epsilon", "0.25")
    assert settings == Settings(epsilon=0.25)
    assert changed(settings, "allow_missing", "ON") == Settings(0.25, True)
    for name, value in (
        ("epsilon", "0"),
        ("epsilon", "-1"),
        ("epsilon", "inf"),
        ("epsilon", "much"),
        ("allow_missing", "perhaps"),
    ):
        with pytest.raises(DataError):
            changed(settings, name, value)
    with pytest.raises(ProgrammingError, match="there is no setting"):
        changed(settings, "threads", "1")


TEXT = st.text(max_size=12)
TYPE = st.sampled_from(["INTEGER", "DECIMAL(18,3)", "VARCHAR[]"])
QUESTIONS = st.builds(
    Question,
    federation=TEXT,
    analyst=TEXT,
    sql=TEXT,
    now=TEXT,
    parameters=st.lists(st.tuples(TEXT, st.one_of(st.none(), TEXT)), max_size=3).map(tuple),
    settings=st.builds(Settings, st.floats(0.01, 10), st.booleans()),
    local=st.lists(st.tuples(TEXT, st.lists(st.tuples(TEXT, TYPE), max_size=2).map(tuple)), max_size=2).map(tuple),
    contributors=st.lists(st.lists(TEXT, max_size=3).map(tuple), max_size=2).map(tuple),
    plan_digest=st.binary(max_size=32),
    nonce=st.binary(max_size=16),
    attempt=st.integers(1, 9),
    expiry=st.integers(0, 2**40),
)


@given(QUESTIONS)
def test_questions_survive_the_wire(question):
    assert Question.decode(question.encode()) == question
    assert Question.decode(question.encode()).digest == question.digest


@given(QUESTIONS, QUESTIONS)
def test_different_questions_have_different_bytes(one, other):
    assert (one.encode() == other.encode()) is (one == other)


@pytest.mark.parametrize(
    "record",
    [
        [],
        {},
        {"federation": "f"},
        7,
        {"settings": {}},
        {"settings": {"epsilon": 1.0, "allow_missing": False}, "unknown": 1},
    ],
)
def test_other_records_are_no_questions(record):
    with pytest.raises(ValueError, match="question"):
        Question.decode(encode(record))
