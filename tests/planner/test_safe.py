"""Row-wise expressions as parties run them: never raising, and equal to DuckDB's original text wherever that does not raise.

Each expression goes the way of a question's text (sqlglot's parser, the allow-list, `safe`, sqlglot's generator), so this
also shows that the round trip through sqlglot changes no meaning: precedence, argument orders, names.
"""

import os
import random

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlglot import exp

from fedsql.errors import NotSupportedError
from fedsql.planner.functions import check_scalar
from fedsql.planner.parse import parse
from fedsql.planner.safe import safe, safe_condition

COLUMNS = {
    "i8": ("TINYINT", ["-128", "127", "0", "1", "7"]),
    "i32": ("INTEGER", ["-2147483648", "2147483647", "0", "1", "-7"]),
    "i64": ("BIGINT", ["-9223372036854775808", "9223372036854775807", "0", "2", "-3"]),
    "u64": ("UBIGINT", ["0", "18446744073709551615", "1", "5", "64"]),
    "h": (
        "HUGEINT",
        ["-170141183460469231731687303715884105728", "170141183460469231731687303715884105727", "0", "1", "-5"],
    ),
    "d4": ("DECIMAL(4,1)", ["999.9", "-999.9", "0", "0.1", "2.5"]),
    "d38": (
        "DECIMAL(38,10)",
        ["9999999999999999999999999999.9999999999", "-9999999999999999999999999999.9999999999", "0", "1.5", "-1e-10"],
    ),
    "x": ("DOUBLE", ["1e308", "-inf", "-0.0", "2.5", "nan"]),
    "b": ("BOOLEAN", ["true", "false", "true", "false", "true"]),
    "s": ("VARCHAR", ["", "12", "abc", "2020-02-30", "日本é"]),
    "t": ("VARCHAR", ["5", "[", "-1.5", "2021-01-05 10:00:00", "true"]),
    "day": ("DATE", ["5881580-07-10", "-infinity", "infinity", "2020-02-29", "0001-01-01"]),
    "ts": ("TIMESTAMP", ["294247-01-10 04:00:54.775806", "infinity", "-infinity", "2020-02-29 12:34:56.789", "0001-01-01 00:00:00"]),
    "c": ("TIME", ["00:00:00", "24:00:00", "23:59:59.999999", "12:30:00", "06:00:00"]),
}  # fmt: skip

