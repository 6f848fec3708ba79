"""From SQL text to one sqlglot tree: one statement, which means to the parser what it means to DuckDB."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

from sqlglot import exp
from sqlglot.dialects import DuckDB
from sqlglot.errors import ParseError, TokenError
from sqlglot.tokenizer_core import Token, TokenType

from fedsql.errors import NotSupportedError, ProgrammingError
from fedsql.planner.table_functions import check_functions
from fedsql.planner.trees import copied, find, sql_of, walk

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
    for token in tokens if any(pivot.arg_key != "pivots" for pivot in find(tree, exp.Pivot)) else ():
        if (kind := token.text.upper()) in ("PIVOT", "UNPIVOT"):  # the parser has no place for its columns
            raise NotSupportedError(
                f"{kind} as a query of its own is not answered",
                hint=f"FROM (SELECT ...) {kind} (... FOR ... IN (...)) works on released results",
                position=(token.line, max(1, token.col - len(kind) + 1)),
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
