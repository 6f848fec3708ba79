"""margin(...): how far noise may have moved each value. Stated intervals cover 95 % of whole queries' answers."""

import math
import random

import duckdb
import pyarrow as pa
import pytest

import fedsql

GROUPS = [f"g{i:03}" for i in range(200)]
VALUES = {
    "n": "COUNT(*)",
    "s": "SUM(x)",
    "m": "AVG(x)",
    "v": "VAR_SAMP(x)",
    "d": "STDDEV_POP(y)",
    "c": "COVAR_POP(y, x)",
    "r": "CORR(y, x)",
    "b": "REGR_SLOPE(y, x)",
    "u": "COUNT(DISTINCT id)",
}
SQL = f"SELECT g, {', '.join(f'{call} AS {name}, margin({call}) AS m_{name}' for name, call in VALUES.items())} FROM t GROUP BY g"
RUNS = 10


def party(seed: int) -> dict:
    rng = random.Random(seed)
    rows = [(g, rng.gauss(50, 20), rng.gauss(0, 10)) for g in GROUPS for _ in range(100)]
    xs = [min(100.0, max(0.0, x)) for _, x, _ in rows]
    table = pa.table(
        {
            "id": range(seed * len(rows), (seed + 1) * len(rows)),
            "g": [g for g, _, _ in rows],
            "x": [round(x) for x in xs],
            "y": [min(100.0, max(0.0, 0.5 * x + 25 + e)) for x, (_, _, e) in zip(xs, rows, strict=True)],
        }
    )
    use = ["group", "filter", "aggregate", "join"]
    columns = {"id": {}, "g": {"values": GROUPS}, "x": {"bounds": [0, 100]}, "y": {"bounds": [0, 100]}}
    columns = {name: {"use": use, **rest} for name, rest in columns.items()}
    offered = {"source": table, "privacy_unit": "id", "unit_scope": "global", "columns": columns}
    return {"tables": {"t": offered}, "release": {"noise": "required", "budget": {"epsilon": 1e9}}}


@pytest.fixture(scope="module")
def world(short_keys):
    parties = {name: party(i) for i, name in enumerate(("north", "south", "west"))}
    pooled = pa.concat_tables([each["tables"]["t"]["source"] for each in parties.values()])
    with duckdb.connect() as database:
        database.register("t", pooled)
        listed = ", ".join(VALUES.values())
        exact = {row[0]: row[1:] for row in database.execute(f"SELECT g, {listed} FROM t GROUP BY g").fetchall()}
    with fedsql.connect({"name": "stated", "parties": parties}) as connection:
        yield connection, exact


@pytest.mark.parametrize("epsilon", [60, 20])
def test_stated_intervals_cover_95_percent(world, epsilon):
    connection, exact = world
    inside, count = dict.fromkeys(VALUES, 0), 0
    for run in range(RUNS):
        connection.execute(f"SET epsilon = {epsilon + run / 1e9}")  # the same question would get the same answer
        for group, *found in connection.execute(SQL).fetchall():
            if group is None:
                continue
            count += 1
            for name, value, half, true in zip(VALUES, found[::2], found[1::2], exact[group], strict=True):
                inside[name] += value is not None and abs(value - float(true)) <= half
    assert count == RUNS * len(GROUPS)
    for name, hits in inside.items():
        slack = 4 * math.sqrt(0.95 * 0.05 / count)  # a whole number's interval may cover a little more
        most = 1.0 if name in ("n", "u") else 0.96
        assert 0.94 - slack / 2 <= hits / count <= most + slack / 2, (name, hits / count)


def test_without_noise_nothing_is_off():
    rows = {"source": pa.table({"v": [1, 2, 3]}), "columns": {"v": {"use": ["aggregate"]}}}
    federation = {"parties": {n: {"tables": {"t": rows}, "release": {"min_group_size": 1}} for n in ("a", "b")}}
    with fedsql.connect(federation) as connection:
        assert connection.execute("SELECT AVG(v), margin(AVG(v)) FROM t").fetchall() == [(2.0, 0.0)]


def test_margins_are_used_like_any_released_value(world):
    connection, _ = world
    connection.execute("SET epsilon = 60")
    cursor = connection.execute(
        "SELECT g, AVG(x) AS m FROM t GROUP BY g HAVING margin(AVG(x)) < 1000 ORDER BY margin(AVG(x)) DESC LIMIT 3"
    )
    assert len(cursor.fetchall()) == 3
    assert cursor.privacy.margins["m"] > 0
    text = connection.explain("SELECT margin(COUNT(*)) FROM t")
    assert "margin_a0" in text


@pytest.mark.parametrize("sql", ["SELECT margin(3)", "SELECT margin(n) FROM (SELECT COUNT(*) AS n FROM t)"])
def test_what_has_no_margin_is_refused(world, sql):
    with pytest.raises(fedsql.ProgrammingError, match="margin takes an aggregate of federated rows"):
        world[0].execute(sql)
