"""MIN and MAX: no party's own least or largest value is in any message, and nothing is told of hidden groups and cells."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pytest
from harness import Run, Watched, answered, federation, paillier, party
from needles import Needles
from test_messages import coordinators_view, known

from fedsql.crypto.packing import to_ints
from fedsql.executors.protocol import extremes
from fedsql.executors.protocol.vector import open_vector
from fedsql.executors.protocol.wire import COORDINATOR
from fedsql.planner.partials import Output

NAMES = ("north", "south", "west")
SQL = "SELECT g, count(*), max(v), min(v), max(v) FILTER (WHERE w > 0) FROM t GROUP BY g"
USE = {"id": ["join"], "g": ["group"], "v": ["aggregate"], "w": ["filter"]}
AGGREGATES = ["count", "min", "max"]
# (least, largest) at each party; "few" is hidden, for three units are too few, and so is all with w > 0
VALUES = {
    "large": ((4_321_876_501, 5_190_734_202), (4_812_095_303, 7_135_028_404), (3_046_193_705, 6_468_357_106)),
    "wide": ((2_357_928_107, 3_579_468_208), (4_680_571_909, 8_899_001_110), (1_246_803_511, 9_357_281_612)),
    "few": ((5_012_345_613, 5_012_345_613), (6_023_456_714, 6_023_456_714), (7_034_567_815, 7_034_567_815)),
}


def watched(values=VALUES, names=NAMES, **options) -> Watched:
    made = []
    for at, name in enumerate(names):
        rows = [(g, v, w) for g, held in values.items() for v, w in _rows(g, held[at])]
        table = pa.table(
            {
                "id": list(range(len(rows))),
                "g": [g for g, _, _ in rows],
                "v": pa.array([v for _, v, _ in rows], pa.int64()),
                "w": pa.array([w for _, _, w in rows], pa.int64()),
            }
        )
        made.append(party(name, table, use=USE, min_group_size=4, aggregates=AGGREGATES, **options))
    return Watched(federation(*made))


def _rows(group: str, ends: tuple[int, int]) -> list[tuple[int, int]]:
    return [(ends[0], 0), (ends[1], 0)] if group != "few" else [(ends[0], 0)]


PUBLIC = {"columns": {"g": {"values": ["few", "large", "wide"]}}}


@pytest.fixture(scope="module", params=[{}, PUBLIC], ids=["aligned", "public"])
def world(request) -> Iterator[Watched]:
    made = watched(**request.param)
    yield made
    made.close()


def wanted(group: str) -> tuple[str, str, str, None]:
    values = [v for ends in VALUES[group] for v in ends]
    return "6", str(max(values)), str(min(values)), None


def test_the_answer_and_what_it_takes(world):
    run = world.ask(SQL)
    assert {row["k0"]: tuple(row[f"a{i}"] for i in range(4)) for row in run.rows} == {
        group: wanted(group) for group in ("large", "wide")
    }
    more = {known(m.kind) for m in run.messages} - {
        known(m.kind) for m in world.ask("SELECT g FROM t GROUP BY g").messages
    }
    assert more - {"threshold/and"} == {"extremes/dealing", "extremes/shares", "extremes/round"}
    assert all(m.sealed for m in run.messages if "extremes" in m.kind)
    assert {m.sender for m in run.of("extremes/dealing")} == {COORDINATOR}


def test_the_rounds_run_beside_the_threshold(world):
    """Three parties, 65 bits: ten rounds, of which the first ones overlap with those of the threshold."""
    kinds = [known(m.kind) for m in world.ask(SQL).messages]
    assert kinds.index("extremes/round") < kinds.index("threshold/prefix") < kinds.index("threshold/result")
    assert kinds.count("extremes/round") == 2 * 10


def ends(run: Run) -> set[int]:
    """Return every party's own ends, as values and as the codes that stand for them."""
    values = {v for held in VALUES.values() for both in held for v in both}
    orders = [output.order for output in run.plan.releases[0].outputs if output.order is not None]
    return values | {v - o.low + 1 for v in values for o in orders} | {o.high + 1 - v for v in values for o in orders}


def test_no_message_holds_an_end_and_the_coordinator_opens_none(world):
    run = world.ask(SQL)
    bodies = [m.body for m in run.messages] + list(coordinators_view(run))
    bodies += [plain for _, kind, _, plain in run.opened if "extremes" in kind or "threshold" in kind]
    for number in ends(run):
        codes = [number.to_bytes(9, order) for order in ("little", "big")] + list(Needles.encodings(number))
        assert not any(code in body for code in codes if len(code) > 5 for body in bodies)


def opened(world: Watched, run: Run) -> tuple[list[int], list[list[int]]]:
    """Return the positions shown, and what the analyst opens of each partial at every row."""
    answer = answered(run)
    columns = open_vector(run.context, run.outline, answer["rows"], answer["vector"], paillier())
    return answer["positions"], [to_ints(column, False) for column in columns]


def outputs(run: Run) -> list[tuple[Output, int]]:
    names = [partial.name for partial in run.plan.releases[0].partials]
    return [(o, names.index(o.partials[0])) for o in run.plan.releases[0].outputs if o.order is not None]


def test_the_analyst_opens_two_shares_that_tell_their_value_alone(world):
    """Each share is another one each time; where nothing is shown, both are zero."""
    seen: dict[tuple[int, int], set[int]] = {}
    for _ in range(3):
        run = world.ask(SQL)
        shown, columns = opened(world, run)
        for output, first in outputs(run):
            for row in range(len(columns[first])):
                one, two = columns[first][row], columns[first + 1][row]
                visible = row in shown and output.name != "a3"
                assert (one ^ two != 0) is visible
                if visible:
                    seen.setdefault((first, one ^ two), set()).update((one, two))
                else:
                    assert (one, two) == (0, 0)
    assert len(seen) == 4  # two groups, two values
    assert all(len(shares) == 6 for shares in seen.values())


def test_a_contributor_that_does_not_compute_puts_nothing_into_the_vector(world, monkeypatch):
    """Its own extremes leave it as shares alone."""
    seen = []
    original = extremes.put

    def watching(outline, part, shares, bits, columns, second):
        seen.append(second)
        return original(outline, part, shares, bits, columns, second)

    monkeypatch.setattr(extremes, "put", watching)
    run = world.ask(SQL)
    assert run.error is None
    assert sorted(seen) == [0, 1]


def test_sizes_do_not_depend_on_values_or_on_hidden_groups():
    other = {g: tuple((low + 5, high + 7_000) for low, high in held) for g, held in VALUES.items()}
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


def test_the_test_sees_codes_that_are_not_shared(world, monkeypatch):
    def plain(talk, outline, codes):
        data, kind = b"".join(column.tobytes() for column in codes.values()), f"{outline.number}/extremes/shares"
        return [extremes.Message(kind, talk.me, name, data) for name in outline.computing(talk.draw)]

    monkeypatch.setattr(extremes, "share_codes", plain)
    with pytest.raises((AssertionError, KeyError)):
        test_no_message_holds_an_end_and_the_coordinator_opens_none(world)


def test_alone_nothing_is_shared():
    made = watched(names=("north",), values={g: held[:1] for g, held in VALUES.items()}, allow_alone=True, **PUBLIC)
    run = made.ask("SELECT max(v) FROM t")
    assert run.rows == [{"a0": str(max(v for held in VALUES.values() for v in held[0]))}]
    assert not [m for m in run.messages if "extremes" in m.kind]
    made.close()
