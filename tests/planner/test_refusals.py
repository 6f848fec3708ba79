"""What is refused: with which error, in which words, at which place in the text. Nothing of it reaches a party."""

import duckdb
import pyarrow as pa
import pytest
from sqlglot import exp

from fedsql.errors import DatabaseError, DataError, NotSupportedError, PolicyDenied, ProgrammingError
from fedsql.planner.aggregates import AGGREGATE_NAMES, AGGREGATES, REFUSED_AGGREGATES, is_aggregate
from fedsql.planner.functions import check_scalar
from fedsql.planner.parse import parse
from fedsql.session import Session

USES = ["group", "filter", "aggregate", "join"]
ROWS = pa.table(
    {"id": [1, 2], "sex": ["F", "M"], "age": [30, 40], "charges": [1.5, 2.5], "flag": [True, False], "day": [1, 2]}
)


def _session(min_group_size, min_parties):
    columns = {name: {"use": USES} for name in ROWS.column_names}
    columns["charges"]["bounds"] = [0, 100]
    party = {
        "tables": {"patients": {"source": ROWS, "privacy_unit": "id", "columns": columns}},
        "release": {"min_group_size": min_group_size, "min_parties": min_parties},
    }
    return Session.open({"parties": {"north": party, "south": party}})


@pytest.fixture(scope="module")
def open_session():
    """A federation that shows everything."""
    session = _session(1, 1)
    yield session
    assert set(session.execute("SHOW BUDGET").table["queries_used"].to_pylist()) == {0}, "a refused query was sent"
    session.close()


@pytest.fixture(scope="module")
def strict_session():
    """A federation that shows groups of ten."""
    session = _session(10, 2)
    yield session
    assert set(session.execute("SHOW BUDGET").table["queries_used"].to_pylist()) == {0}, "a refused query was sent"
    session.close()


def refused(session, error, message, sql):
    with pytest.raises(DatabaseError) as caught:
        session.execute(sql)
    assert type(caught.value) is error, caught.value
    assert caught.value.message.startswith(message), caught.value.message
    return caught.value


