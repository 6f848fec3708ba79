"""Noise, first form: how far one privacy unit can move each partial, and the Skellam noise that hides it.

Values are clamped to verified bounds and rows per unit are bounded below the cut, so a unit moves a sum by at most
D = rows per unit x largest |value| (x the number of parties where units may be at several). Sums are rounded to a
public grid before noise is added; rounding moves D by at most one grid step per party (research: Skellam mechanism,
Agarwal et al. 2021; one unit added or removed).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fedsql.errors import DataError, NotSupportedError
from fedsql.planner.catalog import TableOffer
from fedsql.planner.partials import Partial
from fedsql.planner.policy import Terms
from fedsql.privacy.accounting import calibrate, rdp_skellam
from fedsql.privacy.noise import share_variance

_STEPS = 1 << 10  # grid steps in the largest contribution of one row
_INSTEAD = dict.fromkeys(
    ("min", "max", "median", "quantile_cont", "quantile_disc"),
    "count the rows beyond a bound: COUNT(*) FILTER (WHERE x > 90)",
)
NOISY_FUNCTIONS = ("count", "count_if", "sum", "avg")


@dataclass(frozen=True)
class Noise:
    """Noise of one partial. The sum is sent as multiples of ``grid``; ``sensitivity`` and ``variance`` are in these.

    ``variance`` is what the honest parties' shares reach together; each party adds ``share`` (see noise.share_variance).
    """

    grid: int
    sensitivity: int
    variance: float
    share: float


@dataclass(frozen=True)
class Contribution:
    """How much one privacy unit may contribute to a release: rows at each party, and at how many parties."""

    rows: int
    parties: int


def contribution(offers: Sequence[TableOffer]) -> Contribution:
    """Return the bound that holds for every contributor."""
    rows = max(1 if offer.unit_unique else offer.max_rows_per_unit for offer in offers)
    scattered = any(offer.privacy_unit is not None and offer.unit_scope != "global" for offer in offers)
    return Contribution(rows, len(offers) if scattered else 1)


def check_noisy(functions: Sequence[str], public_domain: bool) -> None:
    """Raise NotSupportedError for what is not answered under noise."""
    for function in functions:
        if function not in NOISY_FUNCTIONS:
            raise NotSupportedError(
                f"{function} under noise is not answered yet",
                hint=_INSTEAD.get(function, "count, sum and avg are; a party here has noise = required"),
            )
    if not public_domain:
        raise NotSupportedError(
            "under noise, a GROUP BY over a column without a public list of values is not answered yet",
            hint="group by columns whose owners declare values = [...], or leave GROUP BY out",
        )


def calibrated(
    groups: Sequence[tuple[Sequence[Partial], Contribution, Terms, int]], epsilon: float, delta: float
) -> list[tuple[Noise, ...]]:
    """Return the noise of each release's partials, such that all of them together cost at most (epsilon, delta).

    ``groups`` holds for each release: its partials, a unit's contribution, the terms, and the number of contributors.
    """
    shapes = []
    for partials, unit, _, _ in groups:
        for partial in partials:
            largest = max(abs(partial.low), abs(partial.high), 1)
            grid = max(1, -(-largest // _STEPS))
            steps = -(-largest * unit.rows * unit.parties // grid)
            shapes.append((grid, steps + (unit.parties if grid > 1 else 0)))
    try:
        variances = calibrate(epsilon, delta, [(float(d), float(d)) for _, d in shapes])
    except ValueError as error:
        raise DataError(str(error), hint="SET epsilon to a value such as 1.0") from None
    found = iter(zip(shapes, variances, strict=True))
    return [
        tuple(
            Noise(grid, d, v, share_variance(v, count, min(terms.noise_colluders, count - 1)))
            for _ in partials
            for (grid, d), v in [next(found)]
        )
        for partials, _, terms, count in groups
    ]


def curve(noise: Sequence[Noise]) -> tuple[float, ...]:
    """Return the Renyi curve (over accounting.ORDERS) of releasing partials with this noise: what is charged."""
    curves = [rdp_skellam(n.sensitivity, n.sensitivity, n.variance).tolist() for n in noise]
    return tuple(map(sum, zip(*curves, strict=True)))
