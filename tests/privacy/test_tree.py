"""Quantiles read off noisy counts in ranges: ranks as sums of few counts, and intervals that hold what they promise."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import pairwise

import duckdb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedsql.executors.ranges import quantile
from fedsql.planner.partials import Output
from fedsql.planner.ranges import MOST_COUNTS, Ranges, ranges_of
from fedsql.planner.sensitivity import Noise
from fedsql.privacy.accounting import ORDERS, rdp_laplace
from fedsql.privacy.mechanisms import DiscreteLaplace, Sensitivity
from fedsql.privacy.tree import all_levels, rank_error, standing, tree_sizes

RUNS = 2000
SLACK = 4 * math.sqrt(0.95 * 0.05 / RUNS)


@pytest.mark.parametrize(("count", "sizes"), [(1, (1,)), (16, (16,)), (17, (2, 17)), (256, (16, 256)), (4096, (16, 256, 4096))])  # fmt: skip
def test_each_level_counts_sixteen_ranges_together(count, sizes):
    assert tree_sizes(count) == sizes
    finest = np.arange(2 * count).reshape(2, count)
    levels = np.split(all_levels(sizes, finest), np.cumsum(sizes)[:-1], axis=1)
    assert (levels[-1] == finest).all()
    for wide, narrow in pairwise(levels):
        for group in range(2):
            assert wide[group].tolist() == [int(narrow[group][i : i + 16].sum()) for i in range(0, narrow.shape[1], 16)]


@settings(max_examples=60)
@given(st.lists(st.integers(0, 50), min_size=1, max_size=700), st.integers(1, 99))
def test_without_noise_every_end_stands_where_the_values_say(counts, hundredths):
    finest, q = np.array([counts]), hundredths / 100
    sizes = tree_sizes(len(counts))
    found = standing(sizes, q, all_levels(sizes, finest)[0])
    wanted = np.concatenate([[0], finest[0].cumsum()]) - q * finest.sum()
    assert found.above == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize("q", [0.01, 0.5, 0.9])
@pytest.mark.parametrize("count", [11, 300, 4096])
def test_the_variance_of_an_end_is_what_its_noise_has(q, count):
    sizes, rng = tree_sizes(count), np.random.default_rng(5)
    noise = [standing(sizes, q, rng.integers(-100, 101, sum(sizes))) for _ in range(800)]
    variance, found = (201**2 - 1) / 12, np.array([each.above for each in noise])
    stated = noise[0].squares * variance
    assert found.var(axis=0) / stated == pytest.approx(1, abs=0.35)  # of each end
    assert float((found.var(axis=0) / stated).mean()) == pytest.approx(1, abs=0.06)
    # Of each level there are at most half of the counts under one range, where one level alone has half of them all.
    assert noise[0].squares.max() <= 8 * (len(sizes) - 1) + 16 * max(q, 1 - q) ** 2
    assert rank_error(sizes, q, variance, 0.0) == pytest.approx(1.959964 * math.sqrt(stated.max()))


# --- coverage ----------------------------------------------------------------------------------------------------


def spread(kind: str, rng: np.random.Generator) -> np.ndarray:
    """Return whole numbers from 0 to 9,999."""
    if kind == "even":
        return rng.integers(0, 10_000, 3000)
    if kind == "skewed":
        return np.minimum(9_999, rng.lognormal(5, 1.2, 3000).astype(int))
    if kind == "two heaps":  # with nothing between them: the median lies in the gap
        return np.concatenate([rng.integers(100, 300, 500), rng.integers(9000, 9100, 500)])
    return rng.integers(4_000, 4_003, 1000)  # one range or two


@pytest.mark.parametrize("kind", ["even", "skewed", "two heaps", "narrow"])
@pytest.mark.parametrize(
    ("function", "q"), [("quantile_cont", "0.5"), ("quantile_disc", "0.9"), ("quantile_cont", "0.1")]
)
@pytest.mark.parametrize("ranges", [Ranges(0, 1, 10_000), Ranges(0, 40, 250), Ranges(0, 625, 16)], ids=str)
def test_stated_intervals_cover_95_percent(kind, function, q, ranges):
    rng = np.random.default_rng(11)
    values = spread(kind, rng)
    with duckdb.connect() as database:
        database.register("t", {"x": values})
        true = float(database.execute(f"SELECT {function}(x, {q}) FROM t").fetchall()[0][0])
    counts = all_levels(ranges.sizes, np.bincount(values // ranges.width, minlength=ranges.count)[None])[0]
    law = DiscreteLaplace(0.2)
    noise = Noise(1, Sensitivity(1, len(ranges.sizes)), law, 3, 3)
    draws = rng.geometric(1 - math.exp(-law.rate), (2, RUNS, len(counts)))
    output = Output(
        "a", "DOUBLE", function, ("p",), (Fraction(1),), (Fraction(0),), fraction=Fraction(q), ranges=ranges
    )
    inside = 0
    for drawn in draws[0] - draws[1]:
        found = quantile(output, noise, counts + drawn)
        inside += found is not None and abs(float(found.value) - true) <= found.margin + 1e-9
    assert inside / RUNS >= 0.95 - SLACK


@pytest.mark.parametrize("ranges", [Ranges(0, 1, 4096), Ranges(-5, 7, 100)], ids=str)
def test_a_quantile_of_no_values_is_null(ranges):
    noise = Noise(1, Sensitivity(1, len(ranges.sizes)), DiscreteLaplace(0.2), 3, 3)
    output = Output(
        "a", "DOUBLE", "quantile_cont", ("p",), (Fraction(1),), (Fraction(0),), fraction=Fraction(1, 2), ranges=ranges
    )
    assert quantile(output, noise, [0] * ranges.counts) is None


# --- what it rests on --------------------------------------------------------------------------------------------


@settings(max_examples=100)
@given(st.integers(1, 60), st.integers(1, 60), st.floats(1e-3, 8))
def test_rows_in_several_ranges_cost_no_more_than_in_one(one, other, rate):
    apart = rdp_laplace(one, rate) + rdp_laplace(other, rate)
    together = rdp_laplace(one + other, rate)
    assert apart.shape == ORDERS.shape
    assert (apart <= together * (1 + 1e-9) + 1e-12).all()


@pytest.mark.parametrize("groups", [None, 1, 3, 20, 300, 4096])
@pytest.mark.parametrize(("low", "high"), [(0, 1), (-50, 50), (0, 10**6), (-(10**20), 10**20)])
@pytest.mark.parametrize("rows", [100, 10**9])
def test_ranges_hold_all_values_and_are_not_too_many(groups, low, high, rows):
    found = ranges_of(low, high, groups, rows)
    assert found.low == low
    assert found.low + found.width * (found.count - 1) <= high < found.low + found.width * found.count
    assert found.counts * (groups or 1) <= max(MOST_COUNTS, 16 * (groups or 1))
    assert found.width == 1 or found.count > 8