ONE = """
-{a}; abs({a}); @{a}; NOT {a}; {a} IS NULL; {a} IS TRUE; sign({a}); round({a}); round({a}, 1); round({a}, -2); floor({a}); ceil({a})
trunc({a}); sqrt({a}); cbrt({a}); ln({a}); log({a}); log10({a}); log(2, {a}); exp({a}); lower({a}); upper({a}); length({a})
trim({a}); trim({a}, '2'); ltrim({a}); rtrim({a}, '5'); trim(both '2' from {a}); trim(leading '2' from {a}); reverse({a})
left({a}, 2); left({a}, -1); right({a}, 2); right({a}, -1); substring({a}, 2); substring({a}, -2); substring({a}, 0, 2)
substring({a}, 2, -1); substring({a}, -3, 2); substring({a} FROM 2 FOR 1); replace({a}, '2', 'zz'); starts_with({a}, '2')
contains({a}, '2'); ends_with({a}, '2'); strpos({a}, '2'); position('2' IN {a}); instr({a}, '2'); {a} LIKE '%2%'; {a} NOT LIKE '_2%'
{a} ILIKE 'A%'; {a} LIKE 'a$_%' ESCAPE '$'; regexp_matches({a}, '[0-9]+'); regexp_full_match({a}, '[0-9]+'); {a} || NULL
year({a}); month({a}); day({a}); quarter({a}); week({a}); dayofweek({a}); dayofyear({a}); hour({a}); minute({a}); second({a})
isnan({a}); isinf({a}); isfinite({a}); nullif({a}, 0); coalesce({a}, 1); coalesce({a}, '1'); greatest({a}, 1); {a} || 'x'
concat({a}, NULL, 'x'); greatest({a}, NULL); {a} % 2; {a} // 2; {a} // -2; {a} % -1; {a} // (-1); {a} / 2; {a} / 0; {a} % 0; {a} // 0
2 / {a}; 2 // {a}; 2 % {a}; mod({a}, 2); 2 * mod({a}, 3); {a} + 1; 1 - {a}; {a} * -1; {a} ** 2; {a} ^ 2; 2 ** {a}; -{a} ** 2
{a} = 1; {a} > 1.5; {a} = '1'; {a} IN (1, 2); {a} IN ('1', '2'); {a} NOT IN (1, NULL); {a} BETWEEN 0.5 AND 5; {a} IS DISTINCT FROM 1
CASE {a} WHEN 1 THEN 2 ELSE 3 END; CASE WHEN {a} THEN 1 ELSE 0 END; CASE WHEN b THEN {a} ELSE 1 END; CASE WHEN b THEN {a} ELSE 'x' END
if({a} > 0, {a}, 0); if(b, {a}, NULL); {a} AND b; {a} OR true; {a} + INTERVAL 1 DAY; {a} - INTERVAL 1 YEAR; {a} + INTERVAL '1 month'
INTERVAL ({a}) DAY > INTERVAL 1 DAY; INTERVAL ({a}) YEAR IS NULL; DATE '2020-01-01' + {a}; DATE '2020-01-01' - {a}
date_diff('day', DATE '2020-01-01', {a}); datediff('month', {a}, DATE '2020-01-01'); date_diff('microsecond', {a}, DATE '2020-01-01')
date_trunc('year', {a}); date_trunc('MONTH', {a}); date_trunc('hour', {a}); date_trunc('week', {a}); date_trunc('decade', {a})
extract(year FROM {a}); extract(dow FROM {a}); extract(isodow FROM {a}); extract(doy FROM {a}); extract(epoch FROM {a})
extract(week FROM {a}); extract(second FROM {a}); extract(millisecond FROM {a}); extract(isoyear FROM {a}); extract(quarter FROM {a})
CAST({a} AS TINYINT); CAST({a} AS BIGINT); CAST({a} AS UBIGINT); CAST({a} AS HUGEINT); CAST({a} AS DECIMAL(4,1)); {a}::DECIMAL(38,10)
{a}::FLOAT; {a}::DOUBLE; {a}::BOOLEAN; {a}::VARCHAR; {a}::DATE; {a}::TIMESTAMP; {a}::TIMESTAMPTZ; {a}::TIME; TRY_CAST({a} AS INTEGER)
{a}::INT::VARCHAR; CAST({a} // 0 AS VARCHAR); year({a}::DATE); ({a} + 1) * 2; ({a} + 1) * ({a} + 1); {a}::INT + {a}::INT
last_day({a}); dayname({a}); monthname({a}); isodow({a}); isoyear({a}); yearweek({a}); weekday({a}); weekofyear({a}); decade({a})
dayofmonth({a}); century({a}); concat_ws('-', {a}, s); split_part({a}, '2', 1); strlen({a}); make_date({a}, 1, 2); {a} & 3; {a} | 1
acos({a}); acosh({a}); asin({a}); asinh({a}); atan({a}); atan2({a}, 2); atanh({a}); cos({a}); cosh({a}); cot({a}); sin({a}); sinh({a})
tan({a}); tanh({a}); degrees({a}); radians({a}); {a} * pi(); factorial({a}); ascii({a}); chr({a}); bit_length({a});
regexp_extract({a}, '[a-z]+'); regexp_extract({a}, '([a-z])(.)', 2); regexp_replace({a}, '[0-9]', 'n'); regexp_escape({a})
regexp_replace({a}, '[0-9]', 'n', 'g'); strftime({a}, '%Y-%m'); epoch({a}); epoch_ns({a}); epoch_us({a}); millennium({a}); era({a})
julian({a}); microsecond({a}); millisecond({a}); bit_count({a}); even({a}); fmod({a}, 3); gamma({a}); lgamma({a}); gcd({a}, 6)
greatest_common_divisor({a}, 4); lcm({a}, 6); least_common_multiple({a}, 2); round_even({a}, 1); signbit({a}); levenshtein({a}, 'abd')
damerau_levenshtein({a}, 'abd'); hamming({a}, 'abd'); mismatches({a}, 'abd'); jaccard({a}, 'abd'); jaro_similarity({a}, 'abd')
length_grapheme({a}); left_grapheme({a}, 2); right_grapheme({a}, 2); nfc_normalize({a}); ord({a}); strip_accents({a})
xor({a}, 1); CASE WHEN b THEN CAST('x' AS INT) END; CASE WHEN b THEN 9223372036854775807 + 1 ELSE {a} END; CASE WHEN b THEN DATE '2020-13-01' END
""".replace("\n", ";").split(";")  # fmt: skip

