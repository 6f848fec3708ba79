"""One participant's view of one query: its fresh key, the others' fresh keys, and the channels between them.

Every participant makes a new X25519 key for each attempt and signs it together with the query, the attempt, the plan and
the contributors (a *hello*). There it also says which public tables it lacks, and which
answer to the same question it holds. All hellos together are the *roster*. Whatever two of them share - masks, sealed messages -
is derived from their two fresh keys by HKDF, bound to exactly that context, so nothing is ever derived twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from fedsql.codec import encode, fits
from fedsql.crypto.keys import IdentityKey, QueryKey, verify
from fedsql.crypto.sealing import Channel
from fedsql.errors import ProtocolError
from fedsql.executors.protocol.threshold import Sealer
from fedsql.executors.protocol.wire import COORDINATOR, Message, named

Roster = Mapping[str, bytes]  # name -> fresh X25519 public key
_HELLO = {"name": str, "key": bytes, "lacks": list[int], "holds": bytes, "signature": bytes}


@dataclass(frozen=True)
class Hello:
    """What a participant says first: a fresh X25519 public key, the numbers of the public tables that it lacks.

    ``holds`` names the earlier answer to this very question that it holds, if any (see `executors.roles.held`).
    """

    key: bytes
    lacks: tuple[int, ...] = ()
    holds: bytes = b""

    def signed(self) -> bytes:
        """Return what is signed of it."""
        return encode([self.key, list(self.lacks), self.holds])


@dataclass(frozen=True)
class Context:
    """What all keys of an attempt are bound to. ``contributors`` lists those of each release, in order.

    ``shape`` is the digest of the releases' outlines: whoever was told others is noticed at the first hello. ``owners``
    are those of the public tables that fragments read.
    """

    query_id: bytes
    attempt: int
    plan_digest: bytes
    question_digest: bytes
    contributors: tuple[tuple[str, ...], ...]
    shape: bytes
    owners: tuple[str, ...] = ()

    @property
    def participants(self) -> tuple[str, ...]:
        """Everyone who contributes or is an owner, sorted."""
        return tuple(sorted({*self.owners, *(name for names in self.contributors for name in names)}))

    def bind(self, *purpose: object) -> bytes:
        """Return canonical bytes that name this context and a purpose in it."""
        listed = [list(names) for names in self.contributors]
        digests = [self.plan_digest, self.question_digest, self.shape]
        return encode([list(purpose), self.query_id, self.attempt, digests, listed, list(self.owners)])

    def signed(self, what: str, name: str, data: bytes) -> bytes:
        """Return what ``name`` signs for ``data`` as ``what`` in this context."""
        return self.bind("fedsql", what, name, data)

    def roster(self, hellos: object, identities: Mapping[str, bytes], names: Sequence[str]) -> dict[str, Hello]:
        """Return what everybody said in ``hellos``, verified against pinned identities.

        Raises ProtocolError unless exactly ``names`` said hello with a valid signature.
        """
        found: dict[str, Hello] = {}
        if not fits(hellos, list[dict[str, Any]]):
            raise ProtocolError("a hello is malformed")
        assert isinstance(hellos, list)
        for hello in hellos:
            if hello.keys() != _HELLO.keys() or not all(fits(hello[field], kind) for field, kind in _HELLO.items()):
                raise ProtocolError("a hello is malformed")
            name, key, lacks, holds, signature = (hello[field] for field in _HELLO)
            pinned, said = identities.get(name), Hello(key, tuple(lacks), holds)
            if (
                pinned is None
                or name in found
                or not verify(pinned, signature, self.signed("hello", name, said.signed()))
            ):
                raise ProtocolError(f"the hello of {ascii(name)[1:-1]} is not signed by the identity known for it")
            found[name] = said
        if set(found) != set(names):
            raise ProtocolError("the contributors are not those of the signed question")
        return found

    def draw(self, roster: Roster) -> bytes:
        """Return 32 bytes that no one chose: all contributors' fresh keys decide them, each drawn before any is known.

        The coordinator's key is left out, for it comes last.
        """
        keys = sorted([name, key] for name, key in roster.items() if name != COORDINATOR)
        return hashlib.sha256(self.bind("draw", keys)).digest()


@dataclass
class Conversation:
    """A participant in a context. ``roster`` is filled once the others' hellos have been verified.

    ``lacks`` and ``holds`` are what it says in its hello; ``lacking`` and ``holding`` what the others said.
    """

    me: str
    context: Context
    identity: IdentityKey
    key: QueryKey = field(default_factory=QueryKey)
    roster: Roster = field(default_factory=dict)
    lacks: tuple[int, ...] = ()
    holds: bytes = b""
    lacking: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    holding: Mapping[str, bytes] = field(default_factory=dict)

    def hello(self) -> dict[str, object]:
        """Return this participant's signed hello."""
        said = Hello(self.key.public, self.lacks, self.holds)
        record: dict[str, object] = {"name": self.me, "key": said.key, "lacks": list(said.lacks), "holds": said.holds}
        return record | {"signature": self.sign("hello", said.signed())}

    def admit(self, hellos: object, identities: Mapping[str, bytes], names: Sequence[str]) -> None:
        """Verify hellos and keep the others' as the roster: see `Context.roster`."""
        found = self.context.roster(hellos, identities, names)
        found.pop(self.me, None)
        self.roster = {name: said.key for name, said in found.items()}
        self.lacking = {name: said.lacks for name, said in found.items()}
        self.holding = {name: said.holds for name, said in found.items()}

    @cached_property
    def draw(self) -> bytes:
        """What decides who computes: see `Context.draw`. Everybody's hello must have been verified."""
        return self.context.draw({**self.roster, self.me: self.key.public})

    def sign(self, what: str, data: bytes) -> bytes:
        """Sign ``data`` as ``what`` in this context."""
        return self.identity.sign(self.context.signed(what, self.me, data))

    def signed_by(self, name: str, identity: bytes, what: str, data: bytes, signature: object) -> None:
        """Raise ProtocolError unless ``signature`` is ``name``'s over ``data`` as ``what`` in this context."""
        if not isinstance(signature, bytes) or not verify(identity, signature, self.context.signed(what, name, data)):
            raise ProtocolError(f"a message of {name} is not signed by the identity known for it")

    def secret(self, peer: str, *purpose: object) -> bytes:
        """Return 32 bytes shared with ``peer`` for ``purpose`` alone."""
        return self.key.shared(self.roster[peer], self.context.bind(*purpose))

    @cached_property
    def sealer(self) -> Sealer:
        """How the protocol steps seal and open messages here."""
        return Sealer(self.seal, self.open)

    def seal(self, kind: str, recipient: str, plaintext: bytes) -> Message:
        """Return a message that only ``recipient`` can read."""
        box = self._channel(recipient).seal(self._label(kind, self.me, recipient), plaintext)
        return Message(kind, self.me, recipient, box, sealed=True)

    def open(self, message: Message) -> bytes:
        """Return what a sealed message holds. Raises ProtocolError when it was altered or is not for here."""
        sender = message.sender
        if sender not in self.roster:
            raise ProtocolError("a sealed message comes from nobody in this query")
        try:
            return self._channel(sender).open(self._label(message.kind, sender, self.me), message.body)
        except ProtocolError:
            raise ProtocolError(f"a sealed message of {named(sender)} could not be opened ({message.kind})") from None

    def record(self, message: Message) -> Any:
        """Return the record that a sealed message holds. Raises ProtocolError as `open`, and when it is none."""
        return message.decoded(self.open(message))

    def fields(self, message: Message, **kinds: Any) -> list[Any]:
        """Return the values of the record that a sealed message holds: see `Message.values`."""
        return message.values(self.record(message), **kinds)

    def _channel(self, peer: str) -> Channel:
        if peer not in self._channels:
            self._channels[peer] = Channel(self.secret(peer, "channel"))
        return self._channels[peer]

    @cached_property
    def _channels(self) -> dict[str, Channel]:
        return {}

    def _label(self, kind: str, sender: str, recipient: str) -> bytes:
        return encode([kind, sender, recipient, self.context.query_id, self.context.attempt])
