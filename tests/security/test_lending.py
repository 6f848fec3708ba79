"""Public tables in whole statements, through a session: also with a real coordinator in between (pytest --network)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest
from lending import CODES, NAMED, NAMING, SQL, public, world

from fedsql.errors import OperationalError, PolicyDenied, ProtocolError
from fedsql.executors.engines.store import PartyStore
from fedsql.planner.catalog import PublicTable
from fedsql.session import Session


@pytest.fixture
def session() -> Iterator[Session]:
    made = Session.open(world(), "ada")
    yield made
    made.close()


def rows(session: Session, sql: str = SQL) -> list[dict[str, Any]]:
    return session.execute(sql).table.to_pylist()


def table_of(session: Session) -> PublicTable:
    return PublicTable.of(session.federation.directory.catalog.offer("lib").table("codes"))


def test_fragments_and_the_final_block_read_a_public_table(session, monkeypatch):
    fetched = []
    original = session.federation.fetch
    monkeypatch.setattr(session.federation, "fetch", lambda *given: fetched.append(given[1]) or original(*given))
    for _ in range(2):
        answer = session.execute(NAMING)
        assert answer.table.to_pylist() == NAMED
        assert answer.parties == ("north", "south")
    assert fetched == [[table_of(session)]]
    spent = {row["party"]: row["queries_used"] for row in session.execute("SHOW BUDGET").table.to_pylist()}
    assert spent == {"lib": 0, "north": 1, "south": 1}


def test_a_statement_over_public_tables_alone_asks_no_party(session):
    answer = session.execute("SELECT count(name) AS n FROM codes WHERE code IS NOT NULL")
    assert answer.table.to_pylist() == [{"n": 2}]
    assert (answer.query_id, answer.sent) == (None, ())


def test_who_may_not_have_a_table_gets_an_error_that_says_so():
    session = Session.open(world(codes=public(analysts=["bob"])), "ada")
    for sql in (NAMING, "SELECT count(*) FROM codes"):
        with pytest.raises(PolicyDenied, match="lib does not offer codes to ada"):
            session.execute(sql)
    session.close()


def test_a_table_in_many_parts_arrives(session):
    """Over the network a message of this size is cut."""
    many = pa.table({"code": [f"{'x' * 90}{i}" for i in range(100_000)] + ["aa", "bb"]})
    big = Session.open(world(codes=public(many)), "ada")
    assert [row["n"] for row in rows(big, SQL + " ORDER BY g")] == [41, 61]
    found = big.federation.fetch(big._analyst, [table_of(big)])
    assert found[table_of(big).relation].column("code").to_pylist() == many.column("code").to_pylist()
    big.close()


def test_an_owner_that_sends_other_rows_is_named(session, monkeypatch):
    other = Session.open(world(codes=public(CODES.slice(1))), "ada")
    wrong = other.federation.parties["lib"].engine.rows_of("codes")
    other.close()
    with monkeypatch.context() as patch:
        patch.setattr(PartyStore, "rows_of", lambda self, name: wrong)
        for sql in (SQL, NAMING):
            with pytest.raises(ProtocolError, match="the rows of codes that lib sent are not those that it offers"):
                session.execute(sql)
    assert rows(session, NAMING) == NAMED


def test_an_owner_that_fails_ends_the_query_and_is_named(session, monkeypatch):
    for sql in (SQL, NAMING):
        with monkeypatch.context() as patch:
            patch.setattr(PartyStore, "rows_of", lambda self, name: 1 / 0)
            with pytest.raises(OperationalError, match=r"^lib: a party could not run its part of the query$"):
                session.execute(sql)
    assert rows(session, NAMING) == NAMED
