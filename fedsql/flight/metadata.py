"""What there is, as Flight SQL tells it: catalogs, schemas, tables, columns, keys. From the offers alone: it costs nothing.

The catalog is the federation. The schema ``main`` holds the unions over all parties and the session's local tables and
views; each party is a schema of its own. A column's remarks say what its owners let it be used for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from fedsql.flight.like import Like
from fedsql.flight.types import field_of
from fedsql.planner.offer import ColumnOffer
from fedsql.planner.schema import UNION
from fedsql.session import Session

TABLE, VIEW = "TABLE", "VIEW"
_TEXT = pa.utf8()


def _schema(*fields: tuple[str, pa.DataType, bool]) -> pa.Schema:
    return pa.schema([pa.field(name, type_, nullable) for name, type_, nullable in fields])


CATALOGS = _schema(("catalog_name", _TEXT, False))
SCHEMAS = _schema(("catalog_name", _TEXT, True), ("db_schema_name", _TEXT, False))
TABLES = _schema(
    ("catalog_name", _TEXT, True),
    ("db_schema_name", _TEXT, True),
    ("table_name", _TEXT, False),
    ("table_type", _TEXT, False),
)
TABLES_AND_SCHEMAS = TABLES.append(pa.field("table_schema", pa.binary(), nullable=False))
TABLE_TYPES = _schema(("table_type", _TEXT, False))
PRIMARY_KEYS = _schema(
    ("catalog_name", _TEXT, True),
    ("db_schema_name", _TEXT, True),
    ("table_name", _TEXT, False),
    ("column_name", _TEXT, False),
    ("key_name", _TEXT, True),
    ("key_sequence", pa.int32(), False),
)
REFERENCES = _schema(
    ("pk_catalog_name", _TEXT, True),
    ("pk_db_schema_name", _TEXT, True),
    ("pk_table_name", _TEXT, False),
    ("pk_column_name", _TEXT, False),
    ("fk_catalog_name", _TEXT, True),
    ("fk_db_schema_name", _TEXT, True),
    ("fk_table_name", _TEXT, False),
    ("fk_column_name", _TEXT, False),
    ("key_sequence", pa.int32(), False),
    ("fk_key_name", _TEXT, True),
    ("pk_key_name", _TEXT, True),
    ("update_rule", pa.uint8(), False),
    ("delete_rule", pa.uint8(), False),
)
_NO_ACTION = 3


@dataclass(frozen=True)
class Listed:
    """A table or view; ``schema`` is None where it was not asked for."""

    db_schema: str
    name: str
    type: str
    schema: pa.Schema | None = None


def catalogs(session: Session) -> pa.Table:
    """Return the one catalog."""
    return _rows(CATALOGS, [(_catalog(session),)])


def schemas(session: Session, command: Any) -> pa.Table:
    """Answer CommandGetDbSchemas."""
    catalog = _catalog(session)
    wanted = _pattern(command, "db_schema_filter_pattern")
    names = sorted(_mirror(session)) if _is_catalog(command, catalog) else []
    return _rows(SCHEMAS, ((catalog, name) for name in names if wanted.matches(name)))


def tables(session: Session, command: Any) -> pa.Table:
    """Answer CommandGetTables."""
    catalog, with_schema = _catalog(session), bool(command.include_schema)
    shape = TABLES_AND_SCHEMAS if with_schema else TABLES
    if not _is_catalog(command, catalog):
        return shape.empty_table()
    schema, name = _pattern(command, "db_schema_filter_pattern"), _pattern(command, "table_name_filter_pattern")
    types = {each.upper().removeprefix("BASE ") for each in command.table_types}
    rows = []
    for each in _listed(session, schema, name, types, with_schema):
        row = (catalog, each.db_schema, each.name, each.type)
        rows.append((*row, each.schema.serialize().to_pybytes()) if each.schema is not None else row)
    return _rows(shape, rows)


def table_types() -> pa.Table:
    """Answer CommandGetTableTypes."""
    return _rows(TABLE_TYPES, [(TABLE,), (VIEW,)])


def primary_keys(session: Session, command: Any) -> pa.Table:
    """Answer CommandGetPrimaryKeys: those of local tables. What a party offers has none that it would promise."""
    catalog, schema = _catalog(session), _given(command, "db_schema")
    wanted = command.table.lower()
    columns: list[str] = []
    if schema in (None, "", UNION) and _is_catalog(command, catalog):
        keys = [(str(table).lower(), kind, str(column)) for table, _, kind, column, *_ in session.local.keys()]  # noqa: SIM118
        columns = [column.lower() for table, kind, column in keys if table == wanted and kind == "primary key"]
    rows = ((catalog, UNION, wanted, column, None, number) for number, column in enumerate(columns, start=1))
    return _rows(PRIMARY_KEYS, rows)


def references(session: Session, of: tuple[str, str] | None, to: tuple[str, str] | None) -> pa.Table:
    """Return the references that parties declare, and those of local tables.

    ``of``: only those of one (schema, table), ``to``: those to another; "": in any schema.
    """
    catalog = _catalog(session)
    rows = []
    for schema, table, column, target, key in sorted(set(_references(session))):
        if of is not None and (of[0] not in ("", schema) or of[1].lower() != table):
            continue
        if to is not None and (to[0] not in ("", schema) or to[1].lower() != target):
            continue
        keys = (catalog, schema, target, key, catalog, schema, table, column, 1)
        rows.append((*keys, None, None, _NO_ACTION, _NO_ACTION))
    return _rows(REFERENCES, rows)


def _references(session: Session) -> Iterator[tuple[str, str, str, str, str]]:
    for offer in session.federation.directory.catalog.offers:
        for table in offer.tables:
            for column, target in table.references.items():
                name, _, key = target.lower().rpartition(".")
                for db_schema in (UNION, offer.party.lower()):
                    yield db_schema, table.name.lower(), column.lower(), name, key
    for own, _, kind, column_name, other, other_column in session.local.keys():  # noqa: SIM118
        if kind == "foreign key":
            yield UNION, str(own).lower(), str(column_name).lower(), str(other).lower(), str(other_column).lower()


def _listed(session: Session, schema: Like, name: Like, types: set[str], with_schema: bool) -> Iterator[Listed]:
    mirror = _mirror(session)
    for db_schema in sorted(each for each in mirror if schema.matches(each)):
        for table, columns in sorted(mirror[db_schema].items()):
            if name.matches(table) and (not types or TABLE in types):
                shape = _described(session, db_schema, table, columns.items()) if with_schema else None
                yield Listed(db_schema, table, TABLE, shape)
    if not schema.matches(UNION):
        return
    for kind, local in ((TABLE, session.local.tables()), (VIEW, dict.fromkeys(session.local.views.names()))):
        for table, given in sorted(local.items()):
            if name.matches(table) and (not types or kind in types):
                shape = None
                if with_schema:
                    columns_of = given or session.describe(f'SELECT * FROM "{table}"')
                    assert isinstance(columns_of, tuple)
                    shape = _described(session, UNION, table, columns_of)
                yield Listed(UNION, table, kind, shape)


def _described(session: Session, schema: str, table: str, columns: Iterable[tuple[str, str]]) -> pa.Schema:
    columns = tuple(columns)
    remarks = _remarks(session, schema, table)
    names = {"catalog": _catalog(session), "schema": schema, "table": table}
    arrow = session.schema(columns)
    return pa.schema(
        [
            field_of(field, type_, remarks.get(name), **names)
            for field, (name, type_) in zip(arrow, columns, strict=True)
        ]
    )


def _remarks(session: Session, schema: str, table: str) -> dict[str, str]:
    """Return for each column what its owners let it be used for, and by whom it is held."""
    held: dict[str, list[tuple[str, ColumnOffer]]] = {}
    for offer in session.federation.directory.catalog.offers:
        for each in offer.tables if schema in (UNION, offer.party.lower()) else ():
            for column in each.columns if each.name.lower() == table else ():
                held.setdefault(column.name.lower(), []).append((offer.party, column))
    said = {}
    for name, offers in held.items():
        uses = frozenset.intersection(*(column.use for _, column in offers))
        bounds = {column.bounds_text for _, column in offers}
        bound = bounds.pop() if len(bounds) == 1 else None
        parts = [f"use: {', '.join(sorted(uses)) or 'none'}"]
        parts += [f"bounds: {bound[0]} to {bound[1]}"] if bound else []
        parts.append(f"at {', '.join(sorted({party for party, _ in offers}))}")
        said[name] = "; ".join(parts)
    return said


def _mirror(session: Session) -> Any:
    return session.federation.directory.typer(()).tables


def _catalog(session: Session) -> str:
    return session.federation.directory.catalog.federation


def _given(command: Any, field: str) -> str | None:
    return getattr(command, field) if command.HasField(field) else None


def _is_catalog(command: Any, catalog: str) -> bool:
    """Say whether the catalog that a command asks for, or any, is ours."""
    return _given(command, "catalog") in (None, catalog)


def _pattern(command: Any, field: str) -> Like:
    """Return a LIKE pattern of a command; any name matches where none is given."""
    return Like(_given(command, field) or "%")


def _rows(schema: pa.Schema, rows: Iterable[tuple[object, ...]]) -> pa.Table:
    listed = list(rows)
    columns = list(zip(*listed, strict=True)) if listed else [()] * len(schema)
    return pa.table([pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema=schema)
