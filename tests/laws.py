"""The exact laws of the sums of all parties' noise shares, from scipy: what draws are judged by."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.special import ive

from fedsql.privacy.mechanisms import DiscreteLaplace, Mechanism, Skellam


@lru_cache(maxsize=16)
def law(mechanism: Mechanism, honest: int, parties: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the support -reach ... reach (all but 1e-12 of the mass) and the probability of each value."""
    if isinstance(mechanism, Skellam):
        variance = mechanism.total / honest * parties
        reach = int(12 * variance**0.5) + 20
        support = np.arange(-reach, reach + 1)
        return support, ive(np.abs(support), variance)
    assert isinstance(mechanism, DiscreteLaplace)
    shape, q = parties / honest, math.exp(-mechanism.rate)
    reach = int((35 + 10 * shape) / mechanism.rate) + 2
    one = stats.nbinom(shape, 1 - q).pmf(np.arange(reach + 1))
    return np.arange(-reach, reach + 1), np.convolve(one, one[::-1].copy())  # contiguous: three times as fast


def p_value(values: NDArray[np.int64], support: NDArray[np.int64], mass: NDArray[np.float64]) -> float:
    """Return the smaller p-value of a chi-square and a Kolmogorov-Smirnov test of ``values`` against a law."""
    cumulative = np.cumsum(mass)
    assert abs(cumulative[-1] - 1) < 1e-9
    edges = np.unique(np.searchsorted(cumulative, np.linspace(0, 1, 41)[1:-1]))  # a bin is (edge, next edge]
    expected = len(values) * np.diff(cumulative[edges], prepend=0, append=1)
    observed = np.bincount(np.searchsorted(support[edges], values, side="left"), minlength=len(edges) + 1)
    reach = int(support[-1])
    counted = np.cumsum(np.bincount(np.clip(values + reach, 0, 2 * reach), minlength=2 * reach + 1))
    distance = np.abs(counted / len(values) - cumulative).max()
    kolmogorov = stats.kstwobign.sf(distance * np.sqrt(len(values)))  # conservative for integers
    kept = expected > 5  # else its law is not that of chi-square
    square = ((observed - expected)[kept] ** 2 / expected[kept]).sum()
    return float(min(stats.chi2(max(1, kept.sum() - 1)).sf(square), kolmogorov))


def spread(values: NDArray[np.int64], support: NDArray[np.int64], mass: NDArray[np.float64]) -> float:
    """Return how many standard errors the mean square of ``values`` is from the law's."""
    second, fourth = (mass * support.astype(float) ** 2).sum(), (mass * support.astype(float) ** 4).sum()
    return float(((values.astype(float) ** 2).mean() - second) / math.sqrt((fourth - second**2) / len(values)))
