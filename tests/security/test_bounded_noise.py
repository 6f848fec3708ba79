"""Under noise: what a missing value, a missing bound and too many colluders do."""

import math
from contextlib import closing, contextmanager

import numpy as np
import pyarrow as pa
import pytest

from fedsql.errors import BudgetExhausted, PolicyDenied, ProgrammingError
from fedsql.privacy.mechanisms import DiscreteLaplace, Skellam
from fedsql.session import Session

COLUMNS = {"v": {"use": ["aggregate"], "bounds": [10, 20]}, "w": {"use": ["aggregate"]}}


@contextmanager
def session(**release):
    values = [None, 15.0, float("nan"), float("inf"), 10.0, 20.0]
    parties = {
        name: {
            "tables": {"t": {"source": pa.table({"v": values, "w": [1] * 6}), "columns": COLUMNS}},
            "release": release,
        }
        for name in ("a", "b")
    }
    opened = Session.open({"name": "noise", "parties": parties})
    yield opened
    opened.close()


@pytest.fixture
def silent(monkeypatch):
    """No noise: only to see what is added up."""
    for law in (DiscreteLaplace, Skellam):
        monkeypatch.setattr(law, "share", lambda self, honest, size: np.zeros(size, np.int64))


@pytest.mark.usefixtures("silent")
def test_null_and_what_is_not_finite_are_no_values_under_noise():
    with session(noise="required", min_parties=1) as found:
        row = found.execute("SELECT COUNT(v) AS n, SUM(v) AS s, COUNT(*) AS all_rows FROM t").table.to_pylist()[0]
    assert row["n"] == 6
    assert row["s"] == pytest.approx(90, abs=0.2)
    assert row["all_rows"] == 12


@pytest.mark.usefixtures("silent")
def test_values_of_a_joined_table_are_clamped_whatever_the_query_calls_them():
    """Two columns called v meet in the join, and one of them gets another name."""
    people = {"source": pa.table({"id": [1], "v": ["x"]}), "privacy_unit": "id"}
    people["columns"] = {"id": {"use": ["join"]}, "v": {"use": ["group"], "values": ["x"]}}
    visits = {
        "source": pa.table({"of": [1], "v": [15]}),
        "references": {"of": "people.id"},
        "privacy_unit": "people.id",
    }
    visits["columns"] = {"of": {"use": ["join"]}, "v": {"use": ["aggregate"], "bounds": [10, 20]}}
    tables = {"people": people, "visits": visits}
    given = {"tables": tables, "release": {"noise": "required", "min_parties": 1}}
    with closing(Session.open({"name": "noise", "parties": {"a": given, "b": given}})) as found:
        for party in ("a", "b"):  # the rows change after the bounds were verified
            found.federation.parties[party].engine._database.execute("UPDATE main.visits SET v = 1000000")
        joined = "people p JOIN visits w ON w.of = p.id"
        rows = found.execute(f"SELECT p.v, SUM(w.v) AS s FROM {joined} GROUP BY p.v HAVING p.v = 'x'").table.to_pylist()
    assert rows == [{"v": "x", "s": 40}]


REQUIRED = {"g": {"use": ["group"], "values": ["x"]}, "v": {"use": ["aggregate"], "bounds": [10, 20], "required": True}}
AVERAGES = "SELECT g, COUNT(*) AS n, COUNT(v) AS m, AVG(v) AS a, SUM(v) AS s, VAR_POP(v) AS q FROM t GROUP BY g"


def required(*declared: str) -> Session:
    """Open two parties with 400 rows of value 15 each; those that are named declare the column required."""
    optional = {**REQUIRED, "v": {**REQUIRED["v"], "required": False}}
    source = pa.table({"g": ["x"] * 400, "v": [15] * 400})
    parties = {
        name: {
            "tables": {"t": {"source": source, "columns": REQUIRED if name in declared else optional}},
            "release": {"noise": "required", "min_parties": 1},
        }
        for name in ("a", "b")
    }
    return Session.open({"name": "noise", "parties": parties})


@pytest.mark.parametrize(("declared", "counts"), [(("a", "b"), 1), (("a",), 2), ((), 2)])
def test_counts_share_one_partial_where_all_declare_a_column_required(declared, counts):
    with closing(required(*declared)) as found:
        (release,) = found._plan(AVERAGES, ())[0].releases
    assert sum("COUNT" in partial.sql[0] for partial in release.partials) == counts
    assert len(release.partials) == len(release.noise) == counts + 3


@pytest.mark.usefixtures("silent")
def test_a_required_value_that_went_missing_counts_as_the_middle_of_its_bounds():
    with closing(required("a", "b")) as found:
        found.federation.parties["a"].engine._database.execute("UPDATE main.t SET v = NULL")
        row = found.execute(f"{AVERAGES} HAVING g = 'x'").table.to_pylist()[0]
    assert row == {"g": "x", "n": 800, "m": 800, "a": 15, "s": 12_000, "q": 0}


@pytest.mark.usefixtures("silent")
def test_a_function_without_bounds_is_summed_within_those_that_the_analyst_gives():
    with session(noise="required", min_parties=1) as found:
        with pytest.raises(PolicyDenied, match="without bounds") as refused:
            found.execute("SELECT SUM(ln(v)) FROM t")
        assert refused.value.hint == "bound it yourself: least(greatest(LN(v), low), high)"
        sql = (
            "SELECT SUM(least(greatest(ln(v), 0), 2.5)) AS s, margin(SUM(least(greatest(ln(v), 0), 2.5))) AS off FROM t"
        )
        (row,) = found.execute(sql).table.to_pylist()
    # Of six values three are none, and with LEAST and GREATEST these count as the lower bound.
    assert row["s"] == pytest.approx(2 * (math.log(10) + 2 * 2.5), abs=0.1)
    assert row["off"] < 20


def test_a_column_without_bounds_is_refused_by_name():
    with session(noise="required") as found, pytest.raises(PolicyDenied, match=r"a's t\.w cannot be summed"):
        found.execute("SELECT SUM(w) FROM t")


def test_more_colluders_than_the_parties_allow_are_refused():
    with (
        session(noise="required", noise_colluders=2) as found,
        pytest.raises(PolicyDenied, match="more than 2 parties"),
    ):
        found.execute("SELECT COUNT(*) FROM t")


def test_each_release_of_a_statement_counts_against_the_quota():
    with session(quota={"queries": 2}, min_group_size=1) as found:
        found.execute("SELECT COUNT(*) FROM t")
        with pytest.raises(BudgetExhausted, match="2 needed"):
            found.execute("SELECT (SELECT COUNT(v) FROM t), COUNT(*) FROM t")
        assert found.execute("SHOW BUDGET").table.column("queries_used").to_pylist() == [1, 1]


def test_a_comment_changes_nothing():
    with session(min_group_size=1) as found:
        sql = "SELECT /* a */ COUNT(*) -- b\nFROM t /* c */ HAVING COUNT(*) /* d */ > 1 -- e"
        assert found.execute(sql).table.to_pylist() == [{"count_star()": 12}]
        with pytest.raises(ProgrammingError, match="no statement"):
            found.execute("-- nothing")
