"""Who may join what, and what is shown of it: enough that match and enough that do not, allowed keys, a helper of its own."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace

import pytest
from harness import NOW, Run, Watched, federation, party

from fedsql.errors import PolicyDenied
from fedsql.executors.protocol.wire import COORDINATOR
from fedsql.planner.question import Question

USES = ["group", "filter", "aggregate", "join"]
K = 3
JOINED = "SELECT COUNT(*) FROM bank.t a JOIN clinic.t p ON a.k = p.k"


def asked(made: Watched, sql: str) -> Run:
    """Ask once and close."""
    with closing(made):
        run = made.ask(sql)
    assert run.error is None, run.error
    return run


@pytest.mark.parametrize(
    ("missing", "both", "shown"), [(0, True, 0), (2, True, 0), (3, True, 1), (0, False, 1), (2, False, 1)]
)
def test_a_group_needs_as_many_that_do_not_match(missing: int, both: bool, shown: int) -> None:
    """Else all of its people would be known to be at the clinic. ``missing``: so many of one group are not there."""
    own = {"k": [*range(20), *range(100, 120)], "w": ["x"] * 20 + ["y"] * 20, "v": [1] * 40}
    there = {"k": [*range(missing, 20), *range(200, 210)], "g": ["a"] * (30 - missing), "y": [1] * (30 - missing)}
    release = {"min_group_size": K, "min_parties": 1, "join_both_sides": both, "table": {"privacy_unit": "k"}}
    made = Watched(
        federation(
            party("bank", own, use={"k": USES, "w": USES, "v": USES}, **release),
            party("clinic", there, use={"k": USES, "g": USES, "y": USES}, **release),
        )
    )
    run = asked(made, "SELECT w, COUNT(*) FROM bank.t a JOIN clinic.t p ON a.k = p.k GROUP BY w")
    assert [row["k0"] for row in run.rows] == ["x"] * shown


def joining(own: object, theirs: object) -> Watched:
    """Return two owners whose keys may be joined with these (None: with anybody's)."""
    rows = {"k": [1, 2, 3], "v": [1, 2, 3]}
    release = {"min_group_size": 1, "min_parties": 1, "table": {"privacy_unit": "k"}}

    def allowed(names: object) -> dict[str, dict[str, object]]:
        return {} if names is None else {"k": {"join_with": names}}

    return Watched(
        federation(
            party("bank", rows, use={"k": USES, "v": USES}, columns=allowed(own), **release),
            party("clinic", rows, use={"k": USES, "v": USES}, columns=allowed(theirs), **release),
        )
    )


@pytest.mark.parametrize(
    ("own", "theirs", "refuser"),
    [
        ([], None, "bank"),
        (["other"], None, "bank"),
        (None, [], "clinic"),
        (["clinic"], ["other"], "clinic"),
        (["clinic"], ["bank"], ""),
        (None, None, ""),
    ],
)
def test_a_key_is_joined_with_whom_its_owner_allows(own: object, theirs: object, refuser: str) -> None:
    with closing(joining(own, theirs)) as made:
        if not refuser:
            assert [*made.ask(JOINED).rows[0].values()] == ["3"]
            return
        with pytest.raises(PolicyDenied, match=f"{refuser} does not let t.k be joined with") as caught:
            made.ask(JOINED)
        assert "join_with" in str(caught.value)
        assert caught.value.position is not None


@pytest.mark.parametrize(
    ("operators", "refused"),
    [
        ({COORDINATOR: "bank"}, ", and takes part"),
        ({COORDINATOR: "holding", "clinic": "holding"}, " and clinic"),
        ({COORDINATOR: "holding", "ada": "holding"}, " and ada"),
        ({COORDINATOR: "neutral", "clinic": "holding", "bank": "holding"}, ""),
        (None, ""),
    ],
)
def test_a_helper_is_run_by_nobody_who_takes_part(operators: Mapping[str, str] | None, refused: str) -> None:
    """Also by no analyst: with a party it would see whom of that party's people the other one has."""
    with closing(joining(None, None)) as made:
        directory = replace(made.federation.directory, operators=operators)
        question = Question(directory.catalog.federation, "ada", JOINED, NOW)
        alone = Question(directory.catalog.federation, "ada", "SELECT COUNT(*) FROM bank.t", NOW)
        assert directory.plan(alone).releases
        if not refused:
            assert directory.plan(question).releases
            return
        with pytest.raises(PolicyDenied, match=f"runs it{refused}\n") as caught:
            directory.plan(question)
        assert "operator in federation.toml" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("there", "scope", "shown"),
    [
        ([1, 10, 11, 12], "party", False),
        ([1, 2, 3, 10, 11, 12], "party", False),
        ([1, 2, 4, 5, 6, 10, 11, 12, 13, 14], "party", True),
        ([2, 3, 10, 11, 12], "party", False),
        ([2, 3, 10, 11, 12], "global", True),  # the clinics declare that nobody is at both
    ],
)
def test_one_person_at_two_anchors_is_no_two_people_of_the_provider(there: list[int], scope: str, shown: bool) -> None:
    """Else the sum of two rows would tell one person's value: nobody knows that both anchors' rows match the same one."""

    def clinic(name: str, ids: list[int]) -> dict[str, object]:
        rows = {"k": ids, "w": ["x"] * len(ids), "v": [1] * len(ids)}
        table = {"privacy_unit": "k", "unit_scope": scope}
        return party(name, rows, use={"k": USES, "w": USES, "v": USES}, table=table, **release)

    release = {"min_group_size": 2, "min_parties": 1}
    lab = {"k": there, "y": [777] * len(there)}
    uses = {"k": USES, "y": USES}
    made = federation(
        clinic("north", [1, 2, 4, 20, 21, 22]),
        clinic("south", [1, 3, 5, 23, 24, 25]),
        party("lab", lab, use=uses, table={"privacy_unit": "k"}, **release),
    )
    made["parties"]["lab"]["config"]["tables"] = {"tests": made["parties"]["lab"]["config"]["tables"]["t"]}
    run = asked(Watched(made), "SELECT w, COUNT(*), SUM(y) FROM t a JOIN lab.tests p ON a.k = p.k GROUP BY w")
    assert bool(run.rows) == shown
