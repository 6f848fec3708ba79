"""Parameters that have names: :name, as PEP 249 writes them, or $name, as DuckDB does. They become $1, $2, ...

What is signed and what runs knows numbers alone. A colon is also part of DuckDB's slices, structs and aliases: it begins a
parameter only where a name follows it at once, and no name, number, text or closing bracket stands before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain

from sqlglot.errors import TokenError
from sqlglot.tokenizer_core import Token, TokenType

from fedsql.errors import ProgrammingError
from fedsql.planner.parse import MARKS, read_tokens, unread

Parameters = Sequence[object] | Mapping[str, object]

_WRONG_COUNT = "07001"
_OPERANDS = {TokenType.VAR, TokenType.IDENTIFIER, TokenType.NUMBER, TokenType.STRING}
_OPERANDS |= {TokenType.R_PAREN, TokenType.R_BRACKET, TokenType.R_BRACE, TokenType.L_BRACKET}


def positional(sql: str, parameters: Parameters) -> tuple[str, Sequence[object]]:
    """Return ``sql`` with numbered parameters only, and their values in order. Raises ProgrammingError, see `values`.

    Without a mapping both come back as they are.
    """
    if not isinstance(parameters, Mapping):
        return sql, checked(parameters)
    if not parameters:
        return sql, ()
    numbered, names = numbered_names(sql)
    return numbered, values(names, parameters)


def positional_rows(sql: str, rows: Iterable[Parameters]) -> tuple[str, Iterator[Sequence[object]]]:
    """Return ``sql`` and its ``rows`` of parameters as `positional` does, for all that the first row tells to have names."""
    waiting = iter(rows)
    first = next(waiting, None)
    if first is None:
        return sql, iter(())
    if not isinstance(first, Mapping):
        return sql, (checked(row) for row in chain([first], waiting))
    numbered, names = numbered_names(sql)
    return numbered, (values(names, row) for row in chain([first], waiting))


def numbered_names(sql: str) -> tuple[str, tuple[str, ...]]:
    """Return ``sql`` with $1, $2, ... in place of each :name or $name, and the names in the order of their numbers.

    Raises ProgrammingError where there is also a parameter without a name.
    """
    try:
        sql, tokens = read_tokens(sql)
    except TokenError:
        raise ProgrammingError(unread().message, sqlstate=unread().sqlstate) from None
    marks = [at for at in range(len(tokens)) if _is_named(tokens, at)]
    names = tuple(dict.fromkeys(tokens[at + 1].text for at in marks))
    for at, token in enumerate(tokens):
        if at not in marks and ((token.text.startswith("?") and token.token_type in MARKS) or _is_number(tokens, at)):
            shown = "?" if token.text.startswith("?") else f"${tokens[at + 1].text}"
            raise ProgrammingError(
                f"the parameter {shown} has no name, and names were given",
                hint="give a list, or write :name for each parameter",
                position=(token.line, token.col),
                sqlstate=_WRONG_COUNT,
            )
    for at in reversed(marks):
        start, end = tokens[at].start, tokens[at + 1].end + 1
        number = f"${names.index(tokens[at + 1].text) + 1}"
        sql = sql[:start] + number.ljust(end - start) + sql[end:]  # errors later still point to the right place
    return sql, names


def values(names: Sequence[str], parameters: object) -> Sequence[object]:
    """Return the values of ``names`` in order. Raises ProgrammingError for a name that one side alone has."""
    if not isinstance(parameters, Mapping):
        raise ProgrammingError(
            f"the parameters have names ({', '.join(names)}), and no mapping was given", sqlstate=_WRONG_COUNT
        )
    for name in names:
        if name not in parameters:
            raise ProgrammingError(
                f"the parameter {name} was not given",
                hint=f"given were: {', '.join(map(str, parameters)) or 'none'}",
                sqlstate=_WRONG_COUNT,
            )
    for name in parameters:
        if name not in names:
            raise ProgrammingError(
                f"the statement has no parameter {name}",
                hint=f"it has: {', '.join(names)}" if names else "write :name or $name where its value goes",
                sqlstate=_WRONG_COUNT,
            )
    return [parameters[name] for name in names]


def checked(parameters: object) -> Sequence[object]:
    """Return a sequence of values. Raises ProgrammingError for another thing, such as one text that was meant as a list."""
    if not isinstance(parameters, Sequence) or isinstance(parameters, str | bytes | bytearray | memoryview):
        raise ProgrammingError(
            f"parameters are a list, a tuple or a mapping, not a {type(parameters).__name__}",
            hint="execute(sql, (value,)) or execute(sql, {'name': value})",
        )
    return parameters


def _is_named(tokens: Sequence[Token], at: int) -> bool:
    token, after = tokens[at], tokens[at + 1] if at + 1 < len(tokens) else None
    if after is None or after.start != token.end + 1 or not after.text.isidentifier():
        return False
    if token.token_type != TokenType.COLON or at == 0:
        return token.token_type == TokenType.PARAMETER
    before = tokens[at - 1]
    touching = before.end + 1 == token.start and before.text[-1:].isalnum()
    return before.token_type not in _OPERANDS and not touching


def _is_number(tokens: Sequence[Token], at: int) -> bool:
    after = tokens[at + 1] if at + 1 < len(tokens) else None
    return tokens[at].token_type == TokenType.PARAMETER and after is not None and after.token_type == TokenType.NUMBER
