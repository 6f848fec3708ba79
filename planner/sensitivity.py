"""Noise: how far one privacy unit can move each partial, and the noise that hides it.

Values are clamped to verified bounds and rows per unit are bounded below the cut, so a unit moves a sum by at most
D = rows per unit x largest |value| (x the number of parties where units may be at several). Sums are rounded to a
public grid before noise is added; rounding moves D by at most one grid step for each party and group that a unit is in.
Discrete Laplace or Skellam noise, whichever is smaller for all partials of a statement at the same cost.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from fedsql.errors import DataError, NotSupportedError
from fedsql.planner.offer import TableOffer
from fedsql.planner.partials import Output, Partial
from fedsql.planner.terms import Terms
from fedsql.privacy.accounting import calibrate, to_epsilon
from fedsql.privacy.laplace import LEAST_RATE, MOST_RATE
from fedsql.privacy.mechanisms import DiscreteLaplace, Mechanism, Sensitivity, Skellam
from fedsql.privacy.noise import LEAST_VARIANCE
from fedsql.privacy.tree import rank_error

_STEPS = 1 << 10  # grid steps in what one unit may contribute at most
_FEWEST = 32  # of them: coarser sums would be off by more than their noise hides
_MARGIN = 1 - 2.0**-40  # keeps rounding of the last digit from a cost that is above what was asked
_Law = tuple[int, Sensitivity, Mechanism]
_INSTEAD = {
    "min": "ask for a low quantile: quantile_cont(x, 0.01)",
    "max": "ask for a high quantile: quantile_cont(x, 0.99)",
} | dict.fromkeys(("bool_and", "bool_or"), "count the rows: COUNT(*) FILTER (WHERE ...)")


@dataclass(frozen=True)
class Noise:
    """Noise of one partial. The sum is sent as multiples of ``grid``; ``moved`` and the noise are in these.

    Each of ``parties`` adds a share of ``mechanism``'s noise; the shares of ``honest`` of them are enough.
    """

    grid: int
    moved: Sensitivity
    mechanism: Mechanism
    honest: int
    parties: int

    @property
    def error95(self) -> float:
        """The half-width of the 95 % interval of the sum, in its own unit."""
        return self.mechanism.error95(self.honest, self.parties) * self.grid

    @property
    def variance(self) -> float:
        """The variance of the sum, in its own unit."""
        return self.mechanism.variance(self.honest, self.parties) * self.grid**2

    @property
    def kurtosis(self) -> float:
        """The excess kurtosis of the sum's noise."""
        return self.mechanism.kurtosis(self.honest, self.parties)


def off_by(output: Output, noise: Noise) -> float:
    """Return how many rows of its rank a quantile that is read off noisy counts may be off (95 %)."""
    assert output.ranges is not None
    assert output.fraction is not None
    return rank_error(output.ranges.sizes, float(output.fraction), noise.variance, noise.kurtosis)


@dataclass(frozen=True)
class Contribution:
    """How much one privacy unit may contribute to a release: rows in all, and groups, at each party; and parties.

    ``joined``: they are rows of a private join, whose values are rounded one by one.
    """

    rows: int
    parties: int
    groups: int = 1
    joined: bool = False


def contribution(offers: Sequence[TableOffer], *, grouped: bool = False, unknown: bool = False) -> Contribution:
    """Return the bound that holds for every contributor; ``unknown``: noise decides which groups are shown."""
    rows = max(1 if offer.unit_unique else offer.max_rows_per_unit for offer in offers)
    scattered = any(offer.privacy_unit is not None and offer.unit_scope != "global" for offer in offers)
    groups = rows if grouped else 1
    if unknown:
        groups = min(rows, max(offer.max_groups_per_unit for offer in offers))
    return Contribution(rows, len(offers) if scattered else 1, groups)


def check_noisy(functions: Sequence[str]) -> None:
    """Raise NotSupportedError for what is not answered under noise."""
    for function in functions:
        if function in _INSTEAD:
            raise NotSupportedError(
                f"{function} is not answered under noise, which a party here requires", hint=_INSTEAD[function]
            )


def tau(noise: Noise, unit: Contribution, delta: float) -> int:
    """Return the least noisy number of units with which a group of unknown key is shown.

    A key that one unit alone has must not be seen: it counts at up to ``parties`` of them, in up to ``groups`` groups at
    each. So it is tau or more by the noise of all shares with at most ``delta``, all its groups together.
    """
    least = noise.mechanism.threshold(noise.honest, noise.parties, delta / (unit.parties * unit.groups))
    return unit.parties + least


