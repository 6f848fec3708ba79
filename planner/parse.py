"""From SQL text to one sqlglot tree: one statement, parameters and now() put in as constants, names in place."""

from __future__ import annotations

import datetime
import logging
import re
from decimal import Decimal

from sqlglot import exp
from sqlglot.dialects import DuckDB
from sqlglot.errors import ParseError, TokenError
from sqlglot.tokenizer_core import Token, TokenType

from fedsql.errors import DataError, NotSupportedError, ProgrammingError

_INTEGER = re.compile(r"-?[0-9]{1,39}")
_DECIMAL = re.compile(r"DECIMAL\([0-9]{1,2},[0-9]{1,2}\)")
_TYPES = {"NULL", "BOOLEAN", "INTEGER", "BIGINT", "HUGEINT", "DOUBLE", "VARCHAR"}
_TYPES |= {"DATE", "TIME", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE"}
# What sqlglot only knows as a command is refused here, in our words; its own warning would reach the user's screen.
logging.getLogger("sqlglot").setLevel(logging.ERROR)

_TYPED = ("DATE", "TIME", "TIMESTAMP", "TIMESTAMPTZ")
_MISREAD = {"log2": "write ln(x) / ln(2)"}
_INSTEAD = {
    "EXPLAIN": "EXPLAIN SELECT ...",
    "PIVOT": "SELECT COUNT(*) FILTER (WHERE k = 'a') AS a, ... FROM t; PIVOT works on released results: FROM (...) PIVOT",
    "SHOW": "SHOW PARTIES, SHOW TABLES, SHOW BUDGET, SHOW SETTINGS; DESCRIBE t for the columns of t",
    "SUMMARIZE": "SELECT COUNT(x), AVG(x), STDDEV(x) FROM t; DESCRIBE t for the columns of t",
    "VALUES": "SELECT * FROM (VALUES ...) v",
}
_MARKS = (TokenType.PLACEHOLDER, TokenType.QDCOLON)  # sqlglot reads ?:: as one token
_DEEPEST = 100  # brackets within brackets: thousands would exhaust the stack of a compiled parser, and end the process
_OPEN = (TokenType.L_PAREN, TokenType.L_BRACKET, TokenType.L_BRACE)
_CLOSE = (TokenType.R_PAREN, TokenType.R_BRACKET, TokenType.R_BRACE)


class Unread(ProgrammingError):
    """A text that is no SQL to the parser. DuckDB's own parser may know better what is wrong with it."""


def parse(sql: str) -> exp.Query:
    """Parse one SELECT statement (or set operation, or WITH) in DuckDB's dialect. Raises Unread where it cannot."""
    try:
        sql, tokens = _number_marks(sql)
        _check_depth(tokens)
        statements = [s for s in DuckDB().parser().parse(tokens, sql) if s is not None]
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
    for node in tree.walk():
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
        raise NotSupportedError(
            f"{place.sql('duckdb')} is not answered", hint="name the column; GROUP BY 1, ORDER BY 1 work"
        )
    _check_meaning(tokens)
    for token in tokens:  # sqlglot reads DuckDB's full-match operator as a partial match
        if token.token_type == TokenType.TILDE:
            raise NotSupportedError(
                "the operator ~ is not answered",
                hint="write regexp_full_match(text, pattern)",
                position=(token.line, token.col),
            )
    return tree


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
    )


def _number_marks(sql: str) -> tuple[str, list[Token]]:
    """Write each ? as $1, $2, ...: the order of the text is the order of the parameters. Also return its tokens."""
    tokens = DuckDB().tokenize(sql)
    marks = [t for t in tokens if t.token_type in _MARKS and t.text.startswith("?")]
    for number, token in reversed(list(enumerate(marks, start=1))):
        sql = f"{sql[: token.start]}${number}{sql[token.start + 1 :]}"
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
    """Return (DuckDB type, text) of a Python value given as a parameter. Raises DataError for other types."""
    if value is None:
        return "NULL", None
    if isinstance(value, bool):
        return "BOOLEAN", "true" if value else "false"
    if isinstance(value, int):
        if not -(2**127) <= value < 2**127:
            raise DataError(f"the integer parameter {value} does not fit 128 bits")
        wide = "HUGEINT" if not -(2**63) < value < 2**63 else "BIGINT" if abs(value) >= 2**31 else "INTEGER"
        return wide, str(value)
    if isinstance(value, float):
        return "DOUBLE", repr(value)
    if isinstance(value, Decimal):
        if not value.is_finite():
            raise DataError("a Decimal parameter must be finite")
        digits, exponent = value.as_tuple()[1:]
        scale = max(0, -int(exponent))
        precision = max(len(digits) + max(0, int(exponent)), scale, 1)
        if precision > 38:
            raise DataError(f"the Decimal parameter has {precision} digits; DECIMAL holds 38")
        return f"DECIMAL({precision},{scale})", format(value, "f")
    if isinstance(value, str):
        return "VARCHAR", value
    if isinstance(value, datetime.datetime):
        return ("TIMESTAMP WITH TIME ZONE" if value.tzinfo else "TIMESTAMP"), value.isoformat(sep=" ")
    if isinstance(value, datetime.date):
        return "DATE", value.isoformat()
    if isinstance(value, datetime.time):
        return "TIME", value.isoformat()
    raise DataError(
        f"a parameter of type {type(value).__name__} cannot be sent; use int, float, str, Decimal, date, ..."
    )


def bind_parameters(tree: exp.Query, parameters: tuple[tuple[str, str | None], ...]) -> exp.Query:
    """Put the parameters in place of ? (in order) and $1, $2, ... Raises ProgrammingError when the counts differ."""
    wanted = 0
    for mark in list(tree.find_all(exp.Placeholder)):
        text = str(mark.this or "")
        if not text.isdigit() or text == "0":
            raise NotSupportedError(f"the parameter ${text} has a name; use ? or $1")
        number = int(text)
        wanted = max(wanted, number)
        if number <= len(parameters):
            mark.replace(literal(*parameters[number - 1]))
    if wanted != len(parameters):
        raise ProgrammingError(f"the statement has {wanted} parameters, {len(parameters)} were given")
    return tree


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
    for node in list(tree.find_all(exp.Func)):
        kind = names.get(node.name.lower()) if isinstance(node, exp.Anonymous) else type(node)
        if kind in constants:
            type_text, value = constants[kind]
            node.replace(exp.cast(exp.Literal.string(value), type_text, dialect="duckdb"))
            found = True
    return found
