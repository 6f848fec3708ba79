"""Superset is set up by `make test-bi`, which names its environment in FEDSQL_SUPERSET; nothing here runs without it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from fedsql import demo
from fedsql.flight.service import GatewayService
from fedsql.flight.tls import own
from tests.bi.portal import Superset
from tests.flight.world import gateway

SUPERSET = os.environ.get("FEDSQL_SUPERSET")
collect_ignore_glob = [] if SUPERSET else ["test_*.py"]


@pytest.fixture(scope="session")
def hospitals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return demo.write(tmp_path_factory.mktemp("demo") / "hospitals", noise=False)


@pytest.fixture(scope="session")
def service(hospitals: Path) -> Iterator[GatewayService]:
    with gateway(hospitals) as running:
        yield running


@pytest.fixture(scope="session")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[GatewayService, Path]]:
    """A gateway with a certificate of its own, and the file of the authority that clients trust."""
    file = demo.write(tmp_path_factory.mktemp("demo") / "hospitals", noise=False)
    tls = own(file.parent / "gateway", [], "hospitals")
    assert tls.authority is not None
    with gateway(file, tls=(tls.chain, tls.key)) as running:
        yield running, tls.authority


@pytest.fixture(scope="session")
def superset(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Superset]:
    assert SUPERSET is not None
    running = Superset(Path(SUPERSET), tmp_path_factory.mktemp("superset") / "home")
    yield running
    running.close()
