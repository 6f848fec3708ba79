"""The threshold step driven message by message, every box recorded: outcomes, what a computing party sees, refusals."""

from __future__ import annotations

import dataclasses
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from fedsql.codec import decode, encode
from fedsql.crypto.circuit import Cell, Circuit, Rest, evaluate_clear
from fedsql.crypto.sealing import Channel
from fedsql.errors import ProtocolError
from fedsql.executors.protocol.threshold import Sealer, Setting, deal_messages, decide, decide_alone, share_counts
from fedsql.executors.protocol.wire import COORDINATOR, Message, together

FULL = Circuit((10, 2, 10, 1, 10), (0, 1), (Cell(2, (Rest(3, (4,)),)), Cell(2), Cell(None, (Rest(3, (4,)),))))
NAMES = ("ann", "bob", "cyd", "dan", "eve", "fay")


class World:
    """Channels between all pairs, mailboxes, and a record of every message and its plaintext."""

    def __init__(self, tamper=lambda message: message):
        names = [COORDINATOR, *NAMES]
        self.keys = {frozenset((a, b)): Channel(os.urandom(32)) for a in names for b in names if a < b}
        self.log, self.plain, self.boxes, self.tamper = [], {}, {}, tamper

    def sealer(self, me):
        def label(kind, sender, recipient):
            return encode([kind, sender, recipient])

        def seal(kind, recipient, plaintext):
            self.plain[kind, me, recipient] = decode(plaintext)
            box = self.keys[frozenset((me, recipient))].seal(label(kind, me, recipient), plaintext)
            return Message(kind, me, recipient, box, sealed=True)

        def unseal(message):
            channel = self.keys[frozenset((me, message.sender))]
            return channel.open(label(message.kind, message.sender, me), message.body)

        return Sealer(seal, unseal)

    def post(self, messages):
        for message in messages:
            assert message.sealed
            sent = self.tamper(message)
            self.log.append(sent)
            self.boxes.setdefault(sent.recipient, {})[sent.kind, sent.sender] = sent

    def drive(self, steps):
        """Run {name: generator} to their ends; return their results."""
        waiting, results = {}, {}

        def advance(name, inbox):
            try:
                waiting[name] = steps[name].send(inbox)
                self.post(waiting[name].send)
            except StopIteration as stop:
                waiting.pop(name, None)
                results[name] = stop.value

        for name in steps:
            advance(name, None)
        while waiting:
            ready = {}
            for name, exchange in waiting.items():
                box = self.boxes.get(name, {})
                wanted = [key for group in exchange.groups if all(key in box for key in group) for key in group]
                if wanted:
                    ready[name] = {key: box[key] for key in wanted}
            assert ready, "everyone waits"
            for name, inbox in ready.items():
                advance(name, inbox)
        return results


def run(setting, counts, world=None, entropy=os.urandom):
    """Run the whole step for counts [N, P, T]; return C1's and C2's decisions and the world."""
    world = world or World()
    for name, own in zip(setting.contributors, counts, strict=True):
        world.post(share_counts(setting, name, own, world.sealer(name), entropy))
    world.post(deal_messages(setting, world.sealer(COORDINATOR), entropy))
    own = dict(zip(setting.contributors, counts, strict=True))
    steps = {name: decide(setting, name, own[name], world.sealer(name), entropy) for name in setting.computing}
    results = world.drive(steps)
    return [results[name] for name in setting.computing], world


def same(bits, wanted):
    np.testing.assert_array_equal(bits.survive, wanted.survive)
    np.testing.assert_array_equal(bits.cells, wanted.cells)


