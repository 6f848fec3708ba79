"""Random frames at a real coordinator and at real parties: all of them live on, and the next question is answered right.

``--frames`` says how many there are in all; `make fuzz-wire` sends 100,000.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from wild import LEAKS, Stranger, Usurper, altered, broken, damaged, ends, frames
from world import NAMES, SQL, WHOLE, Network

from fedsql.codec import decode, encode
from fedsql.config.loading import load_federation
from fedsql.crypto.keys import IdentityKey, parse_public
from fedsql.errors import OperationalError
from fedsql.executors.protocol.wire import ANALYST, COORDINATOR, PROGRESS
from fedsql.executors.remote import RemoteFederation
from fedsql.executors.services.party import PartyService
from fedsql.executors.transport import node
from fedsql.executors.transport.frames import CONTROL, control, parse
from fedsql.executors.transport.login import ParticipantSide, new_challenge
from fedsql.executors.transport.settings import Settings
from fedsql.executors.transport.traffic import Traffic
from fedsql.session import Session

MINE = "west"  # the party whose key the fuzzer has; bob is its analyst
EACH = 50  # frames over one connection
QUICK = Settings(ping=0.1, silent=2.0, backoff=0.05)
MORE_MEMORY = 300 << 20  # bytes: what a process may have grown by


class Recorded(Traffic):
    """Keeps every frame of the participants in this process."""

    kept: ClassVar[list[bytes]] = []

    def received(self, data: bytes) -> bytes:
        self.kept.append(data)
        return super().received(data)

    def sending(self, write):
        return super().sending(lambda data: (self.kept.append(data), write(data))[1])


class Fuzzed:
    """A coordinator and the other parties as processes, and honest frames recorded from them."""

    def __init__(self, folder: Path) -> None:
        self.network = Network(folder)
        self.network.start("coordinator", *(name for name in NAMES if name != MINE))
        self.federation = load_federation(self.network.shared)
        with self.everybody(Recorded) as session:
            for _ in range(5):  # in one or another this party computes
                self.ask(session)
        kept = {data for data in Recorded.kept if parse(data).message.kind != "bye"}  # it may end a party for good
        self.recorded = sorted(kept, key=len)[:400]  # not the longest: they are slow to send so often
        self.queries = sorted({parse(data).query[0] for data in self.recorded} - {b""})
        self.memory = self.memory_now()

    @property
    def address(self) -> str:
        return self.federation.coordinator.address

    def identity(self, *where: str) -> IdentityKey:
        return IdentityKey.from_file(self.network.folder.joinpath(*where, "identity.pem"))

    def login(self, role: str) -> ParticipantSide:
        name, key = ("bob", self.identity("bob")) if role == "analyst" else (MINE, self.identity(".fedsql", MINE))
        pinned = parse_public(self.federation.coordinator.public_key)
        return ParticipantSide(name, role, self.federation.name, key, pinned)

    @contextmanager
    def everybody(self, traffic: type[Traffic] = Traffic) -> Iterator[Session]:
        """Run the fuzzer's own party here, as it should be, and give a session of ada's once all are there."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(node, "Traffic", traffic)
            mine = PartyService(self.network.folder / f"{MINE}.toml", self.network.shared, settings=QUICK)
            remote = RemoteFederation(self.federation, "ada", self.network.folder / "ada" / "identity.pem")
        with closing(mine):
            mine.start()
            assert mine.wait_connected(20), mine.reason
            with closing(Session(remote, "ada", owns=True)) as session:
                with remote._live._changed:
                    assert remote._live._changed.wait_for(
                        lambda: all(each.reachable for each in remote._live.presence()), 20
                    )
                yield session

    def ask(self, session: Session) -> None:
        """Assert that an honest question to all parties is answered right."""
        for _ in range(100):  # until everybody has heard of the newest offers
            try:
                found: object = [tuple(row.values()) for row in session.execute(SQL).table.to_pylist()]
                break
            except OperationalError as error:
                found = error
        assert found == WHOLE

    def answered_right(self) -> None:
        with self.everybody() as session:
            self.ask(session)

    def memory_now(self) -> dict[str, int]:
        """Return what memory each process has, in bytes; nothing where that is not told."""
        found = {}
        for name, process in self.network.processes.items():
            file = Path(f"/proc/{process.pid}/status")
            if file.exists():
                lines = dict(line.split(":", 1) for line in file.read_text().splitlines())
                found[name] = int(lines["VmRSS"].split()[0]) << 10
        return found

    def check(self) -> None:
        """Assert that every process lives, has logged no traceback and has not grown."""
        for name, process in self.network.processes.items():
            assert process.poll() is None, name
            assert "Traceback" not in self.network.log(name), name
        for name, size in self.memory_now().items():
            assert size - self.memory[name] < MORE_MEMORY, (name, size, self.memory[name])


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory) -> Iterator[Fuzzed]:
    made = Fuzzed(tmp_path_factory.mktemp("fuzz"))
    yield made
    made.network.close()


