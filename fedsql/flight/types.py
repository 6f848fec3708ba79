"""Types as Flight SQL's clients know them: field metadata of columns, and the answer to CommandGetXdbcTypeInfo."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pyarrow as pa

from fedsql.types import SqlType

_KEY = "ARROW:FLIGHT:SQL:"
_NULLABLE, _SEARCHABLE, _BASIC = 1, 3, 2
TYPE_INFO = pa.schema(
    [
        pa.field("type_name", pa.utf8(), nullable=False),
        pa.field("data_type", pa.int32(), nullable=False),
        pa.field("column_size", pa.int32()),
        pa.field("literal_prefix", pa.utf8()),
        pa.field("literal_suffix", pa.utf8()),
        pa.field("create_params", pa.list_(pa.field("item", pa.utf8(), nullable=False))),
        pa.field("nullable", pa.int32(), nullable=False),
        pa.field("case_sensitive", pa.bool_(), nullable=False),
        pa.field("searchable", pa.int32(), nullable=False),
        pa.field("unsigned_attribute", pa.bool_()),
        pa.field("fixed_prec_scale", pa.bool_(), nullable=False),
        pa.field("auto_increment", pa.bool_()),
        pa.field("local_type_name", pa.utf8()),
        pa.field("minimum_scale", pa.int32()),
        pa.field("maximum_scale", pa.int32()),
        pa.field("sql_data_type", pa.int32(), nullable=False),
        pa.field("datetime_subcode", pa.int32()),
        pa.field("num_prec_radix", pa.int32()),
        pa.field("interval_precision", pa.int32()),
    ]
)


@dataclass(frozen=True)
class _Type:
    """One DuckDB type: its XdbcDataType, column size, what its literals stand in, and what SQL knows of it."""

    name: str
    code: int
    size: int | None
    quote: str | None = None
    parameters: tuple[str, ...] = ()
    scale: int | None = None
    sql_code: int | None = None
    subcode: int | None = None
    unsigned: bool | None = None
    radix: int | None = None

    def row(self) -> dict[str, object]:
        text = self.name == "VARCHAR"
        return {
            "type_name": self.name,
            "data_type": self.code,
            "column_size": self.size,
            "literal_prefix": self.quote and (self.quote if text else f"{self.name} {self.quote}"),
            "literal_suffix": self.quote,
            "create_params": list(self.parameters),
            "nullable": _NULLABLE,
            "case_sensitive": text,
            "searchable": _SEARCHABLE if text else _BASIC,
            "unsigned_attribute": self.unsigned,
            "fixed_prec_scale": False,
            "auto_increment": None if self.radix is None else False,
            "local_type_name": self.name,
            "minimum_scale": None if self.scale is None else 0,
            "maximum_scale": self.scale,
            "sql_data_type": self.code if self.sql_code is None else self.sql_code,
            "datetime_subcode": self.subcode,
            "num_prec_radix": self.radix,
            "interval_precision": None,
        }


def _number(name: str, code: int, digits: int, *, unsigned: bool = False, scale: int = 0) -> _Type:
    return _Type(name, code, digits, scale=scale, unsigned=unsigned, radix=10)


_DATETIME = 9
_TYPES = (
    _Type("BOOLEAN", -7, 1),
    _number("TINYINT", -6, 3),
    _number("UTINYINT", -6, 3, unsigned=True),
    _number("BIGINT", -5, 19),
    _number("UBIGINT", -5, 20, unsigned=True),
    _Type("BLOB", -3, 2**31 - 1, quote="'"),
    _Type("DECIMAL", 3, 38, parameters=("precision", "scale"), scale=38, unsigned=False, radix=10),
    _number("HUGEINT", 3, 38),
    _number("INTEGER", 4, 10),
    _number("UINTEGER", 4, 10, unsigned=True),
    _number("SMALLINT", 5, 5),
    _number("USMALLINT", 5, 5, unsigned=True),
    _Type("FLOAT", 7, 24, unsigned=False, radix=2),
    _Type("DOUBLE", 8, 53, unsigned=False, radix=2),
    _Type("INTERVAL", 10, 49, quote="'"),
    _Type("VARCHAR", 12, 2**31 - 1, quote="'"),
    _Type("UUID", 12, 36, quote="'"),
    _Type("DATE", 91, 10, quote="'", sql_code=_DATETIME, subcode=2),
    _Type("TIME", 92, 15, quote="'", sql_code=_DATETIME, subcode=4, scale=6),
    _Type("TIMESTAMP", 93, 26, quote="'", sql_code=_DATETIME, subcode=3, scale=6),
    _Type("TIMESTAMP WITH TIME ZONE", 93, 32, quote="'", sql_code=_DATETIME, subcode=5, scale=6),
)
_BY_NAME = {each.name: each for each in _TYPES}


def type_info(data_type: int | None) -> pa.Table:
    """Answer CommandGetXdbcTypeInfo: one row a type, those of XdbcDataType ``data_type`` alone where it is given."""
    return pa.Table.from_pylist(
        [each.row() for each in _TYPES if data_type is None or each.code == data_type], schema=TYPE_INFO
    )


def field_of(
    field: pa.Field, type_: str, remarks: str | None = None, *, catalog: str = "", schema: str = "", table: str = ""
) -> pa.Field:
    """Return ``field`` with the metadata that Flight SQL has for a column of DuckDB's type ``type_``."""
    known = SqlType.parse(type_)
    name = re.match(r"[A-Z ]+", type_.upper())
    described = _BY_NAME.get("VARCHAR" if known.family == "text" else name[0].strip() if name else type_)
    precision, scale = described.size if described else None, None
    if match := re.fullmatch(r"DECIMAL\((\d+),(\d+)\)", type_.upper()):
        precision, scale = int(match[1]), int(match[2])
    told = {
        "CATALOG_NAME": catalog or None,
        "SCHEMA_NAME": schema or None,
        "TABLE_NAME": table or None,
        "TYPE_NAME": type_,
        "PRECISION": precision,
        "SCALE": scale,
        "IS_AUTO_INCREMENT": 0,
        "IS_CASE_SENSITIVE": int(known.family == "text"),
        "IS_READ_ONLY": 1,
        "IS_SEARCHABLE": 1,
        "REMARKS": remarks,
    }
    return field.with_metadata({_KEY + key: str(value) for key, value in told.items() if value is not None})


def with_types(schema: pa.Schema, columns: tuple[tuple[str, str], ...]) -> pa.Schema:
    """Return the schema of a result with the metadata of its (name, DuckDB type) columns."""
    return pa.schema([field_of(field, type_) for field, (_, type_) in zip(schema, columns, strict=True)])
