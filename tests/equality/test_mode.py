"""MODE(x) over all parties: the value that most rows have, of several the least one; or nothing is answered."""

from __future__ import annotations

import re

import pyarrow as pa
import pytest

from fedsql.errors import NotSupportedError, PolicyDenied

ALONE = """
SELECT MODE(region) AS m FROM patients
SELECT MODE(sex) AS m, MODE(region) AS n, MODE(flag) AS o, MODE(nothing) AS p FROM patients
SELECT sex, region, MODE(flag) AS m, COUNT(*) AS n, SUM(age), MAX(age) FROM patients WHERE sex = 'F' AND region > 'a' GROUP BY ALL
SELECT sex FROM patients GROUP BY sex HAVING MODE(flag) IS NOT NULL ORDER BY MODE(region), sex
SELECT MODE(note) FILTER (WHERE age > 30) AS m FROM patients
SELECT MODE(age % 3) + COUNT(*) AS m FROM patients
SELECT sex, MODE(nothing) AS m FROM patients GROUP BY sex
SELECT MODE(age) AS m, COUNT(*) AS n FROM patients WHERE false
SELECT sex, MODE(age) AS m FROM patients WHERE false GROUP BY sex
SELECT 1 AS one, MODE(region) AS m FROM patients GROUP BY one
SELECT region, MODE(region) AS m FROM patients GROUP BY region
SELECT sex, COUNT(MODE(flag)) OVER () AS m FROM patients GROUP BY sex
SELECT COUNT(*) AS n FROM patients WHERE region = (SELECT MODE(region) FROM patients)
SELECT MODE(a.region) AS m FROM patients a JOIN patients b ON a.id = b.id WHERE b.flag
SELECT MODE(region) AS m FROM north.patients
SELECT MAX(m) AS m FROM (SELECT sex, MODE(flag) AS m FROM patients GROUP BY sex) t
WITH r AS (SELECT sex, MODE(flag) AS m FROM patients GROUP BY sex) SELECT a.sex, b.m FROM r a JOIN r b ON a.sex = b.sex
"""
TYPES = ["age", "i8", "u64", "huge", "money", "d38", "x", "born", "seen", "at", "clock", "note", "flag"]


@pytest.mark.parametrize("sql", [line for line in ALONE.splitlines() if line])
def test_equals_duckdb(hospitals, sql):
    hospitals.check(sql)


@pytest.mark.parametrize("column", TYPES)
def test_of_several_the_least_value_in_every_type(hospitals, column):
    counted = f'(SELECT sex, "{column}" AS v, COUNT(*) AS n FROM patients WHERE "{column}" IS NOT NULL GROUP BY ALL)'
    hospitals.check(
        f'SELECT sex, MODE("{column}") AS m FROM patients GROUP BY sex',
        reference=f"SELECT sex, FIRST(v ORDER BY n DESC, v) AS m FROM {counted} GROUP BY sex",
    )


def test_explain_says_that_values_and_counts_are_shown(hospitals):
    table = hospitals.session.execute("EXPLAIN SELECT MODE(age) FROM patients").table
    text = " ".join(" ".join(line for column in table.columns for line in column.to_pylist()).split())
    assert "so you see the distinct values under MODE(age), and how many rows have each one" in text
    assert "one query of the quota" in text  # alone it takes no release besides that of its values


@pytest.mark.parametrize("call", ["MODE(DISTINCT age)", "MODE(age ORDER BY id)", "mode() WITHIN GROUP (ORDER BY age)"])
def test_other_forms_are_refused(hospitals, call):
    with pytest.raises(NotSupportedError, match=r"mode is answered as MODE\(x\)"):
        hospitals.session.execute(f"SELECT {call} FROM patients")


def rows(*groups: str) -> pa.Table:
    """Return one unit for each letter of each group."""
    pairs = [(number, letter) for number, letters in enumerate(groups) for letter in letters]
    return pa.table(
        {"id": range(len(pairs)), "g": [g for g, _ in pairs], "v": [v if v != "-" else None for _, v in pairs]}
    )


TWO = {"one": {"t": rows("aabbb", "cde", "f----")}, "two": {"t": rows("aac", "xyz", "ff---")}}
THREE = {"min_group_size": 3, "min_parties": 1, "aggregates": ["count", "mode"]}


def test_what_k_units_have_is_the_mode_or_nothing_is_known(pool_of):
    pool = pool_of(TWO, {"t": {"privacy_unit": "id"}}, THREE)
    answer = pool.session.execute("SELECT g, MODE(v) AS m FROM t GROUP BY g ORDER BY g")
    assert answer.table.to_pylist() == [{"g": 0, "m": "a"}, {"g": 1, "m": None}, {"g": 2, "m": "f"}]
    assert any("Groups of fewer than 3" in notice for notice in answer.notices)
    assert pool.session.execute("SELECT MODE(v) AS m FROM t WHERE g = 1").table.to_pylist() == [{"m": None}]
    assert pool.session.execute("SELECT MODE(v) AS m FROM t").table.to_pylist() == [{"m": "a"}]
    pool.close()


@pytest.mark.parametrize("sql", ["SELECT MODE(v), COUNT(*) FROM t", "SELECT MODE(v), MODE(g) FROM t"])
def test_beside_totals_it_would_open_what_is_hidden(pool_of, sql):
    pool = pool_of(TWO, {"t": {"privacy_unit": "id"}}, THREE)
    with pytest.raises(NotSupportedError, match=r"MODE\(v\) is answered alone where min_group_size is over 1"):
        pool.session.execute(sql)
    pool.close()


def test_where_a_hidden_value_could_be_more_frequent_nothing_is_answered(pool_of):
    often = pa.table({"id": [1, 1, 1, 1, 2, 3, 4], "v": ["r", "r", "r", "r", "a", "a", "a"]})
    cases = [
        (THREE, often, "of units with several rows each"),
        ({**THREE, "min_group_size": 1, "min_parties": 2}, TWO["one"]["t"], "of values at few parties"),
        ({**THREE, "noise": "required"}, TWO["one"]["t"], re.escape("MODE(v) is not answered where values of few")),
    ]
    for release, table, message in cases:
        pool = pool_of({"one": {"t": table}, "two": {"t": table}}, {"t": {"privacy_unit": "id"}}, release)
        with pytest.raises(NotSupportedError, match=message):
            pool.session.execute("SELECT MODE(v) FROM t")
        pool.close()


def test_every_party_must_list_it_and_allow_its_values_as_groups(pool_of):
    pool = pool_of({"one": {"t": rows("a")}}, None, {**THREE, "min_group_size": 1, "aggregates": ["count"]})
    with pytest.raises(PolicyDenied, match="one does not release mode") as caught:
        pool.session.execute("SELECT MODE(v) FROM t")
    assert 'would add "mode"' in str(caught.value.hint)
    pool.close()
    columns = {"v": {"use": ["aggregate"]}}
    pool = pool_of({"one": {"t": rows("a")}}, {"t": {"columns": columns}}, {**THREE, "min_group_size": 1})
    with pytest.raises(PolicyDenied, match=r"does not allow t\.v in GROUP BY or DISTINCT"):
        pool.session.execute("SELECT MODE(v) FROM t")
    pool.close()
