"""Discrete Laplace shares against scipy's and mpmath's laws: table to 170 bits, sums of shares by chi-square and KS."""

import math

import mpmath
import numpy as np
import pytest
from laws import law, p_value, spread
from scipy import stats

from fedsql.privacy.accounting import ORDERS, rdp_laplace
from fedsql.privacy.laplace import (
    LEAST_RATE,
    MOST_RATE,
    _heads,
    _table,
    laplace_share,
    laplace_threshold,
    laplace_variance,
)
from fedsql.privacy.mechanisms import DiscreteLaplace, Sensitivity, Skellam
from fedsql.privacy.tables import Heads

DRAWS = 100_000
SIZES = [(2, 0), (2, 1), (3, 1), (5, 2), (10, 1), (10, 2)]  # parties, colluders
LEVEL = 1e-3 / 48  # false alarms over all p-values of the shares together: one in a thousand


def seeded(seed):
    return np.random.default_rng(seed).bytes


def summed(rate, parties, colluders, *, kept=None, seed=5):
    """Return DRAWS sums of the shares of ``kept`` parties (None: all)."""
    entropy, honest = seeded(seed), parties - colluders
    return sum(laplace_share(rate, honest, DRAWS, entropy) for _ in range(kept or parties))


@pytest.mark.parametrize("rate", [2.0, 1 / 3, 0.02])
@pytest.mark.parametrize(("parties", "colluders"), SIZES)
def test_shares_of_all_sum_to_the_law_and_those_of_the_honest_to_the_claimed_one(rate, parties, colluders):
    mechanism, honest = DiscreteLaplace(rate), parties - colluders
    exact = law(mechanism, honest, parties)
    values = summed(rate, parties, colluders)
    assert p_value(values, *exact) > LEVEL
    assert abs(spread(values, *exact)) < 5
    k = np.arange(-math.ceil(40 / rate), math.ceil(40 / rate) + 1)
    claimed = math.tanh(rate / 2) * np.exp(-rate * np.abs(k))
    assert p_value(summed(rate, parties, colluders, kept=honest, seed=6), k, claimed) > LEVEL


@pytest.mark.parametrize("rate", [2.0, 1 / 3, 0.02])
def test_the_judge_sees_a_share_that_is_too_small(rate):
    exact = law(DiscreteLaplace(rate), 2, 3)
    assert p_value(summed(rate, 3, 0), *exact) < LEVEL


@pytest.mark.parametrize("rate", [1.0, 0.1])
@pytest.mark.parametrize("honest", [1, 3])
def test_the_table_is_the_negative_binomial_to_170_bits(rate, honest):
    table = _table(rate, honest)
    with mpmath.workprec(400):
        q, r = mpmath.exp(-mpmath.mpf(rate)), mpmath.mpf(1) / honest
        total = mpmath.mpf(0)
        for k in range(100):
            total += mpmath.gamma(k + r) / mpmath.gamma(r) / mpmath.factorial(k) * (1 - q) ** r * q**k
            assert abs(table.cumulative(k) - int(total * 2**192)) < 2**22


