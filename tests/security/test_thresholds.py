"""Who counts: units over all parties and not rows, parties with units in the group, and one party alone."""

from __future__ import annotations

from itertools import product

import pyarrow as pa
import pytest
from harness import Watched, federation, party, small

from fedsql.errors import PolicyDenied
from fedsql.executors.protocol.outline import Outline
from fedsql.session import Session

NAMES = ("north", "south", "west")
SQL = "SELECT g, count(*) AS n, sum(v) AS s FROM t GROUP BY g"


def shown(held: dict[str, dict[str, int]], **options) -> set[str]:
    world = Watched(small(held, **options))
    run = world.ask(SQL)
    world.close()
    return {row["k0"] for row in run.rows}


def test_min_group_size_is_over_all_parties_and_min_parties_counts_those_with_units():
    held = {
        "north": {"four": 4, "nine": 3, "ten": 4, "alone": 99, "two": 5},
        "south": {"nine": 3, "ten": 3, "two": 5},
        "west": {"nine": 3, "ten": 3},
    }
    assert shown(held) == {"ten", "two"}
    assert shown(held, min_group_size=9) == {"nine", "ten", "two"}
    assert shown(held, min_group_size=1, min_parties=1) == {"four", "nine", "ten", "alone", "two"}
    assert shown(held, min_group_size=1, min_parties=3) == {"nine", "ten"}


def test_units_count_not_rows_and_once_per_party():
    def rows(ids: list[int], g: str) -> dict[str, object]:
        return {"id": pa.array(ids, pa.int64()), "g": [g] * len(ids), "v": pa.array([1] * len(ids), pa.int64())}

    def answered(north: list[int], south: list[int], k: int) -> list[dict[str, object]]:
        made = Watched(
            federation(*(party(n, rows(i, "x"), min_group_size=k) for n, i in (("north", north), ("south", south))))
        )
        found = made.ask(SQL).rows
        made.close()
        return found

    assert answered([1] * 500 + [2], [3] * 500, 4) == []  # 1001 rows, three units
    assert [row["a0"] for row in answered([1] * 500 + [2], [3] * 500, 3)] == ["1001"]
    # Ids are the parties' own: one person at both counts twice, and no more than that.
    assert len(answered([1] * 9, [1] * 9, 2)) == 1
    assert answered([1] * 9, [1] * 9, 3) == []


def test_the_largest_threshold_of_all_parties_holds():
    def held(k: int, least: int):
        return {"min_group_size": k, "min_parties": least}

    rows = {"id": range(6), "g": ["x"] * 6, "v": [1] * 6}
    for north, south, answers in (((2, 1), (12, 2), 1), ((2, 1), (13, 2), 0), ((2, 2), (2, 1), 1)):
        made = Watched(federation(party("north", rows, **held(*north)), party("south", rows, **held(*south))))
        assert len(made.ask(SQL).rows) == answers
        made.close()


def alone(*allow: bool, least: int = 2) -> Watched:
    rows = {"id": range(20), "g": ["x"] * 20, "v": [1] * 20}
    return Watched(
        federation(*(party(n, rows, allow_alone=a, min_parties=least) for n, a in zip(NAMES, allow, strict=False)))
    )


def test_one_party_alone_is_answered_only_where_every_party_that_offers_the_table_allows_it():
    single = "SELECT g, count(*) FROM north.t GROUP BY g"
    for allow in ((True, False), (False, True), (False, False), (True, True, False)):
        world = alone(*allow)
        with pytest.raises(PolicyDenied, match="alone is not answered"):
            world.ask(single)
        world.close()
    for world in (alone(True, True, True), alone(False, False, least=1)):
        run = world.ask(single)
        assert [row["a0"] for row in run.rows] == ["20"]
        assert run.plan.parties == ("north",)
        world.close()


def test_allow_alone_waives_nothing_for_an_answer_over_all():
    """min_parties is waived for answers of fewer parties, not for groups of an answer over all of them."""
    held = {"north": {"x": 20, "y": 20}, "south": {"y": 20}}
    assert shown(held, allow_alone=True) == {"y"}


def test_a_federation_with_too_few_parties_is_refused():
    world = alone(False)
    with pytest.raises(PolicyDenied, match="min_parties = 2"):
        world.ask(SQL)
    world.close()


def test_an_ungrouped_answer_always_has_one_row_and_says_the_same_when_hidden_or_empty():
    def row(held: dict[str, dict[str, int]], where: str, k: int) -> list[dict[str, object]]:
        session = Session.open(small(held, min_group_size=k, min_parties=1 if k == 1 else 2))
        answer = session.execute(f"SELECT count(*) AS n, sum(v) AS s FROM t WHERE g = '{where}'")
        session.close()
        return [*answer.table.to_pylist(), answer.notices]

    held = {"north": {"few": 3, "many": 20}, "south": {"few": 3, "many": 20}}
    assert row(held, "few", 10) == row(held, "none", 10)
    assert row(held, "few", 10)[0] == {"n": None, "s": None}
    assert row(held, "many", 10)[0] == {"n": 40, "s": 40}
    assert row(held, "none", 1)[0] == {"n": 0, "s": None}


def test_values_of_few_units_are_null_and_both_sides_of_a_condition_count():
    world = Watched(small({name: {"x": 8, "y": 20, "few": 2} for name in ("north", "south")}))
    run = world.ask(
        "SELECT count(*), sum(v) FILTER (WHERE g = 'x'), sum(v) FILTER (WHERE g = 'few'), sum(v) FILTER (WHERE g <> 'few')"
        " FROM t"
    )
    assert [run.rows[0][name] for name in ("a0", "a1", "a2", "a3")] == ["60", "16", None, None]
    world.close()


def test_releases_over_other_parties_do_not_wait_for_each_other_in_a_circle(monkeypatch: pytest.MonkeyPatch):
    """A party sends its shares of one release also while it waits in another, whoever computes either of them."""
    world = small({name: {"a": 3} for name in ("east", *NAMES)}, min_group_size=1, min_parties=1)
    for name in ("east", "south", "west"):
        tables = world["parties"][name]["config"]["tables"]
        tables["u"] = tables["t"]
    watched = Watched(world)
    for firsts in product(range(3), range(4)):  # who computes t and u
        monkeypatch.setattr(
            Outline, "computing", lambda o, draw, f=firsts: (2 * o.contributors)[f[o.number] : f[o.number] + 2]
        )
        run = watched.ask("SELECT count(*) AS n, (SELECT count(*) FROM u) AS m FROM t")
        assert {row["a0"] for table in run.tables or [] for row in table.to_pylist()} == {"9", "12"}, run.error
    watched.close()