ROWS_MOVE = """
SELECT * FROM patients
SELECT age FROM north.patients
SELECT 1 FROM patients
SELECT age FROM patients ORDER BY age LIMIT 1
SELECT sex FROM patients UNION ALL SELECT sex FROM patients
SELECT COUNT(*) FROM patients UNION ALL SELECT age FROM patients
SELECT * FROM (SELECT age FROM patients) t
WITH t AS (SELECT age FROM patients) SELECT * FROM t
SELECT SUM(age) OVER () FROM patients
SELECT * FROM patients PIVOT (COUNT(*) FOR sex IN ('F'))
SELECT COLUMNS(*) FROM patients
SELECT patients FROM patients
FROM patients
TABLE patients
"""
SUBQUERIES_MOVE = """
SELECT (SELECT age FROM patients LIMIT 1)
SELECT 1 WHERE 30 = (SELECT age FROM patients)
SELECT COUNT(*), (SELECT age FROM patients) FROM patients
"""
ORDER_OF_ROWS = """
LIMIT: SELECT COUNT(*) FROM (SELECT age FROM patients LIMIT 1) t
OFFSET: SELECT COUNT(*) FROM (SELECT age FROM patients OFFSET 1) t
SAMPLE: SELECT COUNT(*) FROM (SELECT age FROM patients USING SAMPLE 1) t
SAMPLE: SELECT COUNT(*) FROM patients USING SAMPLE 1
SAMPLE: SELECT COUNT(*) FROM patients TABLESAMPLE 10%
DISTINCT ON: SELECT DISTINCT ON (sex) age FROM patients
DISTINCT ON: SELECT COUNT(*) FROM (SELECT DISTINCT ON (sex) age FROM patients) t
PIVOT: SELECT COUNT(*) FROM patients PIVOT (COUNT(*) FOR sex IN ('F'))
"""
NOT_YET = """
a window over federated rows: SELECT COUNT(*) FROM (SELECT row_number() OVER (ORDER BY age) AS r FROM patients) t WHERE r = 1
a window over federated rows: SELECT COUNT(*) FROM (SELECT age FROM patients QUALIFY row_number() OVER (ORDER BY age) = 1) t
rows of patients a and patients b would meet across parties: SELECT COUNT(*) FROM patients a, patients b
rows of patients a and patients b would meet across parties: SELECT COUNT(*) FROM patients a JOIN patients b ON a.sex = b.sex
a subquery in ON of a FULL JOIN: SELECT COUNT(*) FROM patients a FULL JOIN patients b ON a.id = b.id AND a.age > (SELECT AVG(age) FROM patients)
this join keeps the rows of v: SELECT COUNT(*) FROM (VALUES (1)) v(i) LEFT JOIN patients p ON p.id = v.i
this join keeps the rows of v: SELECT COUNT(*) FROM patients p FULL JOIN (VALUES (1)) v(i) ON p.id = v.i
v names two tables of one FROM: SELECT COUNT(*) FROM patients v SEMI JOIN patients v ON true
p names two tables of one FROM: WITH t AS (SELECT * FROM patients p JOIN patients p ON true) SELECT COUNT(*) FROM patients
PIVOT is not answered: PIVOT patients ON sex USING COUNT(*)
UNPIVOT as a query of its own is not answered: SELECT * FROM (UNPIVOT (SELECT COUNT(*) AS n, SUM(age) AS s FROM patients) ON n, s) t
PIVOT as a query of its own is not answered: SELECT * FROM (PIVOT (SELECT sex, age, COUNT(*) AS n FROM patients GROUP BY ALL) ON sex USING SUM(n)) t
VALUES is not answered: VALUES (1)
SUMMARIZE is not answered: SUMMARIZE patients
SHOW is not answered: SHOW COLUMNS FROM patients
#1 is not answered: SELECT COUNT(*) FROM patients GROUP BY #1
b names two tables of one FROM: SELECT COUNT(*) FROM patients a SEMI JOIN patients b ON a.id = b.id LEFT JOIN patients b ON a.id = b.id
this subquery needs rows of several parties: SELECT COUNT(*) FROM patients p WHERE age > (SELECT AVG(age) FROM patients q WHERE q.sex > p.sex)
EXCEPT ALL of federated rows compares rows: SELECT COUNT(*) FROM (SELECT age FROM patients EXCEPT ALL SELECT age FROM patients) t
this subquery needs rows of several parties, and groups of its own: SELECT COUNT(*) FROM patients p WHERE age IN (SELECT age FROM patients q WHERE q.sex = p.sex GROUP BY age ORDER BY age LIMIT 1)
QUALIFY over rows of several parties: SELECT 1 WHERE EXISTS (SELECT age FROM patients QUALIFY row_number() OVER (ORDER BY age) > 9)
a subquery inside of an aggregate: SELECT sex, SUM(age) FILTER (WHERE EXISTS (SELECT 1 FROM patients q WHERE q.id = p.id)) FROM patients p GROUP BY ROLLUP (sex)
var_pop(DISTINCT ...): SELECT VAR_POP(DISTINCT age) FROM patients
COUNT(DISTINCT ...) over : SELECT COUNT(DISTINCT (age, sex)) FROM patients
GROUP BY over INTERVAL: SELECT INTERVAL (age) DAY, COUNT(*) FROM patients GROUP BY 1
the operator ~: SELECT COUNT(*) FROM patients WHERE sex ~ 'F'
"""
READ_ONLY = """
COPY patients TO 'x.csv'
COPY (SELECT COUNT(*) FROM patients) TO 'x.csv'
ATTACH 'x.db'
DETACH x
PRAGMA database_list
INSTALL httpfs
LOAD httpfs
CREATE TABLE patients AS SELECT 1 AS a
CREATE VIEW patients AS SELECT 1 AS a
INSERT INTO patients VALUES (1)
UPDATE patients SET age = 1
DELETE FROM patients
DROP TABLE patients
ALTER TABLE patients ADD COLUMN x INT
TRUNCATE patients
CALL pragma_version()
VACUUM
USE memory
"""
ATTACKS = """
SUM(charges * (1 + 1e12 * greatest(age - 38, 0)))
SUM(CASE WHEN age > 38 THEN 1000000 * charges ELSE charges END)
SUM(charges * charges * charges)
SUM(power(charges, 9))
SUM(charges / age)
SUM(1 / (age - 40))
SUM(age % 2)
SUM(age // 38)
SUM(age & 1)
SUM(abs(age - 38))
SUM(least(age, 38))
SUM(round(charges))
SUM(age::TINYINT)
SUM(charges::INT)
SUM(length(sex))
SUM(nullif(age, 40))
SUM(coalesce(age, 1))
SUM(CASE WHEN age > 38 THEN 1 ELSE 2 END)
SUM(CASE WHEN age > 38 THEN 1 WHEN flag THEN 2 END)
SUM(age * flag::INT * day)
AVG(exp(age))
VAR_POP(age * age)
VAR_POP(age + day)
VAR_POP(CASE WHEN flag THEN age END)
CORR(age, age * charges)
"""
SYSTEM = """
random() < 0.5
current_setting('threads') = 'x'
getvariable('x') IS NULL
current_user = 'x'
hash(age) % 2 = 0
md5(sex) = 'x'
uuid() IS NULL
txid_current() > 0
[age][1] > 3
list_filter([age], lambda x: x > 3) IS NOT NULL
"""


