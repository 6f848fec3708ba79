"""Constants of a statement: parameters, and the question's clock, as typed constants in the places that they are for.

What is signed are pairs (DuckDB type, text): `parameter` makes one of a Python value, `literal` reads it, and takes no other.
"""

from __future__ import annotations

import datetime
import re
import uuid
from decimal import Decimal

from sqlglot import exp

from fedsql.errors import DataError, ProgrammingError
from fedsql.planner.trees import find

_INTEGER = re.compile(r"-?[0-9]{1,39}")
_DECIMAL = re.compile(r"DECIMAL\([0-9]{1,2},[0-9]{1,2}\)")
_TYPES = {"NULL", "BOOLEAN", "INTEGER", "BIGINT", "HUGEINT", "DOUBLE", "VARCHAR"}
_TYPES |= {"DATE", "TIME", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE", "INTERVAL", "BLOB", "UUID"}


def literal(type_text: str, value: str | None) -> exp.Expr:
    """Return a parameter as a typed constant. Raises DataError for what `parameter` does not make."""
    if type_text not in _TYPES and not _DECIMAL.fullmatch(type_text):
        raise DataError(f"a parameter of the type {type_text!a} cannot be sent")
    if value is None:
        return exp.cast(exp.null(), type_text, dialect="duckdb") if type_text != "NULL" else exp.null()
    if type_text == "VARCHAR":
        return exp.Literal.string(value)
    if type_text == "BOOLEAN":
        return exp.true() if value == "true" else exp.false()
    if type_text in ("INTEGER", "BIGINT"):
        if not _INTEGER.fullmatch(value):  # it stands in the statement as it is
            raise DataError(f"the parameter {value!a} is not an integer")
        number = exp.Literal.number(value.lstrip("-"))
        return exp.paren(exp.Neg(this=number)) if value.startswith("-") else number
    return exp.cast(exp.Literal.string(value), type_text, dialect="duckdb")


def parameter(value: object) -> tuple[str, str | None]:
    """Return (DuckDB type, text) of a Python value given as a parameter. Raises DataError for what cannot be sent."""
    value = _plain(value)
    if value is None:
        return "NULL", None
    if isinstance(value, bool):
        return "BOOLEAN", "true" if value else "false"
    if isinstance(value, int):
        if not -(2**127) <= value < 2**127:
            raise DataError("an integer parameter does not fit 128 bits", sqlstate="22003")
        wide = "HUGEINT" if not -(2**63) < value < 2**63 else "BIGINT" if abs(value) >= 2**31 else "INTEGER"
        return wide, str(value)
    if isinstance(value, float):
        return "DOUBLE", repr(float(value))
    if isinstance(value, Decimal):
        return _decimal(value)
    if isinstance(value, str):
        if "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
            raise DataError("a text parameter has a character that cannot be sent: NUL, or half of a surrogate pair")
        return "VARCHAR", value
    if isinstance(value, bytes | bytearray | memoryview):
        return "BLOB", "".join(f"\\x{byte:02X}" for byte in bytes(value))
    if isinstance(value, uuid.UUID):
        return "UUID", str(value)
    if isinstance(value, datetime.timedelta) and value == value:
        return "INTERVAL", f"{value.days} days {value.seconds} seconds {value.microseconds} microseconds"
    if isinstance(value, datetime.date | datetime.time) and value == value:
        return _moment(value)
    raise DataError(
        f"a parameter of type {type(value).__name__} cannot be sent",
        hint="one ? for each value: x IN (?, ?)"
        if isinstance(value, list | tuple | set | frozenset)
        else "use int, float, str, Decimal, date, datetime, time, timedelta, bytes, UUID, bool or None",
    )


def native(value: object) -> object:
    """Return a parameter for a statement that DuckDB alone runs. Raises DataError for a Decimal that is none of its."""
    if isinstance(value, Decimal):
        _decimal(value)
    return _plain(value)


def _plain(value: object) -> object:
    """Return a number of NumPy as Python's own. Dates stay as they are: their nanoseconds would become integers."""
    kind = getattr(getattr(value, "dtype", None), "kind", "") if type(value).__module__ == "numpy" else ""
    return value.item() if kind and kind in "biuf" and value.ndim == 0 else value  # type: ignore[attr-defined]


def _decimal(value: Decimal) -> tuple[str, str]:
    if not value.is_finite():
        raise DataError("a Decimal parameter must be finite", hint="float('nan') is a DOUBLE's", sqlstate="22003")
    digits, exponent = value.as_tuple()[1:]
    scale = max(0, -int(exponent))
    precision = max(len(digits) + max(0, int(exponent)), scale, 1)
    if precision > 38:
        raise DataError(f"the Decimal parameter has {precision} digits; DECIMAL holds 38", sqlstate="22003")
    return f"DECIMAL({precision},{scale})", format(value, "f")


def _moment(value: datetime.date | datetime.time) -> tuple[str, str]:
    if isinstance(value, datetime.time):
        if value.tzinfo is not None:
            raise DataError("a time with a time zone cannot be sent", hint="use a datetime, or a time without one")
        return "TIME", value.isoformat()
    if not isinstance(value, datetime.datetime):
        return "DATE", value.isoformat()
    if value.utcoffset() is None:
        return "TIMESTAMP", value.replace(tzinfo=None).isoformat(sep=" ")
    try:
        return "TIMESTAMP WITH TIME ZONE", value.astimezone(datetime.UTC).isoformat(sep=" ")
    except OverflowError:
        raise DataError("a datetime parameter lies outside of the years 1 to 9999", sqlstate="22008") from None


def bind_parameters(tree: exp.Query, parameters: tuple[tuple[str, str | None], ...]) -> exp.Query:
    """Put the parameters in place of ? (in order) and $1, $2, ... Raises ProgrammingError when the counts differ."""
    check_count(count_marks(tree), len(parameters))
    for mark in find(tree, exp.Placeholder):
        mark.replace(literal(*parameters[int(str(mark.this)) - 1]))
    return tree


def check_count(wanted: int, given: int) -> None:
    """Raise ProgrammingError unless a statement with ``wanted`` parameters was given as many."""
    if wanted != given:
        raise ProgrammingError(
            f"the statement has {wanted} parameters, {given} were given",
            hint=None if given else "execute(sql, (value, ...))",
            sqlstate="07001",
        )


def count_marks(tree: exp.Expr) -> int:
    """Return how many parameters ``tree`` has. Raises ProgrammingError for one with a name."""
    numbers = [0]
    for text in [str(mark.this or "") for mark in find(tree, exp.Placeholder)]:
        if text == "0":
            raise ProgrammingError("there is no parameter $0", hint="the first one is $1", sqlstate="07001")
        if not text.isdigit():
            hint = f"give a mapping: {{{text!r}: ...}}"
            raise ProgrammingError(f"the parameter {text} was not given", hint=hint, sqlstate="07001")
        numbers.append(int(text))
    return max(numbers)


def bind_now(tree: exp.Query, now: str) -> bool:
    """Put the question's own clock in place of now(), current_date and their like, so that all parties agree.

    Return whether there was any.
    """
    found = False
    stamp = f"{now}+00"
    constants = {
        exp.CurrentDate: ("DATE", now[:10]),
        exp.CurrentTimestamp: ("TIMESTAMP WITH TIME ZONE", stamp),
        exp.CurrentTime: ("TIME", now[11:]),
        exp.Localtimestamp: ("TIMESTAMP", now),
        exp.Localtime: ("TIME", now[11:]),
    }
    names = {"now": exp.CurrentTimestamp, "today": exp.CurrentDate, "get_current_timestamp": exp.CurrentTimestamp}
    names |= {"transaction_timestamp": exp.CurrentTimestamp, "current_localtimestamp": exp.Localtimestamp}
    for node in find(tree, exp.Func):
        kind = names.get(node.name.lower()) if isinstance(node, exp.Anonymous) else type(node)
        if kind in constants:
            type_text, value = constants[kind]
            node.replace(exp.cast(exp.Literal.string(value), type_text, dialect="duckdb"))
            found = True
    return found
