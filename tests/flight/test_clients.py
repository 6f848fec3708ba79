"""Sessions of the gateway: by what they are known, how long they last, who has which."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import adbc_driver_flightsql.dbapi
import pyarrow.flight as flight
import pytest

from fedsql.config.users import change_users
from fedsql.errors import ConfigError, OperationalError
from fedsql.flight import clients as module
from fedsql.flight.clients import Clients
from fedsql.flight.service import GatewayService
from fedsql.flight.users import User
from tests.flight.accounts import PASSWORD, accounts
from tests.flight.raw import Raw
from tests.flight.world import federation


class _Everybody:
    gone: frozenset[str] = frozenset()

    def current(self, user: User) -> bool:
        return user.name not in self.gone


class _Session:
    closed = False

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def clients() -> Clients:
    now = [0.0]
    made = Clients(lambda analyst: _Session(), _Everybody(), 60.0, clock=lambda: now[0])  # type: ignore[arg-type,return-value]
    made.now = now  # type: ignore[attr-defined]
    return made


ADA = User("ada", "ada")


def test_a_login_is_a_session_of_its_own(clients: Clients) -> None:
    (one, first), (two, second) = clients.login(ADA), clients.login(ADA)
    assert first is not second
    assert clients.of(one) is first
    assert clients.of(two) is second
    assert clients.of("x") is None


def test_idle_sessions_end_and_used_ones_do_not(clients: Clients) -> None:
    (one, first), (two, _), (three, third) = (clients.login(ADA) for _ in range(3))
    session = first.session
    clients.now[0] = 50.0  # type: ignore[attr-defined]
    with clients.call(third):
        clients.now[0] = 61.0  # type: ignore[attr-defined]
        clients.sweep()
        assert clients.of(one) is None
        assert clients.of(two) is None
        assert clients.of(three) is third
    assert session.closed  # type: ignore[attr-defined]
    clients.now[0] = 120.0  # type: ignore[attr-defined]
    clients.sweep()
    assert clients.of(three) is third
    clients.now[0] = 122.0  # type: ignore[attr-defined]
    clients.sweep()
    assert clients.count() == 0


def test_sessions_of_those_who_are_gone_end(clients: Clients, monkeypatch: pytest.MonkeyPatch) -> None:
    (token, _), (other, client) = clients.login(ADA), clients.login(User("bob", "bob"))
    monkeypatch.setattr(_Everybody, "gone", frozenset({"ada"}))
    assert clients.of(token) is None
    assert clients.of(other) is client


def test_there_is_a_limit(clients: Clients, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_OF_ONE", 3)
    for _ in range(3):
        clients.login(ADA)
    with pytest.raises(OperationalError, match="too many sessions"):
        clients.login(ADA)
    clients.login(User("bob", "bob"))


def test_nobody_comes_in_while_it_ends(clients: Clients) -> None:
    _, client = clients.login(ADA)
    with clients.call(client):
        assert not clients.drain(0.0)
    assert clients.drain(0.0)
    with pytest.raises(OperationalError, match="shutting down"):
        clients.login(ADA)


@pytest.fixture
def started(tmp_path: Path) -> Iterator[tuple[GatewayService, dict[str, str], Path]]:
    file = federation(tmp_path / "f")
    users, tokens = accounts(file.parent)
    service = GatewayService(file, users)
    service.start()
    yield service, tokens, file.parent / "gateway" / "users.toml"
    service.close()


def test_tokens(started: tuple[GatewayService, dict[str, str], Path]) -> None:
    service, tokens, file = started
    raw = Raw(service, None, [(b"authorization", f"Bearer {tokens['ada']}".encode())])
    raw.query("CREATE TABLE mine AS SELECT 1 AS a")
    again = Raw(service, None, raw.headers)
    assert again.query("SELECT a FROM mine").to_pylist() == [{"a": 1}]  # one token, one session
    other = Raw(service, None, [(b"authorization", f"Bearer {tokens['bob']}".encode())])
    with pytest.raises(flight.FlightServerError, match="no table mine"):
        other.query("SELECT a FROM mine")
    connection = adbc_driver_flightsql.dbapi.connect(
        f"grpc://127.0.0.1:{service.port}",
        db_kwargs={"adbc.flight.sql.authorization_header": f"Bearer {tokens['ada']}"},
        autocommit=True,
    )
    with connection.cursor() as cursor:
        cursor.execute("SELECT a FROM mine")
        assert cursor.fetchall() == [(1,)]
    connection.close()  # says goodbye for the token's session
    change_users(file, lambda found: {"bob": found.users["bob"]})
    service.reload()
    with pytest.raises(flight.FlightUnauthenticatedError, match="token is not known"):
        raw.query("SELECT 1 AS a")
    assert other.query("SELECT 1 AS a").num_rows == 1


def test_a_password_with_every_call_is_one_session(started: tuple[GatewayService, dict[str, str], Path]) -> None:
    import base64

    service, _, _ = started
    basic = base64.b64encode(f"ada:{PASSWORD}".encode())
    raw = Raw(service, None, [(b"authorization", b"Basic " + basic)])
    raw.query("CREATE TABLE mine AS SELECT 1 AS a")
    assert raw.query("SELECT a FROM mine").to_pylist() == [{"a": 1}]
    assert service.clients.count() == 1


def test_a_cookie_parts_the_sessions_of_one_token(started: tuple[GatewayService, dict[str, str], Path]) -> None:
    service, tokens, _ = started
    bearer = (b"authorization", f"Bearer {tokens['ada']}".encode())
    received: list[dict[str, Any]] = []

    class Middleware(flight.ClientMiddleware):  # type: ignore[misc]
        def received_headers(self, headers: Any) -> None:
            received.append(headers)

    class Factory(flight.ClientMiddlewareFactory):  # type: ignore[misc]
        def start_call(self, info: Any) -> Middleware:
            return Middleware()

    made = []
    for _ in range(2):
        client = flight.FlightClient(f"grpc://127.0.0.1:{service.port}", middleware=[Factory()])
        client.authenticate(_Silent(), flight.FlightCallOptions(headers=[bearer]))
        (cookie,) = (h["set-cookie"][0] for h in received if "set-cookie" in h)
        received.clear()
        made.append(Raw(service, None, [bearer, (b"cookie", cookie.partition(";")[0].encode())]))
        client.close()
    made[0].query("CREATE TABLE mine AS SELECT 1 AS a")
    assert made[0].query("SELECT a FROM mine").num_rows == 1
    with pytest.raises(flight.FlightServerError, match="no table mine"):
        made[1].query("SELECT a FROM mine")
    stolen = Raw(service, None, [(b"authorization", f"Bearer {tokens['bob']}".encode()), made[0].headers[1]])
    with pytest.raises(flight.FlightServerError, match="no table mine"):
        stolen.query("SELECT a FROM mine")


class _Silent(flight.ClientAuthHandler):  # type: ignore[misc]
    def authenticate(self, outgoing: Any, incoming: Any) -> None:
        pass

    def get_token(self) -> bytes:
        return b""


def test_a_short_idle_time_ends_a_session(tmp_path: Path) -> None:
    file = federation(tmp_path / "f")
    service = GatewayService(file, accounts(file.parent)[0], idle=0.0)
    service.start()
    raw = Raw(service)
    service.clients.sweep()
    with pytest.raises(flight.FlightUnauthenticatedError, match="session has ended"):
        raw.query("SELECT 1 AS a")
    service.close()


def test_closing_frees_the_port(tmp_path: Path) -> None:
    file = federation(tmp_path / "f")
    users, _ = accounts(file.parent)
    first = GatewayService(file, users)
    first.start()
    late = GatewayService(file, users, port=first.port)
    with pytest.raises(ConfigError, match="cannot listen here"):
        late.start()
    late.close()
    port = first.port
    first.close()
    second = GatewayService(file, users, port=port)
    second.start()
    assert Raw(second).query("SELECT 1 AS a").num_rows == 1
    second.close()
