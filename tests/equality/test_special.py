"""Parameters, the clock, NaN and infinities, tables that differ between parties, and what an ungrouped release shows."""

import datetime
import math
from decimal import Decimal

import pyarrow as pa
import pytest

from fedsql.errors import PolicyDenied, ProgrammingError

UTC = datetime.UTC
COUNT = "SELECT COUNT(*) FROM patients WHERE "
PARAMETERS = [
    (COUNT + "age > ? AND sex = ?", [30, "F"]),
    (COUNT + "age > $2 AND sex = $1", ["F", 30]),
    (COUNT + "age > $1 OR visits > $1", [30]),
    (COUNT + "x > ?", [1.5]),
    (COUNT + "x > ?", [1e300]),
    (COUNT + "money > ?", [Decimal("12.345")]),
    (COUNT + "visits - ? > 2", [-2]),
    (COUNT + "huge < ?", [10**30]),
    (COUNT + "wide > ?", [2**40]),
    (COUNT + "wide > ?", [-(2**63)]),
    (COUNT + "flag = ?", [True]),
    (COUNT + "sex IS NOT DISTINCT FROM ?", [None]),
    (COUNT + "region = ?", ["o'Hara"]),
    (COUNT + "region LIKE ? || '%'", ["Z"]),
    (COUNT + "born > ?", [datetime.date(1980, 1, 2)]),
    (COUNT + "seen > ?", [datetime.datetime(1999, 1, 2, 3, 4, 5, 6)]),
    (COUNT + '"at" > ?', [datetime.datetime(1999, 1, 2, 3, 4, tzinfo=UTC)]),
    (COUNT + "clock > ?", [datetime.time(12, 30)]),
    ("SELECT age + ? AS a, COUNT(*) FROM patients GROUP BY 1", [1]),
    ("SELECT SUM(age * ?) AS s FROM patients", [Decimal("1.5")]),
    ("SELECT SUM(age) FILTER (WHERE sex = ?) AS s FROM patients", ["F"]),
    ("SELECT ? AS p, ? AS q, ? AS r, COUNT(*) FROM patients", [1, "x", 1.5]),
    ("SELECT ? AS p, ? AS q, ? AS r, COUNT(*) FROM patients", [Decimal("1.50"), 2**70, datetime.date(2020, 1, 1)]),
    ("SELECT ?::INT AS p, COUNT(*) FROM patients", ["7"]),
    ("SELECT sex, COUNT(*) FROM patients GROUP BY sex HAVING COUNT(*) > ? LIMIT ?", [2, 10]),
]


@pytest.mark.parametrize(("sql", "parameters"), PARAMETERS)
def test_parameters(hospitals, sql, parameters):
    hospitals.check(sql, parameters)


@pytest.mark.parametrize(
    "condition",
    ["seen < now() AND born < current_date", "date_diff('year', born, current_date) > 40", "born < today() - 3650"],
)
def test_the_clock(hospitals, condition):
    hospitals.check(COUNT + condition)


def test_wrong_numbers_of_parameters(hospitals):
    for sql, given in ((COUNT + "age > ?", []), (COUNT + "age > ?", [1, 2]), ("SELECT COUNT(*) FROM patients", [1])):
        with pytest.raises(ProgrammingError, match="parameters"):
            hospitals.session.execute(sql, given)


def test_sums_of_tiny_and_of_shifted_values(hospitals):
    """Doubles are equal to 1e-9 of the sum of absolute values, here about 1e5 times the factor."""
    hospitals.check("SELECT SUM(x * 1e-12) FROM patients", scale=1e-8)
    hospitals.check("SELECT SUM(x / 1e9), AVG(x / 1e9) FROM patients", scale=1e-5)
    hospitals.check("SELECT SUM(x + 1e15), AVG(y - 1e12) FROM patients", scale=1e5)


