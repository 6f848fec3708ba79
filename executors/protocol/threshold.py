"""The threshold step: the contributors learn which slots and cells reach their thresholds, and nobody learns a count.

Each contributor sends C1 a seed and C2 its counts minus that seed's keystream; the coordinator deals C1 and C2 correlated
randomness; C1 and C2 (two of the contributors) run the rounds of `fedsql.crypto.shares`, one message each way a round.
Every message is a sealed box, above all from the coordinator, who knows the masks. For the usual k = 10 that makes at most
eight sequential messages: shares (beside the dealing), open, prefix-0, prefix-1, and-0 ... and-2, result.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fedsql.codec import encode
from fedsql.crypto import shares
from fedsql.crypto.circuit import Bits, Circuit, Counts, evaluate_clear
from fedsql.crypto.shares import SEED_BYTES, Dealing, Packed, Shape, Words
from fedsql.executors.protocol.wire import COORDINATOR, Exchange, Message, Steps

Entropy = Callable[[int], bytes]


@dataclass(frozen=True)
class Sealer:
    """How this participant seals (kind, recipient, plaintext) and opens messages; ``open`` raises ProtocolError."""

    seal: Callable[[str, str, bytes], Message]
    open: Callable[[Message], bytes]


@dataclass(frozen=True)
class Setting:
    """The public facts of one step of comparisons; ``computing`` is (C1, C2), two of the ``contributors``.

    ``step`` is what its messages are called.
    """

    release: int
    circuit: Circuit
    slots: int
    contributors: tuple[str, ...]
    computing: tuple[str, str]
    step: str = "threshold"

    def __post_init__(self) -> None:
        known = set(self.contributors)
        if len(known) != len(self.contributors) or len(set(self.computing)) != 2 or not set(self.computing) <= known:
            raise ValueError("C1 and C2 must be two of the contributors, each named once")

    @cached_property
    def shape(self) -> Shape:
        """The sizes that all lengths follow from."""
        return Shape(self.circuit, self.slots, len(self.contributors))

    def kind(self, name: str) -> str:
        """Return the message kind ``name`` of this step."""
        return f"{self.release}/{self.step}/{name}"


@dataclass(frozen=True)
class Decision:
    """What C1 and C2 end with: the opened bits, and the seed under which both commit to them (`verdict.commit`)."""

    bits: Bits
    seed: bytes


def share_counts(
    setting: Setting, me: str, counts: Counts, sealer: Sealer, entropy: Entropy = os.urandom
) -> tuple[Message, ...]:
    """Return the messages of contributor ``me`` with counts [P, T]: none for C1 and C2, whose counts stay at home."""
    if me in setting.computing:
        return ()
    seed = entropy(SEED_BYTES)
    parts = (seed, shares.split(setting.shape, counts, seed).tobytes())
    kind = setting.kind("shares")
    return tuple(sealer.seal(kind, name, encode(part)) for name, part in zip(setting.computing, parts, strict=True))


def deal_messages(
    setting: Setting, sealer: Sealer, entropy: Entropy = os.urandom, barred: NDArray[np.bool_] | None = None
) -> tuple[Message, Message]:
    """Return the coordinator's two messages: a seed for C1, a seed with corrections for C2 (``barred``: `shares.deal`)."""
    one, two = entropy(SEED_BYTES), entropy(SEED_BYTES)
    kind, (c1, c2) = setting.kind("dealing"), setting.computing
    return (
        sealer.seal(kind, c1, encode(one)),
        sealer.seal(kind, c2, encode(two + shares.deal(setting.shape, one, two, barred))),
    )


