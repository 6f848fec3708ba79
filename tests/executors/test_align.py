"""Aligned groups: the same label gets the same random slot everywhere, and nobody else's groups are learnt."""

from __future__ import annotations

import numpy as np
import pytest
from conversations import conversations
from hypothesis import given, settings
from hypothesis import strategies as st

from fedsql.codec import decode
from fedsql.crypto.tags import TAG_BYTES
from fedsql.errors import ProtocolError
from fedsql.executors.protocol.align import Alignment, Matching, align, match, padded
from fedsql.executors.protocol.wire import COORDINATOR, Exchange, Message
from fedsql.executors.transport.inprocess import run

NAMES = ("ann", "bob", "cyd")
MOST = 1000  # groups that a party computes over


def aligned(labels: dict[str, list[bytes]]) -> tuple[dict[str, Alignment], Matching, list[Message], dict]:
    names = tuple(labels)
    talks = conversations(names)
    steps = {name: align(talks[name], 0, names, labels[name], MOST) for name in names}
    sent: list[Message] = []
    results = run({**steps, COORDINATOR: match(talks[COORDINATOR], 0, names)}, sent.append)
    return {name: results[name] for name in names}, results[COORDINATOR], sent, talks


LABELS = st.lists(st.binary(max_size=6), unique=True, max_size=25)


@settings(max_examples=30)
@given(st.lists(LABELS, min_size=2, max_size=4))
def test_equal_labels_share_a_slot_and_different_ones_do_not(held):
    labels = {f"party{i}": given for i, given in enumerate(held)}
    found, matching, _, _ = aligned(labels)
    slot_of: dict[bytes, int] = {}
    for name, alignment in found.items():
        assert alignment.count == matching.count == padded(len({x for given in held for x in given}))
        for label, slot in zip(labels[name], alignment.slots, strict=True):
            assert slot_of.setdefault(label, slot) == slot
            assert name in matching.holders[slot]
            assert 0 <= slot < matching.count
    assert len(set(slot_of.values())) == len(slot_of)
    assert set(matching.holders) == set(slot_of.values())
    assert len({alignment.label_key for alignment in found.values()}) == 1


def test_slots_are_drawn_anew_and_tags_come_shuffled():
    labels = {name: [bytes([i]) for i in range(20)] for name in NAMES}
    one, _, _, _ = aligned(labels)
    two, _, _, _ = aligned(labels)
    assert one["ann"].slots != two["ann"].slots
    assert list(one["ann"].slots) != sorted(one["ann"].slots)  # by chance once in 20!
    _, _, sent, talks = aligned(labels)
    tags = [
        talks[COORDINATOR].open(message)
        for message in sent
        if message.kind.endswith("tags") and message.sender != "bob"
    ]
    assert tags[0] != tags[1]
    assert {tags[0][i : i + TAG_BYTES] for i in range(0, 320, 16)} == {
        tags[1][i : i + TAG_BYTES] for i in range(0, 320, 16)
    }


def test_a_party_is_told_its_own_slots_and_their_number_only():
    labels = {"ann": [b"x"], "bob": [b"x", b"y", b"z"], "cyd": []}
    found, matching, sent, talks = aligned(labels)
    told = {m.recipient: decode(talks[m.recipient].open(m)) for m in sent if m.kind.endswith("slots")}
    for name, record in told.items():
        assert set(record) == {"slots", "count"}
        assert np.frombuffer(record["slots"], "<u4").size == len(labels[name])
    assert len({len(m.body) for m in sent if m.kind.endswith("key")}) == 1
    assert {(m.sender, m.recipient) for m in sent if m.kind.endswith("key")} == {("ann", "bob"), ("ann", "cyd")}
    assert all(m.sealed for m in sent)
    assert found["cyd"].slots == ()
    assert matching.count == 8


@given(st.integers(0, 10**6))
def test_padding_hides_up_to_an_eighth(count):
    assert count <= padded(count) <= max(8, count + count / 4)
    assert padded(padded(count)) == padded(count)
    assert padded(count) <= padded(count + 1)


@pytest.mark.parametrize("tags", [b"x", bytes(TAG_BYTES) * 2, bytes(TAG_BYTES + 1)])
def test_malformed_tags_are_refused(tags):
    talks = conversations(NAMES)

    def cheat(name):
        yield Exchange.of([talks[name].seal("0/align/tags", COORDINATOR, tags)])

    with pytest.raises(ProtocolError, match="a message of ann is malformed"):
        run({**{n: cheat(n) for n in NAMES}, COORDINATOR: match(talks[COORDINATOR], 0, NAMES)})
