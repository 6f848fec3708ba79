"""What the tests of the DB-API share: a small federation whose two parties show every group."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from decimal import Decimal

import pyarrow as pa
import pytest

import fedsql

STAMP = datetime.datetime(2020, 1, 2, 3, 4, 5, 6)
ROWS = pa.table(
    {
        "g": ["a", "b"] * 20,
        "x": list(range(40)),
        "price": [Decimal("1.50")] * 20 + [Decimal("2.50")] * 20,
        "day": [datetime.date(2020, 1, 1 + i // 2) for i in range(40)],
        "moment": [STAMP + datetime.timedelta(hours=i) for i in range(40)],
        "clock": [datetime.time(i // 2, 30) for i in range(40)],
        "zoned": pa.array([STAMP.replace(tzinfo=datetime.UTC)] * 40, pa.timestamp("us", "UTC")),
        "code": [bytes([i % 4, 39]) for i in range(40)],
        "yes": [i % 3 == 0 for i in range(40)],
    }
)
USE = {name: {"use": ["group", "filter"]} for name in ROWS.column_names}
USE["x"] = {"use": ["filter", "aggregate"], "bounds": [0, 100]}
TABLE = {"source": ROWS, "columns": USE}
RELEASE = {"min_group_size": 1, "min_parties": 1}
FEDERATION = {"parties": {name: {"tables": {"t": TABLE}, "release": RELEASE} for name in ("north", "south")}}


@pytest.fixture(scope="module")
def small() -> Iterator[fedsql.Connection]:
    """A connection; its local tables are those of a whole file of tests."""
    with fedsql.connect(FEDERATION) as opened:
        yield opened