TWO = """
{a} + {b}; {a} - {b}; {a} * {b}; {a} / {b}; {a} // {b}; {a} % {b}; {a} = {b}; {a} IN ({b}, 1); {a} BETWEEN {b} AND {b}; coalesce({a}, {b})
nullif({a}, {b}); least({a}, {b}); CASE WHEN b THEN {a} ELSE {b} END; CASE {a} WHEN {b} THEN 1 END; {a} LIKE {b}
regexp_matches({a}, {b}); regexp_full_match({a}, {b}); substring({a}, {b}, {b}); round({a}, {b}); log({a}, {b}); replace({a}, {b}, 'q')
date_diff('year', {a}, {b}); ({a}, 1) = ({b}, 1); {a} AND {b}; {a} + INTERVAL ({b}) MONTH; left({a}, {b}); position({a} IN {b})
""".replace("\n", ";").split(";")  # fmt: skip
ALONE = ("i8", "i64", "h", "d38", "x", "b", "s", "t", "day", "ts", "c")
MIXED = ("i8", "h", "d38", "x", "s", "ts")


class Bench:
    """DuckDB with the awkward values of `COLUMNS`, five rows of them and some of their mixtures."""

    def __init__(self) -> None:
        # DuckDB would lift what two expressions share out of their TRY
        self.db = duckdb.connect(config={"disabled_optimizers": "common_subexpressions", "threads": "1"})
        self.db.execute("SET TimeZone = 'UTC'")
        listed = ", ".join(f"{name} {type_}" for name, (type_, _) in COLUMNS.items())
        self.db.execute(f"CREATE TABLE t (rn INTEGER, {listed})")
        self.db.execute("CREATE TABLE nobody AS FROM t")
        draw = random.Random(1)
        self.rows = 12
        for row in range(self.rows):
            picks = [values[row] if row < 5 else draw.choice([*values, None]) for _, values in COLUMNS.values()]
            cast = [
                "NULL" if pick is None else f"CAST('{pick}' AS {type_})"
                for pick, (type_, _) in zip(picks, COLUMNS.values(), strict=True)
            ]
            self.db.execute(f"INSERT INTO t VALUES ({row}, {', '.join(cast)})")

    def type_of(self, expression: exp.Expr) -> str:
        return self.described(expression.sql("duckdb"))

    def described(self, text: str) -> str:
        return str(self.db.execute(f"DESCRIBE SELECT {text} AS c FROM t").fetchall()[0][1])

    def values(self, text: str, where: str = "true", table: str = "t") -> list[tuple[object]]:
        inner = f"SELECT rn, {text} AS c FROM {table} AS t WHERE {where}"
        return self.db.execute(f"SELECT CAST(c AS VARCHAR) FROM ({inner}) ORDER BY rn").fetchall()

    def check(self, text: str) -> bool:
        """Assert that ``text`` is answered as DuckDB does; False when DuckDB or the allow-list does not take it."""
        try:
            type_ = self.described(text)
        except duckdb.Error:
            return False
        expression = parse(f"SELECT {text} AS c FROM t").expressions[0].unalias()
        check_scalar(expression)
        calm = safe(expression, {}, self.type_of).sql("duckdb")
        assert self.described(calm) == type_, (text, calm)
        try:
            got = self.values(calm)
        except duckdb.Error as error:  # constants that fail whatever the rows are, such as 1 // 0
            with pytest.raises(type(error)):
                self.values(calm, table="nobody")
            return False
        try:
            assert got == self.values(text), (text, calm)
            return True
        except (duckdb.Error, UnicodeDecodeError):  # DuckDB's own message may cut a character in two
            pass
        for row in range(self.rows):
            try:
                (wanted,) = self.values(text, f"rn = {row}")
            except (duckdb.Error, UnicodeDecodeError):
                continue
            assert got[row] == wanted, (text, calm, row)
        return True


@pytest.fixture(scope="module")
def bench() -> Bench:
    return Bench()


@pytest.mark.parametrize("template", [part.strip() for part in ONE if part.strip()])
def test_one_argument(bench: Bench, template: str) -> None:
    taken = [bench.check(template.format(a=name)) for name in ALONE]
    assert any(taken), "no type takes this"


