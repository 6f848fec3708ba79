"""Loading a party's tables into DuckDB: each source, the owner's `sql` over it, and of that the listed columns alone.

What is loaded is verified, and becomes the table's offer. What is wrong with a file becomes lines that name its keys and
quote no rows.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace

import duckdb

from fedsql.codec import encode
from fedsql.config.loading import kept_columns
from fedsql.config.models import PartyConfig, TableConfig
from fedsql.config.problems import key, near
from fedsql.connectors import Source, open_source
from fedsql.connectors.source import detach
from fedsql.errors import ConfigError
from fedsql.executors.engines.copies import packed, too_large
from fedsql.executors.engines.offers import verify
from fedsql.planner.offer import TableOffer
from fedsql.types import quoted

RAW = "source"  # what the owner's sql calls the rows of the source
_SHOWN = 20


def load(
    database: duckdb.DuckDBPyConnection, config: PartyConfig, secret: bytes
) -> tuple[tuple[TableOffer, ...], tuple[str, ...]]:
    """Load the tables of a party file; return their offers, in its order, and the lines that say what is wrong with it.

    ``secret`` keys the data versions. Tables that are not offered are not in ``database`` afterwards.
    """
    database.execute("ATTACH ':memory:' AS loading")
    database.execute("USE loading")  # so that one table's sql does not see another's rows
    loaded = [_load(database, config, name, table, secret) for name, table in config.tables.items()]
    offers = tuple(offer for offer, _ in loaded if offer is not None)
    for name in config.tables.keys() - {table.name for table in offers}:
        database.execute(f"DROP TABLE IF EXISTS memory.main.{quoted(name)}")
    database.execute("USE memory")
    database.execute("DETACH loading")
    return offers, tuple(line for _, lines in loaded for line in lines)


def _load(
    database: duckdb.DuckDBPyConnection, config: PartyConfig, name: str, table: TableConfig, secret: bytes
) -> tuple[TableOffer | None, list[str]]:
    """Load one table; return its offer, or the lines that say what is wrong with it."""

    def line(where: str, message: str) -> str:
        return config.line(f"{key('tables', name)}.{where}", message)

    try:
        source = open_source(table.source, config.base)
    except ConfigError as error:
        return None, [line("source", message) for message in error.problems]
    step = "source"
    try:
        source.attach(database, RAW)
        rows = RAW
        database.execute(f"DESCRIBE {rows}")
        if table.sql is not None:
            step, rows = "sql", "prepared"
            if [s.type for s in database.extract_statements(table.sql)] != [duckdb.StatementType.SELECT]:
                return None, [line("sql", "write exactly one SELECT ... FROM source")]
            database.execute(f"CREATE VIEW prepared AS {table.sql}")
        types = {column: type_ for column, type_, *_ in database.execute(f"DESCRIBE {rows}").fetchall()}
        if missing := list(_missing(table, list(types))):
            return None, [line(where, message) for where, message in missing]
        if not table.columns:
            return None, []
        if nested := [n for n in _kept(table, types) if "ENUM(" in types[n] and not _is_enum(types[n])]:
            return None, [line(key("columns", n), "its type holds an ENUM; cast it in sql") for n in nested]
        told = [n for n in _kept(table, types) if _is_enum(types[n]) and _are_told(database, table, n, types[n])]
        listed = _wanted(table, types, told)
        database.execute(f"CREATE TABLE memory.main.{quoted(name)} AS SELECT {listed} FROM {rows}")
        step = "columns"
        version = _data_version(secret, config, name, source)
        found = verify(database, config.name, name, table, version, _referred(config, name))
        if found.offer is not None and table.public:
            content = packed(database, name)
            if problem := too_large(content):
                return None, [line("public", problem)]
            return replace(found.offer, content=hashlib.sha256(content).digest()), []
    except duckdb.Error as error:
        return None, [line(step, reason(error))]
    finally:
        database.execute("DROP VIEW IF EXISTS prepared")
        detach(database, RAW)
    return found.offer, [line(where, message) for where, message in found.problems]


def _are_told(database: duckdb.DuckDBPyConnection, table: TableConfig, name: str, enum: str) -> bool:
    """Say whether the values that an ENUM names are just those that the file makes public."""
    values = next((c.values for n, c in table.columns.items() if n.lower() == name.lower()), None)
    if values is None:
        return False
    ((labels,),) = database.execute(f"SELECT enum_range(NULL::{enum})").fetchall()
    return set(labels) == set(values)


def _referred(config: PartyConfig, name: str) -> set[str]:
    """Return the columns of a table that references refer to, in lower case."""
    targets = (target.lower().split(".", 1) for table in config.tables.values() for target in table.references.values())
    return {column for table, column in targets if table == name.lower()}


def _missing(table: TableConfig, names: list[str]) -> Iterator[tuple[str, str]]:
    """Yield (rest of the key, message) for each column that the file names and the rows do not have."""
    known = {name.lower() for name in names}
    listed = {name.lower() for name in table.columns}
    shown = ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
    for lower, name in kept_columns(table).items():
        if lower in known:
            continue
        if lower in listed:
            where = key("columns", name)
        else:
            where = key("references", name) if name in table.references else "privacy_unit"
        yield (
            where,
            f"{name} is no column of {'sql' if table.sql else 'the source'}{near(name, names)}; its columns: {shown}",
        )


def _wanted(table: TableConfig, types: dict[str, str], told: Collection[str]) -> str:
    """Return the select list of the columns to keep, under the names that the rows give them.

    An ENUM becomes text unless its values are ``told``: its type names every one, and the federation learns the type.
    """
    texts = {n for n in _kept(table, types) if _is_enum(types[n]) and n not in told}
    return ", ".join(
        f"CAST({quoted(n)} AS VARCHAR) AS {quoted(n)}" if n in texts else quoted(n) for n in _kept(table, types)
    )


def _kept(table: TableConfig, names: Iterable[str]) -> list[str]:
    """Return the columns to keep as the rows name them."""
    known = {name.lower(): name for name in names}
    return [known[lower] for lower in kept_columns(table)]


def _is_enum(type_: str) -> bool:
    return type_.startswith("ENUM(") and type_.endswith(")")


def _data_version(secret: bytes, config: PartyConfig, name: str, source: Source) -> str:
    """Return the keyed digest of a table's source and configuration, in hexadecimal."""
    described = config.tables[name].model_dump(mode="json", exclude={"source"})
    return hmac.new(secret, encode([config.name, name, source.version, described]), hashlib.sha256).hexdigest()


def reason(error: duckdb.Error) -> str:
    """Return why DuckDB cannot load a table, leaving out messages that quote rows."""
    text = str(error)
    if isinstance(
        error, duckdb.BinderException | duckdb.CatalogException | duckdb.ParserException | duckdb.IOException
    ):
        first = " ".join(part.strip() for part in text.split("\n\nLINE")[0].splitlines() if part.strip())
        return re.sub(r"^(\w+ )+Error: ", "", first)
    place = re.search(r"CSV Error on Line: (\d+)", text)
    where = f" at line {place[1]} of the CSV file" if place else ""
    advice = "its message may quote rows and is left out here: read the source with DuckDB to see it"
    return f"DuckDB stops with {type(error).__name__}{where}; {advice}"