@st.composite
def decisions(draw):
    """A setting and counts [N, P, T] around the thresholds."""
    tests = draw(st.lists(st.integers(1, 12) | st.sampled_from([100, 10**4, 10**9]), min_size=1, max_size=5))
    index = st.integers(0, len(tests) - 1)
    some = st.lists(index, max_size=2).map(tuple)
    rests = st.lists(st.builds(Rest, index, some), max_size=2).map(tuple)
    circuit = Circuit(
        tuple(tests),
        tuple(draw(st.lists(index, min_size=1, max_size=3))),
        tuple(draw(st.lists(st.builds(Cell, st.none() | index, rests, some), max_size=3))),
        draw(rests),
    )
    names = draw(st.permutations(NAMES))[: draw(st.integers(2, 6))]
    slots = draw(st.integers(1, 19))
    setting = Setting(draw(st.integers(0, 9)), circuit, slots, tuple(names), (names[0], names[1]))
    kinds = draw(st.sampled_from(["around", "last", "mixed"]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    limit = np.array(tests)
    counts = np.zeros((len(names), slots, len(tests)), np.int64)
    if kinds == "last":  # one party holds t-1, t, t+1 or very many
        choices = np.stack([limit - 1, limit, limit + 1, np.full_like(limit, 2**61)])
        counts[-1] = choices[rng.integers(0, 4, (slots, len(tests))), np.arange(len(tests))]
    else:  # together t-1, t or t+1, cut at random among the parties
        goal = limit + rng.integers(-1, 2, (slots, len(tests)))
        counts = np.moveaxis(rng.multinomial(goal, [1 / len(names)] * len(names)), -1, 0)
    if kinds == "mixed":
        counts = np.where(rng.random(counts.shape) < 0.1, rng.integers(0, 2**50), counts)
    return setting, counts


@settings(deadline=None)
@given(decisions())
def test_the_opened_bits_are_those_of_the_sums(decision):
    setting, counts = decision
    (one, two), _ = run(setting, counts)
    wanted = evaluate_clear(setting.circuit, counts.sum(axis=0))
    same(one.bits, wanted)
    same(two.bits, wanted)
    assert one.seed == two.seed
    assert len(one.seed) == 32


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(-50, 60), min_size=2, max_size=2), min_size=3, max_size=3))
def test_noisy_counts_may_be_negative(counts):
    circuit = Circuit((17,), (0,), noisy=True)
    setting = Setting(0, circuit, 2, NAMES[:3], ("cyd", "ann"))
    values = np.array(counts)[:, :, None]
    (one, _), _ = run(setting, values)
    np.testing.assert_array_equal(one.bits.survive, values.sum(axis=0)[:, 0] >= 17)


def test_counts_that_nobody_has_are_compared_on_their_shares():
    """As after a private join: each contributor's count is a share, so uniform, and only the sums are counts."""
    circuit = Circuit((10, 2), (0,), (Cell(1),), shared=True)
    setting = Setting(0, circuit, 300, NAMES[:3], ("ann", "bob"))
    rng = np.random.default_rng(9)
    sums = rng.integers(0, 20, (300, 2))
    parts = rng.integers(-(2**63), 2**63, (2, 300, 2))
    (one, two), _ = run(setting, np.stack([*parts, sums - parts.sum(axis=0)]))
    same(one.bits, evaluate_clear(circuit, sums))
    same(two.bits, evaluate_clear(circuit, sums))


def test_a_lone_contributor_decides_without_messages():
    counts = np.array([[10, 2, 10, 0, 0], [30, 2, 21, 9, 9]])
    same(decide_alone(FULL, counts), evaluate_clear(FULL, counts))


def test_messages_are_few_and_only_between_those_concerned():
    setting = Setting(4, FULL, 8, NAMES[:4], ("bob", "cyd"))
    counts = np.ones((4, 8, 5), np.int64)
    _, world = run(setting, counts)
    rounds = ["open", "prefix-0", "prefix-1", "and-0", "and-1", "and-2", "result"]
    wanted = {(f"4/threshold/{kind}", a, b) for kind in rounds for a, b in (("bob", "cyd"), ("cyd", "bob"))}
    wanted |= {("4/threshold/shares", giver, c) for giver in ("ann", "dan") for c in ("bob", "cyd")}
    wanted |= {("4/threshold/dealing", COORDINATOR, c) for c in ("bob", "cyd")}
    assert [(m.kind, m.sender, m.recipient) for m in world.log] == list(
        dict.fromkeys((m.kind, m.sender, m.recipient) for m in world.log)
    )
    assert {(m.kind, m.sender, m.recipient) for m in world.log} == wanted


