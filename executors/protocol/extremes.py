"""MIN and MAX over parties: the largest code of each slot, found on shares, and opened by the analyst alone.

Each contributor XOR-shares the codes of its own groups' values (0: none) between the two computing parties of the
threshold step; these run `fedsql.crypto.extremes` beside it, on randomness that the coordinator deals. Nothing is opened
in it. What it yields are two shares of a slot's largest code: where the value is shown, each computing party puts its
share into a slot of its own of the encrypted vector, and the analyst puts both together.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from fedsql.codec import encode
from fedsql.crypto import extremes
from fedsql.crypto.circuit import Bits
from fedsql.crypto.extremes import Planes, Shape
from fedsql.crypto.packing import Column
from fedsql.crypto.shares import SEED_BYTES, keystream
from fedsql.errors import ProtocolError
from fedsql.executors.protocol.conversation import Conversation
from fedsql.executors.protocol.outline import Codes, GroupPartials, Outline
from fedsql.executors.protocol.vector import visible
from fedsql.executors.protocol.wire import COORDINATOR, Exchange, Message, Steps


def take_part(
    talk: Conversation, outline: Outline, part: GroupPartials, slots: Sequence[int], count: int
) -> Steps[Codes]:
    """Run a contributor's part, whose groups are at ``slots`` of ``count``. Return its shares, if it computes (or is alone)."""
    if not outline.extremes:
        return {}
    computing = outline.computing(talk.draw)
    codes = in_slots(part.codes, slots, count)
    if len(computing) == 1:
        return codes
    if talk.me in computing:
        return (yield from compute(talk, outline, codes, count))
    yield Exchange.of(share_codes(talk, outline, codes))
    return {}


def in_slots(codes: Codes, slots: Sequence[int], count: int) -> Codes:
    """Return codes by group as codes by slot: 0 where this contributor has no group."""
    placed = {}
    for index, column in codes.items():
        placed[index] = np.zeros((count, column.shape[1]), np.uint8)
        placed[index][np.asarray(slots, np.intp)] = column
    return placed


def share_codes(talk: Conversation, outline: Outline, codes: Codes) -> list[Message]:
    """Return the messages of a contributor that does not compute, with its ``codes`` by slot."""
    planes, seed = _planes(outline, codes), os.urandom(SEED_BYTES)
    parts = (seed, (planes ^ np.frombuffer(keystream(seed, planes.nbytes), np.uint8).reshape(planes.shape)).tobytes())
    return _sealed(talk, outline, "shares", parts)


def deal(talk: Conversation, outline: Outline, slots: int) -> list[Message]:
    """Return the coordinator's messages: a seed for C1, a seed with corrections for C2."""
    one, two = os.urandom(SEED_BYTES), os.urandom(SEED_BYTES)
    parts = (one, two + extremes.deal(_shape(outline, slots), one, two))
    return _sealed(talk, outline, "dealing", parts)


def compute(talk: Conversation, outline: Outline, codes: Codes, slots: int) -> Steps[Codes]:
    """Run C1's or C2's part with its own ``codes`` by slot; return its shares of the largest ones."""
    computing = outline.computing(talk.draw)
    shape, first = _shape(outline, slots), talk.me == computing[0]
    other = computing[1 if first else 0]
    givers = [name for name in outline.contributors if name not in computing]
    wanted = [(_kind(outline, "dealing"), COORDINATOR), *((_kind(outline, "shares"), name) for name in givers)]
    inbox = yield Exchange.of((), wanted)
    dealt, *given = [inbox[key] for key in wanted]
    if first:
        triples = extremes.hold(shape, _open(talk, dealt, SEED_BYTES))
        shares = [extremes.pad(shape, _open(talk, message, SEED_BYTES)) for message in given]
    else:
        data = _open(talk, dealt, SEED_BYTES + shape.triples * shape.width)
        triples = extremes.hold(shape, data[:SEED_BYTES], data[SEED_BYTES:])
        shares = [_read(_open(talk, message, shape.size), shape) for message in given]
    # Its own codes enter whole, the other's as zeros: all that is ever opened is masked, so sharing would hide nothing more.
    own, none = _planes(outline, codes), np.zeros((shape.bits, shape.width), np.uint8)
    steps = extremes.largest(np.stack([*((own, none) if first else (none, own)), *shares]), triples, first)
    try:
        masked = next(steps)
        for number in range(shape.rounds):
            key = _kind(outline, f"round-{number}"), other
            inbox = yield Exchange.of([talk.seal(key[0], other, encode(masked.tobytes()))], [key])
            theirs = np.frombuffer(_open(talk, inbox[key], masked.nbytes), np.uint8).reshape(masked.shape)
            masked = steps.send(masked ^ theirs)
    except StopIteration as stop:
        return _columns(outline, stop.value, slots)
    raise ProtocolError("the rounds of a comparison do not end")


def put(
    outline: Outline, part: GroupPartials, shares: Codes, bits: Bits, columns: Sequence[Column], second: int
) -> None:
    """Put C1's shares, or C2's (``second`` is 1), into the columns, at the places of the slots whose cells are shown."""
    slots = len(bits.survive)
    places = np.cumsum(bits.survive) - 1 if outline.slots is None else np.arange(slots)
    for index, share in shares.items():
        here = visible(part, index, bits)
        columns[index + second][places[here]] = share[here]


def _kind(outline: Outline, name: str) -> str:
    return f"{outline.number}/extremes/{name}"


def _sealed(talk: Conversation, outline: Outline, name: str, parts: Sequence[bytes]) -> list[Message]:
    """Return the messages with C1's part and C2's."""
    kind = _kind(outline, name)
    return [talk.seal(kind, to, encode(part)) for to, part in zip(outline.computing(talk.draw), parts, strict=True)]


def _shape(outline: Outline, slots: int) -> Shape:
    """Return the shape of all extremes side by side: each has whole bytes of slots, and the bits of the widest."""
    bits = max(bits for _, bits in outline.extremes)
    return Shape(len(outline.contributors), bits, len(outline.extremes) * -(-slots // 8))


def _planes(outline: Outline, codes: Codes) -> Planes:
    bits = max(bits for _, bits in outline.extremes)
    return np.concatenate([extremes.planes_of(codes[index], bits) for index, _ in outline.extremes], axis=1)


def _columns(outline: Outline, planes: Planes, slots: int) -> Codes:
    parts = np.split(planes, len(outline.extremes), axis=1)
    return {
        index: extremes.column_of(part[:bits], slots, outline.widths[index])
        for (index, bits), part in zip(outline.extremes, parts, strict=True)
    }


def _read(data: bytes, shape: Shape) -> Planes:
    return np.frombuffer(data, np.uint8).reshape(shape.bits, shape.width)


def _open(talk: Conversation, message: Message, size: int) -> bytes:
    data = talk.record(message)
    if not isinstance(data, bytes) or len(data) != size:
        raise message.malformed()
    return data
