"""Mechanisms: the law of the noise that parties add to one integer in shares, what it costs, and how far off it is.

Each is sized for ``honest`` parties: their shares alone reach the law that the cost is claimed for. Shares of the other
parties only add noise, for analysts who collude with them can take it away.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fedsql.privacy.accounting import error95, rdp_laplace, rdp_skellam
from fedsql.privacy.laplace import LEAST_SUMMED, laplace_share, laplace_threshold, laplace_variance
from fedsql.privacy.noise import skellam, threshold

_NORMAL = 1.959964
_HEAVIER = 0.0577  # of the quantile, for each unit of excess kurtosis: exact for the Laplace law (kurtosis 3)


def half_width(variance: float | NDArray[np.float64], kurtosis: float | NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the half-width of the 95 % interval of sums of independent noise, from their variance and excess kurtosis.

    Between one term and many, the 95 % quantile goes from that of the noise's law to the normal distribution's.
    """
    return np.asarray((_NORMAL + _HEAVIER * np.minimum(3.0, kurtosis)) * np.sqrt(variance), np.float64)


@dataclass(frozen=True)
class Sensitivity:
    """How far one privacy unit can move one value over all groups: by ``most`` in each of at most ``groups`` groups."""

    most: int
    groups: int = 1

    @property
    def l1(self) -> float:
        """The L1 distance."""
        return float(self.most * self.groups)

    @property
    def l2(self) -> float:
        """The L2 distance."""
        return self.most * math.sqrt(self.groups)


class Mechanism(Protocol):
    """The noise of one value in each group."""

    @property
    def name(self) -> str:
        """The name of the law."""

    @property
    def pure(self) -> bool:
        """Whether it satisfies pure epsilon-differential privacy."""

    def share(self, honest: int, size: int) -> NDArray[np.int64]:
        """Draw one party's share for ``size`` groups."""

    def curve(self, moved: Sensitivity) -> NDArray[np.float64]:
        """Return the Renyi divergence over accounting.ORDERS where a unit can move the true value by ``moved``."""

    def variance(self, honest: int, parties: int) -> float:
        """Return the variance of the shares of all ``parties`` together."""

    def kurtosis(self, honest: int, parties: int) -> float:
        """Return the excess kurtosis of the shares of all parties together."""

    def threshold(self, honest: int, parties: int, probability: float) -> int:
        """Return an m that the shares of all parties together reach with at most that probability."""

    def error95(self, honest: int, parties: int) -> float:
        """Return the half-width of the interval around the true value that holds 95 % of all parties' noise."""


@dataclass(frozen=True)
class Skellam:
    """Skellam noise; the honest parties' shares together have ``total``, its variance."""

    total: float
    name = "Skellam"
    pure = False

    def share(self, honest: int, size: int) -> NDArray[np.int64]:
        """Draw one party's share for ``size`` groups."""
        return skellam(self.total / honest, size)

    def curve(self, moved: Sensitivity) -> NDArray[np.float64]:
        """Return its Renyi divergence over accounting.ORDERS."""
        return rdp_skellam(moved.l1, moved.l2, self.total)

    def variance(self, honest: int, parties: int) -> float:
        """Return the variance of all parties' shares together."""
        return self.total / honest * parties

    def kurtosis(self, honest: int, parties: int) -> float:
        """Return the excess kurtosis of all parties' shares together."""
        return 1 / self.variance(honest, parties)

    def threshold(self, honest: int, parties: int, probability: float) -> int:
        """Return the least m that all shares together reach with at most that probability (see `noise.threshold`)."""
        return threshold(self.variance(honest, parties), probability)

    def error95(self, honest: int, parties: int) -> float:
        """Return the half-width of the 95 % interval (see `accounting.error95`)."""
        return error95(self.variance(honest, parties))


@dataclass(frozen=True)
class DiscreteLaplace:
    """Discrete Laplace noise: pure epsilon ``rate`` for a change by one."""

    rate: float
    name = "discrete Laplace"
    pure = True

    def share(self, honest: int, size: int) -> NDArray[np.int64]:
        """Draw one party's share for ``size`` groups."""
        return laplace_share(self.rate, honest, size)

    def curve(self, moved: Sensitivity) -> NDArray[np.float64]:
        """Return its Renyi divergence over accounting.ORDERS. Groups are independent, so theirs add."""
        return rdp_laplace(moved.most, self.rate) * moved.groups

    def variance(self, honest: int, parties: int) -> float:
        """Return the variance of all parties' shares together."""
        return laplace_variance(self.rate) / honest * parties

    def kurtosis(self, honest: int, parties: int) -> float:
        """Return the excess kurtosis of all parties' shares together: that of one negative binomial, halved."""
        shape, q = parties / honest, math.exp(-self.rate)
        return (6 + (1 - q) ** 2 / q) / shape / 2

    def threshold(self, honest: int, parties: int, probability: float) -> int:
        """Return the least m that all shares together reach with at most that probability (see `laplace_threshold`)."""
        return laplace_threshold(self.rate, honest, parties, probability)

    def error95(self, honest: int, parties: int) -> float:
        """Return the exact whole number; for small rates in proportion to that of 1/512, whose law hardly differs."""
        summed = max(self.rate, LEAST_SUMMED)
        return (laplace_threshold(summed, honest, parties, 0.025) - 1) * (summed / self.rate)
