"""Skellam shares against scipy's and mpmath's Skellam: single draws to 192 bits, sums of shares by chi-square and KS."""

import itertools

import mpmath
import numpy as np
import pytest
from scipy import stats
from scipy.special import ive

from fedsql.privacy.noise import share_variance, skellam, threshold

DRAWS = 150_000
LEVEL = 1e-3 / 18  # false alarms over all eighteen p-values of the shares together: one in a thousand


def seeded(seed):
    return np.random.default_rng(seed).bytes


def summed_shares(total_variance, parties, colluders, seed):
    """Return DRAWS sums of all parties' shares."""
    entropy = seeded(seed)
    variance = share_variance(total_variance, parties, colluders)
    return sum(skellam(variance, DRAWS, entropy) for _ in range(parties))


def judge(values, variance):
    """Return the smaller p-value of a chi-square and a Kolmogorov-Smirnov test against Skellam of ``variance``.

    The oracle is exp(-variance) I_k(variance) from scipy.special: scipy.stats.skellam.ppf fails at 1.5e6.
    """
    reach = int(12 * variance**0.5) + 20
    support = np.arange(-reach, reach + 1)
    cumulative = np.cumsum(ive(np.abs(support), variance))
    assert cumulative[-1] == pytest.approx(1, abs=1e-12)
    edges = np.unique(np.searchsorted(cumulative, np.linspace(0, 1, 41)[1:-1]))  # a bin is (edge, next edge]
    expected = len(values) * np.diff(cumulative[edges], prepend=0, append=1)
    observed = np.bincount(np.searchsorted(support[edges], values, side="left"), minlength=len(edges) + 1)
    counted = np.cumsum(np.bincount(np.clip(values + reach, 0, 2 * reach), minlength=2 * reach + 1))
    distance = np.abs(counted / len(values) - cumulative).max()
    kolmogorov = stats.kstwobign.sf(distance * np.sqrt(len(values)))  # conservative for integers
    return min(stats.chisquare(observed, expected).pvalue, kolmogorov)


@pytest.mark.parametrize("variance", [0.05, 30.0, 1e6])
@pytest.mark.parametrize(("parties", "colluders"), [(1, 0), (3, 1), (5, 2)])
def test_shares_sum_to_skellam_noise(variance, parties, colluders):
    values = summed_shares(variance, parties, colluders, seed=20)
    assert judge(values, variance * parties / (parties - colluders)) > LEVEL


@pytest.mark.parametrize("variance", [0.05, 30.0, 1e6])
def test_the_judge_notices_a_variance_that_is_a_tenth_too_large(variance):
    assert judge(summed_shares(1.1 * variance, 3, 1, seed=20), variance * 3 / 2) < LEVEL


def test_p_values_over_many_seeds_are_uniform():
    p_values = []
    for seed in range(40):
        values = np.abs(skellam(1e6, 5000, seeded(seed)))  # the law is nearly continuous here
        p_values.append(stats.kstest(values, stats.halfnorm(scale=1e3).cdf).pvalue)
    assert stats.kstest(p_values, "uniform").pvalue > LEVEL


@pytest.mark.parametrize("variance", [1e8, 3e9])
def test_a_large_variance_is_a_sum_of_several_draws(variance):
    values = skellam(variance, 4000, seeded(3))
    assert stats.kstest(values, stats.norm(scale=variance**0.5).cdf).pvalue > 1e-3
    assert values.var() == pytest.approx(variance, rel=0.1)


def cumulative(variance, value):
    """Return P(noise <= value) * 2^192 from mpmath's Bessel functions at 400 bits."""
    with mpmath.workprec(400):
        x = mpmath.mpf(variance)
        tail = mpmath.mpf(0)
        for k in itertools.count(abs(value) if value < 0 else value + 1):  # P(noise >= k)
            mass = mpmath.besseli(k, x) * mpmath.exp(-x)
            tail += mass
            if k > variance and mass < mpmath.mpf(2) ** -250:
                break
        return int((tail if value < 0 else 1 - tail) * 2**192)


@pytest.mark.parametrize("variance", [0.01, 0.7, 30.0, 400.0])
@pytest.mark.parametrize("sigmas", [-9, -1, 0, 1, 9])
def test_a_draw_inverts_the_distribution_function_to_170_bits(variance, sigmas):
    value = round(sigmas * variance**0.5)
    edge = cumulative(variance, value)

    def draw(uniform):
        words = iter([(uniform >> 128).to_bytes(8, "little"), (uniform % 2**128).to_bytes(16, "big")])

        def entropy(size):
            word = next(words)
            assert len(word) == size
            return word

        return skellam(variance, 1, entropy)[0]

    assert draw(edge - 2**22) == value
    assert draw(edge + 2**22) == value + 1


def test_the_extremes_of_the_uniform_are_the_far_tails():
    low, high = (int(skellam(30.0, 1, lambda size, fill=fill: fill * size)[0]) for fill in (b"\0", b"\xff"))
    assert -high <= low <= -high + 3  # the outermost entries of the lower tail round to 0
    assert cumulative(30.0, -high) < 2**42 < cumulative(30.0, -high // 2)  # 2^-150, between the two


def test_production_entropy_gives_other_values_every_time():
    assert skellam(1e6, 20).tolist() != skellam(1e6, 20).tolist()


def test_no_values_need_no_entropy():
    values = skellam(2.0, 0)
    assert values.shape == (0,)
    assert values.dtype == np.int64


@pytest.mark.parametrize("variance", [0.0, -1.0, 1e-13, 2.0**41, float("inf"), float("nan")])
def test_an_impossible_variance_is_refused(variance):
    with pytest.raises(ValueError, match="variance"):
        skellam(variance, 1)


def test_shares_are_sized_for_the_honest_parties():
    assert share_variance(12.0, 4, 1) == 4.0
    assert share_variance(12.0, 1, 0) == 12.0


@pytest.mark.parametrize(("parties", "colluders"), [(1, 1), (2, 3), (0, 0), (3, -1)])
def test_shares_need_an_honest_party(parties, colluders):
    with pytest.raises(ValueError, match="honest"):
        share_variance(1.0, parties, colluders)


@pytest.mark.parametrize("variance", [0.05, 30.0, 1e4])
@pytest.mark.parametrize("probability", [1e-12, 1e-6, 0.025, 0.4, 0.9])
def test_the_threshold_is_the_least_with_that_tail(variance, probability):
    m = threshold(variance, probability)
    exact = stats.skellam(variance / 2, variance / 2)
    lower_tail = exact.cdf(-m), exact.cdf(-(m - 1))  # equal to P(noise >= m), P(noise >= m - 1), and accurate
    assert lower_tail[0] <= probability < lower_tail[1]


def test_the_threshold_beyond_the_table_errs_upward():
    assert 4.7534 * 1e5 < threshold(1e10, 1e-6) < 5.3 * 1e5  # the normal quantile, and Chernoff's


@pytest.mark.parametrize(("variance", "probability"), [(0.0, 0.1), (1.0, 0.0), (1.0, 1.0), (1.0, 1e-50)])
def test_a_threshold_that_cannot_be_told_is_refused(variance, probability):
    with pytest.raises(ValueError, match="threshold"):
        threshold(variance, probability)