@pytest.mark.parametrize("template", [part.strip() for part in TWO if part.strip()])
def test_two_arguments(bench: Bench, template: str) -> None:
    taken = [bench.check(template.format(a=a, b=b)) for a in MIXED for b in MIXED]
    assert any(taken), "no types take this"


NUMBERS = "i8 i32 i64 u64 h d4 d38 x 1 2 -1 0 1.5 1e2 NULL length(s) year(day) (i8) abs(i8) mod(i8,3)"
TEXTS = "s; t; 'a'; 'it''s'; NULL; upper(s); s || t; substr(s, 2); i8::VARCHAR"
BOOLEANS = "b; true; NULL; i8 > 1; s = 'abc'; x < 2.5; s LIKE '%2%'; day IS NULL; i8 NOT IN (1, 7); NOT b; b IS TRUE; s ILIKE t"
LEAVES = st.tuples(*(st.sampled_from(given) for given in (NUMBERS.split(), TEXTS.split("; "), BOOLEANS.split("; "))))


def _deeper(parts: st.SearchStrategy[tuple[str, str, str]]) -> st.SearchStrategy[tuple[str, str, str]]:
    """Build (number, text, boolean) from two smaller ones, mostly without parentheses: precedence must survive."""
    number = st.sampled_from(
        ["{0} + {3}", "{0} - {3}", "{0} * {3}", "{0} / {3}", "{0} // {3}", "{0} % {3}", "{0} ** {3}", "-{0}", "({0})",
         "CASE WHEN {2} THEN {0} ELSE {3} END", "coalesce({0}, {3})", "nullif({0}, {3})", "CAST({0} AS INTEGER)", "{0}::DOUBLE"]
    )  # fmt: skip
    text = st.sampled_from(["{1} || {4}", "upper({1})", "replace({1}, {4}, 'q')", "concat({1}, {0})", "reverse({4})"])
    boolean = st.sampled_from(
        ["{2} AND {5}", "{2} OR {5}", "NOT {2}", "({2})", "{2} AND NOT {5}", "{0} = {3}", "{0} < {3}", "{0} IS DISTINCT FROM {3}",
         "{0} IS NULL", "{0} IN (1, 2, NULL)", "{0} NOT BETWEEN 0 AND 5", "{1} LIKE {4}", "({2}) IS NOT TRUE", "({2}) = b"]
    )  # fmt: skip
    return st.builds(
        lambda a, b, *templates: tuple(template.format(*a, *b) for template in templates),  # type: ignore[arg-type]
        parts, parts, number, text, boolean,
    )  # fmt: skip


@settings(max_examples=int(os.environ.get("FEDSQL_FUZZ", "150")))
@given(st.recursive(LEAVES, _deeper, max_leaves=5), st.integers(0, 2))
def test_any_expression(bench: Bench, texts: tuple[str, str, str], which: int) -> None:
    bench.check(texts[which])


def test_conditions_become_boolean(bench: Bench) -> None:
    for name in ("s", "i8", "b", "x"):
        column = exp.column(name)
        calm = safe_condition(column, {}, bench.type_of)
        assert bench.type_of(calm) == "BOOLEAN"
        bench.values(calm.sql("duckdb"))


@pytest.mark.parametrize(
    "text", ["date_trunc('fortnight', ts)", "extract(timezone FROM day)", "date_diff('moon', ts, ts)"]
)
def test_unknown_units_are_refused(text: str) -> None:
    """DuckDB raises for these at run time, past any TRY."""
    with pytest.raises(NotSupportedError, match="is not a unit"):
        check_scalar(parse(f"SELECT {text} FROM t").expressions[0])


def test_days_between_times_are_refused(bench: Bench) -> None:
    (expression,) = parse("SELECT date_diff('day', c, c) FROM t").expressions
    with pytest.raises(NotSupportedError, match="TIME"):
        safe(expression, {}, bench.type_of)


def test_what_cannot_fail_stays_as_it_is(bench: Bench) -> None:
    for text in ("i8 > 3", "s = 'a'", "i8 = 2.5", "b AND NOT b", "i8 IN (1, 2)", "coalesce(i8, 0)", "upper(s)"):
        (expression,) = parse(f"SELECT {text} FROM t").expressions
        assert safe(expression, {}, bench.type_of).sql("duckdb") == expression.sql("duckdb")
