"""Discrete Laplace noise, one party's share at a time, drawn from the operating system's randomness.

Discrete Laplace noise of rate e has P(noise = k) proportional to exp(-e |k|): a change of the true value by D costs pure
epsilon e * D (Ghosh, Roughgarden, Sundararajan 2009). It is infinitely divisible: the sum of n differences of negative
binomial variables, each NegBin(1/n, exp(-e)), has exactly this law, so every party draws its own share and nobody knows
the whole (Harrison, Manurangsi 2025). Shares of more parties than the n that must be honest only add noise.
"""

from __future__ import annotations

import math
import os
from bisect import bisect_left
from collections.abc import Callable
from functools import lru_cache, partial
from itertools import accumulate

import gmpy2
import numpy as np
from numpy.typing import NDArray

from fedsql.privacy.tables import HEAD_TAIL, HEAD_WORK, TAIL, WORK, Heads, Table

_MOST_ENTRIES = 1 << 20  # of a table: a second to make, 24 MB
LEAST_RATE = TAIL / _MOST_ENTRIES
LEAST_SUMMED = 1 / 512  # of rates whose tails are summed term by term
MOST_RATE = 64.0  # exp(-64): there is no noise to speak of


def laplace_share(
    rate: float, honest: int, size: int, entropy: Callable[[int], bytes] = os.urandom
) -> NDArray[np.int64]:
    """Return one party's shares for ``size`` values: any ``honest`` shares sum to discrete Laplace noise of ``rate``.

    ``entropy(n)`` returns n uniformly random bytes; anything but os.urandom is for tests. Raises ValueError for a rate
    outside `LEAST_RATE` ... 64: a sum that needs more noise should be released on a coarser grid.
    """
    if not (LEAST_RATE <= rate <= MOST_RATE and honest >= 1):
        raise ValueError(f"no share of discrete Laplace noise of rate {rate} over {honest} parties")
    table = _heads(rate, honest)
    return table.draw(size, entropy) - table.draw(size, entropy)


def laplace_variance(rate: float) -> float:
    """Return the variance of discrete Laplace noise: 2q / (1 - q)^2 with q = exp(-rate)."""
    return 2 * math.exp(-rate) / math.expm1(-rate) ** 2


@lru_cache(maxsize=1024)  # every group of an answer asks for its columns' intervals
def laplace_threshold(rate: float, honest: int, parties: int, probability: float) -> int:
    """Return the least m such that the shares of ``parties`` together are m or more with at most that probability.

    Computed in floating point from sums of positive terms, and rounded up; from above (Chernoff's bound) for rates below
    1/512. Raises ValueError for a probability outside (1e-15, 0.5].
    """
    if not (1e-15 < probability <= 0.5 and 0 < rate <= MOST_RATE and 1 <= honest <= parties):
        raise ValueError(f"no threshold for rate {rate}, shares of {parties} over {honest}, probability {probability}")
    if rate < LEAST_SUMMED:
        return _chernoff(rate, parties / honest, probability)
    mass, survival = _law(rate, parties / honest)
    # P(X - Y >= m) is the sum of P(Y = y) P(X >= y + m): all terms are positive. An FFT would lose the tails.
    return bisect_left(
        range(len(mass)),
        -probability / (1 + 1e-9),
        key=lambda m: -float(mass[: len(mass) - m] @ survival[m:]),
    )


def _chernoff(rate: float, shape: float, probability: float) -> int:
    """Return an m with P(noise >= m) <= the least over s of E[exp(s noise)] exp(-s m) <= probability.

    E[exp(s noise)] = ((1 - q)^2 / ((1 - q e^s) (1 - q e^-s)))^shape for s below the rate.
    """
    s = rate * np.linspace(0.001, 0.999, 999)
    moments = shape * (2 * math.log(-math.expm1(-rate)) - np.log(-np.expm1(s - rate)) - np.log(-np.expm1(-s - rate)))
    return math.ceil(float(((moments - math.log(probability)) / s).min()) * (1 + 1e-9))


@lru_cache(maxsize=16)
def _heads(rate: float, honest: int) -> Heads:
    """Tabulate the first 64 bits of what `_table` does.

    Weights are rounded down, by less than 3 units for each step before them: P(noise <= k) by less than 4 (k + 1)^2.
    """
    reach = math.ceil(HEAD_TAIL / rate)
    with gmpy2.context(precision=2 * WORK):
        exact = gmpy2.exp(-gmpy2.mpfr(rate))
        q, start = (int(x * gmpy2.mpfr(2) ** HEAD_WORK) for x in (exact, (1 - exact) ** (gmpy2.mpfr(1) / honest)))
    steps = range(honest, honest * (reach + 1), honest)  # k * honest
    weights = accumulate(steps, lambda w, k: (w * q >> HEAD_WORK) * (k - honest + 1) // k, initial=start)
    return Heads.of(list(accumulate(weights)), 4 * (reach + 1) ** 2, partial(_table, rate, honest))


@lru_cache(maxsize=16)
def _table(rate: float, honest: int) -> Table:
    """Tabulate NegBin(1/honest, exp(-rate)): P(k) / P(k - 1) = q (k - 1 + r) / k. The tail falls at least as fast as q^k."""
    reach = math.ceil(TAIL / rate)
    with gmpy2.context(precision=2 * WORK):
        q = gmpy2.mpz(gmpy2.exp(-gmpy2.mpfr(rate)) * gmpy2.mpfr(2) ** WORK)  # an mpz for speed: a table has 10^5 steps
    steps = range(honest, honest * (reach + 1), honest)  # k * honest
    return Table.of(0, list(accumulate(steps, lambda w, k: (w * q >> WORK) * (k - honest + 1) // k, initial=1 << WORK)))


@lru_cache(maxsize=64)
def _law(rate: float, shape: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return P(X = k) and P(X >= k) for k = 0, 1, ... of X, NegBin(shape, exp(-rate)), until the latter is below 1e-16."""
    reach = math.ceil((45 + 10 * shape) / rate) + 1
    k = np.arange(1, reach)
    logs = np.concatenate([[0.0], np.cumsum(np.log1p((shape - 1) / k) - rate)]) + shape * math.log(-math.expm1(-rate))
    mass = np.exp(logs)
    return mass, np.cumsum(mass[::-1])[::-1]
