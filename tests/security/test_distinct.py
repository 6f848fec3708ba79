"""COUNT(DISTINCT x): what its tags tell, to whom, and that they tell of nothing that is hidden."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from harness import Run, Watched, federation, lies, paillier, party
from test_messages import coordinators_view, known

from fedsql.codec import decode
from fedsql.crypto.dummies import below
from fedsql.crypto.packing import to_ints
from fedsql.crypto.tags import TAG_BYTES
from fedsql.errors import OperationalError, ProtocolError
from fedsql.executors.protocol import contribute, distinct
from fedsql.executors.protocol.vector import open_vector
from fedsql.executors.protocol.wire import COORDINATOR

NAMES = ("north", "south", "west")
SQL = "SELECT g, count(*), count(DISTINCT w), count(DISTINCT w) FILTER (WHERE v > 0) FROM t GROUP BY g"
USE = {"id": ["join"], "g": ["group"], "w": ["join", "aggregate"], "v": ["filter"]}
# (group, value): at which parties. Each value is there twice at each; "few" is hidden, and so is all with v > 0.
WORDS = {
    ("large", "Aardwolf-11"): (1, 1, 1),
    ("large", "Bandicoot-22"): (1, 1, 0),
    ("large", "Capybara-33"): (0, 0, 1),
    ("large", "Dugongs-44"): (0, 1, 1),
    ("wide", "Aardwolf-11"): (1, 0, 1),
    ("wide", "Echidnas-55"): (1, 1, 0),
    ("few", "Fossas-66"): (0, 1, 0),
}


def watched(words: dict[tuple[str, str], tuple[int, ...]] = WORDS, **options) -> Watched:
    made = []
    for at, name in enumerate(NAMES):
        pairs = [pair for pair, held in words.items() for _ in range(2 * held[at])]
        rows = {"id": list(range(len(pairs))), "g": [g for g, _ in pairs], "w": [w for _, w in pairs]}
        table = pa.table({**rows, "v": pa.array([0] * len(pairs), pa.int64())})
        made.append(party(name, table, use=USE, min_group_size=4, **options))
    return Watched(federation(*made))


PUBLIC = {"columns": {"g": {"values": ["few", "large", "wide"]}}}


@pytest.fixture(scope="module", params=[{}, PUBLIC], ids=["aligned", "public"])
def world(request) -> Iterator[Watched]:
    made = watched(**request.param)
    yield made
    made.close()


def lists(run: Run) -> dict[str, list[tuple[np.ndarray, np.ndarray]]]:
    """Return what the coordinator opens: for each party and count, the places and the tags."""
    found = {}
    for by, kind, sender, plain in run.opened:
        if kind.endswith("distinct/tags"):
            assert by == COORDINATOR
            found[sender] = [_split(data) for data in decode(plain)]
    return found


def _split(data: bytes) -> tuple[np.ndarray, np.ndarray]:
    count = len(data) // (4 + TAG_BYTES)
    return np.frombuffer(data[: 4 * count], "<u4"), np.frombuffer(data[4 * count :], np.uint8).reshape(-1, TAG_BYTES)


def test_the_answer_and_what_it_takes(world):
    run = world.ask(SQL)
    shown = {row["k0"]: (row["a0"], row["a1"], row["a2"]) for row in run.rows}
    assert shown == {"large": ("16", "4", None), "wide": ("8", "2", None)}
    plain = world.ask("SELECT g, count(*), count(w) FROM t GROUP BY g")
    more = {known(message.kind) for message in run.messages} - {known(message.kind) for message in plain.messages}
    assert more == {"distinct/key", "distinct/tags"}
    for message in run.of("distinct/key") + run.of("distinct/tags"):
        assert message.sealed
    assert {m.recipient for m in run.of("distinct/tags")} == {COORDINATOR}
    assert {m.recipient for m in run.of("distinct/key")} == {"south", "west"}


def test_no_message_holds_a_value_and_the_coordinator_opens_none(world):
    run = world.ask(SQL)
    bodies = [message.body for message in run.messages] + list(coordinators_view(run))
    assert not any(word.encode() in body for _, word in WORDS for body in bodies)
    keys = [plain for by, kind, _, plain in run.opened if kind.endswith("distinct/key")]
    assert len(keys) == 2
    assert not any(key in body for key in keys for body in bodies)


def test_no_tag_before_everybody_is_ready(world):
    run = world.ask(SQL)
    kinds = [known(message.kind) for message in run.messages]
    last_go = len(kinds) - 1 - kinds[::-1].index("go")
    assert kinds.index("distinct/tags") > kinds.index("go")
    assert max(i for i, kind in enumerate(kinds) if kind == "ready") < last_go


def test_tags_stand_for_shown_cells_alone(world, monkeypatch):
    """All else in the lists are dummies, also where nothing may be told: in "few", and in what has no value above 0."""
    labels: list[bytes] = []
    original = distinct.tags

    def listening(key, encoded):
        labels.extend(encoded)
        return original(key, encoded)

    monkeypatch.setattr(distinct, "tags", listening)
    run = world.ask(SQL)
    assert run.error is None
    shown = sorted(word.encode() for (group, word), held in WORDS.items() if group != "few" for _ in range(sum(held)))
    assert sorted(label[4:] for label in labels) == shown
    rows = decode(run.of("answer")[0].body)["releases"][0]["rows"]
    places = {int(place) for both in lists(run).values() for where, _ in both for place in where}
    assert places == set(range(rows))


def test_the_coordinator_counts_dummies_too(world):
    """What it counts is the truth and a number below `below` that it cannot know, another one each time."""
    seen = set()
    for _ in range(3):
        run = world.ask(SQL)
        answer = decode(run.of("answer")[0].body)["releases"][0]
        given = lists(run).values()
        for number, partial in enumerate(run.outline.tagged):
            places = np.concatenate([both[number][0] for both in given])
            tags = np.concatenate([both[number][1] for both in given])
            total = distinct._distinct(places, tags, answer["rows"])
            opened = open_vector(run.context, run.outline, answer["rows"], answer["vector"], paillier())
            extra = total - np.array(to_ints(opened[partial]))
            assert ((extra >= 0) & (extra < below(answer["rows"]))).all()
            seen.add(tuple(extra.tolist()))
    assert len(seen) == 6


def test_what_two_parties_share_is_blurred(world):
    run = world.ask(SQL)
    real = {(group, word) for (group, word), held in WORDS.items() if held[0] and held[1] and group != "few"}
    north, south = ({tag.tobytes() for tag in lists(run)[name][0][1]} for name in ("north", "south"))
    assert len(north & south) > 10 * len(real)


def test_sizes_depend_on_the_numbers_of_values_in_shown_cells_alone(monkeypatch):
    """Under one key, so that dummies are as many: other values, other hidden groups, other rows."""
    monkeypatch.setattr(distinct, "os", SimpleNamespace(urandom=lambda size: bytes(range(size))))
    other = {(g, f"{w}-and-longer"): held for (g, w), held in WORDS.items() if g != "few"}
    other |= {("few", "Galagos-77"): (1, 0, 0), ("few", "Hutia-88"): (1, 0, 0)}
    sizes = []
    for words in (WORDS, other):
        made = watched(words, **PUBLIC)
        run = made.ask(SQL, first=0)
        assert run.error is None
        sizes.append(sorted((m.kind, m.sender, m.recipient, len(m.body)) for m in run.messages))
        made.close()
    assert sizes[0] == sizes[1]


@pytest.mark.parametrize(
    "edit", [lambda said: said[:1], lambda said: [said[0], said[1][:-1]], lambda said: 5, lambda said: [said[0], 5]]
)
def test_malformed_tags_are_refused(world, edit):
    with lies("south", "distinct/tags", lambda said, recipient: edit(said)):
        run = world.ask(SQL)
    assert isinstance(run.error, ProtocolError | OperationalError)
    assert not run.of("answer")


def test_a_key_of_another_length_is_refused(world, monkeypatch):
    original = distinct.share_key

    def short(talk, outline):
        key, messages = original(talk, outline)
        return key, [talk.seal(m.kind, m.recipient, key[:-1]) for m in messages]

    monkeypatch.setattr(distinct, "share_key", short)
    run = world.ask(SQL)
    assert isinstance(run.error, ProtocolError | OperationalError)
    assert not run.of("answer")


def test_the_test_sees_tags_of_hidden_groups(world, monkeypatch):
    def everything(part, partial, shown):
        return shown.survive | True

    monkeypatch.setattr(contribute, "visible", everything)
    with pytest.raises((AssertionError, KeyError, OverflowError)):
        test_tags_stand_for_shown_cells_alone(world, monkeypatch)
