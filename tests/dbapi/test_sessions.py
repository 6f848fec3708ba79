"""Several sessions of one federation in one process: each asks, and is stopped, by itself."""

from __future__ import annotations

import threading
from typing import Any

import pyarrow as pa
import pytest

from fedsql.errors import OperationalError
from fedsql.executors.embedded import EmbeddedFederation
from fedsql.executors.protocol.wire import Message
from fedsql.session import Session

COLUMNS = {"k": {"use": ["group"]}, "v": {"use": ["filter", "aggregate"], "bounds": [0, 10]}}


def _config() -> dict[str, Any]:
    release = {"min_group_size": 1, "min_parties": 1}
    rows = pa.table({"k": ["a", "a", "b"], "v": [1, 2, 3]})
    party = {"tables": {"t": {"source": rows, "columns": COLUMNS}}, "release": release}
    return {"name": "two", "parties": {"north": party, "south": party}}


QUERY = "SELECT k, SUM(v) AS s FROM t GROUP BY k ORDER BY k"
ROWS = [{"k": "a", "s": 6}, {"k": "b", "s": 6}]


@pytest.fixture
def federation() -> Any:
    opened = EmbeddedFederation.open(_config())
    yield opened
    opened.close()


def test_two_sessions_of_one_name_both_ask(federation: EmbeddedFederation) -> None:
    sessions = [Session(federation, "ada"), Session(federation, "ada"), Session(federation, "bob")]
    for session in (*sessions, *sessions):
        assert session.execute(QUERY).table.to_pylist() == ROWS
    for session in sessions:
        session.close()


def test_one_session_is_stopped_and_not_another(federation: EmbeddedFederation, monkeypatch: Any) -> None:
    first, second = Session(federation, "ada"), Session(federation, "ada")
    asking, go_on = threading.Event(), threading.Event()
    failures: list[BaseException] = []
    ask = federation.ask

    def slowly(analyst: Any, question: Any, plan: Any, watch: Any, record: Any, on_progress: Any) -> Any:
        def held(message: Message) -> None:
            asking.set()
            go_on.wait(30)
            record(message)

        return ask(analyst, question, plan, watch, held, on_progress)

    def work() -> None:
        try:
            first.execute(QUERY)
        except OperationalError as error:
            failures.append(error)

    monkeypatch.setattr(federation, "ask", slowly)
    thread = threading.Thread(target=work)
    thread.start()
    assert asking.wait(30)
    monkeypatch.setattr(federation, "ask", ask)
    stopping = threading.Thread(target=first.interrupt)
    stopping.start()
    assert second.execute(QUERY).table.to_pylist() == ROWS
    go_on.set()
    stopping.join(30)
    thread.join(30)
    assert [str(each) for each in failures] == ["the query was cancelled"]
    assert first.execute(QUERY).table.to_pylist() == ROWS
    first.close()
    second.close()


def test_what_is_described_is_what_comes(federation: EmbeddedFederation) -> None:
    session = Session(federation)
    assert session.describe("SET epsilon = 2") is None
    assert session.settings.epsilon == 1
    assert session.describe("CREATE TABLE x AS SELECT 1 AS a") is None
    assert session.local.tables() == {}
    shown = session.describe("SHOW TABLES")
    assert shown is not None
    assert not isinstance(shown, tuple)
    assert shown.table.num_rows == 2
    session.execute("CREATE TABLE e AS SELECT 'x'::ENUM('x', 'y') AS e, 1.5::DECIMAL(9,2) AS d, now()::TIMESTAMP AS t")
    for sql, given in (
        (QUERY, ()),
        ("SELECT SUM(v) AS s, AVG(v), COUNT(*) FROM t WHERE v > ?", (1,)),
        ("SELECT * FROM e", ()),
        ("SELECT 1 AS a, 2 AS a, INTERVAL 1 DAY AS i, [1] AS l, now() AS n, 'a'::BLOB AS b", ()),
    ):
        described = session.describe(sql, given)
        assert isinstance(described, tuple)
        answer = session.execute(sql, given)
        assert answer.columns == described
        assert answer.table.schema.equals(session.schema(described))
    session.close()
