"""Noise is in before encryption, in shares of the stated size, and values and rows are held to their bounds."""

from __future__ import annotations

from itertools import count

import numpy as np
import pyarrow as pa
import pytest
from harness import Watched, federation, party
from laws import law, p_value, spread

from fedsql.executors.protocol import contribute
from fedsql.executors.protocol.outline import NoiseDraws
from fedsql.executors.protocol.vector import add_noise
from fedsql.executors.roles.releases import Releases
from fedsql.planner import fragments, releasing
from fedsql.planner.plans import ReleasePlan
from fedsql.planner.sensitivity import Noise
from fedsql.privacy.mechanisms import DiscreteLaplace

NAMES = ("north", "south", "west")
DOMAIN = [f"g{i:03}" for i in range(150)]
COLUMNS = {"g": {"values": DOMAIN}, "v": {"bounds": [0, 10]}}
SQL = "SELECT g, count(*) AS n, sum(v) AS s FROM t GROUP BY g"
ALPHA = 1e-6  # of one statistical test; fewer than 20 of them are made here
OTHER = count()
SHARE = DiscreteLaplace.share  # the smaller noise at epsilon 1


def federated(rows: dict[str, object], noisy: tuple[str, ...] = NAMES, **options) -> Watched:
    return Watched(
        federation(
            *(
                party(
                    name,
                    rows,
                    columns=COLUMNS,
                    noise="required" if name in noisy else "none",
                    budget={"epsilon": 1e6},
                    **options,
                )
                for name in NAMES
            )
        )
    )


ROWS = {"id": pa.array(range(len(DOMAIN)), pa.int64()), "g": DOMAIN, "v": pa.array([3] * len(DOMAIN), pa.int64())}


@pytest.fixture(scope="module", params=[NAMES, ("west",)], ids=["all require noise", "one requires noise"])
def world(request):
    made = federated(ROWS, request.param)
    yield made
    made.close()


@pytest.fixture(scope="module")
def required():
    made = federated(ROWS)
    yield made
    made.close()


def errors(world: Watched, runs: int, epsilon: float = 1.0) -> tuple[np.ndarray, ReleasePlan]:
    """Return the noise of ``runs`` whole queries: int [runs * slots], of COUNT(*), and the plan."""
    found = []
    for _ in range(runs):
        run = world.ask(SQL, epsilon=epsilon * (1 + next(OTHER) * 1e-9))  # the same question would get the same answer
        shown = {row["k0"]: int(row["a0"]) for row in run.rows}
        assert set(shown) == {*DOMAIN, None}  # every slot is sent, whoever has it
        found += [shown[label] - (3 if label else 0) for label in shown]
    return np.array(found), run.plan.releases[0]


def follows(values: np.ndarray, noise: Noise) -> None:
    """Assert that ``values`` look like the sum of all parties' shares: by chi-square, by KS, and by their spread."""
    assert (noise.honest, noise.parties) == (len(NAMES) - 1, len(NAMES))  # t = 1 may take its own away
    exact = law(noise.mechanism, noise.honest, noise.parties)
    assert p_value(values, *exact) > ALPHA
    assert abs(spread(values, *exact)) < 6


def test_the_answers_noise_is_the_sum_of_all_parties_shares(world):
    noise, plan = errors(world, 20)
    assert plan.noise is not None
    follows(noise, plan.noise[0])


@pytest.mark.parametrize(
    "broken",
    [
        lambda self, honest, size: SHARE(
            self, honest + 1, size
        ),  # of the whole over N: too small without the colluder's
        lambda self, honest, size: SHARE(self, honest, size) * 2,
        lambda self, honest, size: np.resize(SHARE(self, honest, 1), size),  # one draw for all groups
    ],
)
def test_the_test_sees_noise_of_another_size_or_law(required, monkeypatch, broken):
    monkeypatch.setattr(DiscreteLaplace, "share", broken)
    noise, plan = errors(required, 12)
    assert isinstance(plan.noise[0].mechanism, DiscreteLaplace)
    with pytest.raises(AssertionError):
        follows(noise, plan.noise[0])


def test_the_test_sees_a_party_without_noise(required, monkeypatch):
    original = contribute.add_noise
    parties = iter(range(10**6))

    def two_of_three(columns, noise):
        return columns if next(parties) % 3 == 0 else original(columns, noise)

    monkeypatch.setattr(contribute, "add_noise", two_of_three)
    noise, plan = errors(required, 12)
    with pytest.raises(AssertionError):
        follows(noise, plan.noise[0])


