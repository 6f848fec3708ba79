"""The 22 queries of TPC-H: equal to DuckDB on the pooled rows, and with a least size of groups.

Every party must derive the same plan in a process of its own: the digests of all plans, under two hash seeds.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from pool import Pool
from tpch.federation import federation, generate, queries

from fedsql.errors import PolicyDenied
from fedsql.planner.question import Question
from fedsql.session import Session

SCALE = 0.1
SMALL = 0.01  # where groups of fewer than ten are no exception
K = 10
QUERIES = queries()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate(tmp_path_factory.mktemp("tpch"), SCALE)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate(tmp_path_factory.mktemp("small"), SMALL)


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
def guarded(small: Path) -> Iterator[Pool]:
    """A group is shown when ten customers are in it."""
    pool = pool_of(small, {"min_group_size": K, "min_parties": 2})
    yield pool
    pool.close()


@pytest.mark.parametrize("name", QUERIES)
def test_equals_duckdb(pooled: Pool, name: str) -> None:
    answer = pooled.check(QUERIES[name], scale=1e10)
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


def digests(folder: Path) -> list[str]:
    """Return the digests of the plans of all queries."""
    session = Session.open(federation(folder))
    questions = [Question("tpch", "analyst", sql, "2020-02-29 12:00:00") for sql in QUERIES.values()]
    found = [session.federation.directory.plan(question).digest.hex() for question in questions]
    session.close()
    return found


def test_plans_do_not_depend_on_the_hash_seed(small: Path) -> None:
    here = Path(__file__)
    places = [here.parent, here.parents[1] / "equality", here.parents[2] / "examples"]
    script = f"import pathlib, test_tpch; print(*test_tpch.digests(pathlib.Path({str(small)!r})))"
    other = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONHASHSEED": "1", "PYTHONPATH": os.pathsep.join(map(str, places))},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert other.split() == digests(small)
    assert len(other.split()) == len(QUERIES)
