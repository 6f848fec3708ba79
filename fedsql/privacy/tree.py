"""A histogram tree: noisy counts of the values in ranges, wider ranges above narrower ones, and what ranks these tell.

The values are counted in ranges of equal width; `BRANCHES` of them are counted together as one wider range, as many of these
as one again, until so many or fewer are left (Hay, Rastogi, Miklau, Suciu 2010, "Boosting the accuracy of differentially
private histograms through consistency"). Each row counts once in each level. How many values lie up to the end of any range
is then a sum of a few counts of each level, where the finest level alone would need half of all its counts.

``sizes`` are the numbers of ranges of each level, the widest ranges first. All counts have independent noise of one law.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedsql.privacy.mechanisms import half_width

BRANCHES = 16

Counts = NDArray[np.int64]
Numbers = NDArray[np.float64]


def tree_sizes(count: int) -> tuple[int, ...]:
    """Return how many ranges each level has above ``count`` of the finest, which are the last."""
    sizes = [count]
    while sizes[0] > BRANCHES:
        sizes.insert(0, -(-sizes[0] // BRANCHES))
    return tuple(sizes)


def all_levels(sizes: Sequence[int], finest: Counts) -> Counts:
    """Return the counts of all levels side by side [groups, counts], from those of the ``finest`` ranges [groups, ranges]."""
    levels = [finest]
    for size in reversed(sizes[:-1]):
        below = levels[0]
        padded = np.pad(below, ((0, 0), (0, size * BRANCHES - below.shape[1])))
        levels.insert(0, padded.reshape(len(below), size, BRANCHES).sum(axis=2))
    return np.concatenate(levels, axis=1)


@dataclass(frozen=True)
class Standing:
    """How many values more than a share q of all lie below each end of the finest ranges, the start of the first included.

    Each is a sum of counts that are multiplied with known numbers; ``squares`` and ``fourths`` are the sums of their powers.
    """

    above: Numbers
    squares: Numbers
    fourths: Numbers

    def error95(self, variance: float, kurtosis: float) -> Numbers:
        """Return the half-width of the 95 % interval of each, where one count has this variance and excess kurtosis."""
        return half_width(variance * self.squares, kurtosis * self.fourths / self.squares**2)


def standing(sizes: Sequence[int], q: float, counts: Counts) -> Standing:
    """Return how the ``counts`` of all levels of one group stand to its quantile ``q``, which is above 0 and below 1.

    An end inside of a wider range is reached from the side where fewer counts are to be added: its start, or its end.
    """
    part, *finer = np.split(counts, np.cumsum(sizes)[:-1])
    before = np.arange(len(part) + 1)
    after = before[::-1]
    found = Standing(
        _upto(part) - q * float(part.sum()),
        before * (1 - q) ** 2 + after * q**2,
        before * (1 - q) ** 4 + after * q**4,
    )
    for below in finer:
        ends, upto = np.arange(len(below) + 1), _upto(below)
        parent = np.minimum(ends // BRANCHES, len(found.above) - 2)
        start, end = parent * BRANCHES, np.minimum((parent + 1) * BRANCHES, len(below))
        from_start, from_end = found.squares[parent] + ends - start, found.squares[parent + 1] + end - ends
        nearer = from_start <= from_end
        found = Standing(
            np.where(nearer, found.above[parent] - upto[start], found.above[parent + 1] - upto[end]) + upto,
            np.minimum(from_start, from_end),
            np.where(nearer, found.fourths[parent] + ends - start, found.fourths[parent + 1] + end - ends),
        )
    return found


def rank_error(sizes: Sequence[int], q: float, variance: float, kurtosis: float) -> float:
    """Return how many rows of its rank the quantile ``q`` may be off (95 %), wherever it lies."""
    nothing = np.zeros(sum(sizes), np.int64)
    return float(standing(sizes, q, nothing).error95(variance, kurtosis).max())


def _upto(counts: Counts) -> Numbers:
    return np.concatenate([[0.0], np.cumsum(counts, dtype=np.float64)])
