"""The Renyi bound against exact divergences, calibration against dp-accounting's conversion."""

import math
import subprocess
import sys

import mpmath
import numpy as np
import pytest
from dp_accounting.pld import privacy_loss_distribution as pld
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fedsql.privacy.accounting import ORDERS, calibrate, error95, rdp_laplace, rdp_skellam, to_epsilon

DELTA = 1e-6


def exact_divergence(shift, variance, order):
    """Return the Renyi divergence of Skellam noise moved by ``shift`` from itself, summed from Bessel functions."""
    sigma = math.sqrt(variance)
    reach = math.ceil(order * shift + 12 * sigma + 20)
    x = mpmath.mpf(variance)
    mass = [mpmath.besseli(k, x) for k in range(reach + shift + 1)]  # the factor exp(-x) cancels but for one
    terms = (mass[abs(k - shift)] ** order * mass[abs(k)] ** (1 - order) for k in range(-reach, reach + 1))
    return float((mpmath.log(mpmath.fsum(terms)) - x) / (order - 1))


@pytest.mark.parametrize("order", [2, 3, 7, 20])
@pytest.mark.parametrize(("shift", "variance"), [(1, 0.3), (1, 2.0), (1, 50.0), (4, 30.0), (10, 1000.0)])
def test_the_bound_holds_and_is_close_when_there_is_much_noise(shift, variance, order):
    exact = exact_divergence(shift, variance, order)
    bound = rdp_skellam(shift, shift, variance)[ORDERS.tolist().index(order)]
    assert exact <= bound
    if variance / shift**2 >= 10:
        assert bound <= 1.25 * exact


def test_the_bound_holds_for_a_vector():
    shifts, variance = [3, 1, 1, 2], 12.0
    bound = rdp_skellam(sum(shifts), math.hypot(*shifts), variance)
    for order in (2, 5, 12):
        exact = sum(exact_divergence(shift, variance, order) for shift in shifts)
        assert exact <= bound[ORDERS.tolist().index(order)]


def test_the_bound_as_published_worked_by_hand():
    """Order 2, L1 = 3, L2 = 2: 2*4/(2V) + min((3*4 + 6*3)/(4V^2), 3*3/(2V)); the second branch at V = 1."""
    assert rdp_skellam(3, 2, 10.0)[0] == pytest.approx(0.4 + 0.075)
    assert rdp_skellam(3, 2, 1.0)[0] == pytest.approx(4 + 4.5)


def test_orders_are_integers_above_one_in_order():
    assert ORDERS[0] == 2
    assert (np.diff(ORDERS) > 0).all()
    assert ORDERS.dtype == np.int64


@settings(deadline=None, max_examples=60)
@given(
    epsilon=st.floats(0.001, 30),
    delta=st.sampled_from([1e-9, 1e-6, 1e-4]),
    sensitivities=st.lists(
        st.tuples(st.integers(1, 100_000), st.integers(1, 50)).map(lambda s: (s[0] * s[1], s[0] * math.sqrt(s[1]))),
        min_size=1,
        max_size=6,
    ),
)
def test_calibrated_noise_meets_epsilon_and_wastes_little(epsilon, delta, sensitivities):
    variances = calibrate(epsilon, delta, sensitivities)

    def spent(factor):
        curves = (rdp_skellam(d1, d2, factor * v) for (d1, d2), v in zip(sensitivities, variances, strict=True))
        return to_epsilon(sum(curves), delta)

    assert spent(1) <= epsilon < spent(1 - 1 / 32)
    scales = [v / d2**2 for (_, d2), v in zip(sensitivities, variances, strict=True)]
    assert scales == pytest.approx([scales[0]] * len(scales))


def test_less_epsilon_or_delta_and_more_sensitivity_ask_for_more_noise():
    by_epsilon = [calibrate(e, DELTA, [(1, 1)])[0] for e in (8, 4, 2, 1, 0.5, 0.1, 0.01, 0.001)]
    by_delta = [calibrate(1, d, [(1, 1)])[0] for d in (1e-3, 1e-6, 1e-9)]
    by_partials = [calibrate(1, DELTA, [(1, 1)] * n)[0] for n in (1, 2, 4)]
    by_width = [calibrate(1, DELTA, [(d, d)])[0] for d in (1, 3, 10)]
    for noise in (by_epsilon, by_delta, by_partials, by_width):
        assert sorted(set(noise)) == noise


