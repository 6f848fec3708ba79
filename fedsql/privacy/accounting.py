"""How much privacy noise costs, and how much Skellam noise an epsilon asks for.

The currency is Renyi differential privacy (Mironov 2017): each noisy partial has a curve, its divergence at the orders
`ORDERS`; curves of independent releases add; only the sum is converted to (epsilon, delta). Google's dp-accounting has
the last word on that conversion. It takes 0.8 s to import (scipy), hence on first use.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fedsql.errors import InternalError
from fedsql.privacy.noise import threshold

# Integers, for which the Skellam bound is proven; then four to a doubling, for small epsilon needs large orders.
# Ledgers hold curves over this grid: changing it changes their file format.
ORDERS: NDArray[np.int64] = np.array([*range(2, 65), *(round(2 ** (6 + i / 4)) for i in range(1, 41))], np.int64)
ORDERS.setflags(write=False)

_STEPS = 64  # noise scales are binary fractions of this many steps to a doubling, so that equal events stay equal
_MARGIN = 1 - 2.0**-40  # keeps rounding of the last digit from the two conversions' disagreement


def rdp_skellam(d1: float, d2: float, variance: float) -> NDArray[np.float64]:
    """Return the Renyi divergence over ORDERS of one integer partial with Skellam noise of ``variance`` in all.

    ``d1`` and ``d2`` are the L1 and L2 distances, in integer units, by which one privacy unit can move the vector of
    this partial over all groups. An upper bound: Agarwal, Kairouz, Liu 2021, theorem 3.5. Count in ``variance`` only
    the shares of honest parties. Raises ValueError unless 0 < d2 <= d1 and the variance is positive.
    """
    if not (0 < d2 <= d1 < math.inf and 0 < variance < math.inf):
        raise ValueError(f"no Skellam bound for sensitivities L1 {d1}, L2 {d2} and variance {variance}")
    orders = ORDERS.astype(np.float64)
    near = ((2 * orders - 1) * d2**2 + 6 * d1) / (4 * variance**2)
    return np.asarray(orders * d2**2 / (2 * variance) + np.minimum(near, 3 * d1 / (2 * variance)), np.float64)


def rdp_laplace(distance: float, rate: float) -> NDArray[np.float64]:
    """Return the Renyi divergence over ORDERS of discrete Laplace noise of ``rate`` from itself moved by ``distance``.

    Exact: with q = exp(-rate) and P(k) = (1 - q) / (1 + q) q^|k|, the sum over k of P(k)^a P(k - d)^(1 - a) is made of
    three geometric series. It grows with the order to rate * distance, the pure epsilon. Raises ValueError unless both
    are positive.
    """
    if not (0 < distance < math.inf and 0 < rate < math.inf):
        raise ValueError(f"no discrete Laplace divergence for sensitivity {distance} and rate {rate}")
    orders = ORDERS.astype(np.float64)
    between = -(2 * orders - 1) * rate  # log of the ratio of the series between 0 and the distance
    inner = np.exp(between) * np.expm1((distance - 1) * between) / np.expm1(between)
    inside = (1 + np.exp(distance * between) - math.expm1(-rate) * inner) / (1 + math.exp(-rate))
    return np.asarray(np.maximum(0, rate * distance + np.log(inside) / (orders - 1)), np.float64)


def to_epsilon(rdp: Sequence[float] | NDArray[np.float64], delta: float) -> float:
    """Return the least epsilon for which a curve over ORDERS proves (epsilon, delta)-differential privacy.

    dp-accounting's conversion (Canonne, Kamath, Steinke 2020, proposition 12). Raises ValueError for a curve of another
    length, with a value that is negative or NaN, or a delta outside (0, 1).
    """
    curve = np.asarray(rdp, np.float64)
    if curve.shape != ORDERS.shape or not bool((curve >= 0).all()) or not 0 < delta < 1:
        raise ValueError(f"not a Renyi curve over {len(ORDERS)} orders with a delta in (0, 1): delta {delta}")
    if not curve.any():
        return 0.0
    from dp_accounting.rdp import compute_epsilon

    return float(compute_epsilon(ORDERS.tolist(), curve.tolist(), delta)[0])


def calibrate(epsilon: float, delta: float, sensitivities: Sequence[tuple[float, float]]) -> list[float]:
    """Return the total noise variance of each partial such that together they cost at most (epsilon, delta).

    ``sensitivities`` holds (L1, L2) for each partial, as in `rdp_skellam`. Partial j gets L2_j^2 * v, with one v for
    all: the least on a grid of 64 binary steps to a doubling. The variances are what honest parties must
    reach together (`noise.share_variance`). Raises ValueError when no noise can reach epsilon at this delta.
    """
    if not (0 < epsilon < math.inf and 0 < delta < 1 and sensitivities):
        raise ValueError(f"cannot calibrate epsilon {epsilon}, delta {delta} over {len(sensitivities)} partials")

    def curve(step: int) -> NDArray[np.float64]:
        return sum((rdp_skellam(d1, d2, d2**2 * _scale(step)) for d1, d2 in sensitivities), np.zeros(len(ORDERS)))

    steps = range(-64 * _STEPS, 64 * _STEPS)
    found = bisect_left(steps, True, key=lambda step: _to_epsilon(curve(step), delta) <= epsilon * _MARGIN)
    if found == len(steps):
        raise ValueError(f"epsilon {epsilon} is too small for delta {delta}: no noise reaches it")
    if to_epsilon(curve(steps[found]), delta) > epsilon:
        raise InternalError(f"calibrated noise misses epsilon {epsilon} at delta {delta}")
    return [d2**2 * _scale(steps[found]) for _, d2 in sensitivities]


def error95(variance: float) -> float:
    """Return the half-width of the interval around the true value that holds 95 % of Skellam noise of ``variance``.

    Give the variance of all parties' shares together. The exact (whole) number for small variances, the normal
    distribution's beyond.
    """
    return float(threshold(variance, 0.025) - 1) if variance < 10_000 else 1.959964 * math.sqrt(variance)


def _scale(step: int) -> float:
    """Return grid point ``step``: exact in floating point, hence the same on every machine."""
    return math.ldexp(_STEPS + step % _STEPS, step // _STEPS)


def _to_epsilon(rdp: NDArray[np.float64], delta: float) -> float:
    """Compute as `to_epsilon` without its shortcut for tiny divergences: never below it, and fast enough to search with."""
    bounds = rdp + np.log1p(-1 / ORDERS) - (math.log(delta) + np.log(ORDERS)) / (ORDERS - 1)
    return max(0.0, float(bounds.min()))
