"""A coordinator that alters what it passes on, between the real services: every message goes through `Relay.wire`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import pytest
from world import NAMES, Network

from fedsql.config.loading import load_federation
from fedsql.executors.protocol.wire import Message
from fedsql.executors.remote import RemoteFederation
from fedsql.executors.services.coordinator import CoordinatorService
from fedsql.executors.services.party import PartyService
from fedsql.executors.transport import hub
from fedsql.executors.transport.connection import Connection
from fedsql.executors.transport.frames import Frame, frames_of, parse
from fedsql.executors.transport.router import Router
from fedsql.executors.transport.settings import Settings
from fedsql.session import Session

Wire = Callable[[Message], Iterable[Message]]
QUICK = Settings(ping=0.5, silent=20.0, login=20.0, stalled=5.0, deadline=0.4, backoff=0.02, open_queries=64)


class Relay(Router):
    """A router that passes on what ``wire`` returns for each message, and what it has held back at the next one."""

    wire: Wire = staticmethod(lambda message: [message])
    _guard_of_wire = threading.Lock()

    def take(self, connection: Connection, frame: Frame, data: bytes) -> None:
        for message in self._wired(frame.message):
            for each in frames_of(frame.query, message):
                super().take(connection, parse(each), each)

    def _send_one(self, query: Any, message: Message) -> None:
        for each in self._wired(message):
            super()._send_one(query, each)

    def _wired(self, message: Message) -> list[Message]:
        with self._guard_of_wire:
            return list(type(self).wire(message))


@dataclass
class Tampered:
    """All services in this process, with a `Relay` between them; close it to end them."""

    network: Network
    coordinator: CoordinatorService
    parties: list[PartyService] = field(default_factory=list)
    sessions: list[Session] = field(default_factory=list)

    @classmethod
    def open(cls, network: Network) -> Tampered:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(hub, "Router", Relay)
            coordinator = CoordinatorService(network.shared, network.folder / "coordinator", settings=QUICK)
        made = cls(network, coordinator)
        for name in NAMES:
            made.parties.append(PartyService(network.folder / f"{name}.toml", network.shared, settings=QUICK))
            made.parties[-1].start()
        assert all(party.wait_connected(20) for party in made.parties)
        return made

    def session(self, analyst: str = "ada") -> Session:
        key = self.network.folder / analyst / "identity.pem"
        remote = RemoteFederation(load_federation(self.network.shared), analyst, key, settings=QUICK)
        self.sessions.append(Session(remote, analyst, owns=True))
        return self.sessions[-1]

    def close(self) -> None:
        for each in (*self.sessions, *self.parties, self.coordinator):
            each.close()