@pytest.fixture(scope="module")
def odd(pool_of):
    """Two parties whose columns differ in type, one with NaN and infinities; ids occur at both."""
    one = {
        "id": pa.array([1, 2, 2, 3, 4], pa.int64()),
        "g": pa.array(["a", "a", "b", "b", None]),
        "n": pa.array([1, -2, 3, None, 127], pa.int8()),
        "m": pa.array([Decimal("0.5"), Decimal("99.9"), None, Decimal("-1.0"), Decimal("2.5")], pa.decimal128(3, 1)),
        "v": pa.array([math.nan, math.inf, 1.5, None, -0.0]),
        "u": pa.array([0, 255, 1, 2, None], pa.uint8()),
        "day": pa.array([datetime.date(2020, 1, day) for day in (1, 2, 3, 4, 5)]),
        "mine": pa.array([1, 2, 3, 4, 5]),
    }
    other = {
        "id": pa.array([1, 2, 9], pa.int32()),
        "g": pa.array(["a", "b", "c"]),
        "n": pa.array([2**62, -1, None], pa.int64()),
        "m": pa.array([Decimal("12345.678"), None, Decimal("0.001")], pa.decimal128(9, 3)),
        "v": pa.array([0.5, -math.inf, 0.0], pa.float32()),
        "u": pa.array([-1, 7, None], pa.int16()),
        "day": pa.array([datetime.date(2020, 1, 1), None, datetime.date(1999, 12, 31)]),
    }
    columns = {"v": {"bounds": [-1000, 1000]}}
    tables = {"t": {"privacy_unit": "id", "columns": columns}}
    pool = pool_of({"one": {"t": pa.table(one)}, "two": {"t": pa.table(other)}}, tables)
    yield pool
    pool.close()


@pytest.mark.parametrize("column", ["n", "m", "u"])
def test_types_unify(odd, column):
    odd.check(f"SELECT g, SUM({column}), AVG({column}), COUNT({column}), VAR_POP({column}) FROM t GROUP BY g")
    odd.check(f"SELECT {column}, COUNT(*) FROM t GROUP BY {column}")
    odd.check(f"SELECT SUM({column}) FROM one.t")
    odd.check(f"SELECT {column} + 1 AS k, COUNT(*) FROM two.t GROUP BY ALL")


@pytest.mark.parametrize(
    "call", ["COUNT(v)", "SUM(v)", "AVG(v)", "VAR_POP(v)", "CORR(v, n)", "SUM(v) FILTER (WHERE g = 'a')"]
)
def test_nan_and_infinities_count_as_null_in_aggregates(odd, call):
    finite = "(SELECT * REPLACE (CASE WHEN isfinite(v) THEN v END AS v) FROM main.t)"
    odd.check(f"SELECT {call} AS c FROM t", reference=f"SELECT {call} AS c FROM {finite}")


def test_nan_and_infinities_are_values_elsewhere(odd):
    odd.check("SELECT v, COUNT(*) FROM t GROUP BY v")
    odd.check("SELECT COUNT(*) FROM t WHERE v > 1")
    odd.check("SELECT isnan(v) AS a, isinf(v) AS b, COUNT(*) FROM t GROUP BY ALL")


def test_units_belong_to_parties(odd):
    reference = "(SELECT *, 'one' AS party FROM one.t UNION ALL BY NAME SELECT *, 'two' AS party FROM two.t)"
    odd.check(
        "SELECT g, COUNT(DISTINCT id) AS c FROM t GROUP BY g",
        reference=f"SELECT g, COUNT(DISTINCT (party, id)) AS c FROM {reference} GROUP BY g",
    )


