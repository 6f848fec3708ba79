"""Messages, and how protocol code talks: it does no I/O, it yields.

A protocol step is a generator. It yields an `Exchange`: what to send, and which messages must have arrived before it
goes on. Whoever drives it (the in-process transport, a network one, a test) sends the former, collects the latter, and
resumes the generator with an `Inbox`. So the same code runs in one process and over a network, and a test sees all of it.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from fedsql.codec import decode, encode, fits
from fedsql.errors import ProtocolError

COORDINATOR = "@coordinator"  # "@" cannot start a party's name
ANALYST = "@analyst"


def named(name: str) -> str:
    """Return what a participant is called in a sentence."""
    return {ANALYST: "the analyst", COORDINATOR: "the coordinator"}.get(name, name)


@dataclass(frozen=True, slots=True)
class Message:
    """One message. ``kind`` names what it is; ``body`` is canonical CBOR, or a sealed box when ``sealed``."""

    kind: str
    sender: str
    recipient: str
    body: bytes
    sealed: bool = False

    @classmethod
    def of(cls, kind: str, sender: str, recipient: str, record: object) -> Message:
        """Build an unsealed message from a record."""
        return cls(kind, sender, recipient, encode(record))

    def record(self) -> object:
        """Decode the body of an unsealed message. Raises ProtocolError when it is malformed."""
        return self.decoded(self.body)

    def fields(self, **kinds: Any) -> list[Any]:
        """Return the values of an unsealed message that is a record: see `values`."""
        return self.values(self.record(), **kinds)

    def decoded(self, text: bytes) -> Any:
        """Decode ``text``, which this message holds. Raises ProtocolError, which names the sender."""
        try:
            return decode(text)
        except ValueError:
            raise self.malformed() from None

    def values(self, record: object, /, **kinds: Any) -> list[Any]:
        """Return the values of ``record``, which this message holds, in the order of ``kinds``.

        Raises ProtocolError, which names the sender, unless it has exactly these keys, each of its kind (`codec.fits`).
        """
        if type(record) is not dict or record.keys() != kinds.keys():
            raise self.malformed()
        if not all(fits(record[key], kind) for key, kind in kinds.items()):
            raise self.malformed()
        return [record[key] for key in kinds]

    def malformed(self) -> ProtocolError:
        """Return the error that this message is malformed."""
        return ProtocolError(f"a message of {named(self.sender)} is malformed ({self.kind})")


Wanted = tuple[str, str]  # (kind, sender)
Inbox = Mapping[Wanted, Message]


@dataclass(frozen=True, slots=True)
class Exchange:
    """Send these messages; then wait until every wanted (kind, sender) of at least one group has arrived.

    Most protocols want one group: ``Exchange.of(send, wait)``. The inbox holds the messages of each complete group.
    """

    send: tuple[Message, ...] = ()
    groups: tuple[tuple[Wanted, ...], ...] = ((),)

    @classmethod
    def of(cls, send: Iterable[Message] = (), wait: Iterable[Wanted] = ()) -> Exchange:
        """Send ``send``, then wait for all of ``wait``."""
        return cls(tuple(send), (tuple(wait),))


BEGIN = ("ask", "consult")  # from an analyst: what a query begins with
PROGRESS = "progress"  # to the analyst, beside the protocol: what a participant does now; nobody waits for it
ABORT = "abort"  # whoever is sent this kind is interrupted where it waits, by `Aborted`


class Aborted(Exception):
    """Somebody gave up: ``record`` says why, in the words that may be said (never data)."""

    def __init__(self, sender: str, record: Mapping[str, object]) -> None:
        super().__init__(sender)
        self.sender = sender
        self.record = record


T = TypeVar("T")
Steps = Generator[Exchange, Inbox, T]


def together(protocols: Iterable[Steps[T]]) -> Steps[list[T]]:
    """Run several protocols side by side over one conversation, so that their rounds overlap; return their results.

    Each protocol must want kinds of its own (its release's number is in them). It may run protocols together itself.
    """
    running = list(protocols)
    results: dict[int, T] = {}
    waiting: dict[int, tuple[tuple[Wanted, ...], ...]] = {}
    send: list[Message] = []

    def advance(number: int, inbox: Inbox | None) -> None:
        try:
            exchange = next(running[number]) if inbox is None else running[number].send(inbox)
        except StopIteration as stop:
            results[number] = stop.value
            waiting.pop(number, None)
            return
        send.extend(exchange.send)
        waiting[number] = exchange.groups

    for number in range(len(running)):
        advance(number, None)
    while waiting:
        outgoing, groups = tuple(send), tuple(group for groups in waiting.values() for group in groups)
        send.clear()
        inbox = yield Exchange(outgoing, groups)
        for number, listed in list(waiting.items()):
            if complete := [group for group in listed if all(key in inbox for key in group)]:
                advance(number, {key: inbox[key] for group in complete for key in group})
    if send:
        yield Exchange.of(send)
    return [results[number] for number in range(len(running))]
