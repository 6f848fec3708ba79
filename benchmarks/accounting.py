"""How many questions a budget pays for: by Renyi curves, as a ledger adds them up, and by their exact privacy loss.

    python benchmarks/accounting.py

Each question is a count with discrete Laplace noise, three of them in one question, or a count with Skellam noise. The
exact number is that of dp-accounting's privacy loss distributions, which hold where all questions are fixed beforehand.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable
from functools import partial

import numpy as np
from dp_accounting.pld import privacy_loss_distribution as pld
from numpy.typing import NDArray
from scipy import stats

from fedsql.privacy.accounting import ORDERS, calibrate, rdp_laplace, rdp_skellam, to_epsilon

DELTA = 1e-6
MOST = 8_000
STEP = 2e-4  # of the privacy loss, rounded up


def laplace(epsilon: float, parts: int) -> tuple[NDArray[np.float64], pld.PrivacyLossDistribution]:
    """Return the curve over ORDERS and the privacy loss of ``parts`` counts that cost ``epsilon`` together."""
    rate = (epsilon + math.log(DELTA) / ORDERS[-1]) / parts  # as it is calibrated: that comes on top of a curve
    one = pld.from_discrete_laplace_mechanism(rate, sensitivity=1, value_discretization_interval=STEP)
    return parts * rdp_laplace(1, rate), one.self_compose(parts)


def skellam(epsilon: float) -> tuple[NDArray[np.float64], pld.PrivacyLossDistribution]:
    """Return the curve over ORDERS and the privacy loss of a count with Skellam noise that costs ``epsilon``."""
    (variance,) = calibrate(epsilon, DELTA, [(1, 1)])
    reach = math.ceil(12 * math.sqrt(variance))
    values = range(-reach, reach + 1)
    masses = stats.skellam(variance / 2, variance / 2).logpmf(values)
    lower, upper = (dict(zip((v + moved for v in values), masses, strict=True)) for moved in (0, 1))
    loss = pld.from_two_probability_mass_functions(lower, upper, value_discretization_interval=STEP)
    return rdp_skellam(1, 1, variance), loss


def main() -> None:
    print("| budget | a question costs | noise | by Renyi curves | by the exact loss |")
    print("|---|---|---|---|---|")
    for budget, epsilon in ((1.0, 0.1), (10.0, 0.1), (10.0, 0.5), (10.0, 1.0)):
        kinds = {"discrete Laplace": laplace(epsilon, 1), "the same, 3 values": laplace(epsilon, 3)}
        for name, (curve, loss) in {**kinds, "Skellam": skellam(epsilon)}.items():
            found = [_fitting(cost, budget) for cost in (partial(_by_curve, curve), partial(_exact, loss))]
            print(f"| {budget:g} | {epsilon:g} | {name} | {found[0]:,} | {found[1]:,} |", flush=True)


def _by_curve(curve: NDArray[np.float64], count: int) -> float:
    return to_epsilon(count * curve, DELTA)


def _exact(loss: pld.PrivacyLossDistribution, count: int) -> float:
    return float(loss.self_compose(count).get_epsilon_for_delta(DELTA))


def _fitting(cost: Callable[[int], float], budget: float) -> int:
    return bisect_left(range(1, MOST), True, key=lambda count: cost(count) > budget)


if __name__ == "__main__":
    main()