def wild(fuzzed: Fuzzed, me: str, count: int, run: Callable[[Sequence[bytes]], None]) -> None:
    """Call ``run`` with lists of frames of ``me`` until there were ``count``."""
    others = [name for name in (*NAMES, COORDINATOR) if name != me]
    garbage = st.lists(frames(fuzzed.recorded, me, others, fuzzed.queries), min_size=EACH - 1, max_size=EACH - 1)
    sent = 0

    @settings(
        max_examples=-(-count // EACH),
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    @given(garbage, broken(fuzzed.recorded))
    def batches(good: Sequence[bytes], last: bytes) -> None:
        nonlocal sent
        listed = [each for each in good if not ends(each)] + [last]
        run(listed)
        sent += len(listed)

    while sent < count:
        batches()


def counted(request, share: float) -> int:
    return round(request.config.getoption("--frames") * share)


@pytest.mark.parametrize("role", ["analyst", "party"])
def test_random_frames_at_a_coordinator(fuzzed, role, request):
    login = fuzzed.login(role)
    told: set[bytes] = set()

    def run(garbage: Sequence[bytes]) -> None:
        with Stranger(fuzzed.address, login) as stranger:
            stranger.say(garbage)
            told.update(stranger.told)

    wild(fuzzed, ANALYST if role == "analyst" else MINE, counted(request, 0.4), run)
    assert not [each for each in told for leak in LEAKS if leak in each]
    fuzzed.check()
    fuzzed.answered_right()


def test_random_frames_before_a_login(fuzzed, request):
    """The first one or two end the connection, so that each comes over one of its own."""
    told: set[bytes] = set()

    def run(garbage: Sequence[bytes]) -> None:
        for number, data in enumerate(garbage):
            dial = control("dial", {"challenge": new_challenge()})
            with Stranger(fuzzed.address) as stranger:
                stranger.say([*dial, data] if number % 2 else [data])
                told.update(stranger.told)

    wild(fuzzed, MINE, counted(request, 0.03), run)
    assert not [each for each in told for leak in LEAKS if leak in each]
    fuzzed.check()
    fuzzed.answered_right()


def test_random_bodies_in_the_midst_of_queries(fuzzed, request):
    """A party that takes part as it should, but for one of its messages."""

    @settings(max_examples=max(4, counted(request, 0.001)), phases=[Phase.generate], database=None)
    @given(st.integers(3, 12), st.integers(0, 2**32))
    def ask(number: int, seed: int) -> None:
        sent = itertools.count()

        class Altering(Traffic):
            def sending(self, write):
                return super().sending(lambda data: write(change(data)))

        def change(data: bytes) -> bytes:
            frame = parse(data)
            if frame.query == CONTROL or frame.message.kind == PROGRESS or next(sent) % 12 != number:
                return data
            fields = decode(data)
            body = damaged(fields[9], seed) if frame.message.sealed else altered(fields[9], seed)
            return encode([*fields[:9], body])

        with fuzzed.everybody(Altering) as session:
            try:
                assert [tuple(row.values()) for row in session.execute(SQL).table.to_pylist()] == WHOLE
            except OperationalError as error:
                assert any(name in str(error) for name in (*NAMES, "coordinator", "analyst"))  # noqa: PT017

    ask()
    fuzzed.check()
    fuzzed.answered_right()


def test_random_frames_at_parties_of_a_coordinator(fuzzed, request):
    """Its key is in other hands. The parties end the connection, and come back to the honest one."""
    parties = [name for name in NAMES if name != MINE]
    pinned = {name: parse_public(fuzzed.federation.parties[name].public_key) for name in parties}
    fuzzed.network.end("coordinator")
    usurper = Usurper(
        fuzzed.address, fuzzed.federation.name, fuzzed.identity("coordinator"), lambda name, role: pinned.get(name)
    )
    turns = itertools.cycle(parties)
    wild(fuzzed, COORDINATOR, counted(request, 0.17), lambda garbage: usurper.send(next(turns), garbage))
    fuzzed.check()
    usurper.close()
    fuzzed.network.start("coordinator")
    fuzzed.answered_right()
