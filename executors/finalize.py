"""From opened partials to released columns: exact integer arithmetic first, one rounding at the end.

Values are computed as Python integers and fractions, so a variance does not cancel and a sum keeps its last digit; the
result is what DuckDB computes on the pooled rows (functions and their edge cases as in DuckDB 2.0).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fedsql.crypto.packing import Column, to_ints
from fedsql.executors.margins import margin
from fedsql.executors.protocol.outline import Label
from fedsql.executors.ranges import Quantile, quantile
from fedsql.planner.logical import margin_of
from fedsql.planner.ordered import Order, value_sql
from fedsql.planner.partials import Output
from fedsql.planner.plans import ReleasePlan
from fedsql.planner.quantiles import above, between
from fedsql.types import SqlType

Value = int | float | Fraction | None
_DAY = 86_400_000_000  # microseconds


def finalize(
    plan: ReleasePlan,
    labels: Sequence[Label],
    positions: Sequence[int],
    columns: Sequence[Column],
    cells: NDArray[np.bool_] | None,
) -> pa.Table:
    """Return the released relation: keys as text, aggregates as text or float64, one row for each label.

    ``columns`` [rows, width] hold the opened sums, rows shown are at ``positions``; ``cells`` [shown, cells] says which
    cells are (None: all). An ungrouped release that is not shown still has one row: COUNT 0 and NULLs at
    min_group_size 1, all NULL above it. Noisy values have their margins beside them. Read it with `column_sql`.
    """
    hidden = not plan.release.keys and not positions
    rows = np.asarray(positions if not hidden else [0], np.intp)
    grids = [n.grid for n in plan.noise] if plan.noise is not None else [1] * len(plan.partials)
    opened = {
        partial.name: [value * grid for value in to_ints(columns[start][rows])]
        for partial, start, grid in zip(plan.partials, plan.starts, grids, strict=True)
    }
    certain = _certain_counts(plan)
    arrays: dict[str, pa.Array] = {}
    for index, key in enumerate(plan.release.keys):
        arrays[key.name] = pa.array([label[index] for label in labels], pa.string())
    for output in plan.outputs:
        if output.ranges is not None:
            found = _quantiles(plan, output, columns, rows)
            arrays[output.name] = _array(
                [None if each is None or hidden else each.value for each in found], output.type
            )
            margins = [None if each is None or hidden else each.margin for each in found]
            arrays[margin_of(output.name)] = pa.array(margins, pa.float64())
            continue
        parts = [opened[name] for name in output.partials]
        least = certain.get(output.partials[0], 0)
        values = [_value(output, [part[i] for part in parts], least) for i in range(len(rows))]
        if hidden and plan.terms.min_group_size > 1 and not plan.terms.noisy:
            values = [None] * len(rows)
        elif hidden:
            values = [value if output.function in ("count", "regr_count") else None for value in values]
        elif cells is not None and output.cell is not None:
            values = [value if shown else None for value, shown in zip(values, cells[:, output.cell], strict=True)]
        arrays[output.name] = _array(values, output.type)
        if plan.noise is not None:
            arrays[margin_of(output.name)] = _margins(plan, output, parts, least)
    return pa.table(arrays)


def _quantiles(
    plan: ReleasePlan, output: Output, columns: Sequence[Column], rows: NDArray[np.intp]
) -> list[Quantile | None]:
    """Return what the noisy counts in ranges tell of a quantile in each of the ``rows``."""
    assert plan.noise is not None
    (at,) = (index for index, partial in enumerate(plan.partials) if partial.name == output.partials[0])
    own = columns[plan.starts[at] : plan.starts[at] + plan.partials[at].columns]
    counts = zip(*(to_ints(column[rows]) for column in own), strict=True)
    return [quantile(output, plan.noise[at], opened) for opened in counts]


def _margins(plan: ReleasePlan, output: Output, parts: Sequence[Sequence[int]], least: float) -> pa.Array:
    """Return how far each of an output's values may be off; ``parts`` [partials][rows] are the opened sums."""
    assert plan.noise is not None
    noise = dict(zip((partial.name for partial in plan.partials), plan.noise, strict=True))
    own = [noise[name] for name in output.partials]

    def value(opened: Sequence[int]) -> float | None:
        found = _value(output, opened, least)
        return None if found is None else float(found)

    return pa.array([margin(output, own, opened, value) for opened in zip(*parts, strict=True)], pa.float64())


