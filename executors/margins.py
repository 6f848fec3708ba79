"""How far each noisy value of an answer may be off: the half-width of its 95 % interval, group by group.

A count's or a sum's follows from its noise alone. Any other value is a function of several noisy sums: its error is that
of the function's tangent at the opened sums (the delta method), whose terms are independent, so their variances add. Nothing but what was released goes in, so a margin costs nothing more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fedsql.planner.partials import Output
from fedsql.planner.sensitivity import Noise
from fedsql.privacy.mechanisms import half_width

Value = Callable[[Sequence[int]], float | None]


def margin(output: Output, noise: Sequence[Noise], opened: Sequence[int], value: Value) -> float | None:
    """Return the half-width of the 95 % interval of ``value(opened)``; None where there is no value.

    ``noise`` and ``opened`` belong to the output's partials, in their order.
    """
    if value(opened) is None:
        return None
    if output.function in ("count", "regr_count"):
        return noise[0].error95
    if output.function == "sum" and len(opened) == 1:
        return noise[0].error95 * abs(float(output.units[0]))
    variance = kurtosis = 0.0
    for index, each in enumerate(noise):
        slope = _slope(value, opened, index, max(1, round(each.error95)))
        if slope is None:
            return None
        term = slope**2 * each.variance
        variance += term
        kurtosis += term**2 * each.kurtosis
    if not variance:
        return 0.0
    return float(half_width(variance, kurtosis / variance**2))


def _slope(value: Value, opened: Sequence[int], index: int, step: int) -> float | None:
    """Return how much the value changes for each unit of one opened sum."""
    above, below = (value([*opened[:index], opened[index] + s, *opened[index + 1 :]]) for s in (step, -step))
    return None if above is None or below is None else (above - below) / (2 * step)
