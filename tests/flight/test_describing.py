"""A statement that takes too much while it is only read: its user is told, others are answered, and the gateway stays as it is."""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow.flight as flight
import pytest

from fedsql.executors.engines.describer import Describer
from fedsql.flight import messages
from tests.flight.raw import Raw
from tests.flight.world import federation, gateway
from tests.memory import ROOM, TOO_MUCH, children, forget_peak, is_there, peak

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


@pytest.mark.parametrize("sql", TOO_MUCH)
@pytest.mark.parametrize(
    "written", ["{}", "CREATE VIEW v AS {}", "SELECT COUNT(*) AS n FROM t WHERE v < ({})", "EXPLAIN {}"]
)
def test_it_is_refused_and_others_are_answered(tmp_path: Path, sql: str, written: str) -> None:
    describer = Describer(seconds=0.3, memory=256 << 20)
    with gateway(federation(tmp_path / "f"), described=describer) as service:
        ada, bob = Raw(service, "ada"), Raw(service, "bob")
        assert ada.query("SELECT COUNT(*) AS n FROM t").to_pydict() == {"n": [63]}
        (started,) = children(os.getpid())
        before = forget_peak(os.getpid())
        with ThreadPoolExecutor(2) as pool:
            refused = pool.submit(ada.info, messages.CommandStatementQuery(query=written.format(sql)))
            others = [pool.submit(bob.query, f"SELECT v AS v{i} FROM t LIMIT 0") for i in range(3)]
            assert [other.result().column_names for other in others] == [["v0"], ["v1"], ["v2"]]
            with pytest.raises(flight.FlightError, match="describing the statement takes over") as caught:
                refused.result()
        assert b"54001" in caught.value.extra_info
        assert "write their values" in str(caught.value)
        assert ada.query("SELECT COUNT(*) AS n FROM t WHERE v >= 0").to_pydict() == {"n": [63]}
        assert peak(os.getpid()) - before < ROOM
        assert not is_there(started)
        (last,) = children(os.getpid())
    assert not is_there(last)