def test_every_party_draws_for_every_slot_and_partial_before_its_data_is_touched(world, monkeypatch):
    drawn: list[tuple[int, int]] = []
    ran: list[int] = []
    monkeypatch.setattr(DiscreteLaplace, "share", lambda m, *asked: drawn.append(asked) or SHARE(m, *asked))
    original = Releases.run
    monkeypatch.setattr(Releases, "run", lambda self, release: ran.append(len(drawn)) or original(self, release))
    run = world.ask(SQL, epsilon=1 + next(OTHER) / 1e9)
    plan = run.plan.releases[0]
    assert plan.noise is not None
    wanted = [(len(NAMES) - 1, len(DOMAIN) + 1)] * len(plan.noise)
    assert drawn == wanted * len(NAMES)
    assert sorted(ran) == [len(wanted) * (i + 1) for i in range(len(NAMES))]


def test_noise_shares_are_fresh(world):
    one, two = (errors(world, 1)[0] for _ in range(2))
    assert (one != two).any()


def test_sums_are_rounded_to_the_grid_before_noise_is_added():
    columns = [np.frombuffer(v.to_bytes(6, "little", signed=True), np.uint8).reshape(1, 6) for v in (1234, -1234, 7)]
    zero = NoiseDraws([np.zeros(1, np.int64)] * 3, [100, 100, 1])
    values = [int.from_bytes(c.tobytes(), "little", signed=True) for c in add_noise(columns, zero)]
    assert values == [12, -12, 7]


# --- bounds ------------------------------------------------------------------------------------------------------


def unit(rows: int, value: int, groups: int = 1) -> dict[str, object]:
    """Return 20 ordinary units with one row each, and one with ``rows`` rows of ``value`` spread over ``groups``."""
    ids = [*range(20), *([99] * rows)]
    labels = [DOMAIN[0]] * 20 + [DOMAIN[i % groups] for i in range(rows)]
    values = [5] * 20 + [value] * rows
    return {"id": pa.array(ids, pa.int64()), "g": labels, "v": pa.array(values, pa.int64())}


def silence(monkeypatch) -> None:
    """Take the noise out, for a test alone."""
    monkeypatch.setattr(DiscreteLaplace, "share", lambda self, honest, size: np.zeros(size, np.int64))


def moved(monkeypatch, rows: dict[str, object], most: int, spoil: str | None = None) -> tuple[int, int]:
    """Return how far the last unit moves COUNT(*) and SUM(v) in all, its noise taken out for the test alone."""
    silence(monkeypatch)
    totals = []
    for given in (rows, {k: v[:20] for k, v in rows.items()}):
        table = {"max_rows_per_unit": most}
        made = federated(given, table=table)
        if spoil is not None and given is rows:  # the rows change after the bounds were verified
            made.federation.parties["south"].engine._database.execute(spoil)
        run = made.ask(SQL)
        grid = run.plan.releases[0].noise[1].grid
        totals.append([sum(int(row[name]) for row in run.rows) for name in ("a0", "a1")])
        assert grid == 1
        made.close()
    return totals[0][0] - totals[1][0], totals[0][1] - totals[1][1]


@pytest.mark.parametrize("groups", [1, 50])
def test_a_unit_with_many_rows_moves_sums_by_its_bound_at_most(monkeypatch, groups):
    """It is at three parties, with 1000 rows at each; four of them count, in all groups together."""
    count, total = moved(monkeypatch, unit(1000, 10, groups), 4)
    assert (count, total) == (3 * 4, 3 * 4 * 10)


def test_the_test_sees_rows_without_a_bound(monkeypatch):
    monkeypatch.setattr(fragments, "_bounded", lambda source, *rest: source)
    assert moved(monkeypatch, unit(1000, 10), 4)[0] == 3000


SPOIL = "UPDATE main.t SET v = 1000000000 WHERE id = 99"


def test_values_are_clamped_even_if_they_escaped_the_check(monkeypatch):
    count, total = moved(monkeypatch, unit(1, 10), 1, SPOIL)
    assert (count, total) == (3, 30)


def test_the_test_sees_values_without_a_clamp(monkeypatch):
    original = releasing.base_table
    unclamped = lambda offer, columns, clamp, *rest, **named: original(offer, columns, False, *rest, **named)  # noqa: E731
    monkeypatch.setattr(releasing, "base_table", unclamped)
    assert moved(monkeypatch, unit(1, 10), 1, SPOIL)[1] > 1_000_000


def test_the_rows_that_count_are_drawn_anew_each_time(monkeypatch):
    """Else whoever knows which of its rows count could choose what an answer rests on."""
    silence(monkeypatch)
    rows = unit(1000, 0)
    rows["v"] = pa.array([5] * 20 + [i % 11 for i in range(1000)], pa.int64())
    made = federated(rows, table={"max_rows_per_unit": 4})
    runs = [made.ask(SQL, epsilon=1 + i / 1e9) for i in range(8)]
    assert len({sum(int(row["a1"]) for row in run.rows) for run in runs}) > 1
    made.close()
