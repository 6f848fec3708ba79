"""Skellam noise, one party's share at a time, drawn from the operating system's randomness.

Skellam noise of variance V is Pois(V/2) - Pois(V/2): an integer, symmetric around 0. Sums of independent Skellam
variables are Skellam again and their variances add, so every party draws its own share and nobody knows the whole
(Agarwal, Kairouz, Liu 2021, "The Skellam Mechanism for Differentially Private Federated Learning"). Draws invert a table
(see `fedsql.privacy.tables`).
"""

from __future__ import annotations

import math
import os
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from functools import lru_cache
from itertools import accumulate

import gmpy2
import numpy as np
from numpy.typing import NDArray

from fedsql.privacy.tables import BITS, TAIL, WORK, Table

_LARGEST = 2.0**26  # variance of the largest table: 267 000 entries, 6 MB. Above it, several draws are added
LEAST_VARIANCE = 2.0**-40  # a draw is 0 but for one in 10^12: whoever asks for less has lost a factor
_MOST = 2.0**40  # 16 384 draws for one value: more would take minutes


def skellam(variance: float, size: int, entropy: Callable[[int], bytes] = os.urandom) -> NDArray[np.int64]:
    """Return ``size`` independent Skellam values of that variance (each Pois(variance/2) - Pois(variance/2)).

    ``entropy(n)`` returns n uniformly random bytes; anything but os.urandom is for tests. Raises ValueError for a
    variance outside 2^-40 ... 2^40: a sum that needs more noise should be released on a coarser grid.
    """
    if not LEAST_VARIANCE <= variance <= _MOST:
        raise ValueError(f"a share of Skellam noise has a variance from 2^-40 to 2^40, not {variance}")
    draws = math.ceil(variance / _LARGEST)
    table = _table(variance / draws)
    total = np.zeros(size, np.int64)
    for _ in range(draws):
        total += table.draw(size, entropy)
    return total


def share_variance(total_variance: float, parties: int, colluders: int) -> float:
    """Return the variance of one party's share: any ``parties - colluders`` shares add up to ``total_variance``.

    Shares of total_variance/parties would not do: colluders subtract theirs, and what remains is too small. Raises
    ValueError when no honest party would be left.
    """
    if colluders < 0 or parties - colluders < 1:
        raise ValueError(f"noise shares need at least one honest party: {parties} parties, {colluders} colluding")
    return total_variance / (parties - colluders)


def threshold(variance: float, probability: float) -> int:
    """Return the least m such that Skellam noise of that variance is m or more with at most that probability.

    Exact up to a variance of 2^26, from above (Chernoff's bound) beyond. Raises ValueError for a variance below 2^-40
    or a probability outside (2^-150, 1), which the table cannot resolve.
    """
    if not LEAST_VARIANCE <= variance < math.inf or not 2.0**-150 < probability < 1:
        raise ValueError(f"no threshold for variance {variance} and probability {probability}")
    if variance > _LARGEST:
        return bisect_left(range(1 << 62), -math.log(probability), key=lambda n: _decay(n, variance))
    table = _table(variance)
    within = bisect_right(range(-2 * table.first), int(probability * 2.0**BITS), key=table.cumulative)
    return 1 - table.first - within  # by symmetry P(noise >= m) = P(noise <= -m)


@lru_cache(maxsize=16)
def _table(variance: float) -> Table:
    """Tabulate P(noise = k) = exp(-variance) I_k(variance), where I_k is the modified Bessel function.

    Miller's backward recurrence for the ratios I_k / I_(k-1) is stable; assuming I_(reach+1) = 0 changes no probability
    by more than P(noise = reach + 1) < 2^-192. The sum of all is 1, so exp() is not needed.
    """
    reach = bisect_left(range(1 << 62), TAIL, key=lambda n: _decay(n, variance))
    with gmpy2.context(precision=256):
        step = 2 / gmpy2.mpfr(variance)
        ratios = list(accumulate(range(reach, 0, -1), lambda r, k: 1 / (k * step + r), initial=gmpy2.mpfr(0)))[1:]
        masses = accumulate(reversed(ratios), lambda w, r: w * r, initial=gmpy2.mpfr(2) ** WORK)
        half = [int(mass) for mass in masses]  # of 0, 1, ..., reach
    return Table.of(-reach, [*half[:0:-1], *half])


def _decay(n: int, variance: float) -> float:
    """Return Chernoff's exponent: P(noise >= n) <= exp(-decay). Grows with n from 0."""
    return n * math.asinh(n / variance) - n * n / (math.hypot(n, variance) + variance)
