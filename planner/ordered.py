"""Values as whole numbers in the same order: how the least and the largest value of a group are found without showing others.

An `Order` maps the values of a type to codes 1, 2, ... that fit ``bits`` bits; 0 stands for no value. The larger code is
the value that is asked for: for MIN codes run downwards. Numbers are their unscaled integers, dates and times their
distance from an epoch, doubles the integer that their bits are, turned so that it grows with them; or, where it is said
how many digits after the point matter, their value in units of the last one.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from fractions import Fraction

from sqlglot import exp

from fedsql.errors import NotSupportedError
from fedsql.planner.bounds import Interval, Known, interval, meet, type_interval
from fedsql.planner.positions import position
from fedsql.types import SqlType

EXTREMES = ("min", "max")
_FINITE = 0x7FEFFFFFFFFFFFFF  # the bits of the largest double
# SQL of the distance from the epoch, and back; and the largest distance that is a finite value
_MOMENTS = {
    "DATE": ("date_diff('day', DATE '1970-01-01', {})", "make_date(CAST({} AS INTEGER))", (1 << 31) - 1),
    "TIME": ("epoch_us({})", "CAST({} AS TIME)", 86_400_000_000),
    "TIMESTAMP": ("epoch_us({})", "make_timestamp(CAST({} AS BIGINT))", (1 << 63) - 1),
    "TIMESTAMP WITH TIME ZONE": ("epoch_us({})", "make_timestamptz(CAST({} AS BIGINT))", (1 << 63) - 1),
    "TIMESTAMP_S": ("epoch_us({})", "CAST(make_timestamp(CAST({} AS BIGINT)) AS TIMESTAMP_S)", (1 << 63) - 1),
    "TIMESTAMP_MS": ("epoch_us({})", "CAST(make_timestamp(CAST({} AS BIGINT)) AS TIMESTAMP_MS)", (1 << 63) - 1),
    "TIMESTAMP_NS": ("epoch_ns({})", "make_timestamp_ns(CAST({} AS BIGINT))", (1 << 63) - 1),
}


@dataclass(frozen=True)
class Order:
    """How values of ``type`` are numbered: as wholes from ``low`` to ``high``, upwards or downwards.

    ``digits``: of doubles, those after the point that matter; None: they are numbered by their bits.
    """

    type: str
    low: int
    high: int
    upwards: bool = True
    digits: int | None = None

    @property
    def bits(self) -> int:
        """How many bits a code needs."""
        return (self.high - self.low + 1).bit_length()

    @property
    def is_float(self) -> bool:
        """Whether wholes are bits of doubles."""
        return SqlType.parse(self.type).family == "float" and self.digits is None

    @property
    def is_date(self) -> bool:
        """Whether wholes are days."""
        return self.type.upper() == "DATE"

    @property
    def is_whole(self) -> bool:
        """Whether values are numbers that their wholes are a decimal multiple of."""
        return SqlType.parse(self.type).family in ("integer", "decimal", "boolean")

    def whole(self, code: int) -> int:
        """Return the whole number of a code (at least 1)."""
        return code - 1 + self.low if self.upwards else self.high + 1 - code

    def value(self, code: int) -> Fraction | float | int:
        """Return the value of a code: a double, or a number; of dates and times the distance from the epoch."""
        whole = self.whole(code)
        if self.is_float:
            bits = whole if whole >= 0 else whole ^ 0x7FFFFFFFFFFFFFFF
            found: float = struct.unpack("<d", struct.pack("<q", bits))[0]
            return found
        return Fraction(whole, 10 ** (self.digits or SqlType.parse(self.type).scale))


def order_of(
    call: str, argument: exp.Expr, type_text: str, known: Known, *, upwards: bool, digits: int | None = None
) -> Order:
    """Return the order of an argument's values. Raises NotSupportedError, naming the ``call``, where there is none.

    ``digits``: of doubles between known bounds, those after the point that matter.
    """
    type_ = SqlType.parse(type_text)
    range_ = interval(argument, known)
    if type_.family == "float":
        if digits is None or range_ is None:
            return Order(type_text, -_FINITE - 1, _FINITE, upwards)  # -0.0 is -1
        ends = math.floor(range_.low * 10**digits), math.ceil(range_.high * 10**digits)
        return Order(type_text, *ends, upwards, digits)
    if (moment := _MOMENTS.get(type_text.upper())) is not None:
        limits: Interval | None = Interval(
            Fraction(0 if type_text.upper() == "TIME" else -moment[2]), Fraction(moment[2])
        )
        range_ = range_ if type_text.upper() == "DATE" else None  # of the others it is not in their unit
    else:
        limits = type_interval(type_)
    if limits is None:
        raise NotSupportedError(
            f"{call} over {type_text} is not answered: of numbers, dates and times it is",
            hint="GROUP BY it: MIN and MAX over the released groups work in an outer query",
            position=position(argument),
        )
    range_, factor = meet(range_, limits), 10**type_.scale
    return Order(type_text, int(range_.low * factor // 1), -int(-range_.high * factor // 1), upwards)


def whole_sql(sql: str, type_text: str) -> str:
    """Return SQL of a value as a fragment sends it to its party: a number in the same order. It cannot raise."""
    family = SqlType.parse(type_text).family
    if family == "float":
        value = f"CAST({sql} AS DOUBLE)"
        return f"CASE WHEN isfinite({value}) THEN {value} + 0.0::DOUBLE END"  # -0.0 and 0.0 are one
    if (moment := _MOMENTS.get(type_text.upper())) is not None:
        return f"TRY({moment[0].format(sql)})"  # of infinity it is NULL
    if family == "boolean":
        return f"CAST({sql} AS TINYINT)"
    return f"CAST({sql} AS HUGEINT)" if type_text.upper() == "UBIGINT" else sql


def value_sql(text: str, type_text: str) -> str:
    """Return SQL that makes a released value of its text (of dates: of the distance from the epoch)."""
    moment = _MOMENTS.get(type_text.upper())
    return moment[1].format(text) if moment is not None else f"CAST({text} AS {type_text})"
