"""DuckDB as the planner's `Typer`: DESCRIBE over empty tables that mirror the catalog.

It holds no data, is small, and only binds. It is locked before anything that others named reaches it, be it a table of
their offers or a statement of a question: no file, network or extension can be reached from it.
"""

from __future__ import annotations

import difflib
import json
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import duckdb

from fedsql.errors import (
    DatabaseError,
    DataError,
    IntegrityError,
    NotSupportedError,
    OperationalError,
    ProgrammingError,
)
from fedsql.executors.engines.describer_process import locked, run
from fedsql.planner.catalog import Catalog
from fedsql.planner.logical import MARGIN
from fedsql.planner.parse import Unread
from fedsql.planner.schema import Local, Schema, mirror
from fedsql.types import is_type, quoted

_DESCRIBE = "DESCRIBE "
_BEFORE = (
    "SET TimeZone = 'UTC'",
    f"CREATE MACRO {MARGIN}(aggregate) AS CAST(0 AS DOUBLE)",
    "SET lock_configuration = true",
)
_CLAUSES = (
    "SELECT",
    "FROM",
    "WHERE",
    "GROUP",
    "HAVING",
    "ORDER",
    "LIMIT",
    "JOIN",
    "USING",
    "UNION",
    "WITH",
    "DISTINCT",
)
_NO_SOURCES = ("EMPTY", "EXPRESSION_LIST", "JOIN", "SUBQUERY", "SELECT_NODE")
_QUOTES = ('"', "\u2018", "\u2019", "\u201c", "\u201d")  # of a name, or what word processors make of a text's
_STATES = (  # SQLSTATE of DuckDB's complaints: the first line that fits
    (r"syntax error", "42601"),
    (r"(?i)(Table|View|Sequence).* does not exist", "42P01"),
    (r"already exists", "42P07"),
    (r"Function with name .* does not exist|No function matches", "42883"),
    (r"Type with name .* does not exist", "42704"),
    (r"(?i)column .*not found|does not have a column", "42703"),
    (r"Ambiguous reference", "42702"),
    (r"must appear in the GROUP BY", "42803"),
    (r"(?i)duplicate key|(unique|primary key) constraint", "23505"),
    (r"NOT NULL constraint", "23502"),
    (r"CHECK constraint", "23514"),
    (r"foreign key constraint", "23503"),
    (r"Division by zero", "22012"),
    (r"(?i)overflow|out of range|too large for|can't be cast because the value", "22003"),
    (r"(?i)(date|time|timestamp)\w* field", "22007"),
    (r"Could not convert string", "22018"),
)
_CLASSES_OF = {
    ProgrammingError: ("42",),
    DataError: ("22",),
    IntegrityError: ("23",),
    NotSupportedError: ("0A",),
    OperationalError: ("53",),
}
_OF_DATA = (duckdb.ConversionException, duckdb.OutOfRangeException, duckdb.InvalidInputException)
_MOST_TAKEN = 6  # lists of types in a hint
_IN_ORDER = "SELECT ... FROM ... JOIN ... ON ... WHERE ... GROUP BY ... HAVING ... ORDER BY ... LIMIT ..."


class Database(Protocol):
    """An empty database in which statements are described: here, or in a process of its own (describer.py)."""

    def prepare(self, statements: Sequence[str]) -> None:
        """Run statements that make what others are described over. Raises duckdb.Error."""

    def run(self, sql: str) -> Sequence[Sequence[Any]]:
        """Run one statement and return its rows. Raises duckdb.Error, and TooComplex where it takes too much."""


class Here:
    """A database in this process: describing a statement takes what time and memory it takes."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._database = locked()

    def prepare(self, statements: Sequence[str]) -> None:
        """Run statements one after the other."""
        for each in statements:
            self.run(each)

    def run(self, sql: str) -> Sequence[Sequence[Any]]:
        """Run one statement and return its rows."""
        with self._guard:
            return run(self._database, sql)


class DuckDBTyper:
    """A `fedsql.planner.typer.Typer` over the tables of ``catalog`` and the analyst's ``local`` ones.

    ``database``: where statements are described, by default in this process. Raises ProgrammingError when a table cannot
    be: its names or types are none.
    """

    def __init__(self, catalog: Catalog, local: Local = (), database: Database | None = None) -> None:
        self._database = database or Here()
        self._prepare(_BEFORE)
        self.tables = mirror(catalog, local, self.supertype)
        self._prepare(list(_creating(self.tables)))

    def describe(self, sql: str) -> list[tuple[str, str]]:
        """Return (name, type) of each column of ``sql``."""
        with _said(len(_DESCRIBE)):
            return [(row[0], row[1]) for row in self._database.run(f"{_DESCRIBE}{sql}")]

    def supertype(self, types: Sequence[str]) -> str:
        """Return the common supertype of ``types``."""
        return self.describe(" UNION ALL ".join(f"SELECT CAST(NULL AS {_type(t)}) AS x" for t in types))[0][1]

    def reads(self, sql: str) -> list[tuple[str, str]]:
        """Return (schema, name) of each table that ``sql`` names, sorted; see `fedsql.planner.typer.Typer`."""
        text = sql.replace("'", "''")
        with _said():
            ((found, _),) = self._database.run(f"SELECT json_serialize_sql(CAST('{text}' AS VARCHAR)), ''")
        tree = json.loads(found)
        if tree["error"]:
            raise ProgrammingError(tree["error_message"])
        return sorted(_sources(tree["statements"]))

    def _prepare(self, statements: Sequence[str]) -> None:
        with _said():
            self._database.prepare(statements)


def _creating(tables: Schema) -> Iterator[str]:
    """Yield the statements that make empty tables."""
    for schema, named in tables.items():
        if schema != "main":
            yield f"CREATE SCHEMA {quoted(schema)}"
        for table, columns in named.items():
            listed = ", ".join(f"{quoted(name)} {_type(text)}" for name, text in columns.items())
            yield f"CREATE TABLE {quoted(schema)}.{quoted(table)} ({listed or 'nothing INTEGER'})"


def _sources(tree: object) -> Iterator[tuple[str, str]]:
    """Yield what rows come from in a tree of DuckDB's parser: of its nodes those in FROM and blocks have a ``sample``."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            if "sample" in node and node["type"] not in _NO_SOURCES:
                plain = node["type"] == "BASE_TABLE" and not node["catalog_name"]
                yield (node["schema_name"], node["table_name"]) if plain else ("", node["type"])
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)


