"""Quantiles: nobody but the analyst learns them, no party's own counts are in any message, and hidden groups stay hidden."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pytest
from harness import Run, Watched, answered, federation, paillier, party
from scipy.stats import chisquare
from test_messages import coordinators_view, known

from fedsql.codec import decode
from fedsql.crypto.packing import to_ints
from fedsql.executors.protocol import extremes
from fedsql.executors.protocol.vector import open_vector
from fedsql.executors.protocol.wire import COORDINATOR

NAMES = ("north", "south", "west")
SQL = "SELECT g, count(*), median(v), quantile_disc(v, 0.9), median(v) FILTER (WHERE w > 0) FROM t GROUP BY g"
USE = {"id": ["join"], "g": ["group"], "v": ["aggregate"], "w": ["filter"]}
VALUES = {  # at each party; "few" is hidden, and so is all with w > 0
    "large": ((11, 12, 93), (14, 25, 86), (17, 38, 79)),
    "wide": ((90, 21, 52), (43, 64, 35), (76, 17, 88)),
    "few": ((5,), (6,), (7,)),
}


def watched(values=VALUES, names=NAMES, **options) -> Watched:
    made = []
    for at, name in enumerate(names):
        rows = [(g, v) for g, held in values.items() for v in held[at]]
        table = pa.table({"id": list(range(len(rows))), "g": [g for g, _ in rows], "v": [v for _, v in rows]})
        table = table.append_column("w", pa.array([0] * len(rows), pa.int64()))
        columns = {"v": {"bounds": [0, 99]}, **options.get("columns", {})}
        release = {"min_group_size": 4, "aggregates": ["count", "quantile"], "columns": columns}
        made.append(party(name, table, use=USE, **{**options, **release}))
    return Watched(federation(*made))


PUBLIC = {"columns": {"g": {"values": ["few", "large", "wide"]}}}


@pytest.fixture(scope="module", params=[{}, PUBLIC], ids=["aligned", "public"])
def world(request) -> Iterator[Watched]:
    made = watched(**request.param)
    yield made
    made.close()


def test_the_answer_and_what_it_takes(world):
    run = world.ask(SQL)
    shown = {row["k0"]: (row["a0"], row["a1"], row["a2"], row["a3"]) for row in run.rows}
    wanted = {}
    for group in ("large", "wide"):
        pooled = sorted(v for held in VALUES[group] for v in held)
        wanted[group] = "9", float(pooled[4]), str(pooled[8]), None
    assert shown == wanted
    plain = world.ask("SELECT g, count(v) FROM t GROUP BY g")
    more = {known(m.kind) for m in run.messages} - {known(m.kind) for m in plain.messages}
    assert more - {"threshold/and"} == {"ranks/dealing", "ranks/shares", "ranks/open", "ranks/prefix"}
    assert all(m.sealed for m in run.messages if "ranks" in m.kind)
    assert {m.sender for m in run.of("ranks/dealing")} == {COORDINATOR}


def test_no_message_comes_after_those_of_the_threshold(world):
    kinds = [known(m.kind) for m in world.ask(SQL).messages]
    last = len(kinds) - 1 - kinds[::-1].index("ranks/prefix")
    assert kinds.index("ranks/open") < kinds.index("threshold/prefix") < last < kinds.index("threshold/result")


def test_a_party_learns_what_is_shown_and_no_value(world):
    """All that parties open of ranks is dealt, shared or masked: it looks the same whatever the values are."""
    run = world.ask(SQL)
    opened = [plain for _, kind, _, plain in run.opened if "/ranks/" in kind]
    assert opened
    for plain in opened:
        data = decode(plain)
        if len(data) > 5000:
            counted = np.bincount(np.frombuffer(data, np.uint8), minlength=256)
            assert chisquare(counted).pvalue > 1e-6
    for by, kind, _, plain in run.opened:
        if kind.endswith("/go"):
            assert by in NAMES
            assert set(decode(plain)) == {"rows", "labels", "bits", "salts", "commitments", "signatures"}


def test_the_coordinator_knows_how_many_values_there_may_be_and_nothing_of_ranks(world):
    run = world.ask(SQL)
    (outline,) = decode(run.of("ask")[0].body)["outlines"]
    assert [values for _, values in outline["ranks"]] == [100] * 5  # two of each median, one of the other
    assert not any(b"quantile" in body or b"median" in body for body in coordinators_view(run))


def partials(run: Run) -> list[list[int]]:
    answer = answered(run)
    columns = open_vector(run.context, run.outline, answer["rows"], answer["vector"], paillier())
    return [to_ints(column, False) for column in columns]


def test_the_analyst_opens_two_shares_that_tell_their_value_alone(world):
    seen: dict[tuple[int, int], set[int]] = {}
    for _ in range(4):
        run = world.ask(SQL)
        shown = answered(run)["positions"]
        columns = partials(run)
        hidden = {name for o in run.plan.releases[0].outputs if o.name == "a3" for name in o.partials}
        for first, _ in run.outline.ranks:
            for row in range(len(columns[first])):
                one, two = columns[first][row], columns[first + 1][row]
                visible = row in shown and run.plan.releases[0].partials[first].name not in hidden
                assert (one ^ two != 0) is visible
                if visible:
                    seen.setdefault((first, one ^ two), set()).add(one)
                else:
                    assert (one, two) == (0, 0)
    assert len(seen) == 6
    assert all(len(shares) > 1 for shares in seen.values())


def test_sizes_do_not_depend_on_values_or_on_hidden_groups():
    other = {g: tuple(tuple(99 - v for v in held) for held in parties) for g, parties in VALUES.items()}
    empty = {g: held for g, held in VALUES.items() if g != "few"}
    sizes = []
    for values in (VALUES, other, empty):
        made = watched(values, **PUBLIC)
        run = made.ask(SQL, first=0)
        assert run.error is None
        sizes.append(sorted((m.kind, m.sender, m.recipient, len(m.body)) for m in run.messages))
        made.close()
    assert sizes[0] == sizes[1] == sizes[2]


def test_the_test_sees_shares_of_hidden_cells(world, monkeypatch):
    monkeypatch.setattr(extremes, "visible", lambda part, partial, bits: bits.survive)
    with pytest.raises(AssertionError):
        test_the_analyst_opens_two_shares_that_tell_their_value_alone(world)


def test_alone_nothing_is_shared():
    made = watched(names=("north",), values={g: held[:1] for g, held in VALUES.items()}, allow_alone=True)
    run = made.ask("SELECT median(v), quantile_disc(v, 1) FROM t")
    assert run.rows == [{"a0": 21.0, "a1": "93"}]
    assert not [m for m in run.messages if "ranks" in m.kind]
    made.close()
