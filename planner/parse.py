"""From SQL text to one sqlglot tree: one statement, parameters and now() put in as constants, names in place."""

from __future__ import annotations

import datetime
import logging
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from functools import lru_cache

from sqlglot import exp
from sqlglot.dialects import DuckDB
from sqlglot.errors import ParseError, TokenError
from sqlglot.tokenizer_core import Token, TokenType

from fedsql.errors import DataError, NotSupportedError, ProgrammingError
from fedsql.planner.table_functions import check_functions
from fedsql.planner.trees import copied, find, sql_of, walk

_INTEGER = re.compile(r"-?[0-9]{1,39}")
_DECIMAL = re.compile(r"DECIMAL\([0-9]{1,2},[0-9]{1,2}\)")
_TYPES = {"NULL", "BOOLEAN", "INTEGER", "BIGINT", "HUGEINT", "DOUBLE", "VARCHAR"}
_TYPES |= {"DATE", "TIME", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE", "INTERVAL", "BLOB", "UUID"}
# What sqlglot only knows as a command is refused here, in our words; its own warning would reach the user's screen.
logging.getLogger("sqlglot").setLevel(logging.ERROR)

_TYPED = ("DATE", "TIME", "TIMESTAMP", "TIMESTAMPTZ")
_MISREAD = {"log2": "write ln(x) / ln(2)"}
_INSTEAD = {
    **dict.fromkeys(("BEGIN", "COMMIT", "ROLLBACK", "END"), "there are no transactions: every statement is committed"),
    "INSERT": "INSERT INTO x WITH ... SELECT ...: the first word tells that a statement writes a local table",
    "EXPLAIN": "EXPLAIN SELECT ...",
    "PIVOT": "SELECT COUNT(*) FILTER (WHERE k = 'a') AS a, ... FROM t; PIVOT works on released results: FROM (...) PIVOT",
    "SHOW": "SHOW PARTIES, SHOW TABLES, SHOW BUDGET, SHOW SETTINGS; DESCRIBE t for the columns of t",
    "SUMMARIZE": "SELECT COUNT(x), AVG(x), STDDEV(x) FROM t; DESCRIBE t for the columns of t",
    "VALUES": "SELECT * FROM (VALUES ...) v",
}
# Where a $1 or $name is followed by a sign at once; texts, names and comments are passed over.
_DOLLARS = re.compile(
    r"""[eE]'(?:\\.|[^'\\])*'|'[^']*'|"[^"]*"|--[^\n]*|/\*.*?\*/|\$(?P<tag>\w*)\$.*?\$(?P=tag)\$"""
    r"""|\w\$|(?P<mark>\$\w+(?=[^\s\w$]))""",
    re.DOTALL,
)
MARKS = (TokenType.PLACEHOLDER, TokenType.QDCOLON)  # sqlglot reads ?:: as one token
_DEEPEST = 100  # brackets within brackets: more would exhaust the stack of a parser
_OPEN = (TokenType.L_PAREN, TokenType.L_BRACKET, TokenType.L_BRACE)
_CLOSE = (TokenType.R_PAREN, TokenType.R_BRACKET, TokenType.R_BRACE)


class Unread(ProgrammingError):
    """A text that is no SQL to the parser. DuckDB's own parser may know better what is wrong with it."""


def parse(sql: str) -> exp.Query:
    """Parse one SELECT statement (or set operation, or WITH) in DuckDB's dialect. Raises Unread where it cannot."""
    return copied(_parsed(sql))


@lru_cache(maxsize=8)  # who asks a question describes it first, and then plans it
def _parsed(sql: str) -> exp.Query:
    try:
        sql, tokens = number_marks(sql)
        statements = read_statements(sql, tokens)
    except ParseError as error:
        first = error.errors[0] if error.errors else {}
        where = (
            (first["line"], max(1, first["col"] - len(first.get("highlight") or "") + 1)) if first.get("line") else None
        )
        raise unread(first.get("highlight"), where) from None
    except TokenError:
        raise unread() from None
    if not statements:
        raise ProgrammingError("there is no statement")
    if len(statements) > 1:
        raise ProgrammingError("one statement at a time", hint="separate statements are separate queries")
    tree = statements[0]
    for node in walk(tree):
        node.comments = None  # two expressions that differ in a comment alone are the same
    if isinstance(tree, exp.Subquery):
        tree = tree.unnest()
    if isinstance(tree, exp.Condition | exp.Alias | exp.Identifier | exp.Tuple):
        raise ProgrammingError(
            f"syntax error: a statement does not begin with {tokens[0].text}",
            hint="SELECT ... FROM ...; SHOW TABLES tells what there is",
            position=(tokens[0].line, 1),
        )
    if not isinstance(tree, exp.Query) or isinstance(tree, exp.Values):
        kind = (tree.key if tokens[0].token_type in (TokenType.WITH, TokenType.L_PAREN) else tokens[0].text).upper()
        raise NotSupportedError(
            f"{kind} is not answered{'' if kind in _INSTEAD else ': federated tables are read-only'}",
            hint=_INSTEAD.get(kind, "write a SELECT; SHOW TABLES and DESCRIBE t tell what there is"),
            position=(tokens[0].line, 1),
        )
    if (place := tree.find(exp.PositionalColumn)) is not None:
        raise NotSupportedError(f"{sql_of(place)} is not answered", hint="name the column; GROUP BY 1, ORDER BY 1 work")
    check_functions(tree)
    _check_meaning(tokens)
    for token in tokens:  # sqlglot reads DuckDB's full-match operator as a partial match
        if token.token_type == TokenType.TILDE:
            raise NotSupportedError(
                "the operator ~ is not answered",
                hint="write regexp_full_match(text, pattern)",
                position=(token.line, token.col),
            )
    return tree


@contextmanager
def within_reach() -> Iterator[None]:
    """Refuse in words what is nested deeper than Python goes, and without brackets: NOT NOT NOT ..."""
    try:
        yield
    except RecursionError:
        raise NotSupportedError(
            "so many operators within one another are not answered",
            hint="WITH t AS (...) computes a part before the rest",
        ) from None


def read_statements(sql: str, tokens: list[Token]) -> list[exp.Expr]:
    """Return the trees of the statements that ``sql`` holds. Raises NotSupportedError, and sqlglot's errors."""
    _check_depth(tokens)
    with within_reach():
        return [each for each in DuckDB().parser().parse(tokens, sql) if each is not None]


def _check_depth(tokens: list[Token]) -> None:
    """Refuse what is nested deeper than any statement that people write."""
    depth = 0
    for token in tokens:
        depth += (token.token_type in _OPEN) - (token.token_type in _CLOSE)
        if depth > _DEEPEST:
            raise NotSupportedError(
                f"more than {_DEEPEST} brackets within one another are not answered",
                hint="WITH t AS (...) names a subquery",
                position=(token.line, max(1, token.col - len(token.text) + 1)),
            )


def _check_meaning(tokens: list[Token]) -> None:
    """Refuse what sqlglot would read as something else: it must never change a question."""
    for index, token in enumerate(tokens):
        before = tokens[index - 1] if index else None
        after = tokens[index + 1] if index + 1 < len(tokens) else None
        where = (token.line, max(1, token.col - len(token.text) + 1))
        if token.token_type == TokenType.STRING and before is not None:
            word = before.text.upper()
            if word == "INTERVAL" and re.fullmatch(r"\s*[-+]?[\d.]+\s+[a-zA-Z]+\s+\S+\s*", token.text):
                raise NotSupportedError(
                    f"INTERVAL '{token.text}' is not answered", hint="INTERVAL 3 DAY + INTERVAL 4 HOUR", position=where
                )
            if word in _TYPED and after is not None and after.token_type == TokenType.DCOLON:
                raise NotSupportedError(
                    f"{word} '...'::type is not answered", hint=f"write CAST({word} '...' AS type)", position=where
                )
        if token.text.lower() in _MISREAD and after is not None and after.text == "(":
            raise NotSupportedError(f"{token.text} is not answered", hint=_MISREAD[token.text.lower()], position=where)


def unread(near: str | None = None, where: tuple[int, int] | None = None) -> Unread:
    """Return the error of a text that cannot be read, ``near`` some of it: what the parser says speaks of its classes."""
    near = (near or "").strip()
    return Unread(
        f"syntax error: something is missing or misplaced{f' near {near!r}' if near else ''}",
        hint="names stand in double quotes" if near == "`" else "write this part in another way",
        position=where,
        sqlstate="42601",
    )


def read_tokens(sql: str) -> tuple[str, list[Token]]:
    """Return the tokens of ``sql``, and the text that they are of: with a space after each $1 and $name.

    Without it sqlglot takes $1,$ for the beginning of a text in dollar quotes.
    """
    spaced = _DOLLARS.sub(lambda match: match[0] + " " if match["mark"] else match[0], sql)
    return spaced, DuckDB().tokenize(spaced)


def number_marks(sql: str) -> tuple[str, list[Token]]:
    """Write each ? as $1, $2, ...: the order of the text is the order of the parameters. Also return its tokens."""
    sql, tokens = read_tokens(sql)
    marks = [t for t in tokens if t.token_type in MARKS and t.text.startswith("?")]
    for number, token in reversed(list(enumerate(marks, start=1))):
        sql = f"{sql[: token.start]}${number} {sql[token.start + 1 :]}"
    return sql, DuckDB().tokenize(sql) if marks else tokens


def literal(type_text: str, value: str | None) -> exp.Expr:
    """Return a parameter as a typed constant. Raises DataError for what `parameter` does not make."""
    if type_text not in _TYPES and not _DECIMAL.fullmatch(type_text):
        raise DataError(f"a parameter of the type {type_text!a} cannot be sent")
    if value is None:
        return exp.cast(exp.null(), type_text, dialect="duckdb") if type_text != "NULL" else exp.null()
    if type_text == "VARCHAR":
        return exp.Literal.string(value)
    if type_text == "BOOLEAN":
        return exp.true() if value == "true" else exp.false()
    if type_text in ("INTEGER", "BIGINT"):
        if not _INTEGER.fullmatch(value):  # it stands in the statement as it is
            raise DataError(f"the parameter {value!a} is not an integer")
        number = exp.Literal.number(value.lstrip("-"))
        return exp.paren(exp.Neg(this=number)) if value.startswith("-") else number
    return exp.cast(exp.Literal.string(value), type_text, dialect="duckdb")


def parameter(value: object) -> tuple[str, str | None]:
    """Return (DuckDB type, text) of a Python value given as a parameter. Raises DataError for what cannot be sent."""
    value = _plain(value)
    if value is None:
        return "NULL", None
    if isinstance(value, bool):
        return "BOOLEAN", "true" if value else "false"
    if isinstance(value, int):
        if not -(2**127) <= value < 2**127:
            raise DataError("an integer parameter does not fit 128 bits", sqlstate="22003")
        wide = "HUGEINT" if not -(2**63) < value < 2**63 else "BIGINT" if abs(value) >= 2**31 else "INTEGER"
        return wide, str(value)
    if isinstance(value, float):
        return "DOUBLE", repr(float(value))
    if isinstance(value, Decimal):
        return _decimal(value)
    if isinstance(value, str):
        if "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
            raise DataError("a text parameter has a character that cannot be sent: NUL, or half of a surrogate pair")
        return "VARCHAR", value
    if isinstance(value, bytes | bytearray | memoryview):
        return "BLOB", "".join(f"\\x{byte:02X}" for byte in bytes(value))
    if isinstance(value, uuid.UUID):
        return "UUID", str(value)
    if isinstance(value, datetime.timedelta) and value == value:
        return "INTERVAL", f"{value.days} days {value.seconds} seconds {value.microseconds} microseconds"
    if isinstance(value, datetime.date | datetime.time) and value == value:
        return _moment(value)
    raise DataError(
        f"a parameter of type {type(value).__name__} cannot be sent",
        hint="one ? for each value: x IN (?, ?)"
        if isinstance(value, list | tuple | set | frozenset)
        else "use int, float, str, Decimal, date, datetime, time, timedelta, bytes, UUID, bool or None",
    )


def native(value: object) -> object:
    """Return a parameter for a statement that DuckDB alone runs. Raises DataError for a Decimal that is none of its."""
    if isinstance(value, Decimal):
        _decimal(value)
    return _plain(value)


def _plain(value: object) -> object:
    """Return a number of NumPy as Python's own. Dates stay as they are: their nanoseconds would become integers."""
    kind = getattr(getattr(value, "dtype", None), "kind", "") if type(value).__module__ == "numpy" else ""
    return value.item() if kind and kind in "biuf" and value.ndim == 0 else value  # type: ignore[attr-defined]


def _decimal(value: Decimal) -> tuple[str, str]:
    if not value.is_finite():
        raise DataError("a Decimal parameter must be finite", hint="float('nan') is a DOUBLE's", sqlstate="22003")
    digits, exponent = value.as_tuple()[1:]
    scale = max(0, -int(exponent))
    precision = max(len(digits) + max(0, int(exponent)), scale, 1)
    if precision > 38:
        raise DataError(f"the Decimal parameter has {precision} digits; DECIMAL holds 38", sqlstate="22003")
    return f"DECIMAL({precision},{scale})", format(value, "f")


def _moment(value: datetime.date | datetime.time) -> tuple[str, str]:
    if isinstance(value, datetime.time):
        if value.tzinfo is not None:
            raise DataError("a time with a time zone cannot be sent", hint="use a datetime, or a time without one")
        return "TIME", value.isoformat()
    if not isinstance(value, datetime.datetime):
        return "DATE", value.isoformat()
    if value.utcoffset() is None:
        return "TIMESTAMP", value.replace(tzinfo=None).isoformat(sep=" ")
    try:
        return "TIMESTAMP WITH TIME ZONE", value.astimezone(datetime.UTC).isoformat(sep=" ")
    except OverflowError:
        raise DataError("a datetime parameter lies outside of the years 1 to 9999", sqlstate="22008") from None


def bind_parameters(tree: exp.Query, parameters: tuple[tuple[str, str | None], ...]) -> exp.Query:
    """Put the parameters in place of ? (in order) and $1, $2, ... Raises ProgrammingError when the counts differ."""
    check_count(count_marks(tree), len(parameters))
    for mark in find(tree, exp.Placeholder):
        mark.replace(literal(*parameters[int(str(mark.this)) - 1]))
    return tree


def check_count(wanted: int, given: int) -> None:
    """Raise ProgrammingError unless a statement with ``wanted`` parameters was given as many."""
    if wanted != given:
        raise ProgrammingError(
            f"the statement has {wanted} parameters, {given} were given",
            hint=None if given else "execute(sql, (value, ...))",
            sqlstate="07001",
        )


def count_marks(tree: exp.Expr) -> int:
    """Return how many parameters ``tree`` has. Raises ProgrammingError for one with a name."""
    numbers = [0]
    for text in [str(mark.this or "") for mark in find(tree, exp.Placeholder)]:
        if text == "0":
            raise ProgrammingError("there is no parameter $0", hint="the first one is $1", sqlstate="07001")
        if not text.isdigit():
            hint = f"give a mapping: {{{text!r}: ...}}"
            raise ProgrammingError(f"the parameter {text} was not given", hint=hint, sqlstate="07001")
        numbers.append(int(text))
    return max(numbers)


def bind_now(tree: exp.Query, now: str) -> bool:
    """Put the question's own clock in place of now(), current_date and their like, so that all parties agree.

    Return whether there was any.
    """
    found = False
    stamp = f"{now}+00"
    constants = {
        exp.CurrentDate: ("DATE", now[:10]),
        exp.CurrentTimestamp: ("TIMESTAMP WITH TIME ZONE", stamp),
        exp.CurrentTime: ("TIME", now[11:]),
        exp.Localtimestamp: ("TIMESTAMP", now),
        exp.Localtime: ("TIME", now[11:]),
    }
    names = {"now": exp.CurrentTimestamp, "today": exp.CurrentDate, "get_current_timestamp": exp.CurrentTimestamp}
    names |= {"transaction_timestamp": exp.CurrentTimestamp, "current_localtimestamp": exp.Localtimestamp}
    for node in find(tree, exp.Func):
        kind = names.get(node.name.lower()) if isinstance(node, exp.Anonymous) else type(node)
        if kind in constants:
            type_text, value = constants[kind]
            node.replace(exp.cast(exp.Literal.string(value), type_text, dialect="duckdb"))
            found = True
    return found