def column_sql(plan: ReleasePlan) -> str:
    """Return the SELECT list that gives a finalized relation DuckDB's own types."""
    items = [f'CAST("{key.name}" AS {key.type}) AS "{key.name}"' for key in plan.release.keys]
    for output in plan.outputs:
        name = f'"{output.name}"'
        items.append(f"{value_sql(name, output.type)} AS {name}")
        margin_ = f'"{margin_of(output.name)}"'
        items.append(margin_ if plan.noise is not None else f"CAST(0 AS DOUBLE) AS {margin_}")
    return ", ".join(items)


def _array(values: Sequence[Value], type_text: str) -> pa.Array:
    """Doubles as float64; integers, decimals and truth values (0 and 1) as text, which DuckDB casts exactly. Out of range is NULL."""
    type_ = SqlType.parse(type_text)
    if type_.family == "float":
        return pa.array([None if v is None else float(v) for v in values], pa.float64())
    texts: list[str | None] = []
    for value in values:
        if value is None:
            texts.append(None)
            continue
        if type_.family == "temporal":
            texts.append(_moment_text(round(value), type_.text))
            continue
        unscaled = _rounded(value, 10**type_.scale)
        inside = type_.low <= unscaled <= type_.high
        texts.append(_decimal_text(unscaled, type_.scale) if inside else None)
    return pa.array(texts, pa.string())


def _rounded(value: int | float | Fraction, factor: int) -> int:
    """Return value * factor as an integer, halves to even."""
    exact = Fraction(value) if isinstance(value, float) else value
    whole, rest = divmod(exact.numerator * factor, exact.denominator)
    return whole if not rest else round(exact * factor)


