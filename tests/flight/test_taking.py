"""What one user may take of the gateway's machine: memory, threads, time of everybody's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import duckdb
import pyarrow.flight as flight
import pytest

from fedsql.errors import OperationalError
from fedsql.flight import clients, messages, parameters
from fedsql.flight import service as module
from fedsql.flight.service import GatewayService
from fedsql.workbench import taken
from tests.flight.raw import Raw
from tests.flight.world import federation, gateway

MANY = "SELECT i AS i, repeat('x', 100) AS x FROM range(1000000) AS r(i)"


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[GatewayService]:
    monkeypatch.setattr(module, "LIMITS", replace(module.LIMITS, memory="64MiB", result=1 << 20))
    with gateway(federation(tmp_path / "f")) as running:
        yield running


def test_a_result_has_a_limit(small: GatewayService) -> None:
    raw = Raw(small)
    with pytest.raises(flight.FlightServerError, match="over 1 MiB"):
        raw.query(MANY)
    raw.query("CREATE TABLE own (a INTEGER)")
    returning = "INSERT INTO own SELECT i FROM range(10000) AS r(i) RETURNING repeat('x', 1000)"
    with pytest.raises(flight.FlightServerError, match="over 1 MiB"):
        raw.put(messages.CommandStatementUpdate(query=returning))
    assert raw.query("SELECT COUNT(*) AS n FROM t").num_rows == 1


def test_local_tables_have_a_limit_and_take_no_disk(small: GatewayService) -> None:
    raw, other = Raw(small), Raw(small, "bob")
    with pytest.raises(flight.FlightServerError, match=r"(?i)memory") as caught:
        raw.query(f"CREATE TABLE many AS {MANY}")
    assert b"53200" in caught.value.extra_info
    first, *_ = small.clients._known.values()
    setting = first.session._local.execute("SELECT current_setting('temp_directory')")
    assert setting.fetchall() == [("",)]
    assert raw.query("SELECT COUNT(*) AS n FROM t").equals(other.query("SELECT COUNT(*) AS n FROM t"))


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT CAST(CASE WHEN i = 200000 THEN 'x' ELSE '1' END AS INTEGER) AS a FROM range(300000) AS r(i)",
        "SELECT 9223372036854775807 - 100000 + i AS a FROM range(300000) AS r(i)",
    ],
)
def test_what_fails_fails_alike_with_a_limit(sql: str) -> None:
    with duckdb.connect() as con:
        with pytest.raises(duckdb.Error) as free:
            taken(con.sql(sql), None)
        with pytest.raises(type(free.value)) as limited:
            taken(con.sql(sql), 1 << 30)
        assert str(limited.value) == str(free.value)


def test_rows_are_the_same_with_a_limit() -> None:
    with duckdb.connect() as con:
        for sql in (f"{MANY} LIMIT 200000", "SELECT 1 AS a WHERE false", "SELECT 'a'::ENUM('a', 'b') AS e, NULL AS n"):
            assert taken(con.sql(sql), 1 << 30).equals(taken(con.sql(sql), None))
        with pytest.raises(OperationalError):
            taken(con.sql(MANY), 1000)


def test_calls_at_once_have_a_limit(service: GatewayService, monkeypatch: pytest.MonkeyPatch) -> None:
    raw, second, other = Raw(service), Raw(service), Raw(service, "bob")
    monkeypatch.setattr(clients, "CALLS", 1)
    running = service.clients
    with running.call(list(running._known.values())[-3]):
        with pytest.raises(flight.FlightServerError, match="too many calls at once"):
            second.query("SELECT 1 AS a")
        assert other.query("SELECT 1 AS a").num_rows == 1
    assert raw.query("SELECT 1 AS a").num_rows == 1


def test_a_statement_has_a_limit(raw: Raw) -> None:
    with pytest.raises(flight.FlightServerError, match="characters"):
        raw.query(f"SELECT {' ' * parameters.TEXT} 1 AS a")