@contextmanager
def _said(before: int = 0) -> Iterator[None]:
    try:
        yield
    except duckdb.Error as error:
        raise as_sql_error(error, before) from None


def _type(text: str) -> str:
    if not is_type(text):
        raise ProgrammingError(f"{text!a} is not a type")
    return text


@contextmanager
def read_twice(sql: str) -> Iterator[None]:
    """Where ``sql`` is Unread inside, raise DuckDB's complaint about it, if it has one: it knows the place better."""
    try:
        yield
    except Unread as unread:
        try:
            with locked() as database:
                database.extract_statements(sql)
        except duckdb.Error as error:
            raise as_sql_error(error) from None
        raise ProgrammingError(
            unread.message, hint=unread.hint, position=unread.position, sqlstate=unread.sqlstate
        ) from None


def as_sql_error(error: duckdb.Error, before: int = 0) -> DatabaseError:
    """Turn DuckDB's complaint about a statement into ours: one line, its advice as the hint, the caret's place.

    ``before``: how many characters of ours stand before the user's text on its first line.
    """
    lines = [line.strip() for line in str(error).split("\n\nLINE")[0].splitlines() if line.strip()]
    message = re.sub(r"^(\w+ ){1,3}Error: ", "", lines[0]) if lines else "the statement cannot be run"
    state = "42601" if isinstance(error, duckdb.ParserException) else None
    state = next((state for pattern, state in _STATES if re.search(pattern, message)), state)
    hint = " ".join(lines[1:]).replace(": : ", ": ") or None
    if hint and len(hint) > 300:
        hint = hint[:300] + " ..."
    if called := re.match(r"No function matches the given name and argument types '(\w+|[^\w(]+)\((.*)\)'\.", message):
        message = f"no {called[1]} takes ({called[2].replace('_LITERAL', '')})"
        hint = f"it takes {_taken(lines)}; CAST(x AS type) changes a type"
    if message.startswith("Sequence with name"):
        hint = "queries read no sequences: nextval('s') stands in DEFAULT, INSERT and UPDATE of local tables"
    position = None
    if match := re.search(r"LINE (\d+): (.*)\n(\s*)\^", str(error)):
        number, text, pad = match.groups()
        shown = len(pad) - len(f"LINE {number}: ")
        shown -= before if number == "1" else 0
        position = (int(number), shown + 1) if shown >= 0 and not text.startswith("...") else None
        if message.startswith("syntax error"):
            hint = _mistyped(f"LINE {number}: {text}", len(pad))
        elif f"LINE {number}: {text}"[len(pad) :].startswith(_QUOTES):
            name = re.match(r'Referenced column "(.*)" not found', message)
            hint = f"text stands in single quotes: '{name[1].strip(''.join(_QUOTES))}'" if name else hint
    kind: type[DatabaseError] = ProgrammingError
    if unusable := re.match(r"Unable to transform python value of type '<class '(.*)'>'", message):
        message, kind = f"a parameter of type {unusable[1].rpartition('.')[2]} cannot be used", DataError
    elif isinstance(error, duckdb.NotImplementedException):
        kind = NotSupportedError
    elif isinstance(error, duckdb.ConstraintException):
        kind = IntegrityError
    elif isinstance(error, duckdb.OutOfMemoryException):
        kind, state = OperationalError, "53200"
    elif isinstance(error, _OF_DATA):
        kind = DataError
    # A class of states belongs to a class of errors: what does not fit was another's words.
    fits = state is None or state[:2] in _CLASSES_OF[kind]
    return kind(message, hint=hint, position=position, sqlstate=state if fits else None)


def _taken(lines: Sequence[str]) -> str:
    """Return which types of arguments a function takes, from DuckDB's lines of candidates, such as f(x INTEGER, /) -> DOUBLE."""
    found = [match[1].split(", ") for line in lines if (match := re.search(r"\((.*)\) -> ", line))]
    listed = [", ".join(each.split(" ", 1)[-1] for each in types if each != "/") for types in found]
    several = [f"({types})" for types in dict.fromkeys(listed)]
    return ", ".join([*several[:_MOST_TAKEN], *(["..."] if len(several) > _MOST_TAKEN else [])]) or "other arguments"


def _mistyped(line: str, place: int) -> str:
    """Return a hint for a syntax error at ``place``: the word there, or the one before it, may be a clause's, misspelt."""
    before, here = re.findall(r"\w+", line[:place])[-1:], re.findall(r"^\w+", line[place:])
    for word in (*before, *here):
        near = difflib.get_close_matches(word.upper(), _CLAUSES, n=1, cutoff=0.75)
        if near and near[0] != word.upper():
            return f"did you mean {near[0]}?"
    if before and before[0].upper() in ("GROUP", "ORDER") and [word.upper() for word in here] != ["BY"]:
        return f"{before[0].upper()} BY ..."
    return f"the order is: {_IN_ORDER}"