def lines(text):
    return [line for line in text.splitlines() if line]


@pytest.mark.parametrize("sql", lines(ROWS_MOVE))
def test_rows_do_not_move(open_session, sql):
    refused(open_session, PolicyDenied, "this query would move rows", sql)


@pytest.mark.parametrize("sql", lines(SUBQUERIES_MOVE))
def test_rows_do_not_move_out_of_subqueries(open_session, sql):
    assert refused(open_session, PolicyDenied, "this subquery would move rows", sql).position is not None


@pytest.mark.parametrize("case", lines(ORDER_OF_ROWS))
def test_no_choice_of_rows(open_session, case):
    what, sql = case.split(": ", 1)
    assert refused(open_session, PolicyDenied, f"{what} over ", sql).position is not None


@pytest.mark.parametrize("case", lines(NOT_YET))
def test_not_answered_yet(open_session, case):
    what, sql = case.split(": ", 1)
    error = refused(open_session, NotSupportedError, what, sql)
    assert error.hint or "answered" in error.message


@pytest.mark.parametrize("inside", ["({})", "(SELECT {})", "abs({})", "[{}]", "1 IN (SELECT {})"])
def test_depths_that_would_exhaust_the_stack(open_session, inside):
    before, after = inside.split("{}")
    sql = f"SELECT {before * 1000}1{after * 1000}"
    error = refused(open_session, NotSupportedError, "more than 100 brackets within one another", sql)
    assert error.position == (1, 1 + [place for place, c in enumerate(sql) if c in "(["][100])


@pytest.mark.parametrize(
    "sql",
    [
        f"SELECT count(*) FROM patients WHERE {'NOT ' * 200}true",
        f"SELECT count(*) FROM patients WHERE age = {'- ' * 2000}1",
        f"SELECT count(*) FROM patients WHERE {'CASE WHEN ' * 200}true{' THEN true END' * 200}",
        f"EXPLAIN (STAGE final) SELECT count(*) FROM patients WHERE {'NOT ' * 200}true",
        f"CREATE TABLE x AS SELECT {'- ' * 2000}1 AS a",
    ],
    ids=["NOT", "-", "CASE", "EXPLAIN", "CREATE"],
)
def test_operators_within_one_another_are_refused_where_python_ends(open_session, sql):
    refused(open_session, NotSupportedError, "so many operators within one another", sql)


@pytest.mark.parametrize("sql", lines(READ_ONLY))
def test_federated_tables_are_read_only(open_session, sql):
    with pytest.raises(NotSupportedError, match="read-only"):
        open_session.execute(sql)


@pytest.mark.parametrize("call", lines(ATTACKS))
def test_sums_that_could_open_one_person(strict_session, call):
    error = refused(strict_session, PolicyDenied, "without noise, ", f"SELECT {call} FROM patients")
    assert error.position is not None


@pytest.mark.parametrize("condition", lines(SYSTEM))
@pytest.mark.parametrize(
    "place",
    [
        "COUNT(*) FROM patients WHERE {}",
        "COUNT(*) FILTER (WHERE {}) FROM patients",
        "({}) AS k, COUNT(*) FROM patients GROUP BY k",
    ],
)
def test_functions_that_are_volatile_or_read_the_system(open_session, condition, place):
    error = refused(open_session, NotSupportedError, "", "SELECT " + place.format(condition))
    assert "cannot run at a party" in error.message or "is not answered" in error.message