@pytest.mark.parametrize("rate", [8.0, 1.0, 1 / 3, 1 / 3075])
@pytest.mark.parametrize("honest", [1, 3])
def test_heads_draw_what_the_table_draws(rate, honest):
    heads, table = _heads(rate, honest), _table(rate, honest)
    assert len(heads.top) < 0.5 * len(table.top)
    assert (heads.top == table.top[: len(heads.top)]).all()
    ties = [*heads.top[:50].tolist(), *heads.top[-5:].tolist(), 0, *[2**64 - 1] * 50]
    drawn = np.array(ties, "<u8").tobytes() + seeded(1)(8 * 1000)
    values = []
    for source in (heads, table):
        more = seeded(2)
        given = iter([drawn])
        values.append(source.draw(len(drawn) // 8, lambda n, given=given, more=more: next(given, None) or more(n)))
    assert (values[0] == values[1]).all()


def test_heads_that_rounding_leaves_open_are_the_tables_own():
    table = _table(1.0, 1)
    entry, off = table.cumulative(3) >> 48, 1 << 60
    assert len(Heads.of([entry], off, lambda: table).top) == 1
    least = entry >> 80 << 80
    for left_open in (least, least + (1 << 80) - off):
        assert len(Heads.of([left_open], off, lambda: table).top) == len(table.top)


@pytest.mark.parametrize("rate", [1.5, 0.25, 1 / 400])
@pytest.mark.parametrize(("honest", "parties"), [(1, 1), (2, 3), (1, 4)])
@pytest.mark.parametrize("probability", [1e-12, 1e-6, 0.025, 0.4])
def test_the_threshold_is_the_least_with_that_tail(rate, honest, parties, probability):
    m = laplace_threshold(rate, honest, parties, probability)
    support, mass = law(DiscreteLaplace(rate), honest, parties)
    tail = {int(k): t for k, t in zip(support[::-1], np.cumsum(mass[::-1]), strict=True)}
    assert tail[m] <= probability * (1 + 1e-8)
    assert m == 0 or tail[m - 1] > probability * (1 - 1e-6)


def test_a_threshold_of_much_noise_errs_upward_and_not_far():
    rate = 1 / 600
    exact = math.log(1e6 / (1 + math.exp(-rate))) / rate  # of one party
    assert exact < laplace_threshold(rate, 1, 1, 1e-6) < 1.3 * exact


@pytest.mark.parametrize("rate", [3.0, 0.5, 0.01])
def test_its_variance(rate):
    k = np.arange(1, math.ceil(60 / rate))
    assert laplace_variance(rate) == pytest.approx(2 * (math.tanh(rate / 2) * np.exp(-rate * k) * k**2).sum())


@pytest.mark.parametrize("order", [2, 3, 7, 32])
@pytest.mark.parametrize(("distance", "rate"), [(1, 1.0), (1, 0.01), (4, 0.5), (30, 0.1)])
def test_the_divergence_is_exact(distance, rate, order):
    with mpmath.workprec(300):
        q = mpmath.exp(-mpmath.mpf(rate))
        reach = int(80 / rate) + distance
        mass = {k: (1 - q) / (1 + q) * q ** abs(k) for k in range(-reach - distance, reach + distance + 1)}
        total = mpmath.fsum(mass[k] ** order * mass[k - distance] ** (1 - order) for k in range(-reach, reach + 1))
        exact = float(mpmath.log(total) / (order - 1))
    assert rdp_laplace(distance, rate)[ORDERS.tolist().index(order)] == pytest.approx(exact, rel=1e-9, abs=1e-12)


def test_the_divergence_grows_to_pure_epsilon():
    curve = rdp_laplace(5, 0.2)
    assert (np.diff(curve) > 0).all()
    assert 0.999 < curve[-1] < 1.0


@pytest.mark.parametrize(
    "mechanism", [DiscreteLaplace(1.0), DiscreteLaplace(0.02), DiscreteLaplace(1e-3), Skellam(50.0)]
)
def test_the_stated_error_covers_95_percent(mechanism):
    half = mechanism.error95(2, 3)
    values = sum(mechanism.share(2, 60_000) for _ in range(3))
    inside = np.mean(np.abs(values) <= half)
    assert inside > 0.945
    assert half < 6 or inside < 0.962  # Skellam: 0.9566 exactly


def test_close_to_opendp_and_smaller_than_skellam_for_one_count():
    """At epsilon 1, three parties and one colluder: 1.22 times the central deviation; Skellam needs three times as much."""
    laplace = math.sqrt(DiscreteLaplace(1.0).variance(2, 3))
    assert laplace == pytest.approx(1.225 * math.sqrt(laplace_variance(1.0)), rel=1e-3)
    assert DiscreteLaplace(1.0).curve(Sensitivity(1)).max() <= 1.0


@pytest.mark.parametrize(("rate", "honest"), [(0.0, 1), (LEAST_RATE / 2, 1), (65.0, 1), (float("nan"), 1), (1.0, 0)])
def test_impossible_shares_are_refused(rate, honest):
    with pytest.raises(ValueError, match="no share"):
        laplace_share(rate, honest, 1)


def test_the_oracle_itself():
    support, mass = law(DiscreteLaplace(0.5), 3, 3)
    assert np.allclose(mass, stats.dlaplace(0.5).pmf(support), atol=1e-12)


def test_the_largest_rates_are_drawn():
    """Of the tail of their tables nothing is left at 256 bits."""
    for rate in (59.5, MOST_RATE):
        assert (laplace_share(rate, 1, 100) == 0).all()
        assert _table(rate, 1).cumulative(0) < 2**192