def test_units_unique_at_one_party_only(pool_of):
    """There COUNT(*) counts units too, and must still be a value of its own, as at the other party."""
    one, other = {"id": [1, 2], "a": [5, 6]}, {"id": [3, 3, 4], "a": [1, 2, 3]}
    pool = pool_of({"one": {"t": pa.table(one)}, "two": {"t": pa.table(other)}}, {"t": {"privacy_unit": "id"}})
    pool.check("SELECT COUNT(*), COUNT(DISTINCT id), SUM(a), COUNT(a) FROM t")
    pool.check("SELECT COUNT(DISTINCT id) FILTER (WHERE a > 1), COUNT(*) FILTER (WHERE a > 1), SUM(a) FROM t")
    pool.close()


def test_a_column_of_one_party_alone(odd):
    odd.check("SELECT SUM(mine) FROM one.t")
    with pytest.raises(ProgrammingError, match=r"two does not offer t\.mine"):
        odd.session.execute("SELECT SUM(mine) FROM t")


SIZES = {"x": ([1, 2, 3], [1, 2]), "y": ([4], []), "z": ([], [3, 4, 5])}  # units of each group at two parties
PAIRS = [(g, unit) for g, sides in SIZES.items() for unit in sides[0]], [(g, u) for g, s in SIZES.items() for u in s[1]]


@pytest.mark.parametrize(
    ("k", "parties", "shown"), [(1, 1, "xyz"), (3, 1, "xz"), (5, 1, "x"), (6, 1, ""), (1, 2, "x"), (4, 2, "x")]
)
def test_thresholds_of_groups_and_of_the_whole(pool_of, k, parties, shown):
    held = {
        name: {"t": pa.table({"g": [g for g, _ in pairs], "id": [u for _, u in pairs]})}
        for name, pairs in zip(("one", "two"), PAIRS, strict=True)
    }
    release = {"min_group_size": k, "min_parties": parties}
    pool = pool_of(held, {"t": {"privacy_unit": "id"}}, release)
    listed = ", ".join(f"'{g}'" for g in shown) or "NULL"
    pool.check(
        "SELECT g, COUNT(*) FROM t GROUP BY g", reference=f"SELECT g, COUNT(*) FROM t WHERE g IN ({listed}) GROUP BY g"
    )
    pool.check("SELECT DISTINCT g FROM t", reference=f"SELECT DISTINCT g FROM t WHERE g IN ({listed})")
    empty = "SELECT COUNT(*), SUM(id), AVG(id) FROM t WHERE g = 'nowhere'"
    nulls = 'SELECT NULL::BIGINT AS "count_star()", NULL::HUGEINT AS "sum(id)", NULL::DOUBLE AS "avg(id)"'
    pool.check(empty, reference=empty if k == 1 else nulls)
    small = "SELECT COUNT(*), SUM(id), AVG(id) FROM t WHERE g = 'y'"  # one unit, at one party
    none_of_it = small.replace("'y'", "'nowhere'")
    pool.check(small, reference=nulls if k > 1 else none_of_it if parties > 1 else small)
    if parties > 1:
        with pytest.raises(PolicyDenied, match="min_parties = 2"):
            pool.session.execute("SELECT COUNT(*) FROM one.t")
    pool.close()


def test_truth_values_that_an_outer_join_makes_null(pool_of):
    """They are left out, also above min_group_size 1, where the values are put together from counts."""
    people = pa.table({"id": [1, 2, 3, 4, 5, 6]})
    stays = pa.table({"patient": [1, 2, 3], "days": [5, 5, 1]})
    tables = {
        "people": {"privacy_unit": "id"},
        "stays": {"privacy_unit": "people.id", "references": {"patient": "people.id"}},
    }
    held = {"people": people, "stays": stays}
    pool = pool_of({"one": held, "two": held}, tables, {"min_group_size": 2, "min_parties": 1})
    joined = "FROM people p LEFT JOIN stays s ON s.patient = p.id"
    pool.check(
        f"SELECT AVG((s.days > 2)::INT), BOOL_AND(s.days > 0), BOOL_OR(s.days > 2), BOOL_AND(s.days > 2) {joined}"
    )
    pool.close()
