"""PEP 249's type objects and constructors, over DuckDB's types.

A column's type_code in `Cursor.description` is DuckDB's text of its type; the type objects are equal to every such text
of their kind, so that a program can ask ``type_code == fedsql.NUMBER`` and a person can read ``DECIMAL(38,2)``.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence

from fedsql.types import SqlType


class TypeObject:
    """One of PEP 249's type objects: equal to every DuckDB type text (a column's type_code) of its kind."""

    def __init__(self, name: str, *families: str, names: Sequence[str] = ()) -> None:
        self.name = name
        self._families = frozenset(families)
        self._names = frozenset(names)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, str):
            return other.upper() in self._names or SqlType.parse(other).family in self._families
        return self is other

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return self.name


STRING = TypeObject("STRING", "text", names=("JSON", "UUID"))
BINARY = TypeObject("BINARY", names=("BLOB", "BIT"))
NUMBER = TypeObject("NUMBER", "integer", "decimal", "float", "boolean", names=("UHUGEINT",))
DATETIME = TypeObject("DATETIME", "temporal", "interval", names=("TIME_NS", "TIME WITH TIME ZONE"))
ROWID = TypeObject("ROWID")  # no row of a federated table has a name

Date = datetime.date
Time = datetime.time
Timestamp = datetime.datetime
Binary = bytes


def DateFromTicks(ticks: float) -> datetime.date:
    """Return the local date of ``ticks`` seconds since the epoch."""
    return datetime.date.fromtimestamp(ticks)


def TimeFromTicks(ticks: float) -> datetime.time:
    """Return the local time of ``ticks`` seconds since the epoch."""
    return datetime.datetime.fromtimestamp(ticks).time()


def TimestampFromTicks(ticks: float) -> datetime.datetime:
    """Return the local date and time of ``ticks`` seconds since the epoch."""
    return datetime.datetime.fromtimestamp(ticks)
