"""Under noise, groups of unknown key are shown by a noisy count of units, decided on shares: a key of one unit stays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import pyarrow as pa
import pytest
from harness import Watched, answered, federation, party
from laws import law
from scipy import stats

from fedsql.errors import BudgetExhausted
from fedsql.executors.protocol.align import padded
from fedsql.executors.protocol.wire import ANALYST, COORDINATOR
from fedsql.planner import noising
from fedsql.planner.plans import ReleasePlan
from fedsql.privacy.mechanisms import DiscreteLaplace

NAMES = ("north", "south", "west")
SQL = "SELECT g, count(*) AS n, sum(v) AS s FROM t GROUP BY g"
COLUMNS = {"v": {"bounds": [0, 10]}}


def world(
    sizes: dict[str, int], *, epsilon: float = 1e6, alone: Mapping[str, int] = MappingProxyType({}), **table
) -> Watched:
    """Return three parties, each with ``sizes`` units of one row in each group; north with those of ``alone``, too."""
    parties = []
    for name in NAMES:
        held = {**sizes, **alone} if name == "north" else sizes
        labels = [label for label, size in held.items() for _ in range(size)]
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


@pytest.mark.parametrize("sql", [SQL, SQL.replace("FROM t", "FROM north.t")])
def test_the_test_sees_a_missing_threshold_and_no_slot_of_nobody_is_shown_even_then(monkeypatch, sql):
    """Else how many of these noise lets through would tell the analyst of their number, which one unit can change."""
    monkeypatch.setattr(noising, "tau", lambda *given: -(10**6))
    watched = world(RARE)
    assert padded(len(RARE)) > len(RARE)
    run = watched.ask(sql)
    assert {row["k0"] for row in run.rows} == set(RARE)
    assert len(answered(run)["positions"]) == len(run.rows)
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


def sizes(rows: dict[str, int], alone: dict[str, int] | None = None) -> Counter[tuple[str, str, str, int]]:
    """Return (kind, from, to, bytes) of all messages of a question; ``alone`` are groups that only north has."""
    watched = world(rows, alone=alone or {})
    run = watched.ask(SQL, first=1)
    assert {row["k0"] for row in run.rows} == {label for label, size in rows.items() if size > 1}
    watched.close()
    # GO and the last message hold as many labels as the coordinator drew for a party.
    drawn = ("go", "vector")
    return Counter((m.kind, m.sender, m.recipient, 0 if m.kind.endswith(drawn) else len(m.body)) for m in run.messages)


def test_messages_are_as_many_and_as_large_whether_a_unit_is_there_or_not():
    assert sizes({"a": 300, "b": 300}) == sizes({"a": 300, "b": 299})


def test_a_unit_with_a_key_of_its_own_changes_what_is_said_of_tags_and_slots_alone():
    common = {"a": 300, "b": 300}
    more, less = sizes(common, {"rare": 1}), sizes(common)
    changed = {message[:3] for message in more - less} | {message[:3] for message in less - more}
    assert changed == {("0/align/tags", "north", COORDINATOR), ("0/align/slots", COORDINATOR, "north")}
    assert more.total() == less.total()


def test_what_the_analyst_gets_is_as_large_even_where_there_is_a_slot_more():
    common = {"a": 300, **{f"rare{i}": 1 for i in range(7)}}
    more, less = sizes(common, {"another": 1}), sizes(common)
    assert Counter(m[:3] for m in more.elements()) == Counter(m[:3] for m in less.elements())
    assert any(kind.startswith("0/threshold") for kind, *_ in more - less)
    assert [m for m in more if m[2] == ANALYST] == [m for m in less if m[2] == ANALYST]
