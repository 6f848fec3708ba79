"""What an analyst may try with the SQL of one private join to see fewer than min_group_size people, and does not."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from typing import Any

import pyarrow as pa
import pytest

from fedsql.errors import NotSupportedError
from fedsql.session import Session

K = 3
USES = ["group", "filter", "aggregate", "join"]
RELEASE = {"min_group_size": K, "min_parties": 2, "quota": {"queries": 1_000_000}}
UNITS = {"loans": {"privacy_unit": "cid"}, "users": {"privacy_unit": "cid"}}
VALUE = 777  # of the one person whose seg is rare


def joined(
    loans: Mapping[str, list[Any]],
    users: Mapping[str, list[Any]],
    tables: Mapping[str, Mapping[str, Any]] = UNITS,
    release: Mapping[str, Any] = RELEASE,
) -> Session:
    """Return both owners, whose columns may be used for everything."""

    def party(name: str, rows: Mapping[str, list[Any]]) -> dict[str, Any]:
        columns = {column: {"use": USES} for column in rows}
        table = {"source": pa.table(dict(rows)), "columns": columns, **tables.get(name, {})}
        return {"tables": {name: table}, "release": dict(release)}

    return Session.open({"parties": {"bank": party("loans", loans), "telco": party("users", users)}})


def plain() -> tuple[dict[str, list[Any]], dict[str, list[Any]]]:
    """Return 40 loans of one person each, and 220 users, of whom 20 are there: the first one's seg is rare."""
    loans: dict[str, list[Any]] = {"cid": list(range(40)), "kind": ["a"] * 40}
    there = [*range(0, 40, 2), *range(1000, 1200)]
    return loans, {"cid": there, "y": [VALUE, *range(1, 220)], "seg": ["rare"] + ["n"] * 219}


def test_ids_that_a_cast_makes_equal_are_no_more_people() -> None:
    """Ids above 2^24 that lie together are one FLOAT: three loans would count for the one user whom they match."""
    base = 900_000_000
    apart = [base + 64 * i for i in range(1, 20)]
    loans = {"cid": [base + 1, base + 2, base + 3, *apart]}
    users = {"cid": [base, *apart[:11], *range(5 * base, 5 * base + 5000, 1000)], "y": [VALUE, *range(1, 17)]}
    users["seg"] = ["rare"] + ["n"] * 16
    on = "CAST(l.cid AS FLOAT) = CAST(u.cid AS FLOAT)"
    with closing(joined(loans, users)) as made:
        got = made.execute(
            f"SELECT COUNT(*) AS n, SUM(u.y) FILTER (WHERE u.seg = 'rare') AS s FROM bank.loans l JOIN telco.users u ON {on}"
        )
        assert got.table is not None
        assert got.table.to_pylist() == [{"n": 14, "s": None}]


@pytest.mark.parametrize(
    "users",
    [
        "telco.users",
        "(SELECT cid, kind, max(seg) AS seg, SUM(y) AS y FROM telco.users GROUP BY cid, kind)",
    ],
)
def test_a_key_of_a_unit_and_something_else_counts_nobody_twice(users: str) -> None:
    """One user of three kinds, whose loans, each a unit of its own, are of these kinds, is no three people."""
    loans = {"cid": [0, 0, 0, *range(1, 40)], "kind": ["a", "b", "c"] + ["a"] * 39}
    held = {"cid": [0, 0, 0, *range(1, 20), *range(100, 110)], "kind": ["a", "b", "c"] + ["a"] * 29}
    held |= {"y": [700, 70, 7] + [1] * 29, "seg": ["rare"] * 3 + ["n"] * 29}
    sql = f"SELECT SUM(u.y) FILTER (WHERE u.seg = 'rare') FROM bank.loans l JOIN {users} u ON l.cid = u.cid AND l.kind = u.kind"
    with (
        closing(joined(loans, held, {"users": {"privacy_unit": "cid"}})) as made,
        pytest.raises(NotSupportedError, match="must be joined on its privacy unit"),
    ):
        made.execute(sql)


def test_rows_that_a_list_repeats_are_one_person() -> None:
    with closing(joined(*plain())) as made:
        got = made.execute(
            "SELECT COUNT(DISTINCT l.cid) AS n, COUNT(DISTINCT l.cid) FILTER (WHERE u.seg = 'rare') AS rare"
            " FROM bank.loans l CROSS JOIN (VALUES (0), (1), (2)) v(i) JOIN telco.users u ON l.cid = u.cid"
        )
        assert got.table is not None
        assert got.table.to_pylist() == [{"n": 20, "rare": None}]


def test_under_noise_rows_that_a_list_repeats_are_left_out() -> None:
    """Noise is for one row of each person: 1,000 of each, of 20 people, would stand out of it."""
    release = RELEASE | {"min_group_size": 1, "min_parties": 1, "noise": "required"}
    listed = ", ".join(f"({i})" for i in range(1000))
    with closing(joined(*plain(), release=release)) as made:
        got = made.execute(
            f"SELECT COUNT(*) AS n FROM bank.loans l CROSS JOIN (VALUES {listed}) v(i) JOIN telco.users u ON l.cid = u.cid"
        )
        assert got.table is not None
        assert got.table.to_pylist()[0]["n"] < 1000


@pytest.mark.parametrize(
    "whole",
    [
        "max(y) OVER ()",
        "sum(CASE WHEN seg = 'rare' THEN y END) OVER ()",
        "(SELECT max(y) FROM telco.users)",
    ],
)
def test_a_value_of_all_rows_stands_in_no_row(whole: str) -> None:
    """As a label or a condition, shown since many rows have it, it would tell the one value that it is made of."""
    users = f"(SELECT cid, {whole} AS m FROM telco.users)"
    for rest in ("GROUP BY u.m", f"WHERE u.m >= {VALUE}"):
        with (
            closing(joined(*plain())) as made,
            pytest.raises(NotSupportedError, match="must be by their privacy unit"),
        ):
            made.execute(f"SELECT COUNT(*) FROM bank.loans l JOIN {users} u ON l.cid = u.cid {rest}")


@pytest.mark.parametrize(("rare", "shown"), [(4, False), (6, False), (7, True)])
def test_on_picks_nobody_whose_match_a_group_would_hide(rare: int, shown: bool) -> None:
    """4 users are there of those whom ON picks: the others of these must be K, too, as in GROUP BY kind."""
    there = [*range(4), *range(20, 40), *range(1000, 1200)]
    loans = {"cid": list(range(40)), "kind": ["rare"] * rare + ["a"] * (40 - rare)}
    on = "l.cid = u.cid AND l.kind = 'rare'"
    with closing(joined(loans, {"cid": there, "y": [1] * len(there)})) as made:
        got = made.execute(f"SELECT COUNT(*) AS n, COUNT(u.y) AS y FROM bank.loans l LEFT JOIN telco.users u ON {on}")
        assert got.table is not None
        assert got.table.to_pylist() == [{"n": 40, "y": 4} if shown else {"n": None, "y": None}]
