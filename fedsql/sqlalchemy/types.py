"""DuckDB's types as SQLAlchemy's: what a column is when it is reflected, and how values come and go.

`column_type` reads DuckDB's text of a type. A type without a counterpart (STRUCT, MAP, UNION, BIT) is `DuckDBType`, which
keeps its text: a table that was reflected can be created again.
"""

from __future__ import annotations

import datetime
import decimal
import re
import uuid
from collections.abc import Callable
from typing import Any

from sqlalchemy import types as sqltypes
from sqlalchemy.sql import sqltypes as sqltypes_impl
from sqlalchemy.sql import type_api
from sqlalchemy.types import (
    ARRAY,
    BIGINT,
    BLOB,
    BOOLEAN,
    DATE,
    DECIMAL,
    INTEGER,
    JSON,
    REAL,
    SMALLINT,
    TIME,
    TIMESTAMP,
    VARCHAR,
    Enum,
    Float,
    Integer,
    Interval,
    TypeEngine,
    UserDefinedType,
)

_Uuid: Any = getattr(sqltypes, "Uuid", UserDefinedType)  # SQLAlchemy 1.4 has none


class TINYINT(Integer):
    """A whole number of 8 bits."""

    __visit_name__ = "TINYINT"


class UTINYINT(Integer):
    """A whole number of 8 bits without a sign."""

    __visit_name__ = "UTINYINT"


class USMALLINT(Integer):
    """A whole number of 16 bits without a sign."""

    __visit_name__ = "USMALLINT"


class UINTEGER(Integer):
    """A whole number of 32 bits without a sign."""

    __visit_name__ = "UINTEGER"


class UBIGINT(Integer):
    """A whole number of 64 bits without a sign."""

    __visit_name__ = "UBIGINT"


class HUGEINT(Integer):
    """A whole number of 128 bits: what sums of whole numbers are."""

    __visit_name__ = "HUGEINT"


class UHUGEINT(Integer):
    """A whole number of 128 bits without a sign."""

    __visit_name__ = "UHUGEINT"


class DOUBLE(Float):  # type: ignore[type-arg]  # SQLAlchemy 1.4 has no DOUBLE of its own
    """A binary floating-point number of 64 bits."""

    __visit_name__ = "DOUBLE"


class NUMERIC(sqltypes.Numeric):  # type: ignore[type-arg]
    """A number that Python sees as a Decimal (or, with asdecimal=False, a float): DuckDB's quotients are DOUBLE."""

    def result_processor(self, dialect: Any, coltype: Any) -> Any:
        """Return a Decimal of a float's shortest text, or a float of a Decimal."""
        if not self.asdecimal:
            return lambda value: None if value is None else float(value)
        return lambda value: decimal.Decimal(repr(value)) if isinstance(value, float) else value


class BYTES(sqltypes.LargeBinary):
    """Bytes: no driver needs a wrapper around them."""

    def bind_processor(self, dialect: Any) -> Any:
        """Pass bytes as they are."""
        return None


