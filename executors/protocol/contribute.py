"""A party's side of one release: align -> threshold (-> told) -> READY -> (GO) -> encrypted vector and labels.

No ciphertext leaves before the coordinator has passed on that every contributor is READY, and a party encrypts only
values of its own groups that survive by a verdict that both computing parties signed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fedsql.codec import encode
from fedsql.crypto.circuit import Bits
from fedsql.crypto.packing import Column
from fedsql.crypto.paillier import PublicKey
from fedsql.crypto.sealing import seal
from fedsql.errors import InternalError, ProtocolError
from fedsql.executors.protocol import distinct, extremes, quantiles, verdict
from fedsql.executors.protocol.align import align
from fedsql.executors.protocol.conversation import Conversation
from fedsql.executors.protocol.labels import sealed_labels
from fedsql.executors.protocol.outline import Codes, GroupPartials, Label, NoiseDraws, NoiseShares, Outline
from fedsql.executors.protocol.suppression import TOLD, Slots, Told, admitted, judge, revealed
from fedsql.executors.protocol.vector import add_noise, encrypt, place, visible
from fedsql.executors.protocol.wire import COORDINATOR, Exchange, Inbox, Message, Steps, Wanted, together


@dataclass(frozen=True)
class Go:
    """The coordinator's GO: how many ``rows`` there are, and at which of them this party sends the ``labels``.

    ``told``: None where no group was judged, or this party knows already.
    """

    rows: int
    labels: Sequence[int]
    told: Told | None = None

    @classmethod
    def of(cls, talk: Conversation, outline: Outline, message: Message) -> Go:
        """Read what the coordinator sends. Raises ProtocolError when it is malformed."""
        kinds: dict[str, Any] = {"rows": int, "labels": list[int]}
        judged = outline.circuit is not None and not outline.told
        rows, labels, *told = talk.fields(message, **kinds, **(TOLD if judged else {}))
        return cls(rows, labels, Told(*told) if judged else None)


@dataclass(frozen=True)
class Ready:
    """A release up to READY: ``messages`` are still to be sent, ``wanted`` is what `deliver` waits for.

    ``shown`` says which of this party's groups are shown, in the order of their labels, where it was told. ``key`` is that
    of the tags of distinct values, at the contributor that drew it. A contributor that computes, or is alone, has the
    ``bits`` of all slots and, by slot, its ``shares`` of extremes and of values at ranks.
    """

    outline: Outline
    part: GroupPartials
    slots: Slots
    messages: Sequence[Message]
    wanted: Sequence[Wanted]
    shown: verdict.Revealed | None = None
    key: bytes | None = None
    bits: Bits | None = None
    shares: Codes = field(default_factory=dict)


def prepare(
    talk: Conversation,
    outline: Outline,
    part: GroupPartials,
    domain: Sequence[Label] | None,
    identities: Mapping[str, bytes],
    most: int,
    noise: NoiseShares | None = None,
    slots: Slots | None = None,
) -> Steps[Ready]:
    """Go as far with ``part`` as can be gone before every contributor is READY.

    ``identities`` are the contributors' pinned Ed25519 keys; ``most``: over how many slots this party computes;
    ``slots``: where its groups are, if that is known already. Raises OperationalError when the parties have more groups.
    """
    if slots is None:
        slots = yield from _locate(talk, outline, part.labels, domain, most)
    said: dict[str, object] = {}
    bits, found = None, []
    if outline.circuit is not None:
        sides: list[Steps[Any]] = [judge(talk, outline, part, slots, noise)]
        sides += [step.take_part(talk, outline, part, slots.of, slots.count) for step in (extremes, quantiles)]
        (said, bits), *found = yield from together(sides)
    shares = {index: share for each in found for index, share in each.items()}
    shown = None
    if outline.told:
        kind = f"{outline.number}/told"
        sent = [talk.seal(f"{outline.number}/verdict", COORDINATOR, encode(said))] if said else []
        inbox = yield Exchange.of(sent, [(kind, COORDINATOR)])
        told = Told(*talk.fields(inbox[kind, COORDINATOR], **TOLD))
        shown, said = revealed(talk, outline, slots, told, identities), {}
    messages = [talk.seal(f"{outline.number}/ready", COORDINATOR, encode(said))]
    wanted, key, leader = [_go(outline)], None, outline.contributors[0]
    if outline.tagged and talk.me == leader:
        key, keys = distinct.share_key(talk, outline)
        messages = [*messages, *keys]
    elif outline.tagged:
        wanted.append((distinct.key_kind(outline), leader))
    return Ready(outline, part, slots, messages, wanted, shown, key, bits, shares)


def blurred(outline: Outline, part: GroupPartials, domain: Sequence[Label], noise: NoiseDraws) -> GroupPartials:
    """Return a part with all public groups, its noise added: what can be sent more than once for one charge."""
    index = {label: i for i, label in enumerate(domain)}
    if any(label not in index for label in part.labels):
        raise InternalError("a group key is not in the public list of values")
    everything = Bits(np.ones(len(part.labels), bool), np.ones((len(part.labels), 0), bool))
    columns = place(outline, part, everything, [index[label] for label in part.labels], len(domain))
    return held(domain, add_noise(columns, noise))


def held(domain: Sequence[Label], columns: Sequence[Column]) -> GroupPartials:
    """Return the part that `blurred` made, from its columns."""
    return GroupPartials(domain, np.zeros((len(domain), 0), np.int64), columns, [(None,)] * len(columns))


def deliver(
    talk: Conversation,
    ready: Ready,
    inbox: Inbox,
    public: PublicKey,
    analyst_box: bytes,
    identities: Mapping[str, bytes],
    noise: NoiseShares | None,
) -> tuple[list[Message], int]:
    """Return the messages with the party's encrypted vector, labels and tags, and how many rows are released.

    ``inbox`` holds what ``ready`` wanted, ``identities`` are the contributors' pinned Ed25519 keys. The rows may be padded:
    what everybody may know of them.
    """
    outline, part, slots = ready.outline, ready.part, ready.slots
    n = outline.number
    go = Go.of(talk, outline, inbox[_go(outline)])
    told = ready.shown if go.told is None else revealed(talk, outline, slots, go.told, identities)
    rows = go.rows
    shown, positions = admitted(outline, slots, rows, told)
    columns = place(outline, part, shown, positions, rows)
    tags = _tag(talk, ready, inbox, shown, positions, columns) if outline.tagged else []
    if ready.bits is not None:
        second = outline.computing(talk.draw).index(talk.me)
        extremes.put(outline, part, ready.shares, ready.bits, columns, second)
    if noise is not None:
        columns = add_noise(columns, noise.values(rows))
    vector = encrypt(talk, outline, columns, rows, public)
    record: dict[str, object] = {"vector": vector, "signature": talk.sign("vector", hashlib.sha256(vector).digest())}
    if slots.label_key is not None:
        given = slots.part, slots.label_key, part.labels, positions
        record["labels"] = sealed_labels(talk.context, n, *given, go.labels)
        if talk.me == outline.contributors[0]:
            record["label_key"] = seal(analyst_box, slots.label_key, talk.context.bind("labels", n))
    return [Message.of(f"{n}/vector", talk.me, COORDINATOR, record), *tags], rows


def _go(outline: Outline) -> Wanted:
    """Return the message by which the coordinator says that everybody is READY."""
    return f"{outline.number}/go", COORDINATOR


def _tag(
    talk: Conversation, ready: Ready, inbox: Inbox, shown: Bits, positions: Sequence[int], columns: list[Column]
) -> list[Message]:
    """Return the message with tags of the distinct values in shown cells. The first contributor takes off the dummies."""
    outline, part, leader = ready.outline, ready.part, ready.outline.contributors[0]
    key = ready.key or talk.open(inbox[distinct.key_kind(outline), leader])
    if len(key) != distinct.KEY_BYTES:
        raise ProtocolError("a tag key is malformed")
    lists = []
    for partial in outline.tagged:
        drawn = distinct.mixed(key, outline, partial, len(columns[partial]), talk.me)
        if talk.me == leader:
            columns[partial] = distinct.taken_off(drawn, outline.widths[partial])
        here = np.flatnonzero(visible(part, partial, shown)).tolist()
        lists.append(distinct.tagged(key, partial, {positions[g]: part.values[partial][g] for g in here}, drawn))
    return [distinct.tags_message(talk, outline, lists)]


def _locate(
    talk: Conversation, outline: Outline, labels: Sequence[Label], domain: Sequence[Label] | None, most: int
) -> Steps[Slots]:
    """Find the slot of each group: in the public domain, or by aligning keyed tags."""
    if domain is None:
        texts = [encode(list(label)) for label in labels]
        found = yield from align(talk, outline.number, outline.contributors, texts, most)
        return Slots(found.slots, found.count, found.label_key)
    index = {label: i for i, label in enumerate(domain)}
    if any(label not in index for label in labels):
        raise InternalError("a group key is not in the public list of values")
    return Slots([index[label] for label in labels], len(domain))
