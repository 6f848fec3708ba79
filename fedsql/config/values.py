"""How single values of the files are written, and what they become: names, periods, bounds, public values, keys.

Each function takes what TOML (or Python) gave and returns the value, or raises ValueError saying what to write.
"""

from __future__ import annotations

import base64
import datetime
import os
import re
from collections import Counter
from collections.abc import Callable, Mapping
from decimal import Decimal
from numbers import Integral
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, Strict

from fedsql.config.problems import choices

USES = ("group", "filter", "aggregate", "join")
AGGREGATES = ("count", "sum", "avg", "stddev", "var", "covar", "corr", "regr", "count_distinct")
UNLISTED_AGGREGATES = ("min", "max", "quantile", "mode")
# Schemas of DuckDB's own, and the one where copies of public tables stand.
RESERVED = ("main", "temp", "system", "memory", "pg_catalog", "information_schema", "copies")
MONTH = 30 * 86400
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_VARIABLE = re.compile(r"\$\{([^}]*)\}")


def expand(text: str) -> str:
    """Replace each ``${NAME}`` by that environment variable. Raises ValueError naming one that is not set."""

    def value(match: re.Match[str]) -> str:
        if match[1] not in os.environ:
            raise ValueError(f"the environment variable {match[1]} is not set")
        return os.environ[match[1]]

    return _VARIABLE.sub(value, text)


def _identifier(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,62}", name):
        raise ValueError(f"{name!r} is not a name: letters, digits and _ (at most 63), no digit first")
    return name


def _party_name(name: str) -> str:
    if _identifier(name).lower() in RESERVED:
        raise ValueError(f"{name!r} is a name that SQL keeps for itself; choose another")
    return name


def _column_name(name: str) -> str:
    if not name.strip() or not name.isprintable() or '"' in name:
        raise ValueError("a column's name is printable text without double quotes")
    return name


def one_of(*valid: str) -> Callable[[Any], str]:
    """Return a validator of one of the texts ``valid``."""

    def check(value: Any) -> str:
        if not isinstance(value, str):
            raise ValueError(f"expected one text of: {', '.join(valid)}")
        if value not in valid:
            raise ValueError(f"{value!r} is unknown{choices(value, valid)}")
        return value

    return check


def some_of(*valid: str) -> Callable[[Any], tuple[str, ...]]:
    """Return a validator of a list of the texts ``valid``, each at most once."""

    def check(value: Any) -> tuple[str, ...]:
        return tuple(one_of(*valid)(item) for item in _texts(value))

    return check


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(v, str) and v for v in value):
        raise ValueError('expected a list of texts, such as ["a", "b"]')
    return _once(tuple(value))


def _once(items: tuple[str, ...]) -> tuple[str, ...]:
    for item, count in Counter(items).most_common(1):
        if count > 1:
            raise ValueError(f"{item!r} is there twice")
    return items


def period(value: Any) -> int:
    """Return the seconds of a period such as "30d". Raises ValueError."""
    match = re.fullmatch(r"(\d+)\s*([smhdw])", value.strip()) if isinstance(value, str) else None
    if not match or not int(match[1]):
        raise ValueError('write a number and a unit: s, m, h, d or w, such as "30d"')
    return int(match[1]) * _SECONDS[match[2]]


def _number(value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, Integral | float | Decimal):
        raise ValueError(f"{value!r} is not a number" if isinstance(value, str) else "expected a number")
    number = Decimal(int(value)) if isinstance(value, Integral) else Decimal(str(value))
    if not number.is_finite():
        raise ValueError(f"{value} is not finite")
    return number


def _bounds(value: Any) -> tuple[Any, Any]:
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise ValueError("write [low, high]")
    read: Callable[[Any], Any] = _date if all(_is_date(bound) for bound in value) else _number
    try:
        low, high = map(read, value)
    except ValueError as error:
        raise ValueError(f"{error}; write [low, high]") from None
    if low > high:
        raise ValueError(f"low {low} is above high {high}; write [low, high]")
    return low, high


def _is_date(value: Any) -> bool:
    if isinstance(value, str):
        return re.fullmatch(r"\d{4}-\d{2}-\d{2}", value) is not None
    return isinstance(value, datetime.date) and not isinstance(value, datetime.datetime)


def _date(value: str | datetime.date) -> datetime.date:
    try:
        return datetime.date.fromisoformat(str(value))
    except ValueError:
        raise ValueError(f"{value!r} is no date") from None


def _scalar(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return value
    if isinstance(value, datetime.date | datetime.time):
        return str(value)
    return format(_number(value), "f")


def _values(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not value or any(isinstance(v, list | dict) for v in value):
        raise ValueError('expected a list of single values, such as ["F", "M"]')
    return _once(tuple(_scalar(v) for v in value))


def _public_key(text: str) -> str:
    scheme, _, encoded = text.partition(":")
    try:
        raw = base64.b64decode(encoded, validate=True)
    except ValueError:
        raw = b""
    # One spelling alone: base64 leaves bits of the last digit unused, and one key must not pass for two.
    if scheme != "ed25519" or len(raw) != 32 or base64.b64encode(raw).decode() != encoded:
        raise ValueError('write "ed25519:" and the 32 bytes of the key in base64')
    return text


def _address(text: str) -> str:
    if not re.fullmatch(r"grpc(\+tls)?://[^\s/:]+:\d{1,5}|grpc(\+tls)?://\[[0-9a-fA-F:]+\]:\d{1,5}", text):
        raise ValueError("write grpc+tls://host:port")
    return text


def _memory(text: str) -> str:
    if not re.fullmatch(r"(?=.*[1-9])\d+(\.\d+)? ?[KMGT]i?B", text):
        raise ValueError('write a size such as "4GB"')
    return text


def mistake_in_name(name: str, *, party: bool) -> str | None:
    """Return what is wrong with the name of a party, or else of an analyst; None for a name that can be used."""
    try:
        (_party_name if party else _identifier)(name)
    except ValueError as error:
        return str(error)
    return None


def distinct(names: Mapping[str, Any]) -> Mapping[str, Any]:
    """Refuse names that differ in case only, for SQL does not tell them apart."""
    seen: dict[str, str] = {}
    for name in names:
        if (other := seen.setdefault(name.lower(), name)) != name:
            raise ValueError(f"{other} and {name} differ in case only; names are the same in any case")
    return names


Text = Annotated[str, Field(min_length=1)]
Flag = Annotated[bool, Strict()]
Count = Annotated[int, Strict(), Field(ge=1)]
Natural = Annotated[int, Strict(), Field(ge=0)]
Number = Annotated[float, BeforeValidator(_number)]
Positive = Annotated[Number, Field(gt=0)]
Period = Annotated[int, BeforeValidator(period)]
Names = Annotated[tuple[str, ...], BeforeValidator(_texts)]
Identifier = Annotated[str, AfterValidator(_identifier)]
PartyName = Annotated[str, AfterValidator(_party_name)]
ColumnName = Annotated[str, AfterValidator(_column_name)]
Bounds = Annotated[tuple[Decimal, Decimal] | tuple[datetime.date, datetime.date], BeforeValidator(_bounds)]
Values = Annotated[tuple[str, ...], BeforeValidator(_values)]
Address = Annotated[str, AfterValidator(_address)]
Memory = Annotated[str, AfterValidator(_memory)]
PublicKey = Annotated[str, AfterValidator(_public_key)]
