"""Small groups: hidden ones are in no message after the threshold, and look the same as empty ones."""

from __future__ import annotations

import pytest
from harness import Run, Watched, answered, lies, paillier, small

from fedsql.codec import decode, encode
from fedsql.crypto import shares
from fedsql.crypto.packing import to_ints
from fedsql.crypto.tags import tags as keyed
from fedsql.executors.protocol import contribute, suppression
from fedsql.executors.protocol.align import padded
from fedsql.executors.protocol.labels import LabelBoxes
from fedsql.executors.protocol.vector import open_vector
from fedsql.executors.protocol.wire import COORDINATOR
from fedsql.planner.notices import notices

NAMES = ("north", "south", "west")
LARGE = {"Quillwort": 20, "Zebrawood": 30}
SQL = "SELECT g, count(*) AS n, sum(v) AS s FROM t GROUP BY g"


def asked(groups: dict[str, dict[str, int]], **options) -> Run:
    world = Watched(small(groups, value=77_345_101, **options))
    run = world.ask(SQL, first=0)
    world.close()
    return run


def with_extra(extra: dict[str, dict[str, int]]) -> dict[str, dict[str, int]]:
    return {name: {**extra.get(name, {}), **LARGE} for name in NAMES}


HIDDEN = {
    "one unit at one party": {"south": {"Xylotomy": 1}},
    "too few units": {"north": {"Xylotomy": 3}, "south": {"Xylotomy": 3}, "west": {"Xylotomy": 3}},
    "one party alone": {"west": {"Xylotomy": 5000}},
    "several": {"north": {f"Xylotomy{i}": 2 for i in range(5)}, "west": {"Xylotomy9": 900}},
}


@pytest.mark.parametrize("extra", HIDDEN.values(), ids=HIDDEN)
def test_a_hidden_group_changes_nothing_that_the_analyst_gets(extra):
    without, hidden = asked(with_extra({})), asked(with_extra(extra))
    assert without.rows == hidden.rows
    assert {row["k0"] for row in hidden.rows} == set(LARGE)
    assert notices(without.plan) == notices(hidden.plan)
    answers = [run.of("answer")[0] for run in (without, hidden)]
    assert len(answers[0].body) == len(answers[1].body)
    assert sorted(m.kind for m in without.messages) == sorted(m.kind for m in hidden.messages)


@pytest.mark.parametrize("extra", HIDDEN.values(), ids=HIDDEN)
def test_sizes_differ_only_where_groups_are_aligned(extra):
    """Tags and slots count a party's groups, and the threshold's messages all slots, padded: nothing else may tell."""
    without, hidden = asked(with_extra({})), asked(with_extra(extra))
    may = ("align/tags", "align/slots", "go")  # a party's own groups: their number is the coordinator's to know
    if padded(len(LARGE)) != padded(len(LARGE) + len({g for held in extra.values() for g in held})):
        may = (*may, "threshold", "ready")

    def rest(run: Run) -> list[tuple[str, str, int]]:
        return sorted(
            (m.kind, m.recipient, len(m.body) - (_label_bytes(m.body) if m.kind.endswith("vector") else 0))
            for m in run.messages
            if not any(part in m.kind for part in may)
        )

    assert rest(without) == rest(hidden)


def _label_bytes(body: bytes) -> int:
    record = decode(body)
    return len(body) - len(encode({**record, "labels": []}))


@pytest.mark.parametrize("extra", HIDDEN.values(), ids=HIDDEN)
def test_public_groups_hidden_or_empty_send_the_very_same_sizes(extra):
    values = sorted({*LARGE, *(g for held in extra.values() for g in held)})
    options = {"columns": {"g": {"values": values}}}
    without, hidden = asked(with_extra({}), **options), asked(with_extra(extra), **options)
    assert without.rows == hidden.rows
    sizes = [[(m.kind, m.sender, m.recipient, len(m.body)) for m in run.messages] for run in (without, hidden)]
    assert sorted(sizes[0]) == sorted(sizes[1])