@pytest.mark.parametrize(
    ("message", "position", "sql"),
    [
        ("there is no table patient; did you mean patients?", (1, 22), "SELECT COUNT(*) FROM patient"),
        ("no party is called west; there are: north, south", (1, 22), "SELECT COUNT(*) FROM west.patients"),
        ("north offers no table beds; there are: patients", (1, 22), "SELECT COUNT(*) FROM north.beds"),
        ("memory.main.patients: a table is named", (1, 22), "SELECT COUNT(*) FROM memory.main.patients"),
        ('Referenced column "agee" not found', (1, 14), "SELECT COUNT(agee) FROM patients"),
        ('Referenced column "agee" not found', (2, 7), "SELECT COUNT(*) FROM patients\nWHERE agee > 3"),
        (
            "Scalar Function with name frob does not exist",
            (1, 8),
            "SELECT frob(age), COUNT(*) FROM patients GROUP BY 1",
        ),
        ('column "age" must appear in the GROUP BY', (1, 13), "SELECT sex, age FROM patients GROUP BY sex"),
        ("there is no table /etc/passwd", (1, 15), "SELECT * FROM '/etc/passwd'"),
        ("no party is called information_schema", (1, 15), "SELECT * FROM information_schema.tables"),
        ("one statement at a time", None, "SELECT 1; SELECT 2"),
        ('syntax error at or near "SELEC"', (1, 1), "SELEC COUNT(*) FROM patients"),
        ("the planner cannot tell what rowid names", (1, 37), "SELECT COUNT(*) FROM patients WHERE rowid > 3"),
        ("the parameter x was not given", None, "SELECT COUNT(*) FROM patients WHERE age > $x"),
        ("there is no statement", None, " ; "),
        ("there is no setting threads", None, "SET threads = 1"),
    ],
)
def test_mistakes_have_a_place(open_session, message, position, sql):
    assert refused(open_session, ProgrammingError, message, sql).position == position


HINTS = """
did you mean SELECT? SELCT COUNT(*) FROM patients
did you mean FROM? SELECT COUNT(*) FORM patients
GROUP BY ... SELECT COUNT(*) FROM patients GROUP sex
the order is: SELECT ... FROM ... JOIN ... ON ... WHERE ... SELECT COUNT(*) FROM patients ORDER BY 1 GROUP BY 1
the order is: SELECT ... FROM ... JOIN ... ON ... WHERE ... SELECT COUNT(* FROM patients
write this part in another way SELECT COUNT(*) FROM patients WHERE age => 3
names stand in double quotes SELECT COUNT(*) FROM `patients`
text stands in single quotes: 'F' SELECT COUNT(*) FROM patients WHERE sex = "F"
text stands in single quotes: 'F' SELECT COUNT(*) FROM patients WHERE sex = \u2018F\u2019
it takes (DECIMAL), (SMALLINT), (INTEGER) SELECT AVG(sex) FROM patients
local tables: none; CREATE TABLE x AS SELECT ... makes one INSERT INTO nowhere VALUES (1)
"""


@pytest.mark.parametrize("case", HINTS.strip().splitlines())
def test_mistakes_are_told_with_what_works(open_session, case):
    start = max(case.rfind(word) for word in (" SELECT COUNT", " SELCT", " SELECT AVG", " INSERT"))
    hint, sql = case[:start], case[start + 1 :]
    with pytest.raises(ProgrammingError) as caught:
        open_session.execute(sql)
    assert caught.value.hint.startswith(hint)
    assert "expecting" not in caught.value.message.lower()


ANSWERED = {
    "count", "sum", "avg", "mean", "stddev", "stddev_samp", "stddev_pop", "variance", "var_samp", "var_pop", "covar_samp",
    "covar_pop", "corr", "count_if", "countif", "regr_avgx", "regr_avgy", "regr_count", "regr_intercept", "regr_r2",
    "regr_slope", "regr_sxx", "regr_sxy", "regr_syy", "bool_and", "bool_or", "min", "max",
    "median", "quantile", "quantile_cont", "quantile_disc", "mode",
}  # fmt: skip


