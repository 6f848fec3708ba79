"""The conformance suites of PEP 249 through ADBC's driver and the gateway: what they find is ADBC's part and ours together."""

from __future__ import annotations

import tempfile
import unittest
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import adbc_driver_flightsql.dbapi
import pytest

from fedsql.flight.service import GatewayService
from tests.dbapi import test_dbapi20 as fedsqls
from tests.dbapi.suites import conformance
from tests.flight.accounts import PASSWORD
from tests.flight.world import federation, gateway

# The driver forgets cursors that a test does not close.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

_NO_ROWS = (
    "ADBC has a result set after every statement, an empty one after those that have none: whatever a server says"
)
DRIVER = {
    "test_Binary": "ADBC's module has no Binary",
    "test_description": _NO_ROWS,
    "test_fetchall": _NO_ROWS,
    "test_fetchone": _NO_ROWS,
}
EXCEPTIONS = {"psycopg": DRIVER, "compliance": {**DRIVER, **fedsqls.EXCEPTIONS}}
_open = ExitStack()
_running: list[GatewayService] = []


def connect() -> Any:
    """Open a connection that is not in autocommit, as PEP 249 has it."""
    if not _running:
        folder = _open.enter_context(tempfile.TemporaryDirectory())
        _running.append(_open.enter_context(gateway(federation(Path(folder) / "f"))))
    return adbc_driver_flightsql.dbapi.connect(
        f"grpc://127.0.0.1:{_running[0].port}", db_kwargs={"username": "ada", "password": PASSWORD}
    )


@pytest.fixture(scope="module", autouse=True)
def _ended() -> Any:
    yield
    _open.close()
    _running.clear()


def _made(suite: str) -> type[unittest.TestCase]:
    return conformance(suite, adbc_driver_flightsql.dbapi, connect, EXCEPTIONS[suite], lower_func=None)


TestPsycopg = _made("psycopg")
TestCompliance = _made("compliance")
