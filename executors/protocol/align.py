"""Aligning group keys of unknown domain: everyone learns the slots of its own groups, and nobody's groups.

One contributor (the first) draws a tag key and seals it to the others; each sends the coordinator keyed tags of its
labels, shuffled. The coordinator, who never has the key, matches equal tags, gives each distinct one a random slot among
a padded number, and tells every party the slots of its own tags. Three sequential messages.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fedsql.codec import encode
from fedsql.crypto.tags import TAG_BYTES, shuffled, tags
from fedsql.errors import OperationalError
from fedsql.executors.protocol.conversation import Conversation
from fedsql.executors.protocol.wire import COORDINATOR, Exchange, Steps

_LEAST = 8


@dataclass(frozen=True)
class Alignment:
    """A party's outcome: ``slots[i]`` is the slot of its i-th label, ``count`` how many slots there are."""

    slots: tuple[int, ...]
    count: int
    label_key: bytes  # what labels are sealed under; the analyst gets it from the leader


@dataclass(frozen=True)
class Matching:
    """The coordinator's outcome: which parties hold each slot."""

    count: int
    holders: Mapping[int, tuple[str, ...]]


def padded(count: int) -> int:
    """Round up to an eighth of the power of two below, at least 8: what a number of groups shows of itself."""
    if count <= _LEAST:
        return _LEAST
    step = max(1, 1 << (count - 1).bit_length() - 4)
    return -(-count // step) * step


def check_count(count: int, most: int) -> None:
    """Raise OperationalError when there are more than ``most`` slots."""
    if count > most:  # how many there are tells of hidden groups: it is for this party's log, not for the analyst
        raise OperationalError(f"the parties have {count} groups together: [limits] groups allows {most} here")


def align(
    talk: Conversation, release: int, contributors: Sequence[str], labels: Sequence[bytes], most: int
) -> Steps[Alignment]:
    """Run a contributor's part for its distinct ``labels``. Raises OperationalError when there are over ``most`` slots."""
    leader = contributors[0]
    key_kind = f"{release}/align/key"
    if talk.me == leader:
        key = os.urandom(64)
        yield Exchange.of([talk.seal(key_kind, other, key) for other in contributors[1:]])
    else:
        inbox = yield Exchange.of((), [(key_kind, leader)])
        key = talk.open(inbox[key_kind, leader])
        if len(key) != 64:
            raise inbox[key_kind, leader].malformed()
    order = shuffled(len(labels))
    tagged = tags(key[:32], labels)
    slots_kind = f"{release}/align/slots"
    sent = talk.seal(f"{release}/align/tags", COORDINATOR, b"".join(tagged[i] for i in order))
    inbox = yield Exchange.of([sent], [(slots_kind, COORDINATOR)])
    found = inbox[slots_kind, COORDINATOR]
    data, count = talk.fields(found, slots=bytes, count=int)
    check_count(count, most)
    if len(data) != 4 * len(labels):
        raise found.malformed()
    slots = np.frombuffer(data, "<u4")
    if len(set(slots.tolist())) != len(slots) or (len(slots) and int(slots.max()) >= count):
        raise found.malformed()
    placed = [0] * len(labels)
    for position, index in enumerate(order):
        placed[index] = int(slots[position])
    return Alignment(tuple(placed), count, key[32:])


def match(talk: Conversation, release: int, contributors: Sequence[str]) -> Steps[Matching]:
    """Run the coordinator's part."""
    kind = f"{release}/align/tags"
    inbox = yield Exchange.of((), [(kind, name) for name in contributors])
    given: dict[str, list[bytes]] = {}
    for name in contributors:
        data = talk.open(inbox[kind, name])
        given[name] = [data[i : i + TAG_BYTES] for i in range(0, len(data), TAG_BYTES)]
        if len(data) % TAG_BYTES or len(set(given[name])) != len(given[name]):
            raise inbox[kind, name].malformed()
    distinct = list(dict.fromkeys(tag for listed in given.values() for tag in listed))
    count = padded(len(distinct))
    places = shuffled(count)[: len(distinct)].tolist()
    slot_of = dict(zip(distinct, places, strict=True))
    holders: dict[int, tuple[str, ...]] = {}
    messages = []
    for name, listed in given.items():
        slots = [slot_of[tag] for tag in listed]
        for slot in slots:
            holders[slot] = (*holders.get(slot, ()), name)
        record = {"slots": np.array(slots, "<u4").tobytes(), "count": count}
        messages.append(talk.seal(f"{release}/align/slots", name, encode(record)))
    yield Exchange.of(messages)
    return Matching(count, holders)
