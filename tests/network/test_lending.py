"""An owner of a public table that goes away, comes back, or changes its rows, in a federation of services."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from process import QUICK
from world import Network

from fedsql.errors import PartyUnreachable, ProtocolError
from fedsql.executors.dry_run import dry_run, keep_offers, kept_offers
from fedsql.executors.engines.store import PartyStore
from fedsql.executors.live import signed_offer
from fedsql.executors.services.coordinator import CoordinatorService
from fedsql.executors.services.party import PartyService
from fedsql.executors.transport.node import Offered
from fedsql.planner.catalog import PublicTable
from fedsql.planner.question import Settings
from fedsql.session import Session

CODES = '[tables.codes]\nsource = "codes.parquet"\npublic = true\n[tables.codes.columns]\ncode = {}\n'
SQL = "SELECT g, COUNT(*) AS n, SUM(v) AS s FROM t JOIN codes ON g = code GROUP BY g ORDER BY g"
SHOWN = [("a", 16, 96)]  # of north and south; `b` has too few rows


class Services:
    """north and south hold patients, west the codes; all of them run in this process."""

    def __init__(self, network: Network, stack: ExitStack) -> None:
        self.network, self._stack = network, stack
        (network.folder / "west.toml").write_text(f'name = "west"\n{CODES}')
        self.write("a", "b")
        stack.enter_context(closing(CoordinatorService(network.shared, network.folder / "coordinator", settings=QUICK)))
        self.parties = {name: self.start(name) for name in ("north", "south", "west")}

    def write(self, *codes: str) -> None:
        pq.write_table(pa.table({"code": list(codes)}), self.network.folder / "codes.parquet")

    def start(self, name: str) -> PartyService:
        made = PartyService(self.network.folder / f"{name}.toml", self.network.shared, settings=QUICK)
        self._stack.enter_context(closing(made))
        made.start()
        assert made.wait_connected(20), made.reason
        return made


@pytest.fixture
def services(network: Network) -> Iterator[Services]:
    with ExitStack() as stack:
        yield Services(network, stack)


@pytest.fixture
def session(services: Services) -> Iterator[Session]:
    with closing(services.network.session()) as made:
        for name in services.parties:
            known(services, made, name)
        yield made


def known(services: Services, session: Session, name: str) -> None:
    """Wait until the analyst and every party know the newest offer of ``name``."""
    newest = services.parties[name].party.offer().encode()
    for live in (session.federation._live, *(each._live for each in services.parties.values())):
        with live._changed:
            assert live._changed.wait_for(
                lambda live=live: (found := live._newest.catalog.offer(name)) and found.encode() == newest, 20
            )


def rows(session: Session) -> list[tuple[object, ...]]:
    return [tuple(row.values()) for row in session.execute(SQL).table.to_pylist()]


def table_of(session: Session) -> PublicTable:
    return PublicTable.of(session.federation.directory.catalog.offer("west").table("codes"))


def test_rows_are_lent_and_fetched(session):
    assert rows(session) == rows(session) == SHOWN
    (found,) = session.federation.fetch(session._analyst, [table_of(session)]).values()
    assert found.to_pydict() == {"code": ["a", "b"]}


def test_a_query_needs_the_owner_and_says_so_before_anything_is_sent(services, session):
    table = table_of(session)
    session.federation.fetch(session._analyst, [table])
    services.parties["west"].close()
    live = session.federation._live
    with live._changed:
        assert live._changed.wait_for(lambda: not live.presence()[2].reachable, 20)
    with pytest.raises(PartyUnreachable, match="west is not connected") as error:
        session.execute(SQL)
    assert error.value.party == "west"
    assert services.network.charges("north") == []
    assert session.federation.fetch(session._analyst, [table])  # it is here
    with closing(services.network.session("bob")) as other, pytest.raises(PartyUnreachable, match="west"):
        other.federation.fetch(other._analyst, [table])


def test_an_owner_that_is_lost_before_it_sends_is_named_and_nobody_has_paid(services, session, monkeypatch):
    west = services.parties["west"]

    def lost(store: PartyStore, name: str) -> bytes:
        west._node._dialed.outbox.close()
        west._node._dialed._over.set()
        return b""

    with monkeypatch.context() as patch:
        patch.setattr(PartyStore, "rows_of", lost)
        with pytest.raises(PartyUnreachable, match="west") as error:
            session.execute(SQL)
    assert error.value.party == "west"
    assert services.network.charges("north") == services.network.charges("south") == []


def test_other_rows_are_another_table(services, session):
    assert rows(session) == SHOWN
    before = table_of(session)
    services.write("b")
    services.parties["west"].reload()
    known(services, session, "west")
    assert rows(session) == []
    assert before != table_of(session)
    with pytest.raises(ProtocolError, match="what west offers has changed"):
        session.federation.fetch(session._analyst, [before])
    (found,) = session.federation.fetch(session._analyst, [table_of(session)]).values()
    assert found.to_pydict() == {"code": ["b"]}


def test_offers_are_kept_whole_whoever_writes_at_once(tmp_path):
    """A running party and a second one, say, that is started beside it: each has a draft of its own."""
    heard = {name: Offered(0, True, name.encode() * 20_000) for name in ("north", "south")}
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: keep_offers(tmp_path, heard), range(200)))
    assert kept_offers(tmp_path) == heard
    assert [path.name for path in tmp_path.iterdir()] == ["offers.cbor"]


def test_an_owner_can_see_what_it_would_send(services):
    heard = {
        name: Offered(0, True, signed_offer(each.party.offer(), "hospitals", each.party.identity))
        for name, each in services.parties.items()
    }
    folder = services.network.folder
    keep_offers(folder / ".fedsql" / "west", heard)
    text, error = dry_run(folder / "west.toml", services.network.shared, SQL, "ada", Settings())
    assert error is None
    assert text.splitlines()[1:] == ["  it would send its public codes to whoever lacks it", "  it would run nothing"]
