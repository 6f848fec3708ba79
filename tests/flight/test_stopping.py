"""What runs ends when its client has gone: hung up, logged out, or no longer among the users; and nothing runs twice."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.flight as flight
import pytest

from fedsql.answer import Answer
from fedsql.config.users import change_users
from fedsql.errors import Cancelled
from fedsql.flight import messages
from fedsql.flight.clients import Client
from fedsql.flight.service import GatewayService
from fedsql.flight.statements import Pending, Results
from fedsql.session import Session
from tests.flight.raw import Raw
from tests.flight.world import federation, gateway

ENDLESS = "SELECT COUNT(*) AS n FROM range(100000000000000) AS r(i) WHERE i % 7 = 1"
FOREVER = f"CREATE TABLE endless AS {ENDLESS}"
LONG = 60.0  # seconds; more than any of this takes
AGGREGATE = "SELECT COUNT(*) AS n FROM t"


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Tells when a statement begins to run in a session's database."""
    event = threading.Event()
    execute = Session.execute

    def told(self: Session, sql: str, *more: Any) -> Answer:
        event.set()
        return execute(self, sql, *more)

    monkeypatch.setattr(Session, "execute", told)
    return event


def _in_background(work: Callable[[], object]) -> threading.Thread:
    def quietly() -> None:
        with suppress(flight.FlightError):
            work()

    thread = threading.Thread(target=quietly, daemon=True)
    thread.start()
    return thread


def _ended(work: Callable[[], object]) -> bool:
    thread = _in_background(work)
    thread.join(LONG)
    return not thread.is_alive()


@pytest.mark.parametrize("put", [False, True])
def test_the_statement_of_a_user_who_is_gone_keeps_nobody_waiting(
    tmp_path: Path, begun: threading.Event, put: bool
) -> None:
    file = federation(tmp_path / "f")
    with gateway(file) as service:
        ada, command = Raw(service), messages.CommandStatementUpdate if put else messages.CommandStatementQuery
        made = command(query=FOREVER)
        running = _in_background(lambda: ada.put(made) if put else ada.info(made))
        assert begun.wait(LONG)
        change_users(file.parent / "gateway" / "users.toml", lambda found: {"bob": found.users["bob"]})
        assert _ended(service.reload)
        running.join(LONG)
        assert not running.is_alive()
        assert Raw(service, "bob").query("SELECT 1 AS a").num_rows == 1


@pytest.mark.parametrize("command", [messages.CommandStatementQuery, messages.CommandStatementUpdate])
def test_who_hangs_up_stops_what_writes(service: GatewayService, begun: threading.Event, command: Any) -> None:
    raw = Raw(service)
    raw.timeout = 2
    with pytest.raises(flight.FlightTimedOutError):
        (raw.info if command is messages.CommandStatementQuery else raw.put)(command(query=FOREVER))
    raw.timeout = LONG
    assert begun.is_set()
    assert raw.query("SELECT 1 AS a").num_rows == 1  # it has had its turn


def test_what_is_cancelled_as_it_begins_is_cancelled(service: GatewayService, monkeypatch: pytest.MonkeyPatch) -> None:
    raw, stopping = Raw(service), threading.Event()
    interrupt = Session.interrupt

    def told(self: Session) -> None:
        interrupt(self)
        stopping.set()

    def later(self: Client, session: Session, *more: Any) -> Answer:
        assert stopping.wait(LONG)  # the session is told before it has begun, and takes no notice
        return execute(self, session, *more)

    execute = Client._execute
    monkeypatch.setattr(Session, "interrupt", told)
    monkeypatch.setattr(Client, "_execute", later)
    info = raw.info(messages.CommandStatementQuery(query=ENDLESS))
    asked: list[BaseException] = []

    def fetch() -> None:
        try:
            raw.get(info)
        except flight.FlightError as error:
            asked.append(error)

    fetching = threading.Thread(target=fetch, daemon=True)
    fetching.start()
    client = list(service.clients._known.values())[-1]
    while client._running is None:
        fetching.join(0.01)
    client.stop(client._running)
    fetching.join(LONG)
    assert [type(error) for error in asked] == [flight.FlightCancelledError]


def test_of_those_who_leave_together_the_last_one_stops_it() -> None:
    ran, stopped, leave = [], threading.Event(), threading.Barrier(2)
    let = threading.Event()

    def run() -> Answer:
        ran.append(1)
        let.wait(LONG)
        raise Cancelled("it was cancelled")

    def stop(pending: Pending) -> None:
        pending.cancelled = True
        stopped.set()
        let.set()

    def gone() -> bool:
        leave.wait(LONG)
        return True

    pending, results = Pending(pa.schema([]), run), Results()
    handle = results.add(pending)

    def fetch() -> None:
        with pytest.raises(Cancelled):
            results.fetch(handle, gone, stop)

    threads = [threading.Thread(target=fetch) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG)
    assert stopped.is_set()
    with pytest.raises(Cancelled):
        results.fetch(handle, lambda: False, stop)
    assert ran == [1]


def test_results_are_forgotten_as_soon_as_they_are_too_large_together() -> None:
    results = Results(kept=64, room=1000)
    table = pa.table({"a": pa.array(range(100), pa.int64())})
    handles = [results.add(Pending(table.schema, lambda: Answer(table))) for _ in range(3)]
    for handle in handles:
        assert results.fetch(handle, lambda: False, lambda pending: None).num_rows == 100
    assert len(results._known) == 1
    assert results.fetch(handles[2], lambda: False, lambda pending: None).num_rows == 100


def test_the_log_says_who_asked_by_whatever_way(service: GatewayService, caplog: pytest.LogCaptureFixture) -> None:
    raw = Raw(service, "bob")
    with caplog.at_level(logging.INFO, "fedsql.gateway"):
        raw.put(messages.CommandStatementUpdate(query=AGGREGATE))
    (record,) = (each for each in caplog.records if each.message == "answered")
    assert "bob" in str(record.__dict__)
