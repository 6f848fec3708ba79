"""DuckDB's types as fedsql needs them: families, integer ranges, and how a value becomes an integer that can be summed.

The text of a type is always DuckDB's (`DECIMAL(10,2)`), for DuckDB is who decides types. `SqlType.parse` reads it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

_SIGNED = {"TINYINT": 8, "SMALLINT": 16, "INTEGER": 32, "BIGINT": 64, "HUGEINT": 128}
_UNSIGNED = {"UTINYINT": 8, "USMALLINT": 16, "UINTEGER": 32, "UBIGINT": 64}
DATED = ("DATE", "TIMESTAMP")  # whose bounds are dates, offered as days since 1970-01-01
_TEMPORAL = {"DATE", "TIME", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS"}
_TOKEN = re.compile(r"""[A-Za-z_]\w*|\d+|"(?:[^"]|"")+"|'(?:[^']|'')*'|[(\[,\])]|\s+""")


def quoted(name: str) -> str:
    """Return ``name`` as an SQL identifier: whatever is in it, it names and does nothing else."""
    return '"' + name.replace('"', '""') + '"'


def is_type(text: str) -> bool:
    """Say whether ``text`` can stand where SQL wants a type and cannot end it: for types that others name.

    It is made of words, numbers, quoted names and texts, and has commas only inside of brackets, which all close.
    """
    at, depth, words = 0, 0, 0
    while at < len(text):
        token = _TOKEN.match(text, at)
        if token is None:
            return False
        depth += (token[0] in "([") - (token[0] in ")]")
        words += not token[0].isspace()
        if depth < 0 or (token[0] == "," and depth == 0):
            return False
        at = token.end()
    return depth == 0 and words > 0


def compares_by_value(one: str, other: str) -> bool:
    """Say whether ``=`` between two types loses nothing: at most one value of each type equals one of the other."""
    types = SqlType.parse(one), SqlType.parse(other)
    family = {each.family for each in types}
    same = one == other and family <= {"boolean", "decimal", "temporal"}
    return same or family == {"integer"} or family == {"text"}


@dataclass(frozen=True)
class SqlType:
    """One DuckDB type. ``family``: integer, decimal, float, boolean, text, temporal, interval or other.

    ``low`` and ``high`` bound the unscaled integers of an integer, decimal or boolean type; ``scale`` is the number of
    decimal digits after the point.
    """

    text: str
    family: str
    low: int = 0
    high: int = 0
    scale: int = 0

    @staticmethod
    @lru_cache(maxsize=1024)
    def parse(text: str) -> SqlType:
        """Read DuckDB's text of a type, as DESCRIBE prints it."""
        name = text.upper()
        if name in _SIGNED:
            bits = _SIGNED[name]
            return SqlType(text, "integer", -(1 << bits - 1), (1 << bits - 1) - 1)
        if name in _UNSIGNED:
            return SqlType(text, "integer", 0, (1 << _UNSIGNED[name]) - 1)
        if match := re.fullmatch(r"DECIMAL\((\d{1,2}),\s*(\d{1,2})\)", name):
            limit = 10 ** int(match[1]) - 1
            return SqlType(text, "decimal", -limit, limit, int(match[2]))
        if name in ("DOUBLE", "FLOAT"):
            return SqlType(text, "float")
        if name == "BOOLEAN":
            return SqlType(text, "boolean", 0, 1)
        if name == "VARCHAR" or name.startswith("ENUM"):
            return SqlType(text, "text")
        if name in _TEMPORAL:
            return SqlType(text, "temporal")
        if name == "INTERVAL":
            return SqlType(text, "interval")
        return SqlType(text, "other")

    @property
    def countable(self) -> bool:
        """Whether values can be summed: as integers as they are, or by fixed point."""
        return self.family in ("integer", "decimal", "float", "boolean")
