"""Where a statement ends: a semicolon outside quotes and comments. For files, -c texts and the prompt."""

from __future__ import annotations

from dataclasses import dataclass

import sqlglot
from sqlglot.errors import TokenError
from sqlglot.tokenizer_core import TokenType


@dataclass(frozen=True)
class Statement:
    """The text of one statement without its semicolon, and the number of its first line in the text it comes from."""

    sql: str
    line: int = 1


def split(text: str) -> list[Statement]:
    """Return the statements of ``text``. What cannot be read (an open quote) is the last one, as it stands."""
    found, start = [], 0
    for end in [*_semicolons(text), len(text)]:
        part = text[start:end]
        sql = part.strip()
        if sql and not _only_comments(sql):
            line = 1 + text[:start].count("\n") + part[: len(part) - len(part.lstrip())].count("\n")
            found.append(Statement(sql, line))
        start = end + 1
    return found


def complete(text: str) -> bool:
    """Say whether nothing is open in ``text``: it ends with a semicolon, or only a comment comes after the last one."""
    ends = _semicolons(text)
    return bool(ends) and _only_comments(text[ends[-1] + 1 :])


def _semicolons(text: str) -> list[int]:
    try:
        tokens = sqlglot.tokenize(text, dialect="duckdb")
    except TokenError:
        return _before_the_open_quote(text)
    return [token.start for token in tokens if token.token_type == TokenType.SEMICOLON]


def _before_the_open_quote(text: str) -> list[int]:
    """Return the semicolons of the longest beginning of ``text``, in whole statements, that can be read."""
    ends: list[int] = []
    start = 0
    while (end := text.find(";", start)) >= 0:
        try:
            tokens = sqlglot.tokenize(text[: end + 1], dialect="duckdb")
        except TokenError:
            start = end + 1
            continue
        ends = [token.start for token in tokens if token.token_type == TokenType.SEMICOLON]
        start = end + 1
    return ends


def _only_comments(text: str) -> bool:
    try:
        return not sqlglot.tokenize(text, dialect="duckdb")
    except TokenError:
        return False
