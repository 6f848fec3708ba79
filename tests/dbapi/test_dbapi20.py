"""The two suites of PEP 249 that others wrote, over an embedded federation and its local tables. All of them pass but one.

`make test` fetches them; where they are not, the tests say so and are skipped.
"""

from __future__ import annotations

import pyarrow as pa

import fedsql
from tests.dbapi.suites import conformance

EXCEPTIONS = {
    "test_non_idempotent_close": (
        "it wants a second close() to raise, and says itself that reasonable persons differ; psycopg's suite, by consensus of"
        " the DB-SIG, does not, and sqlite3, psycopg and DuckDB do not raise either"
    )
}
SEEN = {"source": pa.table({"n": list(range(20))}), "columns": {"n": {"use": ["aggregate"], "bounds": [0, 100]}}}
FEDERATION = {"parties": {"north": {"tables": {"seen": SEEN}, "release": {"min_parties": 1}}}}


def connect() -> fedsql.Connection:
    return fedsql.connect(FEDERATION)


def nothing(test: object) -> None:
    """The tables of a test ended with its connection."""


TestPsycopg = conformance("psycopg", fedsql, connect, tearDown=nothing)
TestCompliance = conformance("compliance", fedsql, connect, EXCEPTIONS, tearDown=nothing)
