"""What the shell says beside results: errors with a caret and a hint, footers with the cost, and the exit codes."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from fedsql.answer import Answer
from fedsql.errors import ConfigError, Error, OperationalError, PrivacyError
from fedsql.shell.render import clean, display_width

OK, SQL_ERROR, USAGE, REFUSED, REPLACED = 0, 1, 2, 3, 4


def exit_code(error: Error) -> int:
    """Return what `fedsql` exits with: 2 a wrong file, 3 a refusal, 1 every other error of a statement."""
    if isinstance(error, ConfigError):
        return USAGE
    return REFUSED if isinstance(error, PrivacyError) else SQL_ERROR


def error_text(error: Error, sql: str = "", width: int = 80, *, file: str = "", line: int = 1) -> str:
    """Return an error as lines of at most ``width``: the message, the SQL line with a caret under the place, the hint.

    ``line`` is the number of the first line of ``sql`` in ``file``.
    """
    if isinstance(error, ConfigError):
        lines = [f"error: {clean(problem)}" for problem in error.problems]
    else:
        lines = list(_wrapped(f"error: {f'{file}: ' if file else ''}{error.message}", width))
        lines += _caret(error.position, sql, width, line)
    if error.hint:
        lines += _wrapped(f"HINT: {error.hint}", width)
    if isinstance(error, OperationalError) and error.query_id:
        lines.append(f"query id: {error.query_id}")
    return "".join(f"{text}\n" for text in lines)


def footer(answer: Answer, seconds: float | None = None, width: int = 80, *, rows: bool = True) -> str:
    """Return what stands below an answer: its rows and time where asked for, its cost, +- margins and notices."""
    parts: list[str] = []
    if answer.table is not None and [name for name, _ in answer.columns] != ["explain"]:
        parts += [count(answer.table.num_rows, "row")] * rows
        parts += [] if seconds is None else [f"{seconds:.2f} s"]
    if answer.changed is not None:
        parts.append(f"{count(answer.changed, 'row')} written")
    if answer.epsilon is not None:
        parts.append(f"epsilon {answer.epsilon:.4g} at each of {', '.join(answer.parties)}")
    lines = list(_wrapped(f"({', '.join(parts)})", width)) if parts else []
    known = [f"{clean(name)} +- {half:.4g}" for name, half in answer.margins.items() if half is not None]
    if known:
        lines += _wrapped(f"95 % margins: {', '.join(known)}", width)
    for notice in answer.notices:
        lines += _wrapped(f"note: {notice}", width)
    return "".join(f"{text}\n" for text in lines)


def count(number: int, noun: str) -> str:
    """Return "1 row", "2 rows"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _caret(position: tuple[int, int] | None, sql: str, width: int, first: int) -> Iterator[str]:
    """Yield the line of the SQL that the error is about, cut around the place to fit, and the caret below it."""
    lines = sql.split("\n")
    if position is None or not 1 <= position[0] <= len(lines):
        return
    shown = clean(lines[position[0] - 1].replace("\t", " ")).rstrip()
    column = position[1] - 1
    if not 0 <= column <= len(shown):
        return
    head = f"LINE {first + position[0] - 1}: "
    room = width - len(head)
    start = max(0, min(column - room // 2, len(shown) - room))
    window = shown[start : start + room]
    if start:
        window = "..." + window[3:]
    yield head + window
    yield " " * (len(head) + display_width(window[: column - start])) + "^"


def _wrapped(message: str, width: int) -> Iterator[str]:
    for paragraph in message.splitlines():
        yield from textwrap.wrap(
            clean(paragraph), width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
        ) or [""]
