"""A small federation whose coordinator and parties run in this process, over TLS on the loopback interface."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from fedsql.config.loading import federation_file, load_party
from fedsql.executors.services.coordinator import CoordinatorService
from fedsql.executors.services.party import PartyService
from fedsql.executors.setup import set_up
from fedsql.session import Session

NAMES = ("north", "south")


class Running:
    """Its files in ``folder``, and its services."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        with closing(socket.socket()) as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        set_up(folder, NAMES, port=port, example=True)
        self.folder, self.shared = folder, folder / "federation.toml"
        self.coordinator = CoordinatorService(self.shared, folder / "coordinator")
        stack.callback(self.coordinator.close)
        self.parties = {name: self.party(name) for name in NAMES}
        for party in self.parties.values():
            stack.callback(party.close)
            party.start()
            assert party.wait_connected(20), party.reason

    def file(self, name: str) -> Path:
        return self.folder / name / f"{name}.toml"

    def ledger(self, name: str) -> Path:
        return self.folder / name / ".fedsql" / name / "ledger.sqlite"

    def party(self, name: str) -> PartyService:
        return PartyService(self.file(name), federation_file(load_party(self.file(name))))

    def session(self) -> Session:
        return Session.open(self.shared)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    with ExitStack() as stack:
        yield Running(tmp_path / "clinics", stack)
