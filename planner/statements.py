"""fedsql's own statements, matched before sqlglot sees the text: SET, SHOW, DESCRIBE, EXPLAIN."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from fedsql.errors import DataError, ProgrammingError
from fedsql.planner.question import Settings

SHOWABLE = ("parties", "tables", "budget", "settings", "views", "keys")


@dataclass(frozen=True)
class Query:
    """A statement for the planner."""

    sql: str


@dataclass(frozen=True)
class Explain:
    """EXPLAIN [(STAGE name)] query."""

    sql: str
    stage: str | None = None


@dataclass(frozen=True)
class Set:
    """SET name = value (or TO value)."""

    name: str
    value: str


@dataclass(frozen=True)
class Show:
    """SHOW parties | tables | budget | settings | views | keys."""

    what: str


@dataclass(frozen=True)
class Describe:
    """DESCRIBE table, or schema.table: a party's, or main. Both in lower case, without quotes."""

    table: str
    schema: str = ""


@dataclass(frozen=True)
class Write:
    """A statement that writes local tables or views."""

    sql: str


Statement = Query | Explain | Set | Show | Describe | Write

_EXPLAIN = re.compile(r"explain(?:\s*\(\s*stage\s+([\w ]+?)\s*\))?\s+(.+)", re.IGNORECASE | re.DOTALL)
_SET = re.compile(r"set\s+(\w+)\s*(?:=|\s+to\s+)\s*(.+)", re.IGNORECASE | re.DOTALL)
_WRITE = re.compile(r"(?:create|drop|insert|update|delete|truncate|alter)\b", re.IGNORECASE)
_SHOW = re.compile(r"show\s+(\w+)", re.IGNORECASE)
_NAME = r'("(?:[^"]|"")+"|\w+)'
_DESCRIBE = re.compile(rf"(?:describe|desc)\s+(?:{_NAME}\s*\.\s*)?{_NAME}", re.IGNORECASE)


def read_statement(sql: str) -> Statement:
    """Return what kind of statement ``sql`` is. Raises ProgrammingError for an empty one."""
    text = _stripped(sql)
    if not text:
        raise ProgrammingError("there is no statement")
    if match := _EXPLAIN.fullmatch(text):
        return Explain(match[2], match[1].lower() if match[1] else None)
    if match := _SET.fullmatch(text):
        return Set(match[1].lower(), match[2].strip().strip("'\""))
    if match := _SHOW.fullmatch(text):
        if match[1].lower() not in SHOWABLE:
            raise ProgrammingError(f"SHOW {match[1]} is not known", hint=f"SHOW {', SHOW '.join(SHOWABLE)}".upper())
        return Show(match[1].lower())
    if match := _DESCRIBE.fullmatch(text):
        return Describe(_name(match[2]), _name(match[1] or ""))
    if _WRITE.match(text):
        return Write(sql.rstrip("; \t\r\n"))  # with what stands before it: errors point into the text
    return Query(sql.strip().rstrip(";") if sql.strip().endswith(";") else sql)


def _name(text: str) -> str:
    """Return what a name in SQL stands for."""
    return (text[1:-1].replace('""', '"') if text.startswith('"') else text).lower()


def changed(settings: Settings, name: str, value: str) -> Settings:
    """Return ``settings`` with one changed. Raises ProgrammingError or DataError saying what is valid."""
    if name == "epsilon":
        try:
            number = float(value)
        except ValueError:
            number = 0.0
        if not 0 < number < float("inf"):
            raise DataError(f"epsilon is a positive number, not {value!r}", hint="SET epsilon = 1.0")
        return replace(settings, epsilon=number, accuracy=None)
    if name == "accuracy":
        if value.lower() in ("off", "none", "null"):
            return replace(settings, accuracy=None)
        try:
            share = float(value.removesuffix("%")) / (100 if value.endswith("%") else 1)
        except ValueError:
            share = 0.0
        if not 0 < share < 1:
            raise DataError(f"accuracy is a share between 0 and 1, not {value!r}", hint="SET accuracy = '1%', or off")
        return replace(settings, accuracy=share)
    if name == "allow_missing":
        words = {"true": True, "on": True, "1": True, "false": False, "off": False, "0": False}
        if value.lower() not in words:
            raise DataError(f"allow_missing is true or false, not {value!r}")
        return replace(settings, allow_missing=words[value.lower()])
    raise ProgrammingError(f"there is no setting {name}", hint="settings: epsilon, accuracy, allow_missing")


def _stripped(sql: str) -> str:
    """Return the text without leading comments, surrounding space and a final semicolon."""
    text = sql.strip()
    while text.startswith(("--", "/*")):
        text = (text.partition("\n")[2] if text.startswith("--") else text.partition("*/")[2]).strip()
    return text.rstrip(";").strip()
