"""Under noise, groups of unknown key are shown by a noisy count of units, decided on shares: a key of one unit stays."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa
from harness import Watched, federation, party
from laws import law
from scipy import stats

from fedsql.errors import BudgetExhausted
from fedsql.planner import noising
from fedsql.planner.plans import ReleasePlan
from fedsql.privacy.mechanisms import DiscreteLaplace

NAMES = ("north", "south", "west")
SQL = "SELECT g, count(*) AS n, sum(v) AS s FROM t GROUP BY g"
COLUMNS = {"v": {"bounds": [0, 10]}}


def world(sizes: dict[str, int], *, epsilon: float = 1e6, **table) -> Watched:
    """Return three parties, each with ``sizes`` units of one row in each group."""
    parties = []
    for name in NAMES:
        labels = [label for label, size in sizes.items() for _ in range(size)]
        rows = {
            "id": pa.array(range(len(labels)), pa.int64()),
            "g": labels,
            "v": pa.array([3] * len(labels), pa.int64()),
        }
        given = {"unit_scope": "global", **table}
        parties.append(party(name, rows, columns=COLUMNS, noise="required", table=given, budget={"epsilon": epsilon}))
    return Watched(federation(*parties))


def planned(watched: Watched, epsilon: float = 1.0) -> ReleasePlan:
    return watched.ask(SQL, epsilon=epsilon).plan.releases[0]


def test_groups_are_shown_as_often_as_the_noise_says():
    least = planned(probe := world({"a": 1})).circuit.tests[0]
    probe.close()
    size = round((least - 2) / 3)
    watched = world({f"g{i:03}": size for i in range(120)})
    runs = [watched.ask(SQL) for _ in range(6)]
    plan = runs[0].plan.releases[0]
    assert plan.circuit.tests == (least,)
    noise = plan.noise_of_units
    support, mass = law(noise.mechanism, noise.honest, noise.parties)
    likely = mass[support >= least - 3 * size].sum()
    assert 0.05 < likely < 0.95
    shown = sum(len(run.rows) for run in runs)
    assert stats.binomtest(shown, 6 * 120, likely).pvalue > 1e-6
    watched.close()


def test_the_threshold_hides_one_unit_with_the_stated_delta():
    watched = world({"a": 1}, unit_scope="party")
    plan = planned(watched)
    noise, (least,) = plan.noise_of_units, plan.circuit.tests
    support, mass = law(noise.mechanism, noise.honest, noise.parties)
    assert plan.unit.parties == 3  # it may be at all of them, and have a key alone
    assert mass[support >= least - 3].sum() * 3 <= 1e-6 * 2.0**-10
    assert noise.moved.most == 3
    watched.close()


RARE = {"common": 200, **{f"rare{i}": 1 for i in range(30)}}


def test_keys_of_few_units_are_not_shown():
    watched = world(RARE)
    found = Counter(row["k0"] for _ in range(6) for row in watched.ask(SQL).rows)
    assert set(found) == {"common"}
    watched.close()


def test_the_test_sees_a_missing_threshold_and_rows_without_labels_are_dropped(monkeypatch):
    """Slots that nobody holds pass, too: they have no label, and are no groups."""
    monkeypatch.setattr(noising, "tau", lambda *given: -(10**6))
    watched = world(RARE)
    run = watched.ask(SQL)
    assert {row["k0"] for row in run.rows} == set(RARE)
    watched.close()


def test_a_unit_is_in_as_many_groups_as_it_may_be(monkeypatch):
    monkeypatch.setattr(DiscreteLaplace, "share", lambda self, honest, size: np.zeros(size, np.int64))
    monkeypatch.setattr(noising, "tau", lambda *given: 1)
    labels = [f"g{i}" for i in range(20)] * 3
    rows = {"id": pa.array([1] * 60, pa.int64()), "g": labels, "v": pa.array([3] * 60, pa.int64())}
    table = {"max_rows_per_unit": 5, "max_groups_per_unit": 2}
    options = {"columns": COLUMNS, "noise": "required", "table": table, "budget": {"epsilon": 1e6}}
    watched = Watched(federation(*(party(name, rows, **options) for name in NAMES)))
    chosen = set()
    for _ in range(4):
        run = watched.ask(SQL, first=0)
        unit = run.plan.releases[0].unit
        assert (unit.rows, unit.groups, unit.parties) == (5, 2, 3)
        assert len(run.rows) <= 2 * 3
        assert sum(int(row["a0"]) for row in run.rows) <= 5 * 3
        chosen |= {row["k0"] for row in run.rows}
    assert len(chosen) > 6  # drawn anew each time
    watched.close()


def test_deciding_about_groups_takes_of_delta_until_none_is_left():
    watched = world({"a": 300}, epsilon=1e9)
    ledger = watched.federation.parties["north"].ledger
    assert watched.ask(SQL).rows
    (delta,) = ledger._db.execute("SELECT delta FROM charges").fetchone()
    assert delta == 1e-6 * 2.0**-10
    ledger._db.execute("UPDATE charges SET delta = 1e-6")
    assert isinstance(watched.ask(SQL).error, BudgetExhausted)
    watched.close()


def test_a_lone_party_decides_alone():
    watched = world({"a": 300, "b": 1})
    run = watched.ask(SQL.replace("FROM t", "FROM north.t"))
    assert [row["k0"] for row in run.rows] == ["a"]
    watched.close()


def test_messages_are_as_many_and_as_large_whether_a_unit_is_there_or_not():
    sizes = []
    for rows in ({"a": 300, "b": 300}, {"a": 300, "b": 299}):
        watched = world(rows)
        run = watched.ask(SQL, first=0)
        # GO and the last message hold as many labels as the coordinator drew for a party.
        drawn = ("go", "vector", "answer")
        sent = [(m.kind, m.sender, m.recipient, 0 if m.kind.endswith(drawn) else len(m.body)) for m in run.messages]
        sizes.append(sent)
        watched.close()
    assert sorted(sizes[0]) == sorted(sizes[1])
