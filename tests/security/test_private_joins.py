"""Private joins as SQL asks them: what each participant is sent does not depend on who matches, nor hold what others have.

`test_joined.py` looks at the protocol alone; here the whole query is recorded, from the question to the answer.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from harness import Run, Watched, federation, party

from fedsql.codec import decode
from fedsql.executors.protocol.wire import COORDINATOR

USES = ["group", "filter", "aggregate", "join"]
SECRET = 0x5EC2E75  # what all values begin with, so that they would be found
ROWS, HELD, K = 60, 50, 3
OUT_OF = {"all": lambda n: n % HELD, "none": lambda n: n % HELD + HELD, "half": lambda n: n % HELD + HELD * (n % 2)}
SQL = "SELECT w, COUNT(*), SUM(v), SUM(y), COVAR_POP(v, y) FROM bank.t a JOIN clinic.t p ON a.k = p.k {} GROUP BY w"
BY_THEIRS = "SELECT g, COUNT(*), SUM(v), SUM(y) FROM bank.t a {} JOIN clinic.t p ON a.k = p.k GROUP BY g"
ORDERS = {"order", "ends-order"}  # uniform permutations: whole numbers below the number of rows


def world(
    matching: str = "half", *, seed: int = 1, groups: Sequence[str] = ("ward-anna", "ward-bert"), **release: object
) -> Watched:
    """Return a bank of 60 rows and a clinic of 50; of the bank's people all, none or half are at the clinic."""
    rng = random.Random(seed)
    uses = {"k": USES, "w": USES, "v": USES}
    own = {
        "k": pa.array([f"patient-{OUT_OF[matching](n):06d}" for n in range(ROWS)]),
        "w": pa.array([groups[n * len(groups) // ROWS] for n in range(ROWS)]),
        "v": pa.array([SECRET * 1000 + rng.randrange(1000) for _ in range(ROWS)], pa.int64()),
    }
    provided = {
        "k": pa.array([f"patient-{n:06d}" for n in range(HELD)]),
        "g": pa.array([f"class-{n % 2}" for n in range(HELD)]),
        "y": pa.array([SECRET * 1000 + rng.randrange(1000) for _ in range(HELD)], pa.int64()),
    }
    bounds = {"bounds": [0, SECRET * 1001]}
    given = {"min_group_size": K, "min_parties": 1, "aggregates": ["count", "sum", "avg", "covar"], **release}
    options = {"table": {"privacy_unit": "k"}, **given}
    return Watched(
        federation(
            party("bank", own, use=uses, columns={"v": bounds}, **options),
            party("clinic", provided, use={"k": USES, "g": USES, "y": USES}, columns={"y": bounds}, **options),
        )
    )


def asked(made: Watched, sql: str) -> Run:
    """Ask once and close."""
    with closing(made):
        run = made.ask(sql, first=0)
    assert run.error is None, run.error
    return run


def shapes(run: Run) -> Counter[tuple[str, str, str, int]]:
    """Return how many messages of which kind and size went from whom to whom."""
    return Counter((m.sender, m.recipient, m.kind, len(m.body)) for m in run.messages)


def short(kind: str) -> str:
    """Return what a message is called, without numbers."""
    return kind.split("/")[-1].rstrip("-0123456789")


def view(run: Run, name: str) -> dict[tuple[str, str], bytes]:
    """Return what a participant opened, by (kind, sender)."""
    return {(kind, sender): plain for by, kind, sender, plain in run.opened if by == name}


def windows(data: bytes, size: int = 16) -> set[bytes]:
    """Return all runs of so many bytes."""
    return {data[at : at + size] for at in range(len(data) - size + 1)}


PAIRS = {
    "who matches": ({"matching": "all"}, {"matching": "none"}),
    "whether some match": ({"matching": "half"}, {"matching": "none"}),
    "values": ({"seed": 1}, {"seed": 2}),
    "values that are shown": ({"seed": 1, "min_group_size": 12}, {"seed": 2, "min_group_size": 12}),
    "sizes of groups": ({}, {"groups": ("ward-anna",) * 5 + ("ward-bert",)}),
}


@pytest.mark.parametrize("sql", [SQL.format(""), BY_THEIRS.format(""), BY_THEIRS.format("LEFT")])
@pytest.mark.parametrize("what", PAIRS)
def test_messages_have_the_same_kinds_and_sizes(what: str, sql: str) -> None:
    """The same groups are shown, mostly none: which they are is no secret of the parties."""
    one, other = (asked(world(**{"min_group_size": ROWS, **options}), sql) for options in PAIRS[what])
    assert len(one.rows) == len(other.rows)
    if "BY w" in sql:
        assert len(one.rows) == (2 if what == "values that are shown" else 0)
    assert shapes(one) == shapes(other)


FILTERS = ["", "WHERE a.v > 0", "WHERE a.v < 0", "WHERE p.y < 0", "WHERE a.v < 0 AND p.g = 'nobody'", "WHERE false"]


def test_what_a_filter_takes_out_shows_in_no_size() -> None:
    """Conditions on one side: the rows stay, and match nothing. The question itself is as long as its text."""
    made = world()
    with closing(made):
        runs = [made.ask(SQL.format(where), first=0) for where in FILTERS]
    joins = [Counter({s: n for s, n in shapes(run).items() if "/join/" in s[2] or "align" in s[2]}) for run in runs]
    assert [run.error for run in runs] == [None] * len(runs)
    assert sum(joins[0].values()) > 10
    assert all(each == joins[0] for each in joins)


def test_the_helper_is_sent_no_key_no_label_no_value_and_no_size_of_a_group() -> None:
    groups = ("ward-anna",) * 3 + ("ward-bert",) * 2  # 36 and 24 rows
    run = asked(world(groups=groups), SQL.format(""))
    assert len(run.rows) == 2
    seen = view(run, COORDINATOR)
    everything = b"\0".join([*seen.values(), *(m.body for m in run.messages if m.recipient == COORDINATOR)])
    for text in (b"patient", b"ward-", b"anna", b"class-"):
        assert text not in everything
    values = [SECRET * 1000 + n for n in range(1000)]
    assert not any(each.to_bytes(8, "little")[:6] in everything for each in values[::17])
    assert str(SECRET).encode() not in everything
    told = [decode(plain) for (kind, _), plain in seen.items() if short(kind) == "hello" and "/join/" in kind]
    assert told
    for record in told:
        assert set(record) <= {"rows", "slots", "values"}
        assert not {36, 24} & set(record.values())


def test_two_queries_over_the_same_tables_share_nothing_that_the_helper_sees() -> None:
    made = world()
    with closing(made):
        one, other = made.ask(SQL.format("")), made.ask(SQL.format("WHERE a.v > 0"))
    found: list[set[bytes]] = []
    sealed: list[set[bytes]] = []
    for run in (one, other):
        drawn = {k: data for k, data in view(run, COORDINATOR).items() if "/join/" in k[0]}
        kinds = {short(kind) for kind, _ in drawn}
        assert {"tags", "masked", "column", "correction"} <= kinds
        plain = [data for (kind, _), data in drawn.items() if short(kind) not in ORDERS | {"hello", "table", "done"}]
        found.append(set().union(*map(windows, plain)))
        bodies = [m.body for m in run.messages if "/join/" in m.kind and m.sealed]
        sealed.append(set().union(*map(windows, bodies)))
    assert not found[0] & found[1]
    assert not sealed[0] & sealed[1]


def features(run: Run, name: str) -> dict[str, float]:
    """Return numbers about all that a participant opened: by kind its bytes, bits, repetitions; and what several have."""
    by_kind: dict[str, list[bytes]] = {}
    for (kind, sender), plain in sorted(view(run, name).items()):
        by_kind.setdefault(f"{kind} {sender}", []).append(plain)
    found: dict[str, float] = {}
    blocks = {}
    for kind, listed in by_kind.items():
        data = b"".join(listed)
        numbers = np.frombuffer(data, np.uint8)
        words = np.frombuffer(data[: len(data) // 8 * 8], "<u8")
        found[f"{kind} length"] = len(data)
        found[f"{kind} mean"] = float(numbers.mean()) if len(numbers) else 0.0
        found[f"{kind} low bits"] = float((words & np.uint64(1)).mean()) if len(words) else 0.0
        found[f"{kind} high bits"] = float((words >> np.uint64(63)).mean()) if len(words) else 0.0
        found[f"{kind} repeated"] = float(len(words) - len(np.unique(words)))
        blocks[kind] = set(words.tolist())
    found["common"] = sum(len(one & other) for one, other in pairwise(sorted(blocks.values(), key=len)))
    found["common tags"] = float(
        len(set.intersection(*tags)) if len(tags := [b for kind, b in blocks.items() if "/tags" in kind]) > 1 else 0
    )
    return found


def accuracy(matching: Sequence[Run], others: Sequence[Run], name: str) -> float:
    """Train the best single threshold on half of the runs; return how many of the other half it tells apart."""
    table = [(features(run, name), label) for runs, label in ((matching, 1), (others, 0)) for run in runs]
    train, test = table[::2], table[1::2]
    best = (0.0, "", 0.0, 1)
    for feature in sorted(set.intersection(*(set(each) for each, _ in table))):
        for limit in sorted({each[feature] for each, _ in train}):
            for sign in (1, -1):
                right = sum((sign * (each[feature] - limit) >= 0) == label for each, label in train) / len(train)
                best = max(best, (right, feature, limit, sign))
    _, feature, limit, sign = best
    return sum((sign * (each[feature] - limit) >= 0) == label for each, label in test) / len(test)


@pytest.fixture(scope="module")
def runs() -> tuple[list[Run], list[Run]]:
    """Forty runs in which all match, and forty in which nobody does; no group is shown in either."""
    found: tuple[list[Run], list[Run]] = ([], [])
    for listed, matching in zip(found, ("all", "none"), strict=True):
        with closing(world(matching)) as made:
            for _ in range(40):
                listed.append(made.ask(SQL.format("")))
    assert not any(run.rows for listed in found for run in listed)
    return found


@pytest.mark.parametrize("name", ["bank", "clinic"])
def test_a_distinguisher_with_a_partys_whole_view_does_no_better_than_chance(
    runs: tuple[list[Run], list[Run]], name: str
) -> None:
    """By chance it tells 33 of 40 apart with a probability below 0.00003."""
    assert accuracy(*runs, name) <= 32 / 40


def test_the_distinguisher_tells_apart_what_the_helper_may_know(runs: tuple[list[Run], list[Run]]) -> None:
    assert accuracy(*runs, COORDINATOR) == 1.0
