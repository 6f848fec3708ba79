"""Frames that no honest participant sends, and who sends them: clients and a coordinator that say what they are told to.

`frames` mutates frames that were recorded from honest participants, or makes them up. `Stranger` is a client of a hub,
logged in or not; `Usurper` listens in the coordinator's place, with its key.
"""

from __future__ import annotations

import contextlib
import random
from collections import defaultdict
from collections.abc import Sequence
from queue import SimpleQueue
from typing import Any

import pyarrow as pa
import pyarrow.flight as flight
from hypothesis import strategies as st

from fedsql.codec import decode, encode
from fedsql.crypto.keys import IdentityKey
from fedsql.executors.protocol.wire import ABORT, ANALYST, COORDINATOR, PROGRESS
from fedsql.executors.transport.frames import CONTROL, VERSION, Malformed, control, parse
from fedsql.executors.transport.login import HubSide, Known, ParticipantSide, challenge_of, new_challenge

LEAKS = (b"Traceback", b".py", b"/fedsql/")
KINDS = (
    "ask",
    "consult",
    "question",
    "hello",
    "roster",
    "reply",
    "replies",
    "answer",
    "0/go",
    "0/vector",
    "0/ready",
    "",
)
_PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 65), 1 << 65) | st.binary(max_size=40) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


def frames(recorded: Sequence[bytes], me: str, others: Sequence[str], queries: Sequence[bytes]) -> st.SearchStrategy:
    """Return frames of the participant ``me`` to ``others``, which parse.

    Some are made up; some were sent once, and are sent again in a new query, in the name of ``me``, with their bodies as
    they were, with an altered record, or with damaged bytes; some are sent again as they were. ``queries`` are old ids.
    """
    bodies = [parse(each).message.body for each in recorded]
    kinds = st.sampled_from([*KINDS, *{parse(each).message.kind for each in recorded}, ABORT, PROGRESS])
    body = st.one_of(
        _of(bodies),
        st.tuples(_of(bodies), st.integers(0, 2**32)).map(lambda pair: altered(*pair)),
        st.tuples(_of(bodies), st.integers(0, 2**32)).map(lambda pair: damaged(*pair)),
        _PLAIN.map(encode),
        st.binary(max_size=100),
    )
    fields: Any = st.tuples(
        st.just(VERSION),
        st.binary(min_size=1, max_size=16) | st.sampled_from(queries),
        st.sampled_from([1, 1, 1, 2, 2**32 - 1]),
        kinds,
        st.sampled_from([me] * 9 + [*others, ANALYST, COORDINATOR, "", "x\n"]),
        st.sampled_from([COORDINATOR, COORDINATOR, *others, ANALYST, "nobody", ""]),
        st.booleans(),
        st.just(0),
        st.just(1),
        body,
    )
    made_up = fields.map(list).map(encode)
    renewed = st.tuples(_of(recorded), st.integers(0, 2**32)).map(lambda given: _renewed(given[0], me, given[1]))
    return st.one_of(made_up, renewed, renewed, _of(recorded))


def broken(recorded: Sequence[bytes]) -> st.SearchStrategy:
    """Return what does not parse, or ends a connection at once: the last that is sent over it."""
    one = _of(recorded)
    return st.one_of(
        st.binary(max_size=300),
        _PLAIN.map(encode),
        st.tuples(one, st.integers(0, 2**32)).map(lambda pair: damaged(*pair)),
        st.tuples(one, st.integers(0, 9), _PLAIN).map(lambda given: swapped(given[0], given[1], given[2])),
        st.tuples(one, st.integers(0, 9), st.integers(0, 9)).map(lambda given: exchanged(*given)),
        st.tuples(st.sampled_from(["dial", "login", "welcome", "ping", "offer", "directory", "bye"]), _PLAIN).map(
            lambda pair: control(pair[0], pair[1])[0]
        ),
    )


def _renewed(data: bytes, me: str, seed: int) -> bytes:
    dice, fields = random.Random(seed), decode(data)
    fields[1], fields[4] = dice.randbytes(16), me
    body = fields[9]
    fields[9] = dice.choice([body, altered(body, seed), altered(body, seed), damaged(body, seed)])
    return encode(fields)


def _of(values: Sequence[bytes]) -> st.SearchStrategy:
    """Return one of ``values``, which hypothesis need not print."""
    return st.integers(0, len(values) - 1).map(lambda at: values[at])


def damaged(data: bytes, seed: int) -> bytes:
    """Return ``data`` with bytes flipped, lost or added."""
    dice, changed = random.Random(seed), bytearray(data or b"\0")
    for _ in range(dice.randint(1, 3)):
        changed[dice.randrange(len(changed))] ^= 1 << dice.randrange(8)
    end = dice.choice((0, 0, 0, 1, -1))
    return bytes(changed[: dice.randrange(len(changed))]) if end < 0 else bytes(changed) + b"\0" * end


def altered(data: bytes, seed: int) -> bytes:
    """Return the record in ``data`` with something in it of another value or kind, missing or doubled."""
    dice = random.Random(seed)
    try:
        return encode(_altered(decode(data), dice))
    except ValueError:
        return damaged(data, seed)