def test_a_plain_threshold_has_no_and_rounds():
    setting = Setting(0, Circuit((10,), (0,)), 8, NAMES[:2], NAMES[:2])
    _, world = run(setting, np.ones((2, 8, 1), np.int64))
    assert [m.kind.split("/")[2] for m in world.log if m.sender == "ann"] == ["open", "prefix-0", "prefix-1", "result"]


def test_lengths_do_not_depend_on_counts():
    setting = Setting(0, FULL, 100, NAMES[:5], ("eve", "bob"))
    sizes = []
    for value in (0, 1, 10, 2**62):
        _, world = run(setting, np.full((5, 100, 5), value))
        sizes.append({(m.kind, m.sender, m.recipient): len(m.body) for m in world.log})
    assert all(size == sizes[0] for size in sizes)


@pytest.mark.parametrize("value", [0, 9, 2**40])
def test_what_a_computing_party_receives_looks_uniform(value):
    slots = 8192
    setting = Setting(0, FULL, slots, NAMES[:4], ("ann", "bob"))
    _, world = run(setting, np.full((4, slots, 5), value), entropy=np.random.default_rng(11).bytes)
    checked = 0
    for (kind, _, _), data in world.plain.items():
        data = data[: len(data) - len(data) % 32]
        if len(data) > 4000:  # all but the seeds
            counted = np.bincount(np.frombuffer(data, np.uint8), minlength=256)
            assert chisquare(counted).pvalue > 1e-5, kind
            checked += 1
    assert checked == 2 + 1 + 2 * 6


