"""Answers as text: a table for people, csv and json for programs, and the expanded form for wide rows.

The table is for reading: doubles with ten digits, long texts and middle columns cut to the width, many rows cut to their
head and tail; what was cut is said below it. csv and json hold every digit of every row.
"""

from __future__ import annotations

import datetime
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from fedsql.answer import Answer
from fedsql.types import SqlType
from fedsql.values import rows_of

FORMATS = ("table", "csv", "json")
MOST_ROWS = 40
_LEAST = 12  # a text column is not made narrower than this to fit the width
_GAP = 2


def render(answer: Answer, format_: str, width: int, *, expanded: bool = False) -> str:
    """Return an answer as text that ends with a newline; nothing when there is no result set.

    ``format_`` is one of FORMATS; ``width`` and ``expanded`` (one line a value) concern tables alone.
    """
    if answer.table is None:
        return ""
    rows = rows_of(answer.table, answer.columns)
    names = [name for name, _ in answer.columns]
    if format_ == "csv":
        return "".join(_csv_line(row) for row in (names, *rows))
    if format_ == "json":
        return _json(names, rows)
    if names == ["explain"]:
        return "".join(f"{clean(line)}\n" for (line,) in rows)
    if expanded:
        return "".join(f"{line}\n" for line in _expanded(names, rows, width))
    return "".join(f"{line}\n" for line in _table(answer.columns, rows, width))


def text(value: Any) -> str:
    """Return a value as csv has it: every digit, ISO 8601 dates, true and false, JSON for nested values."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime.datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Mapping | list | tuple):
        return _json_value(value)
    return str(value)


def clean(value: str) -> str:
    """Return text with control characters spelled out: what a party's label holds cannot steer a terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in value)


def display_width(value: str) -> int:
    """Return how many columns of a terminal a text takes."""
    if value.isascii():
        return len(value)
    from prompt_toolkit.utils import get_cwidth

    return get_cwidth(value)


def cut(value: str, width: int) -> str:
    """Return a text cut to ``width`` columns, ending in ... where something is missing."""
    if display_width(value) <= width:
        return value
    kept = value[: max(0, width - 3)]
    while kept and display_width(kept) > width - 3:
        kept = kept[:-1]
    return (kept + "...")[: max(0, width)]


def _shown(value: Any) -> str:
    if value is None:
        return "NULL"
    return clean(f"{value:.10g}" if isinstance(value, float) else text(value))


def _table(columns: Sequence[tuple[str, str]], rows: Sequence[tuple[Any, ...]], width: int) -> Iterator[str]:
    half = MOST_ROWS // 2
    kept = rows if len(rows) <= MOST_ROWS else [*rows[:half], *rows[-half:]]
    cells = [[_shown(value) for value in row] for row in kept]
    names = [clean(name) for name, _ in columns]
    right = [SqlType.parse(type_).family in ("integer", "decimal", "float") for _, type_ in columns]
    widths = [max([display_width(name), *(display_width(row[i]) for row in cells), 1]) for i, name in enumerate(names)]
    least = [
        max([1, *(display_width(row[i]) for row in cells)]) if number else _LEAST for i, number in enumerate(right)
    ]
    _narrow(widths, least, width)
    chosen = _fitting(widths, width)

    def line(values: Sequence[str], fill: str = " ") -> str:
        parts = []
        for i in chosen:
            value = "..." if i is None else cut(values[i], widths[i])
            missing = (3 if i is None else widths[i]) - display_width(value)
            parts.append(fill * missing + value if i is not None and right[i] else value + fill * missing)
        return (" " * _GAP).join(parts).rstrip()

    yield line(names)
    yield (" " * _GAP).join("-" * (3 if i is None else widths[i]) for i in chosen)
    for number, row in enumerate(cells):
        if len(rows) > MOST_ROWS and number == half:
            yield line(["..."] * len(names))
        yield line(row)
    if note := ", ".join(_missing(len(rows), len(columns), sum(i is not None for i in chosen))):
        yield f"({note}; --format csv shows all)"


def _missing(rows: int, columns: int, shown: int) -> Iterator[str]:
    if rows > MOST_ROWS:
        yield f"{rows} rows, {MOST_ROWS} shown"
    if shown < columns:
        yield f"{columns} columns, {shown} shown"


def _narrow(widths: list[int], least: Sequence[int], width: int) -> None:
    """Take from the widest column that may still give, until all fit or none may."""
    while sum(widths) + _GAP * (len(widths) - 1) > width:
        giving = [i for i in range(len(widths)) if widths[i] > least[i]]
        if not giving:
            return
        widest = max(giving, key=lambda i: widths[i])
        widths[widest] -= 1


def _fitting(widths: Sequence[int], width: int) -> list[int | None]:
    """Return the columns to show; a None stands for those left out of the middle."""
    everything: list[int | None] = list(range(len(widths)))
    if sum(widths) + _GAP * (len(widths) - 1) <= width:
        return everything
    head, tail, used = 0, 0, 3
    while head + tail < len(widths):
        front = head <= tail
        following = widths[head] if front else widths[len(widths) - 1 - tail]
        if used + _GAP + following > width and head:
            break
        used += _GAP + following
        head, tail = head + front, tail + (not front)
    return [*everything[:head], None, *everything[len(widths) - tail :]]


def _expanded(names: Sequence[str], rows: Sequence[tuple[Any, ...]], width: int) -> Iterator[str]:
    cleaned = [clean(name) for name in names]
    left = min(max((display_width(name) for name in cleaned), default=0), width // 2)
    for number, row in enumerate(rows, start=1):
        yield f"-- row {number} ".ljust(min(width, 40), "-")
        for name, value in zip(cleaned, row, strict=True):
            shown = cut(name, left)
            yield shown + " " * (left - display_width(shown) + _GAP) + _shown(value)


def _csv_line(values: Sequence[Any]) -> str:
    """Return one line of RFC 4180 csv. NULL is an empty field and an empty text is "", as DuckDB's COPY has it."""
    return ",".join("" if value is None else _csv_field(text(value)) for value in values) + "\r\n"


def _csv_field(value: str) -> str:
    if value and not any(c in value for c in ',"\r\n') and value == value.strip():
        return value
    return '"' + value.replace('"', '""') + '"'


def _json(names: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> str:
    """Return an array of objects, one a line. A name that comes again gets a number, for an object has each name once."""
    keys: list[str] = []
    for name in names:
        number, key = 0, name
        while key in keys:
            number, key = number + 1, f"{name}_{number + 1}"
        keys.append(key)
    lines = [_json_value(dict(zip(keys, row, strict=True))) for row in rows]
    return "[" + ",\n".join(lines) + "]\n"


def _json_value(value: Any) -> str:
    """Return JSON in which decimals and whole numbers keep every digit (the standard library makes floats of them)."""
    if isinstance(value, float) and not math.isfinite(value):
        return "null"  # JSON has neither NaN nor infinities
    if value is None or isinstance(value, bool | int | float | str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, Mapping):
        return (
            "{"
            + ", ".join(f"{json.dumps(str(k), ensure_ascii=False)}: {_json_value(v)}" for k, v in value.items())
            + "}"
        )
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_json_value(inner) for inner in value) + "]"
    return json.dumps(text(value), ensure_ascii=False)