def test_every_aggregate_of_duckdb_is_answered_or_refused_by_name():
    walked = "SELECT DISTINCT function_name FROM duckdb_functions() WHERE function_type = 'aggregate'"
    names = {name for (name,) in duckdb.connect().execute(walked).fetchall()}
    assert names >= ANSWERED
    for name in sorted(names - ANSWERED):
        for arguments in ("a", "a, b", "a, 0.5", "a, 2, 3"):
            try:
                (call,) = parse(f"SELECT {name}({arguments}) FROM t").expressions
            except ProgrammingError:
                continue
            found = [node for node in call.walk() if is_aggregate(node)]
            assert found, name
            assert not any(type(node) in AGGREGATES for node in found), name
            assert name not in AGGREGATE_NAMES, name
    assert {"approx_quantile", "list", "lttb"} <= REFUSED_AGGREGATES


@pytest.mark.parametrize(
    "name",
    ["max", "first", "list", "string_agg", "histogram", "product", "entropy", "lttb", "arg_min", "bit_xor", "median"],
)
def test_other_aggregates_do_not_run(open_session, name):
    two = ", ''" if name == "string_agg" else ", age" if name in ("arg_min", "lttb") else ""
    argument = "sex" if name == "string_agg" else "age"
    with pytest.raises((PolicyDenied, NotSupportedError, ProgrammingError, DataError)):
        open_session.execute(f"SELECT {name}({argument}{two}) FROM patients")


SCALARS = """
abs acos acosh ascii asin asinh atan atan2 atanh bit_count bit_length cbrt ceil ceiling century char_length character_length
chr concat concat_ws contains cos cosh cot damerau_levenshtein day dayname dayofmonth dayofweek dayofyear decade degrees
editdist3 ends_with epoch epoch_ns epoch_us era even exp factorial floor fmod gamma gcd greatest greatest_common_divisor
hamming hour if instr isfinite isinf isnan isodow isoyear jaccard jaro_similarity julian last_day lcase lcm least
least_common_multiple left left_grapheme len length length_grapheme levenshtein lgamma ln log log10 lower ltrim make_date
microsecond millennium millisecond minute mismatches mod month monthname nfc_normalize nullif ord pi position pow power prefix
quarter radians regexp_escape regexp_extract regexp_full_match regexp_matches regexp_replace replace reverse right
right_grapheme round round_even rtrim second sign signbit sin sinh split_part sqrt starts_with strftime
strip_accents strlen strpos substr substring suffix tan tanh trim trunc ucase upper week weekday weekofyear xor year yearweek
"""


def test_no_other_scalar_function_of_duckdb_passes_the_allow_list():
    """All of these are deterministic and read nothing but their arguments; test_safe runs each.

    Newer DuckDBs call parts of dates consistent within a query only: of a TIMESTAMPTZ they depend on the time zone, which is
    UTC at every party.
    """
    walked = "SELECT DISTINCT function_name, stability FROM duckdb_functions() WHERE function_type <> 'aggregate'"
    passed, volatile = set(), set()
    for name, stability in duckdb.connect().execute(walked).fetchall():
        if stability == "VOLATILE":
            volatile.add(name)
        for arguments in ("a", "a, b", "a, b, c", "", "'x'", "'x', a") if name[0].isalpha() else ():
            try:
                (call,) = parse(f"SELECT {name}({arguments}) AS v FROM t").expressions
                check_scalar(call.unalias())
                passed.add(name)
            except DatabaseError:
                continue
    assert passed == set(SCALARS.split())
    assert not passed & volatile
    assert volatile


def test_the_allow_list_holds_no_query_or_window():
    for text in ("(SELECT 1)", "sum(a)", "row_number() OVER ()", "EXISTS (SELECT 1)", "a IN (SELECT 1)"):
        with pytest.raises(NotSupportedError):
            check_scalar(exp.paren(parse(f"SELECT {text} FROM t").expressions[0]))


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT INTERVAL '3 days 04:00:00'",
        "SELECT TIMESTAMP '2020-01-31 10:00:00'::DATE",
        "SELECT log2(8)",
    ],
)
def test_what_would_be_read_as_something_else_is_refused(sql):
    with pytest.raises(NotSupportedError, match="is not answered"):
        parse(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT INTERVAL '1 month 3 days 02:00:00'",
        "SELECT INTERVAL '3 days'",
        "SELECT INTERVAL '-2' DAY",
        "SELECT INTERVAL 3 DAY",
        "SELECT log(8)",
    ],
)
def test_what_is_read_as_it_stands_is_not(sql):
    parse(sql)