def test_ten_queries_cost_less_than_ten_times_one():
    (variance,) = calibrate(0.5, DELTA, [(1, 1)])
    one = rdp_skellam(1, 1, variance)
    assert to_epsilon(one, DELTA) <= 0.5
    assert to_epsilon(one, DELTA) < to_epsilon(10 * one, DELTA) < 0.5 * 5


def test_close_to_the_gaussian_mechanism_when_there_is_much_noise():
    """The Gaussian mechanism's Renyi curve is alpha / (2 V): Skellam noise may not be far above it, nor below."""
    (variance,) = calibrate(0.2, DELTA, [(1, 1)])
    gaussian = to_epsilon(ORDERS / (2 * variance), DELTA)
    assert gaussian <= to_epsilon(rdp_skellam(1, 1, variance), DELTA) <= 1.01 * gaussian


def test_nothing_spent_is_epsilon_zero():
    assert to_epsilon(np.zeros(len(ORDERS)), DELTA) == 0


@pytest.mark.parametrize("epsilon", [0.1, 0.5])
@pytest.mark.parametrize("count", [12, 100])
def test_the_sum_of_curves_is_above_the_exact_epsilon_and_near_it(epsilon, count):
    """Of ``count`` pairs, one count with discrete Laplace and one with Skellam noise; exact by privacy loss."""
    (variance,) = calibrate(epsilon, DELTA, [(1, 1)])
    reach = math.ceil(12 * math.sqrt(variance))
    values = range(-reach, reach + 1)
    masses = stats.skellam(variance / 2, variance / 2).logpmf(values)
    lower, upper = (dict(zip((v + moved for v in values), masses, strict=True)) for moved in (0, 1))

    def exact(pessimistic):
        how = {"value_discretization_interval": 1e-4, "pessimistic_estimate": pessimistic}
        one = pld.from_two_probability_mass_functions(lower, upper, **how)
        both = one.compose(pld.from_discrete_laplace_mechanism(epsilon, sensitivity=1, **how))
        return both.self_compose(count).get_epsilon_for_delta(DELTA)

    charged = to_epsilon(count * (rdp_skellam(1, 1, variance) + rdp_laplace(1, epsilon)), DELTA)
    assert exact(pessimistic=False) <= charged <= 1.15 * exact(pessimistic=True)


@pytest.mark.parametrize("rate", [0.01, 0.3, 2.0])
def test_rows_of_a_unit_cost_no_more_in_several_groups_than_in_one(rate):
    """A sum is charged as if all rows of a unit were in one group."""
    for here, there in ((1, 1), (3, 7), (1, 99)):
        assert (rdp_laplace(here, rate) + rdp_laplace(there, rate) <= rdp_laplace(here + there, rate) + 1e-12).all()


@pytest.mark.parametrize("epsilon", [0.0, -1.0, float("nan"), float("inf"), 1e-9])
def test_an_epsilon_that_no_noise_reaches_is_refused(epsilon):
    with pytest.raises(ValueError, match="epsilon"):
        calibrate(epsilon, DELTA, [(1, 1)])


@pytest.mark.parametrize(("d1", "d2"), [(0, 0), (1, 2), (-1, -1), (float("inf"), 1), (float("nan"), 1)])
def test_senseless_sensitivities_are_refused(d1, d2):
    with pytest.raises(ValueError, match="sensitivities"):
        calibrate(1, DELTA, [(1, 1), (d1, d2)])
    with pytest.raises(ValueError, match="sensitivities"):
        rdp_skellam(d1, d2, 1.0)


@pytest.mark.parametrize("curve", [[0.1], [-1.0] * len(ORDERS), [float("nan")] * len(ORDERS)])
def test_what_is_not_a_curve_is_not_converted(curve):
    with pytest.raises(ValueError, match="curve"):
        to_epsilon(curve, DELTA)


@pytest.mark.parametrize("variance", [0.01, 0.05, 2.0, 30.0, 9_999.0, 10_000.0, 1e9])
def test_the_error_interval_covers_95_percent(variance):
    half = error95(variance)
    inside = 1 - 2 * stats.skellam(variance / 2, variance / 2).cdf(-math.floor(half) - 1)
    assert inside >= 0.95 - 1e-3
    if variance >= 10_000:
        assert inside == pytest.approx(0.95, abs=2e-3)
    elif half:
        assert 1 - 2 * stats.skellam(variance / 2, variance / 2).cdf(-half) < 0.95


def test_scipy_is_not_loaded_until_a_conversion_needs_it():
    code = "import sys, fedsql.privacy.ledger; assert not {'scipy', 'dp_accounting'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
