"""Who is there: the hub and a participant prove their pinned Ed25519 identities to each other.

    participant -> hub    dial        a challenge
    hub -> participant    challenge   its federation, a challenge, and its signature over all three
    participant -> hub    login       name, role, federation, and its signature over these, both challenges and the
                                      hub's key
    hub -> participant    welcome, or bye with the reason

Both signatures bind both challenges, so neither can be replayed. Secrecy on the way, and that the frames which follow
come from who logged in, are TLS's part: without it the transport stays on the loopback interface.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fedsql.codec import encode
from fedsql.crypto.keys import IdentityKey, verify
from fedsql.executors.transport.frames import Frame, Malformed, control, control_record

PARTY = "party"
COORDINATOR_ROLE = "coordinator"  # it is dialled, and logs in nowhere
ANALYST_ROLE = "analyst"
Known = Callable[[str, str], bytes | None]  # (name, role) -> pinned public key
_CHALLENGE = 32  # bytes
_LONGEST = 256  # characters of a name


class Refused(Exception):
    """A login is refused, with the reason in words that either side may read; ``why`` is for the log of who refuses."""

    def __init__(self, reason: str, why: str = "") -> None:
        super().__init__(reason)
        self.why = why


def new_challenge() -> bytes:
    """Return a fresh challenge: 32 bytes."""
    return os.urandom(_CHALLENGE)


def challenge_of(frame: Frame, kind: str) -> bytes:
    """Return the challenge in a dial or challenge frame. Raises Malformed when it holds none of the right size."""
    challenge = _fields(frame, kind).get("challenge")
    if not isinstance(challenge, bytes) or len(challenge) != _CHALLENGE:
        raise Malformed
    return challenge


@dataclass(frozen=True, slots=True)
class HubSide:
    """The hub's side of logins."""

    federation: str
    identity: IdentityKey
    known: Known

    def challenge(self, theirs: bytes, ours: bytes) -> list[bytes]:
        """Return the answer to a dial."""
        signature = self.identity.sign(_hub_statement(self.federation, theirs, ours))
        return control("challenge", {"federation": self.federation, "challenge": ours, "signature": signature})

    def admit(self, frame: Frame, theirs: bytes, ours: bytes) -> tuple[str, str]:
        """Return (name, role) of a participant that has proved who it is. Raises Refused, or Malformed."""
        fields = _fields(frame, "login")
        name, role, federation, signature = (fields.get(key) for key in ("name", "role", "federation", "signature"))
        if not (isinstance(name, str) and isinstance(role, str) and isinstance(federation, str)):
            raise Malformed
        if not isinstance(signature, bytes) or role not in (PARTY, ANALYST_ROLE):
            raise Malformed
        if not all(0 < len(word) <= _LONGEST and word.isprintable() for word in (name, federation)):
            raise Malformed
        if federation != self.federation:
            raise Refused(f"this is the coordinator of the federation {self.federation}, not of {federation}")
        public = self.known(name, role)
        statement = _login_statement(federation, ours, theirs, name, role, self.identity.public)
        if public is None or not verify(public, signature, statement):
            # Which of the two is for the coordinator's log: strangers do not learn who is known.
            why = "the name is not known" if public is None else "the key is not the pinned one"
            raise Refused(f"no {role} {name} with this key is known", why)
        return name, role


@dataclass(frozen=True, slots=True)
class ParticipantSide:
    """A participant's side of its login. ``coordinator`` is the hub's pinned public key."""

    name: str
    role: str
    federation: str
    identity: IdentityKey
    coordinator: bytes

    def login(self, frame: Frame, ours: bytes) -> list[bytes]:
        """Return the answer to the hub's challenge. Raises Refused when the hub is not the pinned one."""
        fields = _fields(frame, "challenge")
        theirs = challenge_of(frame, "challenge")
        federation, signature = fields.get("federation"), fields.get("signature")
        if not isinstance(federation, str) or not isinstance(signature, bytes):
            raise Malformed
        if federation != self.federation:
            raise Refused(f"it is the coordinator of the federation {federation}, not of {self.federation}")
        if not verify(self.coordinator, signature, _hub_statement(federation, ours, theirs)):
            raise Refused("its key is not the one that is pinned here as the coordinator's")
        statement = _login_statement(federation, theirs, ours, self.name, self.role, self.coordinator)
        record = {"name": self.name, "role": self.role, "federation": federation}
        return control("login", record | {"signature": self.identity.sign(statement)})


def _fields(frame: Frame, kind: str) -> dict[Any, Any]:
    record = control_record(frame, kind)
    if not isinstance(record, dict):
        raise Malformed
    return record


def _hub_statement(federation: str, participants: bytes, hubs: bytes) -> bytes:
    return encode(["fedsql transport coordinator", federation, participants, hubs])


def _login_statement(
    federation: str, hubs: bytes, participants: bytes, name: str, role: str, coordinator: bytes
) -> bytes:
    return encode(["fedsql transport login", federation, hubs, participants, name, role, coordinator])
