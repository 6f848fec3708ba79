"""A tool that opens its tree of tables sees all there is, and it costs nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow.flight as flight
import pytest

from fedsql import demo
from fedsql.session import Session
from tests.flight.crawl import CODES, crawl, wide
from tests.flight.raw import Raw
from tests.flight.world import federation, gateway


@pytest.fixture
def client(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Raw, Path]]:
    made = {"demo": lambda folder: demo.write(folder, noise=True), "small": federation, "wide": wide}
    file = made[request.param](tmp_path / "f")
    with gateway(file) as service:
        raw = Raw(service)
        yield raw, file
        raw.close()


def _budget(raw: Raw) -> list[Any]:
    return raw.query("SHOW BUDGET").to_pylist()


def _columns(session: Session, schema: str, table: str) -> list[tuple[str, str]]:
    answer = session.execute(f"DESCRIBE {table}" if schema == "main" else f"DESCRIBE {schema}.{table}")
    assert answer.table is not None
    return [(row["column"], row["type"]) for row in answer.table.to_pylist()]


@pytest.mark.parametrize("client", ["demo", "small", "wide"], indirect=True)
def test_a_crawl_sees_everything_and_costs_nothing(client: tuple[Raw, Path]) -> None:
    raw, file = client
    before = _budget(raw)
    seen = crawl(raw)
    assert _budget(raw) == before
    assert {row["queries_used"] for row in before} == {0}
    assert seen.codes == len(CODES)
    with closing(Session.open(file)) as session:
        catalog = session.federation.directory.catalog
        names = {(offer.party, table.name) for offer in catalog.offers for table in offer.tables}
        names |= {("main", table) for _, table in names}
        listed = {(schema, table): _columns(session, schema, table) for schema, table in names}
    assert seen.catalogs == [catalog.federation]
    assert seen.schemas == ["main", *sorted(offer.party for offer in catalog.offers)]
    assert seen.columns == listed
    assert {key: names for key, names in seen.described.items() if names != ["n"]} == {}
    assert {schema for schema, _ in seen.described} == {"main"}


def test_keys_are_told_from_both_ends(tmp_path: Path) -> None:
    with gateway(federation(tmp_path / "f")) as service:
        raw = Raw(service)
        seen = crawl(raw, None)
        raw.close()
    for schema in seen.schemas:
        assert seen.imported[schema, "visits"] == [("patient", "t", "id")]
        assert seen.exported[schema, "t"] == [("id", "visits", "patient")]
        assert seen.imported[schema, "t"] == seen.exported[schema, "visits"] == seen.primary[schema, "t"] == []


@pytest.mark.parametrize("client", ["demo"], indirect=True)
def test_a_preview_of_rows_is_refused_with_what_to_write_instead(client: tuple[Raw, Path]) -> None:
    raw, _ = client
    for preview in ("SELECT * FROM {t} LIMIT 100", "SELECT * FROM {t}"):
        with pytest.raises(flight.FlightUnauthorizedError, match="HINT: ") as refused:
            raw.prepare(preview.format(t='"patients"'))
        assert "Traceback" not in str(refused.value)
    assert {row["queries_used"] for row in _budget(raw)} == {0}
