"""The private join: what the helper, the provider and the anchor are sent, and that it tells them nothing more."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from conversations import conversations
from joins import Both, joined, opened
from scipy.stats import chisquare

from fedsql.codec import decode
from fedsql.crypto.matching import Keys, tagged
from fedsql.crypto.words import of_int64
from fedsql.errors import ProtocolError
from fedsql.executors.protocol import joining
from fedsql.executors.protocol.anchor import AnchorRows
from fedsql.executors.protocol.conversation import Conversation
from fedsql.executors.protocol.joining import MATCHED, PRODUCT, PROVIDED, Request, Setting
from fedsql.executors.protocol.provider import ProviderRows
from fedsql.executors.protocol.wire import COORDINATOR, Message

REQUEST = Request(own=(1,), provided=(1, 2), products=((0, 0), (0, 1)))
NAMES = ("bank", "clinic")
ORDERS = {"order", "ends-order"}
SECRET = 0x5EC2E75EC2  # what all values begin with, so that they would be found


@dataclass
class Seen:
    """A run: both shares by provider, every message, and by recipient what it opened, by (kind, sender)."""

    shares: dict[str, Both]
    sent: list[Message]
    plain: dict[str, dict[tuple[str, str], bytes]]
    talks: dict[str, Conversation]

    def words(self, recipient: str, *names: str, without: tuple[str, ...] = ()) -> np.ndarray:
        """Return all that ``recipient`` opened in columns (of these names; not of those), as 64-bit words."""
        found = [
            np.frombuffer(data, "<u8")
            for (kind, _), data in self.plain[recipient].items()
            if (short(kind) in names or not names) and short(kind) not in {"hello", "table", "done", *ORDERS, *without}
        ]
        return np.concatenate(found)


def short(kind: str) -> str:
    """Return what a message is called, without numbers."""
    return kind.split("/")[4].rstrip("-0123456789")


def named(people) -> Keys:
    return Keys.of([b"patient-%06d" % i for i in people])


def world(rows=400, held=300, *, matching=True, groups=5, values=None):
    """Return the inputs of a join with two providers, whose anchor's keys are there many times."""
    rng = np.random.default_rng(4)
    picked = rng.integers(0, held, (2, rows)) if matching else rng.integers(held, 2 * held, (2, rows))
    keys = {name: named(each) for name, each in zip(NAMES, picked.tolist(), strict=True)}
    own = of_int64((SECRET << 16) + np.arange(rows), 1)
    slots = rng.integers(-1, groups, rows)
    y = np.arange(held) if values is None else values
    columns = [of_int64((SECRET << 16) + y, 1), of_int64((SECRET << 16) + y, 2)]
    table = ProviderRows(named(range(held)), [columns])
    setting = Setting(0, "anchor", dict.fromkeys(NAMES, REQUEST), frozenset(NAMES))
    return setting, AnchorRows(keys, slots, groups, {name: [own] for name in NAMES}), dict.fromkeys(NAMES, table)


def seen(inputs) -> Seen:
    """Run a join and open everything that was sent, as its recipient would."""
    talks = conversations(("anchor", *NAMES))
    sent: list[Message] = []
    shares = joined(*inputs, sent.append, talks)
    plain: dict[str, dict[tuple[str, str], bytes]] = {name: {} for name in talks}
    for message in sent:
        assert message.sealed
        plain[message.recipient][message.kind, message.sender] = talks[message.recipient].open(message)
    return Seen(shares, sent, plain, talks)


@pytest.fixture
def repeatable(monkeypatch):
    """Return what makes the randomness of all roles the same in every run that follows."""

    def again():
        rng = np.random.default_rng(77)
        monkeypatch.setattr("os.urandom", rng.bytes)
        monkeypatch.setattr("fedsql.executors.protocol.anchor.shuffled", np.random.default_rng(78).permutation)

    return again


def test_the_helper_opens_no_key_no_value_no_secret_of_the_others():
    run = seen(world())
    everything = b"\0".join(run.plain[COORDINATOR].values())
    assert b"patient" not in everything
    assert SECRET.to_bytes(5, "little") not in everything
    for provider in NAMES:
        hello = decode(run.plain[provider][f"0/join/anchor/{provider}/hello", "anchor"])
        for secret in ("tags", "pads", "seed"):
            assert hello[secret] not in everything
    assert {short(kind) for kind, _ in run.plain[COORDINATOR]} == {
        *("hello", "table", "tags", "masked", "column", "correction"),
        *ORDERS,
    }
    for provider in NAMES:
        assert decode(run.plain[COORDINATOR][f"0/join/anchor/{provider}/hello", "anchor"]) == {"rows": 400, "slots": 5}


