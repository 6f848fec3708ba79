"""The 22 queries of TPC-H: equal to DuckDB on the pooled rows, and with a least size of groups."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from pool import Pool
from tpch.federation import federation, generate, queries

from fedsql.errors import PolicyDenied

SCALE = 0.01
K = 10
QUERIES = queries()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate(tmp_path_factory.mktemp("tpch"), SCALE)


def pool_of(folder: Path, release: Mapping[str, Any] | None = None) -> Pool:
    parties = federation(folder, dict(release) if release else None)["parties"]
    rows = {party: {name: t["source"] for name, t in held["tables"].items()} for party, held in parties.items()}
    tables = {
        name: {key: value for key, value in table.items() if key != "source"}
        for held in parties.values()
        for name, table in held["tables"].items()
    }
    return Pool(rows, tables, parties["north"]["release"])


@pytest.fixture(scope="module")
def pooled(folder: Path) -> Iterator[Pool]:
    pool = pool_of(folder)
    yield pool
    pool.close()


@pytest.fixture(scope="module")
def guarded(folder: Path) -> Iterator[Pool]:
    """The same rows; a group is shown when ten customers are in it."""
    pool = pool_of(folder, {"min_group_size": K, "min_parties": 2})
    yield pool
    pool.close()


@pytest.mark.parametrize("name", QUERIES)
def test_equals_duckdb(pooled: Pool, name: str) -> None:
    answer = pooled.check(QUERIES[name], scale=1e9)
    assert answer.table is not None
    assert answer.table.num_rows > 0


def shown(condition: str = "true", customer: str = "o_custkey") -> str:
    """Return the condition under which a group, or a sum of what is not zero under ``condition``, is shown."""
    return f"count(DISTINCT CASE WHEN {condition} THEN {customer} END) >= {K}"


CUSTOMER = "(SELECT o_custkey FROM orders WHERE o_orderkey = l_orderkey)"
CHARGE = "    sum(l_extendedprice * (1 - l_discount) * (1 + l_tax)) AS sum_charge,\n"
VOLUME = "sum(l_extendedprice * (1 - l_discount))"

# query -> what is asked of it (else all), and how DuckDB's text differs: (old, new)
EDITS = {
    "q01": [("ORDER BY", f"HAVING {shown(customer=CUSTOMER)} ORDER BY")],
    "q04": [("ORDER BY", f"HAVING {shown()} ORDER BY")],
    "q05": [
        ("ORDER BY", f"HAVING {shown()} ORDER BY"),
        (VOLUME, f"CASE WHEN {shown('l_discount <> 0')} THEN {VOLUME} END"),
    ],
    "q06": [
        ("sum(l_extendedprice * l_discount)", f"CASE WHEN {shown(customer=CUSTOMER)} THEN sum(l_extendedprice * l_discount) END")
    ],
    "q07": [
        ("l_extendedprice * (1 - l_discount) AS volume", "l_extendedprice * (1 - l_discount) AS volume, o_custkey, l_discount"),
        ("sum(volume)", f"CASE WHEN {shown('l_discount <> 0')} THEN sum(volume) END"),
        ("ORDER BY", f"HAVING {shown()} ORDER BY"),
    ],
    "q09": [
        ("AS amount", "AS amount, o_custkey, l_discount"),
        ("sum(amount)", f"CASE WHEN {shown('l_discount <> 0')} THEN sum(amount) END"),
        ("ORDER BY", f"HAVING {shown()} ORDER BY"),
    ],
    "q13": [("ORDER BY", f"HAVING count(*) >= {K} ORDER BY")],
    "q21": [("ORDER BY", f"HAVING {shown()} ORDER BY")],
}  # fmt: skip
SINGLE = ("q03", "q10", "q18")  # each group is one customer
REFUSED = {
    "q01": "may not be summed",
    "q19": "may repeat rows",
}


@pytest.mark.parametrize("name", EDITS)
def test_groups_of_ten(guarded: Pool, name: str) -> None:
    asked = QUERIES[name].replace(CHARGE, "")
    reference = asked
    for old, new in EDITS[name]:
        assert old in reference
        reference = reference.replace(old, new)
    guarded.check(asked, reference=reference)


def test_conditions_and_their_rests(guarded: Pool) -> None:
    """A sum under a condition is shown where ten customers meet it, and none or ten of the group do not."""
    wide = QUERIES["q12"].replace("l_shipmode IN ('MAIL', 'SHIP')", "l_shipmode <> 'x'").replace("1995-01", "1994-04")
    for asked in (QUERIES["q12"], wide, wide.replace("l_shipmode,", "l_shipmode, o_orderpriority,", 1)):
        asked = asked.replace("BY l_shipmode", "BY ALL")
        reference = asked.replace("ORDER BY", f"HAVING {shown()} ORDER BY")
        for sign, joint in (("=", "OR"), ("<>", "AND")):
            when = f"o_orderpriority {sign} '1-URGENT' {joint} o_orderpriority {sign} '2-HIGH'"
            rest = f"count(DISTINCT CASE WHEN ({when}) IS NOT TRUE THEN o_custkey END) NOT BETWEEN 1 AND {K - 1}"
            total = f"sum(CASE WHEN {when} THEN 1 ELSE 0 END)"
            assert total in reference
            reference = reference.replace(total, f"CASE WHEN {shown(when)} AND {rest} THEN {total} END")
        guarded.check(asked, reference=reference)


@pytest.mark.parametrize("name", SINGLE)
def test_single_customers_are_not_shown(guarded: Pool, name: str) -> None:
    answer = guarded.session.execute(QUERIES[name])
    assert answer.table is not None
    assert answer.table.num_rows == 0


@pytest.mark.parametrize("name", REFUSED)
def test_what_could_single_out_is_refused(guarded: Pool, name: str) -> None:
    with pytest.raises(PolicyDenied, match=REFUSED[name]):
        guarded.session.execute(QUERIES[name])
