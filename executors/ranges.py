"""Quantiles under noise, read off the opened counts of one group (see `planner.ranges`): a value, and how far off it may be.

A value is known to its range, and in a range of several values by its share of the rank, as if these were spread evenly.
Its interval is made of all ranges that the counts leave possible: the true quantile's own range is one of them unless one of
two sums is off by more than its own 95 % interval to one side.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from fedsql.planner.partials import Output
from fedsql.planner.ranges import Ranges
from fedsql.planner.sensitivity import Noise
from fedsql.privacy.mechanisms import half_width
from fedsql.privacy.tree import standing
from fedsql.types import SqlType

_DAY = 86_400_000_000  # microseconds


@dataclass(frozen=True)
class Quantile:
    """A quantile as a ``value`` of its type (of dates the distance from the epoch), and its 95 % interval's half-width.

    ``margin`` is in the units of the column, of dates in days.
    """

    value: Fraction
    margin: float


def quantile(output: Output, noise: Noise, opened: Sequence[int]) -> Quantile | None:
    """Return a quantile from the ``opened`` counts of all levels; None where there may be no values (95 %)."""
    assert output.ranges is not None
    assert output.fraction is not None
    ranges, counts = output.ranges, np.asarray(opened, np.int64)
    top = ranges.sizes[0]
    if counts[:top].sum() <= float(half_width(noise.variance * top, noise.kurtosis / top)):
        return None
    found = standing(ranges.sizes, float(output.fraction), counts)
    here = min(int((found.above[1:] < 0).sum()), ranges.count - 1)
    half = found.error95(noise.variance, noise.kurtosis) + 1  # QUANTILE_CONT may lie up to the next value
    possible = np.flatnonzero((found.above[:-1] <= half[:-1]) & (found.above[1:] >= -half[1:]))
    lowest, highest = min([here, *possible.tolist()]), max([here, *possible.tolist()])
    unit, offset = output.units[0], output.offsets[0]
    own = _whole(ranges, here, float(found.above[here]), float(found.above[here + 1]))
    below = own - (ranges.low + lowest * ranges.width)
    beyond = ranges.low + (highest + 1) * ranges.width - 1 - own
    value = own * unit + offset
    if SqlType.parse(output.type).text.upper().startswith("TIMESTAMP"):  # QUANTILE_CONT of dates
        value *= _DAY
    return Quantile(value, float(max(below, beyond, 0) * abs(unit)))


def _whole(ranges: Ranges, number: int, before: float, after: float) -> int:
    """Return the whole number of a range at which ``before`` + its share of (``after`` - ``before``) is 0."""
    share = 0.5 if after <= before else min(1.0, max(0.0, -before / (after - before)))
    return ranges.low + number * ranges.width + min(ranges.width - 1, math.floor(share * ranges.width))