def test_no_mask_is_used_twice():
    slots = 65_536
    setting = Setting(0, Circuit((10, 2), (0, 1), (Cell(0), Cell(1))), slots, NAMES[:3], ("ann", "bob"))
    _, world = run(setting, np.full((3, slots, 2), 9), entropy=np.random.default_rng(13).bytes)
    rows = []
    for kind in ("open", "prefix-0", "prefix-1", "and-0", "and-1"):
        one, two = (
            np.frombuffer(world.plain[f"0/threshold/{kind}", *ends], np.uint8)
            for ends in (("ann", "bob"), ("bob", "ann"))
        )
        opened = one + two if kind == "open" else one ^ two
        rows += list(opened.reshape(-1, slots // 8))  # bits of gates, or an eighth of a test's words
    assert len(rows) == 2 * 8 * (1 + 2 + 2) + 2 * (1 + 2)
    for at, row in enumerate(rows):
        for other in [np.zeros_like(row), *rows[:at]]:
            assert chisquare(np.bincount(row ^ other, minlength=256)).pvalue > 1e-7


def test_c2_cannot_unmask_the_opened_sum():
    setting = Setting(0, Circuit((10,), (0,)), 20_000, NAMES[:3], ("ann", "bob"))
    _, world = run(setting, np.full((3, 20_000, 1), 3), entropy=np.random.default_rng(12).bytes)
    shape = setting.shape
    one = world.plain["0/threshold/open", "ann", "bob"]
    two = world.plain["0/threshold/open", "bob", "ann"]
    z = np.frombuffer(one, np.uint8) + np.frombuffer(two, np.uint8)
    from_cyd = np.frombuffer(world.plain["0/threshold/shares", "cyd", "bob"], np.uint8)
    dealing = world.plain["0/threshold/dealing", COORDINATOR, "bob"][32:]
    for known in (from_cyd, np.frombuffer(dealing[: shape.slots], np.uint8)):
        assert chisquare(np.bincount(z - known, minlength=256)).pvalue > 1e-5


def test_fresh_randomness_every_time():
    setting = Setting(0, FULL, 64, NAMES[:4], ("ann", "bob"))
    counts = np.zeros((4, 64, 5), np.int64)
    worlds = [run(setting, counts)[1] for _ in range(2)]
    for key, data in worlds[0].plain.items():
        assert data != worlds[1].plain[key]


def test_releases_run_side_by_side():
    world = World()
    wide = [Setting(i, c, 6, NAMES[:3], ("ann", "cyd")) for i, c in enumerate((FULL, Circuit((10**5,), (0,))))]
    counts = [np.full((3, 6, len(s.circuit.tests)), 4) * np.arange(6)[None, :, None] for s in wide]
    for setting, values in zip(wide, counts, strict=True):
        for name, own in zip(setting.contributors, values, strict=True):
            world.post(share_counts(setting, name, own, world.sealer(name)))
        world.post(deal_messages(setting, world.sealer(COORDINATOR)))
    place = {"ann": 0, "cyd": 2}
    results = world.drive(
        {
            name: together(
                [decide(s, name, values[at], world.sealer(name)) for s, values in zip(wide, counts, strict=True)]
            )
            for name, at in place.items()
        }
    )
    for decided in results.values():
        for setting, values, decision in zip(wide, counts, decided, strict=True):
            same(decision.bits, evaluate_clear(setting.circuit, values.sum(axis=0)))


KINDS = ["shares", "dealing", "open", "prefix-0", "prefix-1", "and-0", "and-1", "and-2", "result"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("recipient", ["ann", "bob"])
def test_an_altered_box_is_refused(kind, recipient):
    def flip(message):
        if message.kind.endswith(kind) and message.recipient == recipient:
            body = bytes([message.body[0] ^ 1]) + message.body[1:]
            return dataclasses.replace(message, body=body)
        return message

    setting = Setting(0, FULL, 5, NAMES[:3], ("ann", "bob"))
    with pytest.raises(ProtocolError):
        run(setting, np.ones((3, 5, 5), np.int64), World(flip))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("recipient", ["ann", "bob"])
@pytest.mark.parametrize("spoil", [lambda d: d[:-1], lambda d: d + b"\0", lambda d: [d], lambda d: None])
def test_a_plaintext_of_another_length_or_type_is_refused(kind, recipient, spoil):
    world = World()

    def reseal(message):
        key = message.kind, message.sender, message.recipient
        if message.kind.endswith(kind) and message.recipient == recipient:
            return world.sealer(message.sender).seal(message.kind, recipient, encode(spoil(world.plain[key])))
        return message

    world.tamper = reseal
    setting = Setting(0, FULL, 5, NAMES[:3], ("ann", "bob"))
    with pytest.raises(ProtocolError, match="is malformed"):
        run(setting, np.ones((3, 5, 5), np.int64), world)


def test_what_is_not_a_record_is_refused():
    world = World()
    setting = Setting(0, FULL, 5, NAMES[:2], ("ann", "bob"))
    steps = decide(setting, "ann", np.ones((5, 5), np.int64), world.sealer("ann"))
    steps.send(None)
    world.plain.clear()
    box = world.keys[frozenset((COORDINATOR, "ann"))].seal(
        encode(["0/threshold/dealing", COORDINATOR, "ann"]), b"\xff\xff not CBOR"
    )
    message = Message("0/threshold/dealing", COORDINATOR, "ann", box, sealed=True)
    with pytest.raises(ProtocolError, match="malformed"):
        steps.send({(message.kind, message.sender): message})


@pytest.mark.parametrize("computing", [("ann", "ann"), ("ann", "zoe"), ("zoe", "bob")])
def test_computing_parties_must_be_two_contributors(computing):
    with pytest.raises(ValueError, match="two of the contributors"):
        Setting(0, FULL, 5, NAMES[:2], computing)
