"""Values as integers that add up exactly: how an aggregate's argument enters a sum.

Integers as they are; DECIMAL(p, s) as its unscaled integer; DOUBLE and FLOAT as binary fixed point, whose position
follows from verified bounds (NaN and infinities count as NULL). Every `Coded` value knows how large it can be.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

from sqlglot import exp

from fedsql.errors import PolicyDenied
from fedsql.planner.bounds import MOST_ROWS, Interval, Known, interval, meet, type_interval
from fedsql.planner.positions import position, shown
from fedsql.planner.trees import find, sql_of
from fedsql.types import SqlType

ROW_CAP = MOST_ROWS
_HUGE = 1 << 126  # sums stay below HUGEINT's and DECIMAL(38)'s limits when their bound is below this


@dataclass(frozen=True)
class Coded:
    """An integer-valued SQL expression: a value is ``unit`` * integer + ``offset``; |integer| <= ``limit``; NULL is left out.

    ``present`` is SQL that says whether the row's value takes part; None where every row has one. ``value`` is SQL that is NULL
    in just the rows where ``present`` is false, if the argument itself is that. ``sum_as_is`` is set when SUM over the plain
    argument already yields the unscaled integer (DECIMAL). ``low`` and ``high`` bound the integer from both sides.
    """

    sql: str
    present: str | None
    unit: Fraction
    low: int
    high: int
    sum_as_is: str | None = None
    offset: Fraction = Fraction(0)
    value: str | None = None

    @property
    def limit(self) -> int:
        """The largest absolute value of the integer."""
        return max(abs(self.low), abs(self.high), 1)

    def around(self, middle: int) -> Coded:
        """Return the code of the value less ``middle`` (an integer in the same unit)."""
        return replace(
            self,
            sql=f"({self.sql} - {middle})",
            low=self.low - middle,
            high=self.high - middle,
            sum_as_is=None,
            offset=self.offset + middle * self.unit,
        )

    def scaled(self, slope: Fraction, offset: Fraction) -> Coded:
        """Return the code of slope * value + offset: the same integers in another unit."""
        return replace(self, unit=self.unit * slope, offset=self.offset * slope + offset)


def code(
    argument: exp.Expr,
    rewritten: exp.Expr,
    type_text: str,
    known: Known,
    owner_key: str,
    *,
    squares: bool,
    digits: int = 62,
) -> Coded:
    """Code an argument of DuckDB type ``type_text``; ``rewritten`` is its form that cannot raise.

    ``squares``: the code will be multiplied with itself or another; ``digits``: the most that a float's may have then, in
    binary. Raises PolicyDenied naming ``owner_key`` when a
    DOUBLE has no bounds.
    """
    type_ = SqlType.parse(type_text)
    sql = sql_of(rewritten)
    if not isinstance(rewritten, exp.Column):
        sql = f"({sql})"
    if not type_.countable:
        raise PolicyDenied(f"{shown(argument)} is {type_text}: only numbers can be summed", position=position(argument))
    known_range = interval(argument, known)
    if type_.family == "float":
        bounded = all(interval(column, known) is not None for column in find(argument, exp.Column))
        return _fixed_point(argument, sql, known_range, owner_key, digits if squares else None, bounded)
    type_range = type_interval(type_)
    assert type_range is not None
    range_ = meet(known_range, type_range)
    factor = 10**type_.scale
    low, high = int(range_.low * factor // 1), -int(-range_.high * factor // 1)
    limit = max(abs(low), abs(high), 1)
    if squares and limit * limit >= 1 << 127:
        raise PolicyDenied(
            f"{shown(argument)} is {type_text}: its squares can be too large for 128 bits",
            hint=f"the owner would set {owner_key}.bounds",
            position=position(argument),
        )
    if type_.family == "boolean":
        return Coded(f"CAST({sql} AS TINYINT)", f"{sql} IS NOT NULL", Fraction(1), 0, 1, value=sql)
    if type_.family == "integer":
        return Coded(sql, f"{sql} IS NOT NULL", Fraction(1), low, high, value=sql)
    as_is = sql if limit * ROW_CAP < 10**37 else None
    unscaled = _unscaled(sql, type_, limit)
    return Coded(unscaled, f"{sql} IS NOT NULL", Fraction(1, factor), low, high, as_is, value=sql)


def _unscaled(sql: str, type_: SqlType, limit: int) -> str:
    """Return SQL of a decimal's unscaled integer; by its text where the product would overflow DECIMAL(38)."""
    target = "BIGINT" if limit < 1 << 62 else "HUGEINT"
    digits = len(str(type_.high))
    if digits + (10 if type_.scale <= 9 else 19) <= 38 and type_.scale <= 18:
        # DECIMAL(18, s) times a constant stays DECIMAL(18, s) in DuckDB, and overflows
        return f"CAST(CAST({sql} AS DECIMAL(38, {type_.scale})) * {10**type_.scale} AS {target})"
    return f"CAST(replace(CAST({sql} AS VARCHAR), '.', '') AS {target})"


def _fixed_point(
    argument: exp.Expr, sql: str, range_: Interval | None, owner_key: str, digits: int | None, bounded: bool
) -> Coded:
    """Code a float with ``bits`` binary digits after the point: below 2^62 where that is fine enough, else below 2^86.

    ``digits``: so many at most, for the code will be multiplied. ``bounded``: all columns in it have bounds.
    """
    squares = digits is not None
    exponent = 0 if range_ is None else max(0, (range_.magnitude.__ceil__()).bit_length())
    if range_ is None or (squares and exponent > 32):
        hint = f"the owner would set {owner_key}.bounds = [low, high]" + ("" if squares else " (or .scale = digits)")
        if bounded:
            hint = f"bound it yourself: least(greatest({shown(argument)}, low), high)"
        raise PolicyDenied(
            f"{shown(argument)} is a floating-point number without bounds: it cannot be summed exactly",
            hint=hint,
            position=position(argument),
        )
    small = exponent <= 32
    bits = min(digits or 86, 62 if small else 86) - exponent
    if bits < -512:
        raise PolicyDenied(
            f"{shown(argument)}: its bounds are too wide to sum",
            hint=f"the owner would narrow {owner_key}.bounds",
        )
    unit = Fraction(1, 2**bits) if bits >= 0 else Fraction(2**-bits)
    low, high = int(range_.low / unit // 1) - 1, -int(-range_.high / unit // 1) + 1
    value = f"CAST({sql} AS DOUBLE)"
    finite = f"isfinite({value})"
    whole = f"TRY_CAST(round({value} * {float(1 / unit)!r}::DOUBLE) AS {'BIGINT' if small else 'HUGEINT'})"
    return Coded(f"(CASE WHEN {finite} THEN {whole} END)", f"coalesce({finite}, false)", unit, low, high)


def needs_halves(limit: int) -> bool:
    """Say whether a sum of ROW_CAP integers up to ``limit`` may pass HUGEINT: then its halves are summed apart."""
    return limit * ROW_CAP >= _HUGE


def slot_width(limit: int, parties: int) -> int:
    """Return the whole bytes that hold the sum over ``parties`` of integers with |x| <= ``limit`` each."""
    return ((limit * parties).bit_length() + 1 + 7) // 8