@pytest.mark.parametrize("matching", [True, False])
def test_all_that_hides_values_looks_uniform_to_its_recipient(matching):
    run = seen(world(rows=6000, matching=matching, groups=40))
    for recipient, names in (
        (COORDINATOR, ("masked", "correction", "column")),
        ("anchor", ("factor", "permuted", "ends")),
    ):
        for name in names:
            found = run.words(recipient, name)
            assert chisquare(np.bincount(found.view(np.uint8), minlength=256)).pvalue > 1e-6, name
    shifts = run.words("anchor", "permuted-shift", "ends-shift")
    assert chisquare(np.bincount(shifts.view(np.uint8), minlength=256)).pvalue > 1e-6


def test_groups_show_in_nothing_but_uniform_orders_and_values_in_nothing_but_padded_columns(repeatable):
    one, grouped, valued = world(), world(), world(values=np.arange(300) * 7)
    grouped[1].slots[:] = 0
    runs = []
    for inputs in (one, grouped, valued):
        repeatable()
        runs.append(seen(inputs))
    first, second, third = (run.plain[COORDINATOR] for run in runs)
    assert {short(kind) for (kind, sender), data in first.items() if second[kind, sender] != data} == ORDERS
    assert {short(kind) for (kind, sender), data in first.items() if third[kind, sender] != data} == {"column"}
    sums = [opened(run.shares["bank"], PROVIDED, provided=0) for run in runs]
    assert sums[0] != sums[1]
    assert sums[0] != sums[2]


def test_the_provider_is_sent_sizes_and_keys_alone(repeatable, monkeypatch):
    monkeypatch.setattr(joining, "UNDER_WAY", 1)  # the helper says when to go on after each sum
    runs = []
    for matching in (True, False):
        repeatable()
        runs.append(seen(world(matching=matching)).plain["bank"])
    assert {short(kind) for kind, _ in runs[0]} == {"hello", "done"}
    assert runs[0] == runs[1]


def test_two_runs_over_the_same_tables_share_no_tag_no_pad_and_no_mask():
    one, two = seen(world()), seen(world())
    for recipient in (COORDINATOR, "anchor"):
        assert not np.intersect1d(one.words(recipient), two.words(recipient)).size
    drawn = one.words(COORDINATOR, without=("tags",))
    assert len(np.unique(drawn)) == len(drawn)
    tags = {}
    for name in NAMES:  # equal keys at two providers have different tags: links cannot be told to be about the same
        for sender in ("anchor", name):
            data = one.plain[COORDINATOR][f"0/join/anchor/{name}/tags-0", sender]
            tags[name, sender] = set(np.frombuffer(data, "<u8").tolist())
    assert tags["bank", "anchor"] < tags["bank", "bank"]
    assert not tags["bank", "bank"] & tags["clinic", "clinic"]


def test_tags_come_in_an_order_that_is_not_the_tables(monkeypatch):
    """The anchor's are shuffled, the provider's sorted: as tagged they would show the order of the tables' rows."""
    made = []

    def kept(*inputs):
        made.append(tagged(*inputs))
        return made[-1]

    for role in ("anchor", "provider"):
        monkeypatch.setattr(f"fedsql.executors.protocol.{role}.tagged", kept)
    run = seen(world())
    listed = [data for (kind, _), data in run.plain[COORDINATOR].items() if short(kind) == "tags"]
    assert len(made) == len(listed) == 4
    assert {found.shape for found in made} == {(2, 400), (2, 300)}
    assert not {found.tobytes() for found in made} & set(listed)
    assert {np.sort(found[0]).tobytes() for found in made} == {
        np.sort(np.frombuffer(data, np.uint64).reshape(2, -1)[0]).tobytes() for data in listed
    }


def test_nobody_opens_what_is_sealed_to_another():
    run = seen(world(rows=20))
    for message in run.sent:
        for name, talk in run.talks.items():
            if name not in (message.sender, message.recipient):
                with pytest.raises(ProtocolError, match="could not be opened"):
                    talk.open(replace(message, recipient=name))


def test_each_share_alone_looks_uniform_whatever_the_sums_are():
    for matching in (True, False):
        run = seen(world(rows=3000, matching=matching, groups=800))
        assert any(opened(run.shares["bank"], MATCHED)) == matching
        for shares in run.shares["clinic"]:
            for source, which in ((MATCHED, {}), (PROVIDED, {"provided": 1}), (PRODUCT, {"own": 0, "provided": 0})):
                column = shares.column(source, **which)
                assert chisquare(np.bincount(column.ravel(), minlength=256)).pvalue > 1e-6
