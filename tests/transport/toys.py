"""A toy federation: parties that add their values under pairwise masks, over the real transport."""

from __future__ import annotations

import contextlib
import json
import secrets
import subprocess
import sys
import threading
import time
from pathlib import Path
from threading import Condition

import pyarrow.flight as flight

from fedsql.codec import encode
from fedsql.crypto.keys import IdentityKey
from fedsql.executors.protocol.wire import ANALYST, COORDINATOR, Aborted, Exchange, Message
from fedsql.executors.transport.frames import frames_of, parse
from fedsql.executors.transport.hub import Hub
from fedsql.executors.transport.login import ParticipantSide, new_challenge
from fedsql.executors.transport.node import Node
from fedsql.executors.transport.settings import Settings

FEDERATION = "toys"
MODULUS = 2**64
SOON = 20.0  # seconds after which a wait of a test has failed
QUICK = Settings(ping=0.05, silent=10.0, login=10.0, stalled=10.0, deadline=10.0, backoff=0.02, longest_backoff=0.1)


def analyst_steps(parties, ask="sum", blob=b""):
    """Ask for the sum of the parties' values; return the answer, or the record of what ended it."""
    try:
        request = Message.of("ask", ANALYST, COORDINATOR, {"parties": parties, "ask": ask, "blob": blob})
        inbox = yield Exchange.of([request], [("answer", COORDINATOR)])
    except Aborted as aborted:
        return dict(aborted.record) | {"from": aborted.sender}
    return inbox["answer", COORDINATOR].record()


def coordinator_steps(query_id, attempt):
    parties = []
    try:
        inbox = yield Exchange.of((), [("ask", ANALYST)])
        asked = inbox["ask", ANALYST].record()
        parties += asked["parties"]
        start = encode([parties, asked["ask"], asked["blob"]])
        inbox = yield Exchange.of(
            [Message("start", COORDINATOR, name, start) for name in parties], [("partial", name) for name in parties]
        )
        partials = [inbox["partial", name].record() for name in parties]
        total = sum(value for value, _ in partials) % MODULUS
        blobs = [blob for _, blob in partials]
        yield Exchange.of([Message.of("answer", COORDINATOR, ANALYST, [total, blobs])])
    except Aborted as aborted:
        yield Exchange.of(
            [Message.of("abort", COORDINATOR, name, dict(aborted.record)) for name in (*parties, ANALYST)]
        )


class Seen:
    """What the parties lived through, to wait for."""

    def __init__(self):
        self.events = []
        self.changed = Condition()

    def add(self, *event):
        with self.changed:
            self.events.append(event)
            self.changed.notify_all()

    def wait(self, wanted, count=1, timeout=SOON):
        with self.changed:
            return self.changed.wait_for(lambda: sum(map(wanted, self.events)) >= count, timeout)


def party_steps(name, value, seen):
    """Add ``value``. "ring" passes the blob on to the others, "stuck:x" makes x wait for ever, "fail:x" fail."""
    try:
        inbox = yield Exchange.of((), [("start", COORDINATOR)])
        parties, ask, blob = inbox["start", COORDINATOR].record()
        seen.add("started", name)
        if ask == f"stuck:{name}":
            yield Exchange.of((), [("never", COORDINATOR)])
        if ask == f"fail:{name}":
            raise RuntimeError("/a/path/to/a/secret")
        others = [other for other in parties if other != name]
        masks = {other: secrets.randbelow(MODULUS) for other in others}
        inbox = yield Exchange.of(
            [Message.of("mask", name, other, [masks[other], blob if ask == "ring" else b""]) for other in others],
            [("mask", other) for other in others],
        )
        got = [inbox["mask", other].record() for other in others]
        total = (value + sum(masks.values()) - sum(mask for mask, _ in got)) % MODULUS
        back = b"".join(passed for _, passed in got)
        yield Exchange.of([Message.of("partial", name, COORDINATOR, [total, back])])
        seen.add("done", name)
    except Aborted as aborted:
        seen.add("aborted", name, aborted.record.get("party"), aborted.record.get("message"))


