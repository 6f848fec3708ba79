"""The gateway of a federation over the network: real processes, each user asks as an analyst with a budget of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import adbc_driver_manager
import pytest

from fedsql.errors import OperationalError
from fedsql.flight.service import GatewayService
from tests.flight.accounts import accounts
from tests.network.world import NAMES, SQL, WHOLE, Network


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    made = Network(
        tmp_path_factory.mktemp("network"), "min_group_size = 10\nmin_parties = 2\n[release.quota]\nqueries = 40"
    )
    made.start("coordinator", *NAMES)
    with closing(made.session()) as session:
        for _ in range(5):  # the first question of new processes may take longer than their short deadlines
            with suppress(OperationalError):
                session.execute(SQL)
                break
    yield made
    made.close()


@pytest.fixture(scope="module")
def service(network: Network) -> Iterator[GatewayService]:
    running = GatewayService(network.shared, accounts(network.folder, "ada", "bob", "eve")[0])
    running.start()
    yield running
    running.close()


def test_each_user_asks_as_an_analyst(service: GatewayService, connect: Callable[..., Any]) -> None:
    used = {}
    for user, times in (("ada", 2), ("bob", 1)):
        with connect(service, user).cursor() as cursor:
            cursor.execute("SHOW BUDGET")
            before = {row[0]: row[1] for row in cursor.fetchall()}
            for number in range(times):
                cursor.execute(SQL.replace("GROUP", f"WHERE v > {number} - 10 GROUP"))
                assert cursor.fetchall() == WHOLE
            cursor.execute("SHOW BUDGET")
            used[user] = {row[1] - before[row[0]] for row in cursor.fetchall()}
    assert used == {"ada": {2}, "bob": {1}}


def test_a_user_whose_analyst_has_no_key(service: GatewayService, connect: Callable[..., Any]) -> None:
    said = "the gateway cannot ask as the analyst eve"  # and no path of the gateway's machine
    with connect(service, "eve").cursor() as cursor, pytest.raises(adbc_driver_manager.Error, match=said) as caught:
        cursor.execute("SHOW TABLES")
    assert ".pem" not in f"{caught.value} {caught.value.details}"


def test_many_at_once(service: GatewayService, connect: Callable[..., Any]) -> None:
    wrong: list[object] = []
    start = threading.Barrier(24)

    def ask(number: int, connection: Any) -> None:
        try:
            start.wait(60)
            with connection.cursor() as cursor:
                cursor.execute(SQL)
                if (rows := cursor.fetchall()) != WHOLE:
                    wrong.append(rows)
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=ask, args=(n, connect(service, ("ada", "bob")[n % 2]))) for n in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert wrong == []


def test_a_party_that_is_away_is_named(
    network: Network, service: GatewayService, connect: Callable[..., Any], tmp_path: Path
) -> None:
    network.end("west")
    with connect(service).cursor() as cursor:
        cursor.execute(SQL.replace("GROUP", "WHERE v > 3 GROUP"))
        with pytest.raises(adbc_driver_manager.Error, match="west is not connected"):
            cursor.fetchall()
    network.start("west")
    with connect(service).cursor() as cursor:
        cursor.execute(SQL)
        assert cursor.fetchall() == WHOLE