def test_a_long_hidden_label_does_not_lengthen_the_boxes_of_others():
    without, hidden = asked(with_extra({})), asked(with_extra({"south": {"Xylotomy" * 100: 2}}))
    assert len(without.of("answer")[0].body) == len(hidden.of("answer")[0].body)


def hidden_stays_at_home(world: Watched) -> None:
    """Assert that after the threshold neither tag, label nor count of a hidden group is anywhere."""
    tags: dict[bytes, str] = {}

    def listening(key, encoded):
        made = keyed(key, encoded)
        tags.update({tag: decode(label)[0] for tag, label in zip(made, encoded, strict=True)})
        return made

    with pytest.MonkeyPatch.context() as patch:  # once for all parties: their steps interleave
        patch.setattr("fedsql.executors.protocol.align.tags", listening)
        run = world.ask(SQL)
    assert run.error is None
    assert set(tags.values()) == {*LARGE, "Xylotomy"}
    last = max(i for i, m in enumerate(run.messages) if m.kind.endswith("align/tags"))
    bodies = [m.body for m in run.messages[last + 1 :]] + [
        plain for _, kind, _, plain in run.opened if "align" not in kind
    ]
    gone = [tag for tag, label in tags.items() if label == "Xylotomy"]
    assert not any(tag in body for tag in gone for body in bodies)
    assert not any(b"Xylotomy" in body for body in bodies)
    answer = answered(run)
    columns = open_vector(run.context, run.outline, answer["rows"], answer["vector"], paillier())
    shown = answer["positions"]
    for column in columns:
        assert {to_ints(column)[i] for i in range(answer["rows"]) if i not in shown} <= {0}
    key = world.analyst.box.open(answer["label_key"], run.context.bind("labels", 0))
    boxes = [box for m in run.of("vector") for box in decode(m.body)["labels"]]
    labels = set()
    opener = LabelBoxes(key, run.context, 0)
    for position, box in boxes:
        labels.add(opener.open(position, box)[4:].rstrip(b"\0"))
    assert labels == {encode([label]) for label in LARGE}


@pytest.fixture(scope="module")
def world():
    made = Watched(small(with_extra({n: {"Xylotomy": 2} for n in NAMES}), value=77_345_101))
    yield made
    made.close()


def test_nothing_of_a_hidden_group_is_sent_after_the_threshold(world):
    for _ in range(3):
        hidden_stays_at_home(world)


def everything_shown(decision):
    decision.survive[:] = True
    return decision


def test_the_test_sees_a_group_that_is_shown_though_small(world, monkeypatch):
    original = shares.unpack
    monkeypatch.setattr(shares, "unpack", lambda shape, data: everything_shown(original(shape, data)))
    with pytest.raises((AssertionError, KeyError)):
        hidden_stays_at_home(world)


def test_the_test_sees_hidden_values_that_are_encrypted(world, monkeypatch):
    original = contribute.place

    def place(outline, part, shown, positions, rows):
        free = iter(range(rows - 1, -1, -1))
        placed = [next(free) if p == suppression.HIDDEN else p for p in positions]
        everything = type(shown)(shown.survive | True, shown.cells | True)
        return original(outline, part, everything, placed, rows)

    monkeypatch.setattr(contribute, "place", place)
    with pytest.raises(AssertionError):
        hidden_stays_at_home(world)


def test_a_party_seals_no_label_that_is_hidden(world):
    """Asked for a place that it has no group in, it sends nothing at all."""
    with lies(COORDINATOR, "/go", lambda go, recipient: {**go, "labels": [0, 1, 2]}):
        run = world.ask(SQL)
    assert run.error is not None
    assert not run.of("vector")


def test_a_party_learns_the_bits_of_its_own_groups_only(world):
    held = {"north": {"aa": 20, "bb": 2}, "south": {"aa": 20, "cc": 3}, "west": {"aa": 20, "dd": 4, "ee": 40}}
    other = Watched(small(held))
    run = other.ask(SQL)
    for by, kind, _, plain in run.opened:
        if kind.endswith("/go"):
            go = decode(plain)
            assert len(go["salts"]) == 16 * len(held[by])
            assert go["rows"] == padded(1)
            assert set(go) == {"rows", "labels", "bits", "salts", "commitments", "signatures"}
    other.close()
