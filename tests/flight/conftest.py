from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import adbc_driver_flightsql.dbapi
import pytest

from fedsql.flight.service import GatewayService
from tests.flight.accounts import PASSWORD
from tests.flight.raw import Raw
from tests.flight.world import federation, gateway


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayService]:
    with gateway(federation(tmp_path_factory.mktemp("federation"))) as running:
        yield running


@pytest.fixture
def raw(service: GatewayService) -> Iterator[Raw]:
    client = Raw(service)
    yield client
    client.close()


@pytest.fixture
def connect() -> Iterator[Callable[..., Any]]:
    opened = []

    def open_(service: GatewayService, user: str = "ada", **more: Any) -> Any:
        given = {"username": user, "password": PASSWORD, **more}
        connection = adbc_driver_flightsql.dbapi.connect(
            f"grpc://127.0.0.1:{service.port}", db_kwargs=given, autocommit=True
        )
        opened.append(connection)
        return connection

    yield open_
    for connection in opened:
        connection.close()


@pytest.fixture
def adbc(service: GatewayService, connect: Callable[..., Any]) -> Any:
    return connect(service)