def calibrated(
    groups: Sequence[tuple[Sequence[Partial], Contribution, Terms, int]], epsilon: float, delta: float
) -> list[tuple[Noise, ...]]:
    """Return the noise of each release's partials, such that all of them together cost at most (epsilon, delta).

    ``groups`` holds for each release: its partials, a unit's contribution, the terms, and the number of contributors.
    """
    if not 0 < epsilon < math.inf:
        raise DataError(f"epsilon is a positive number, not {epsilon:g}", hint="SET epsilon = 1.0")
    most = [(partial, unit) for partials, unit, _, _ in groups for partial in partials]
    laws = [law for law in (_laplace(most, epsilon, delta), _skellam(most, epsilon, delta)) if law]
    if not laws:
        raise DataError(
            f"epsilon {epsilon:g} is one that no noise is drawn for: it is too small or too large",
            hint="SET epsilon to a value such as 1.0",
        )
    found = []
    for law in laws:
        each = iter(law)
        found.append(
            [
                tuple(Noise(*next(each), count - min(terms.noise_colluders, count - 1), count) for _ in partials)
                for partials, _, terms, count in groups
            ]
        )
    return min(found, key=lambda made: sum(math.log(max(n.error95, 0.5)) for noise in made for n in noise))


def _laplace(partials: Sequence[tuple[Partial, Contribution]], epsilon: float, delta: float) -> list[_Law]:
    """Return discrete Laplace noise that costs pure ``epsilon`` in all, an even share for each partial; else nothing."""
    own = epsilon / len(partials)
    for _ in range(8):  # the ledger's conversion at finite orders comes out up to 1e-4 above the pure epsilon
        found = _laplace_at(partials, own)
        curves = [mechanism.curve(moved).tolist() for _, moved, mechanism in found]
        spent = to_epsilon([math.fsum(values) for values in zip(*curves, strict=True)], delta) if found else 0.0
        if spent <= epsilon * _MARGIN:
            return found
        own *= epsilon / spent * (1 - 1e-6)
    return []


def _laplace_at(partials: Sequence[tuple[Partial, Contribution]], own: float) -> list[_Law]:
    """Return discrete Laplace noise with pure epsilon ``own`` for each partial; nothing where it cannot be drawn."""
    found: list[_Law] = []
    for partial, unit in partials:
        steps = min(_STEPS, int(own / LEAST_RATE / 2))
        if steps < _FEWEST:
            return []
        grid, moved = _shape(partial, unit, steps)
        rate = own / moved.l1
        if not LEAST_RATE <= rate <= MOST_RATE:
            return []
        found.append((grid, moved, DiscreteLaplace(rate)))
    return found


def _skellam(partials: Sequence[tuple[Partial, Contribution]], epsilon: float, delta: float) -> list[_Law]:
    """Return Skellam noise that costs (epsilon, delta) in all, in proportion to the sensitivities; else nothing."""
    shapes = [_shape(partial, unit, _STEPS) for partial, unit in partials]
    try:
        variances = calibrate(epsilon, delta, [(moved.l1, moved.l2) for _, moved in shapes])
    except ValueError:
        return []
    if min(variances) < LEAST_VARIANCE:
        return []
    return [(grid, moved, Skellam(v)) for (grid, moved), v in zip(shapes, variances, strict=True)]


def _shape(partial: Partial, unit: Contribution, steps: int) -> tuple[int, Sensitivity]:
    """Return the grid of a partial, such that a unit moves it by about ``steps`` of them at most, and by how many."""
    if partial.ranges is not None:  # each row is one of the counts of each level
        return 1, Sensitivity(unit.rows * unit.parties, len(partial.ranges.sizes))
    largest = max(abs(partial.low), abs(partial.high), 1) * (1 if partial.once else unit.rows) * unit.parties
    grid = 1 if partial.tagged else max(1, -(-largest // steps))  # a number of tags is added as it is
    # Once at each party, in each group that it has rows in; of joined rows each one.
    rounded = unit.parties * (unit.rows if unit.joined else 1 if partial.once else unit.groups)
    moved = -(-largest // grid) + (rounded if grid > 1 else 0)
    return grid, Sensitivity(moved, unit.groups if partial.once else 1)  # its rows are so many in all groups together


def curve(noise: Sequence[Noise]) -> tuple[float, ...]:
    """Return the Renyi curve (over accounting.ORDERS) of releasing partials with this noise: what is charged."""
    curves = [n.mechanism.curve(n.moved).tolist() for n in noise]
    return tuple(map(sum, zip(*curves, strict=True)))