class INTERVAL(type_api.NativeForEmulated, sqltypes_impl._AbstractInterval):
    """An INTERVAL, as a timedelta: a month is 30 days."""

    __visit_name__ = "INTERVAL"
    native = True

    @classmethod
    def adapt_emulated_to_native(cls, impl: Any, **_: Any) -> INTERVAL:
        """Return what stands for SQLAlchemy's Interval."""
        return cls()

    @property
    def _type_affinity(self) -> Any:
        return Interval

    @property
    def python_type(self) -> type[datetime.timedelta]:
        """Return timedelta."""
        return datetime.timedelta

    def bind_processor(self, dialect: Any) -> Any:
        """Pass a timedelta as it is: DuckDB has the type."""
        return None

    def result_processor(self, dialect: Any, coltype: Any) -> Any:
        """Let a timedelta through; through Arrow an INTERVAL is (months, days, nanoseconds)."""

        def process(value: Any) -> Any:
            if value is None or isinstance(value, datetime.timedelta):
                return value
            months, days, nanoseconds = value
            return datetime.timedelta(days=30 * months + days, microseconds=nanoseconds // 1000)

        return process

    def literal_processor(self, dialect: Any) -> Any:
        """Write to_microseconds(n)."""
        return lambda value: f"to_microseconds({value // datetime.timedelta(microseconds=1)})"


class UUID(_Uuid):  # type: ignore[misc]
    """A UUID, as Python's or as text."""

    __visit_name__ = "UUID"
    cache_ok = True

    @property
    def _plain(self) -> bool:
        """Whether it is a UUID of DuckDB's, as it is but for Uuid(native_uuid=False)."""
        return bool(getattr(self, "native_uuid", True))

    def bind_processor(self, dialect: Any) -> Any:
        """Pass a UUID as text, which every driver takes."""
        if not self._plain:
            return super().bind_processor(dialect)
        return lambda value: None if value is None else str(value)

    def result_processor(self, dialect: Any, coltype: Any) -> Any:
        """Return Python's UUID, or text, whatever the driver has."""
        if not self._plain:
            return super().result_processor(dialect, coltype)
        wanted = uuid.UUID if getattr(self, "as_uuid", True) else str
        return lambda value: value if value is None or isinstance(value, wanted) else wanted(str(value))

    def literal_processor(self, dialect: Any) -> Any:
        """Write it as text."""
        if not self._plain:
            return super().literal_processor(dialect)
        return lambda value: f"'{uuid.UUID(str(value))}'"


class DuckDBType(UserDefinedType):  # type: ignore[type-arg]
    """A type of DuckDB without a counterpart: its values come as the driver has them."""

    cache_ok = True

    def __init__(self, text: str) -> None:
        self.text = text

    def get_col_spec(self, **_: Any) -> str:
        """Return DuckDB's text."""
        return self.text


_SIMPLE: dict[str, Callable[[], TypeEngine[Any]]] = {
    "BIGINT": BIGINT,
    "BLOB": BLOB,
    "BOOLEAN": BOOLEAN,
    "DATE": DATE,
    "DOUBLE": DOUBLE,
    "FLOAT": REAL,
    "HUGEINT": HUGEINT,
    "INTEGER": INTEGER,
    "INTERVAL": INTERVAL,
    "JSON": JSON,
    "SMALLINT": SMALLINT,
    "TIME": TIME,
    "TIME WITH TIME ZONE": lambda: TIME(timezone=True),
    "TIME_NS": TIME,
    "TIMESTAMP": TIMESTAMP,
    "TIMESTAMP WITH TIME ZONE": lambda: TIMESTAMP(timezone=True),
    "TIMESTAMP_MS": TIMESTAMP,
    "TIMESTAMP_NS": TIMESTAMP,
    "TIMESTAMP_S": TIMESTAMP,
    "TINYINT": TINYINT,
    "UBIGINT": UBIGINT,
    "UHUGEINT": UHUGEINT,
    "UINTEGER": UINTEGER,
    "USMALLINT": USMALLINT,
    "UTINYINT": UTINYINT,
    "UUID": UUID,
    "VARCHAR": VARCHAR,
}
_TEXT = re.compile(r"'((?:[^']|'')*)'")


def column_type(text: str) -> TypeEngine[Any]:
    """Return the type that DuckDB writes as ``text``, such as ``DECIMAL(10,2)`` or ``INTEGER[]``."""
    if (simple := _SIMPLE.get(text)) is not None:
        return simple()
    if match := re.fullmatch(r"DECIMAL\((\d+),\s*(\d+)\)", text):
        return DECIMAL(int(match[1]), int(match[2]))
    if text.startswith("ENUM(") and text.endswith(")"):
        return Enum(*(value.replace("''", "'") for value in _TEXT.findall(text)), native_enum=False)
    if text.endswith("[]") and (element := text[:-2].rstrip("[]")) in _SIMPLE:
        return ARRAY(column_type(element), dimensions=text.count("[]"))
    return DuckDBType(text)