def _altered(value: Any, dice: random.Random) -> Any:
    if dice.random() < 0.15:
        return dice.choice([None, 0, -1, 1 << 34, 1 << 70, 0.5, float("nan"), b"", "", [], {}, True, b"\xff" * 64])
    if isinstance(value, dict) and value:
        key = dice.choice(list(value))
        if dice.random() < 0.1:
            return {("more" if k == key else k): v for k, v in value.items() if k != key or dice.random() < 0.5}
        return {**value, key: _altered(value[key], dice)}
    if isinstance(value, list) and value:
        at = dice.randrange(len(value))
        if dice.random() < 0.2:
            return value[:at] + value[at + 1 :] if dice.random() < 0.5 else [*value, value[at]]
        return [*value[:at], _altered(value[at], dice), *value[at + 1 :]]
    if isinstance(value, bytes):
        return damaged(value, dice.randrange(2**32))
    if isinstance(value, int):
        return value + dice.choice((-1, 1, 1 << 20))
    return dice.choice(["north", "@coordinator", None, 7])


def swapped(data: bytes, field: int, value: Any) -> bytes:
    """Return a frame with another value in one of its fields."""
    fields = decode(data)
    fields[field] = value
    return encode(fields)


def exchanged(data: bytes, one: int, other: int) -> bytes:
    """Return a frame with two of its fields exchanged."""
    fields = decode(data)
    fields[one], fields[other] = fields[other], fields[one]
    return encode(fields)


def ends(data: bytes) -> bool:
    """Say whether a frame ends the connection over which it comes."""
    try:
        frame = parse(data)
    except Malformed:
        return True
    return frame.query == CONTROL


class Stranger:
    """A client that sends what it is told to: a context manager. `told` has all that was said to it."""

    def __init__(self, address: str, login: ParticipantSide | None = None) -> None:
        self.client = flight.FlightClient(address, generic_options=[("grpc.use_local_subchannel_pool", 1)])
        self.writer, self.reader = self.client.do_exchange(flight.FlightDescriptor.for_command(b"fedsql"))
        self.told: list[bytes] = []
        if login is not None:
            ours = new_challenge()
            self.writer.write_metadata(control("dial", {"challenge": ours})[0])
            self.writer.write_metadata(login.login(parse(self._next()), ours)[0])
            assert parse(self._next()).message.kind == "welcome"

    def say(self, garbage: Sequence[bytes]) -> None:
        """Send ``garbage``, and read all that is answered until the connection ends."""
        with contextlib.suppress(StopIteration, flight.FlightError, pa.ArrowException, OSError):
            for data in garbage:
                self.writer.write_metadata(data)
            self.writer.done_writing()
            while True:
                self._next()

    def _next(self) -> bytes:
        try:
            self.told.append(self.reader.read_chunk().app_metadata.to_pybytes())
        except flight.FlightError as error:
            self.told.append(str(error).encode())
            raise
        return self.told[-1]

    def __enter__(self) -> Stranger:
        return self

    def __exit__(self, *_: object) -> None:
        self.reader.cancel()
        with contextlib.suppress(Exception):  # it was cancelled, or broken by the hub
            self.writer.close()
        self.client.close()


class Usurper(flight.FlightServerBase):  # type: ignore[misc]
    """Listens at ``address`` with the coordinator's key, and sends to whoever logs in what it is told to."""

    def __init__(self, address: str, federation: str, identity: IdentityKey, known: Known) -> None:
        self._batches: dict[str, SimpleQueue[Sequence[bytes]]] = defaultdict(SimpleQueue)
        self._done: SimpleQueue[str] = SimpleQueue()
        self._closing = False
        self._side = HubSide(federation, identity, known)
        super().__init__(address)

    def send(self, name: str, garbage: Sequence[bytes]) -> None:
        """Send ``garbage`` to ``name`` over a new connection, and return when it has ended that."""
        self._batches[name].put([*garbage, b"\xff"])
        assert self._done.get(timeout=60) == name

    def close(self) -> None:
        self._closing = True
        for batches in self._batches.values():
            batches.put([b"\xff"])
        self.shutdown()

    def do_exchange(self, context: Any, descriptor: Any, reader: Any, writer: Any) -> None:
        with contextlib.suppress(StopIteration, flight.FlightError, pa.ArrowException, OSError):
            theirs, ours = challenge_of(parse(self._read(reader)), "dial"), new_challenge()
            writer.write_metadata(self._side.challenge(theirs, ours)[0])
            name, _ = self._side.admit(parse(self._read(reader)), theirs, ours)
            writer.write_metadata(control("welcome", {"ping": 1.0})[0])
            if self._closing:
                return
            garbage = self._batches[name].get()
            with contextlib.suppress(StopIteration, flight.FlightError, pa.ArrowException, OSError):
                for data in garbage:
                    writer.write_metadata(data)
                while True:  # until it leaves
                    self._read(reader)
            self._done.put(name)

    @staticmethod
    def _read(reader: Any) -> bytes:
        data: bytes = reader.read_chunk().app_metadata.to_pybytes()
        return data
