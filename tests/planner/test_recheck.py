"""The second derivation of a noisy plan's cost: it agrees with every plan, and refuses one that was tampered with."""

from dataclasses import replace

import pyarrow as pa
import pytest

import fedsql
from fedsql.errors import InternalError
from fedsql.planner.partials import Partial
from fedsql.planner.recheck import recheck
from fedsql.planner.sensitivity import Contribution, _shape
from fedsql.privacy.mechanisms import DiscreteLaplace, Sensitivity

QUERIES = [
    "SELECT COUNT(*) AS n, SUM(v) AS s, AVG(v) AS a FROM t",
    "SELECT g, COUNT(DISTINCT id) AS n, STDDEV(v) AS d FROM t GROUP BY g",
    "SELECT k, COUNT(DISTINCT id) AS n, CORR(v, w) AS c FROM t GROUP BY k",
    "SELECT k, COUNT(DISTINCT g) AS n, (SELECT SUM(w) FROM t) AS s FROM t GROUP BY k",
    "SELECT g, MEDIAN(w) AS m, COUNT(*) AS n FROM t GROUP BY g",
    "SELECT k, QUANTILE_DISC(v, 0.9) AS q FROM t GROUP BY k",
]


RELEASE = {
    "noise": "required",
    "aggregates": ["count", "sum", "avg", "stddev", "corr", "count_distinct", "quantile"],
}


@pytest.fixture(scope="module", params=["party", "global"])
def connection(request):
    rows = {"id": [1, 1, 2], "g": ["a", "b", "a"], "k": ["x", "y", "x"], "v": [1, 2, 3], "w": [10**6, 5, 6]}
    use = ["group", "filter", "aggregate", "join"]
    columns = {name: {"use": use} for name in rows}
    columns["g"]["values"] = ["a", "b"]
    columns["v"]["bounds"], columns["w"]["bounds"] = [0, 10], [-(10**6), 10**6]
    bounds = {"privacy_unit": "id", "unit_scope": request.param, "max_rows_per_unit": 4, "max_groups_per_unit": 3}
    table = {"source": pa.table(rows), "columns": columns, **bounds}
    parties = {n: {"tables": {"t": table}, "release": RELEASE} for n in ("a", "b", "c")}
    with fedsql.connect({"parties": parties}) as opened:
        yield opened


def planned(connection, sql, epsilon=1.0):
    connection.execute(f"SET epsilon = {epsilon}")
    return connection.session._plan(sql, ())[0]


@pytest.mark.parametrize("sql", QUERIES)
@pytest.mark.parametrize("epsilon", [0.05, 1, 20])
def test_every_plan_agrees(connection, sql, epsilon):
    plan = planned(connection, sql, epsilon)
    assert plan.rdp
    recheck(plan)


def spoiled(plan, **changes):
    first = plan.releases[0]
    noise = (replace(first.noise[0], **changes), *first.noise[1:])
    return replace(plan, releases=(replace(first, noise=noise), *plan.releases[1:]))


@pytest.mark.parametrize("sql", QUERIES)
def test_a_plan_that_hides_less_is_refused(connection, sql):
    plan = planned(connection, sql)
    noise = plan.releases[0].noise[0]
    half = DiscreteLaplace(2 * noise.mechanism.rate) if isinstance(noise.mechanism, DiscreteLaplace) else None
    changed = [
        {"moved": Sensitivity(max(0, noise.moved.most - 1), noise.moved.groups)},
        {"honest": 3},
        {"parties": 4},
        *([{"mechanism": half}] if half else []),
    ]
    for changes in changed:
        with pytest.raises(InternalError):
            recheck(spoiled(plan, **changes))
    with pytest.raises(InternalError, match="values without noise"):
        recheck(replace(plan, releases=(replace(plan.releases[0], noise=None), *plan.releases[1:])))
    with pytest.raises(InternalError, match="cost more than is charged"):
        recheck(replace(plan, rdp=tuple(value * 0.99 for value in plan.rdp)))


def test_groups_may_not_be_shown_undecided(connection):
    plan = planned(connection, QUERIES[2])
    with pytest.raises(InternalError, match="without a decision"):
        recheck(replace(plan, releases=(replace(plan.releases[0], noise_of_units=None),)))


@pytest.mark.parametrize("groups", [1, 8, 50, 2000])
@pytest.mark.parametrize("largest", [1, 7, 1000])
def test_rounding_in_every_group_that_a_unit_is_in_is_covered(groups, largest):
    """A unit adds one row to each of some groups, whose sums are such that each is rounded to the other side."""
    unit = Contribution(rows=groups, parties=1, groups=groups)
    grid, moved = _shape(Partial("p", (), 1 << 40, 8, 0, largest), unit, 1024)

    def steps(value):
        return (2 * value + grid) // (2 * grid)

    most = max(steps(before + largest) - steps(before) for before in range(grid))
    assert groups * most <= moved.l1
