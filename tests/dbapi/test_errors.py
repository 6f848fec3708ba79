"""Every kind of failure of a question: its class, SQLSTATE, place in the text, and the id under which it was asked."""

import copy
from pathlib import Path
from typing import Any

import pytest

import fedsql
from tests.dbapi.conftest import FEDERATION


@pytest.mark.parametrize(
    ("sql", "error", "sqlstate", "position"),
    [
        ("SELEC 1", fedsql.ProgrammingError, "42601", (1, 1)),
        ("SELECT\n  COUNT(*) FROM", fedsql.ProgrammingError, "42601", (2, 12)),
        ("SELECT 'a", fedsql.ProgrammingError, "42601", (1, 8)),
        ("SELECT COUNT(*) FROM nothing", fedsql.ProgrammingError, "42P01", (1, 22)),
        ("SELECT COUNT(*) FROM north.nothing", fedsql.ProgrammingError, "42P01", (1, 22)),
        ("SELECT COUNT(*) FROM east.t", fedsql.ProgrammingError, "42P01", (1, 22)),
        ("SELECT SUM(nothing) FROM t", fedsql.ProgrammingError, "42703", (1, 12)),
        ("SELECT nothing(g) FROM t", fedsql.ProgrammingError, "42883", (1, 8)),
        ("SELECT round(g) FROM t", fedsql.ProgrammingError, "42883", (1, 8)),
        ("SELECT g FROM t, t AS u", fedsql.ProgrammingError, "42702", (1, 8)),
        ("SELECT g, x FROM t GROUP BY g", fedsql.ProgrammingError, "42803", (1, 11)),
        ("SELECT CAST('x' AS INTEGER)", fedsql.DataError, "22018", (1, 8)),
        ("SELECT 7 // 0", fedsql.DataError, "22012", None),
        ("SELECT 9223372036854775807 + 1", fedsql.DataError, "22003", None),
        ("SELECT DATE 'today at noon'", fedsql.DataError, "22007", (1, 8)),
        ("SELECT * FROM t", fedsql.PolicyDenied, "42501", (1, 15)),
        ("SELECT price, SUM(price) FROM t GROUP BY price", fedsql.PolicyDenied, "42501", (1, 19)),
        ("SELECT STRING_AGG(g, ',') FROM t", fedsql.PolicyDenied, "42501", (1, 19)),
        ("SELECT g, COUNT(*) FROM t WHERE random() > 0.5 GROUP BY g", fedsql.NotSupportedError, "0A000", (1, 33)),
        ("COPY t TO 'file'", fedsql.NotSupportedError, "0A000", (1, 1)),
        ("SET nothing = 1", fedsql.ProgrammingError, "42000", None),
        ("SET epsilon = 0", fedsql.DataError, "22000", None),
    ],
)
def test_what_is_wrong_with_a_question(
    small: fedsql.Connection, sql: str, error: type, sqlstate: str, position: tuple[int, int] | None
) -> None:
    with pytest.raises(fedsql.Error) as caught:
        small.execute(sql)
    failure = caught.value
    assert (type(failure), failure.sqlstate, failure.position) == (error, sqlstate, position), failure
    assert failure.query_id is None  # nobody was asked


def changed(**keys: Any) -> dict[str, Any]:
    federation = copy.deepcopy({"parties": dict(FEDERATION["parties"])})
    for party in federation["parties"].values():
        party.update(copy.deepcopy(keys))
    return federation


def test_a_quota_that_is_used_up() -> None:
    release = {"min_group_size": 1, "min_parties": 1, "quota": {"queries": 1, "period": "1d"}}
    with fedsql.connect(changed(release=release)) as connection:
        connection.execute("SELECT COUNT(*) FROM t")
        with pytest.raises(fedsql.BudgetExhausted) as caught:
            connection.execute("SELECT SUM(x) FROM t")
    assert isinstance(caught.value, fedsql.PrivacyError)
    assert caught.value.sqlstate == "53400"
    assert len(caught.value.query_id or "") == 32  # the parties have logged the attempt


def test_a_limit_of_a_party() -> None:
    with fedsql.connect(changed(limits={"groups": 1})) as connection, pytest.raises(fedsql.OperationalError) as caught:
        connection.execute("SELECT day, COUNT(*) FROM t GROUP BY day")
    assert type(caught.value) is fedsql.OperationalError
    assert len(caught.value.query_id or "") == 32


def test_a_cancelled_question_has_an_id(small: fedsql.Connection) -> None:
    session = small.session
    session.on_progress = lambda *_: session._cancelled.set()  # at the first thing that happens
    try:
        with pytest.raises(fedsql.OperationalError, match="cancelled") as caught:
            small.execute("SELECT COUNT(*) FROM t WHERE x < 17")
    finally:
        session.on_progress = None
    assert caught.value.sqlstate == "57014"
    assert len(caught.value.query_id or "") == 32


def test_a_coordinator_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(fedsql.OperationalError):
        fedsql.connect("fedsql://localhost:1", federation=tmp_path / "federation.toml", analyst="ada")


def test_errors_say_what_to_do() -> None:
    error = fedsql.ProgrammingError("no", hint="yes", position=(1, 2), query_id="ab", sqlstate="42601")
    assert (str(error), error.message, error.hint) == ("no\nHINT: yes", "no", "yes")
    assert (error.position, error.query_id, error.sqlstate) == ((1, 2), "ab", "42601")
    assert fedsql.ProgrammingError("no").sqlstate == "42000"