def _moment_text(whole: int, type_text: str) -> str:
    """Return what `value_sql` makes a date or time of: its distance from the epoch; of a time of day its usual text."""
    if type_text.upper() != "TIME":
        return str(whole)
    seconds, micros = divmod(whole, 1_000_000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{micros:06}"


def _decimal_text(unscaled: int, scale: int) -> str:
    if scale == 0:
        return str(unscaled)
    digits = str(abs(unscaled)).rjust(scale + 1, "0")
    return f"{'-' if unscaled < 0 else ''}{digits[:-scale]}.{digits[-scale:]}"


def _certain_counts(plan: ReleasePlan) -> dict[str, float]:
    """Return, for each noisy partial, what a count must exceed to be told from none (95 %)."""
    return {p.name: n.error95 for p, n in zip(plan.partials, plan.noise or (), strict=False)}


def _value(output: Output, parts: Sequence[int], least: float = 0) -> Value:
    """Compute one released value from its partials; an average over no more than ``least`` rows is NULL."""
    function, units = output.function, output.units
    if function in ("count", "regr_count"):
        return parts[0]
    if output.order is not None:
        return _single(output, output.order, parts)
    if function == "sum":
        return _total(parts, units)
    if parts[0] <= least:
        return None
    if function == "bool_and":
        return int(_total(parts[1:], units) == parts[0])
    if function == "bool_or":
        return int(_total(parts[1:], units) > 0)
    if function == "avg":
        return _total(parts[1:], units) / parts[0] + sum(output.offsets)
    if len(units) == 1:
        return _spread(function, parts[0], parts[1], parts[2], units[0])
    return _pair(function, parts, units, output.offsets)


def _single(output: Output, order: Order, parts: Sequence[int]) -> Value:
    """Put the computing parties' shares of codes together: of one value, or of two that the result lies between."""
    shares = iter(parts if output.fraction is None else parts[1:])
    codes = [(one ^ two) & ((1 << order.bits) - 1) for one, two in zip(shares, shares, strict=True)]
    if not all(codes):
        return None
    if output.fraction is None:
        return order.value(codes[0])
    type_ = SqlType.parse(output.type)
    if order.digits is not None:
        least, most = (float(order.value(code)) for code in codes)
        return between(output.fraction, parts[0], least, most)
    low, high = (order.whole(code) * (_DAY if order.is_date else 1) for code in codes)
    if type_.family == "float":
        return between(output.fraction, parts[0], low, high)
    step = above(output.fraction, parts[0], low, high)
    if order.is_date:  # DuckDB rounds to microseconds, halves up
        return low + math.floor(Fraction(step) + Fraction(1, 2))
    # as DuckDB does: it cuts the fraction off, of wider decimals that of the step
    narrow = type_.high < 10**18
    whole = math.trunc(between(output.fraction, parts[0], low, high)) if narrow else low + math.trunc(step)
    return Fraction(whole, 10**type_.scale)


def _total(parts: Sequence[int], units: Sequence[Fraction]) -> Fraction:
    below = math.lcm(*(unit.denominator for unit in units))
    above = (part * unit.numerator * (below // unit.denominator) for part, unit in zip(parts, units, strict=True))
    return Fraction(sum(above), below)


def _spread(function: str, n: int, total: int, squares: int, unit: Fraction) -> Value:
    """Compute VAR and STDDEV: (n * sum of squares - sum^2) / (n * (n - 1)), in the argument's unit."""
    below = n * (n - 1) if function.endswith("_samp") else n * n
    if below == 0:
        return None
    variance = Fraction(max(0, n * squares - total * total), below) * unit * unit
    return variance if function.startswith("var") else math.sqrt(variance)


def _pair(function: str, parts: Sequence[int], units: Sequence[Fraction], offsets: Sequence[Fraction]) -> Value:
    """Compute functions of pairs f(y, x) from n, sums and, where needed, sums of products."""
    n, (unit_y, unit_x) = parts[0], units
    mean_x, mean_y = Fraction(parts[1], n) * unit_x + offsets[1], Fraction(parts[2], n) * unit_y + offsets[0]
    if function == "regr_avgx":
        return mean_x
    if function == "regr_avgy":
        return mean_y
    # Noise can take a spread below 0, and a correlation beyond 1.
    sxx = Fraction(max(0, n * parts[3] - parts[1] ** 2), n) * unit_x**2
    syy = Fraction(max(0, n * parts[4] - parts[2] ** 2), n) * unit_y**2
    sxy = Fraction(n * parts[5] - parts[1] * parts[2], n) * unit_x * unit_y
    return _PAIR[function](n, mean_x, mean_y, sxx, syy, sxy)


def _root(value: Fraction) -> float:
    """Square root of a fraction that may be far outside of a double's range."""
    return math.sqrt(value.numerator / value.denominator)


_PAIR: dict[str, Callable[[int, Fraction, Fraction, Fraction, Fraction, Fraction], Value]] = {
    "covar_pop": lambda n, mx, my, sxx, syy, sxy: sxy / n,
    "covar_samp": lambda n, mx, my, sxx, syy, sxy: sxy / (n - 1) if n > 1 else None,
    "corr": lambda n, mx, my, sxx, syy, sxy: (
        max(-1.0, min(1.0, float(sxy) / (_root(sxx) * _root(syy)))) if sxx * syy else math.nan
    ),
    "regr_sxx": lambda n, mx, my, sxx, syy, sxy: sxx,
    "regr_syy": lambda n, mx, my, sxx, syy, sxy: syy,
    "regr_sxy": lambda n, mx, my, sxx, syy, sxy: sxy,
    "regr_slope": lambda n, mx, my, sxx, syy, sxy: sxy / sxx if sxx else math.nan,
    "regr_intercept": lambda n, mx, my, sxx, syy, sxy: my - sxy / sxx * mx if sxx else None,
    "regr_r2": lambda n, mx, my, sxx, syy, sxy: (min(Fraction(1), sxy**2 / (sxx * syy)) if syy else 1) if sxx else None,
}
