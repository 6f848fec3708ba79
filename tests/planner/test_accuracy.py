"""SET accuracy: the least epsilon at which every value is that accurate at public sizes, and what cannot be reached."""

import random

import pyarrow as pa
import pytest

import fedsql
from fedsql.planner.noising import relative_error

SQL = "SELECT sex, COUNT(*) AS n, AVG(age) AS a, SUM(age) AS s FROM people GROUP BY sex"


def party(seed: int) -> dict:
    rng = random.Random(seed)
    rows = {"sex": [rng.choice("FM") for _ in range(4096)], "age": [rng.randint(0, 120) for _ in range(4096)]}
    columns = {"sex": {"use": ["group"], "values": ["F", "M"]}, "age": {"use": ["aggregate"], "bounds": [0, 120]}}
    release = {"noise": "required", "budget": {"epsilon": 1e6}}
    return {"tables": {"people": {"source": pa.table(rows), "columns": columns}}, "release": release}


@pytest.fixture(scope="module")
def connection():
    with fedsql.connect({"name": "accurate", "parties": {name: party(i) for i, name in enumerate("abc")}}) as opened:
        yield opened


def planned(connection, accuracy):
    connection.execute(f"SET accuracy = '{accuracy}'")
    plan, _, _ = connection.session._plan(SQL, ())
    return plan


@pytest.mark.parametrize("accuracy", [0.3, 0.05, 0.01])
def test_every_value_is_as_accurate_as_asked_at_the_least_epsilon(connection, accuracy):
    plan = planned(connection, accuracy)
    (release,) = plan.releases
    worst = max(relative_error(release, output) for output in release.outputs)
    assert worst <= accuracy
    connection.execute(f"SET epsilon = {plan.epsilon * 2 ** (-1 / 16)}")
    (less,) = connection.session._plan(SQL, ())[0].releases
    assert max(relative_error(less, output) for output in less.outputs) > accuracy


def test_answers_are_that_accurate(connection):
    exact = {row[0]: row[1:] for row in pooled()}
    off = []
    for run in range(40):
        connection.execute(f"SET accuracy = '{5 - run / 20}%'")  # the same question would get the same answer
        for sex, *values in connection.execute(SQL).fetchall():
            if sex is not None:
                off += [abs(v - e) / e for v, e in zip(values, exact[sex], strict=True)]
    assert sum(o > 0.05 for o in off) < 0.1 * len(off)
    assert max(off) > 0.001  # there is noise


def pooled():
    import duckdb

    rows = pa.concat_tables([party(i)["tables"]["people"]["source"] for i in range(3)])
    with duckdb.connect() as database:
        database.register("people", rows)
        return database.execute(SQL.replace("SUM(age)", "SUM(age)::BIGINT")).fetchall()


def test_explain_says_what_it_takes_and_settings_say_what_is_set(connection):
    plan = planned(connection, "5%")
    text = connection.explain(SQL)
    least = "the least for an accuracy of 5 % where values are in the middle of their bounds"
    assert f"epsilon {plan.epsilon:.4g} (pure) at delta 1e-06 ({least})" in " ".join(text.split())
    assert ("accuracy", "5%") in connection.execute("SHOW SETTINGS").fetchall()
    connection.execute("SET epsilon = 2")
    assert ("accuracy", "off") in connection.execute("SHOW SETTINGS").fetchall()


def test_explain_names_the_answers_columns_and_what_is_left(connection):
    connection.execute("SET epsilon = 0.5")
    lines = connection.explain(SQL.replace("AVG(age)", "ROUND(AVG(age))")).splitlines()
    expected = [line for line in lines if "+-" in line]
    assert [line.split(":")[0] for line in expected] == ["    - n = a0 = count", "    - a1 = avg", "    - s = a2 = sum"]
    shown = connection.execute(SQL).privacy.margins
    assert f"{shown['n']:.4g}" in expected[0]
    left = {party: left for party, *_, left in connection.execute("SHOW BUDGET").fetchall()}
    told = ", ".join(f"{party} {left[party]:.4g}" for party in "abc")
    assert connection.explain(SQL).splitlines()[-1] == f"  epsilon left before it: {told}"


def test_an_accuracy_is_of_one_group_where_nobody_knows_how_many_there_are():
    source = {"source": pa.table({"g": ["a"] * 4096}), "columns": {"g": {"use": ["group"]}}}
    release = {"noise": "required", "budget": {"epsilon": 1e6}}
    federation = {"name": "keys", "parties": {name: {"tables": {"t": source}, "release": release} for name in "ab"}}
    with fedsql.connect(federation) as opened:
        opened.execute("SET accuracy = '10%'")
        sql = "SELECT g, COUNT(*) FROM t GROUP BY g"
        assert "(the least for an accuracy of 10 % if all rows were one group)" in " ".join(opened.explain(sql).split())
        notices = opened.execute(sql).privacy.notices
        assert "The accuracy of 10 % is that of a group of all rows; small groups are less exact." in notices


def test_the_error_of_an_average_is_that_of_the_smallest_groups_where_keys_are_unknown():
    source = pa.table({"g": ["small"] * 200 + ["large"] * 3800, "v": [30] * 4000})
    columns = {"g": {"use": ["group"]}, "v": {"use": ["aggregate"], "bounds": [0, 100]}}
    given = {"tables": {"t": {"source": source, "columns": columns}}, "release": {"noise": "required"}}
    with fedsql.connect({"name": "keys", "parties": dict.fromkeys("ab", given)}) as opened:
        sql = "SELECT g, AVG(v) AS m, margin(AVG(v)) AS off FROM t GROUP BY g"
        (line,) = (line for line in opened.explain(sql).splitlines() if "m = a0" in line)
        assert line.endswith(" in the smallest groups that are shown")
        told = float(line.split("+- ")[1].split()[0])
        off = {g: off for g, _, off in opened.execute(sql).fetchall()}
    assert 0 < off["large"] < off["small"] < told  # the small one has more units than it needs


def test_what_no_epsilon_reaches_is_refused_with_what_can_be_had(connection):
    connection.execute("SET accuracy = '0.0001%'")
    with pytest.raises(
        fedsql.DataError, match=r"no epsilon reaches an accuracy of 0.0001 %: at epsilon 128 it is 0\.0"
    ):
        connection.execute(SQL)
    for wrong in ("2", "0", "-1%", "much"):
        with pytest.raises(fedsql.DataError, match="accuracy is a share between 0 and 1"):
            connection.execute(f"SET accuracy = '{wrong}'")