@dataclass(frozen=True)
class _Pair:
    """How C1 (``first``) and C2 trade messages of one step."""

    setting: Setting
    first: bool
    sealer: Sealer

    def swap(self, name: str, mine: bytes, size: int) -> Steps[bytes]:
        """Send ``mine`` to the other and return its ``size`` bytes."""
        other = self.setting.computing[1 if self.first else 0]
        key = (self.setting.kind(name), other)
        inbox = yield Exchange.of([self.sealer.seal(key[0], other, encode(mine))], [key])
        return _read(self.sealer, inbox[key], size)

    def trade(self, name: str, mine: Words) -> Steps[Words]:
        """Send words and return the other's, of the same shape."""
        data = yield from self.swap(name, mine.tobytes(), mine.nbytes)
        return np.frombuffer(data, mine.dtype).reshape(mine.shape)


def compare(setting: Setting, me: str, counts: Counts, sealer: Sealer) -> Steps[tuple[Dealing, Packed]]:
    """Run C1's or C2's part, with its own counts [P, T], up to shares [T, B] of "sum >= threshold" for every test.

    Nothing is opened. Raises ProtocolError when a message does not open or has another length than (P, T, N) ask for.
    """
    shape, first = setting.shape, me == setting.computing[0]
    pair = _Pair(setting, first, sealer)
    givers = [(setting.kind("shares"), name) for name in setting.contributors if name not in setting.computing]
    dealer = (setting.kind("dealing"), COORDINATOR)
    inbox = yield Exchange.of((), [dealer, *givers])

    if first:
        dealing = shares.hold(shape, _read(sealer, inbox[dealer], SEED_BYTES))
        given = [shares.pad(shape, _read(sealer, inbox[key], SEED_BYTES)) for key in givers]
    else:
        size = SEED_BYTES + shape.size(1 + 2 * shape.levels, len(shape.gates.inputs))
        dealt = _read(sealer, inbox[dealer], size)
        dealing = shares.hold(shape, dealt[:SEED_BYTES], dealt[SEED_BYTES:])
        given = [shape.one(_read(sealer, inbox[key], shape.size(1))) for key in givers]

    masked = shares.total(shape, counts, given, first) + dealing.offset
    z = masked + (yield from pair.trade("open", masked))
    state = shares.borrow_start(dealing, z, first)
    for level in range(shape.levels):
        masked = state ^ dealing.masks[level]
        opened = masked ^ (yield from pair.trade(f"prefix-{level}", masked))
        state = shares.borrow_step(dealing, level, state, opened, first)
    return dealing, shares.holds(dealing, z, state, first)


def decide(setting: Setting, me: str, counts: Counts, sealer: Sealer, entropy: Entropy = os.urandom) -> Steps[Decision]:
    """Run C1's or C2's part, with its own counts [P, T]; return what was opened. Raises as `compare` does."""
    shape, first = setting.shape, me == setting.computing[0]
    pair = _Pair(setting, first, sealer)
    dealing, tests = yield from compare(setting, me, counts, sealer)
    wires: Packed = np.zeros((len(tests) + len(shape.gates.inputs), tests.shape[1]), np.uint8)
    wires[: len(tests)] = tests
    for level in range(len(shape.gates.levels)):
        inputs = shares.gate_inputs(shape, dealing, level, wires, first)
        opened = inputs ^ (yield from pair.trade(f"and-{level}", inputs))
        shares.gate_outputs(shape, dealing, level, wires, opened, first)

    share = shares.result(shape, wires, first)
    seed = entropy(SEED_BYTES) if first else b""  # only C1 draws; it travels with C1's opening
    theirs = yield from pair.swap("result", share.tobytes() + seed, share.nbytes + (0 if first else SEED_BYTES))
    opened = share ^ np.frombuffer(theirs[: share.nbytes], np.uint8).reshape(share.shape)
    return Decision(shares.unpack(shape, opened), seed if first else theirs[share.nbytes :])


def decide_alone(circuit: Circuit, counts: Counts) -> Bits:
    """Decide for a single contributor, from its own counts [P, T], without any message."""
    return evaluate_clear(circuit, counts)


def _read(sealer: Sealer, message: Message, size: int) -> bytes:
    data = message.decoded(sealer.open(message))
    if not isinstance(data, bytes) or len(data) != size:
        raise message.malformed()
    return data