class Toys:
    """A hub with its identities; close it to end everything."""

    def __init__(self, settings=QUICK, tls=None, address="grpc://127.0.0.1:0", parties=(), on_query=coordinator_steps):
        self.settings = settings
        self.tls = tls
        self.on_query = on_query
        self.coordinator = IdentityKey.generate()
        self.keys = {}
        self.seen = Seen()
        self.nodes = []
        self.processes = []
        self.hub = self.listen(address)
        for number, name in enumerate(parties):
            self.party(name, 10**number)

    def listen(self, address):
        return Hub(
            address, FEDERATION, self.coordinator, self.known, self.on_query, tls=self.tls, settings=self.settings
        )

    def known(self, name, role):
        key = self.keys.get((name, role))
        return key.public if key else None

    def key(self, name, role):
        return self.keys.setdefault((name, role), IdentityKey.generate())

    def node(self, name, role, **options):
        identity = options.pop("identity", None) or self.key(name, role)
        options = {"settings": self.settings} | options
        coordinator = options.pop("coordinator_key", self.coordinator.public)
        federation = options.pop("federation", FEDERATION)
        address = options.pop("address", self.hub.address)
        node = Node(address, name, role, identity, coordinator, federation, **options)
        self.nodes.append(node)
        return node

    def party(self, name, value, **options):
        node = self.node(name, "party", on_query=lambda *_: party_steps(name, value, self.seen), **options)
        node.connect()
        return node

    def analyst(self, name="ada", **options):
        node = self.node(name, "analyst", **options)
        node.connect()
        return node

    def party_process(self, name, value):
        """Start a party in a process of its own; return the process once it is logged in."""
        identity = self.key(name, "party")._private.private_bytes_raw()
        process = self.process(
            "party_process.py",
            address=self.hub.address,
            name=name,
            value=value,
            identity=identity.hex(),
            coordinator=self.coordinator.public.hex(),
        )
        assert process.stdout.readline() == "connected\n"
        return process

    def hub_process(self, name, role):
        """Start a second hub, of the same identity, that knows one participant; return its process and address."""
        identity = self.coordinator._private.private_bytes_raw()
        known = self.key(name, role).public
        process = self.process("hub_process.py", identity=identity.hex(), name=name, role=role, public=known.hex())
        return process, process.stdout.readline().strip()

    def process(self, script, **setup):
        process = subprocess.Popen(
            [sys.executable, Path(__file__).with_name(script), json.dumps(setup)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.processes.append(process)
        return process

    def sum(self, node, parties, ask="sum", blob=b"", deadline=SOON):
        return node.ask(secrets.token_bytes(16), 1, analyst_steps(list(parties), ask, blob), deadline)

    def close(self):
        for process in self.processes:
            process.kill()
            process.wait()
            process.stdin.close()
            process.stdout.close()
        for node in self.nodes:
            node.close()
        self.hub.close()


class Raw:
    """A client that says what it likes: a context manager with `send` and `receive` of raw frames."""

    def __init__(self, toys, **options):
        self.toys = toys
        self.client = flight.FlightClient(
            toys.hub.address, generic_options=[("grpc.use_local_subchannel_pool", 1)], **options
        )
        self.writer, self.reader = self.client.do_exchange(flight.FlightDescriptor.for_command(b"fedsql"))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.reader.cancel()
        with contextlib.suppress(Exception):  # it was cancelled, or broken by the hub
            self.writer.close()
        self.client.close()

    def send(self, data):
        self.writer.write_metadata(data)

    def message(self, query, message):
        for data in frames_of(query, message):
            self.send(data)

    def receive(self, *kinds):
        """Return the next frame; with ``kinds``, the next of one of them."""
        while True:
            frame = parse(self.reader.read_chunk().app_metadata.to_pybytes())
            if frame.message.kind == "bye":
                self.writer.done_writing()
            if not kinds or frame.message.kind in kinds:
                return frame

    def login(self, name, role, signer=None, changes=()):
        """Log in, with ``changes`` to what was signed; return the hub's answer."""
        known = self.toys.key(name, role)
        signer = signer or known
        side = ParticipantSide(name, role, FEDERATION, signer, self.toys.coordinator.public)
        ours = new_challenge()
        self.message((b"", 0), Message.of("dial", "", "", {"challenge": ours}))
        (answer,) = side.login(self.receive("challenge"), ours)
        frame = parse(answer)
        self.message((b"", 0), Message.of("login", "", "", frame.message.record() | dict(changes)))
        return self.receive("welcome", "bye").message


def eventually(condition, timeout=SOON):
    """Poll for what has no event to wait on; the wait is short."""
    until = time.monotonic() + timeout
    pause = Condition()
    with pause:
        while not condition():
            if time.monotonic() > until:
                return False
            pause.wait(0.01)
    return True


@contextlib.contextmanager
def no_thread_left():
    """Check that the threads that were started inside have ended."""
    before = set(threading.enumerate())

    def left():
        # A dummy stands for a thread of gRPC's own pool, which lives as long as the process.
        return [t for t in threading.enumerate() if t not in before and not isinstance(t, threading._DummyThread)]

    yield
    assert eventually(lambda: not left()), left()
