"""docs/bi.md says what is true: its Python runs against a gateway with TLS, and its messages and answers are these."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import adbc_driver_flightsql.dbapi as adbc
import pytest

from fedsql import demo
from fedsql.flight.tls import own
from tests.flight.accounts import PASSWORD
from tests.flight.world import gateway

PAGE = Path(__file__).parents[2] / "docs" / "bi.md"
TEXT = PAGE.read_text(encoding="utf-8")
ADDRESS = "gateway.example:31338"


def _rows(section: str) -> list[list[str]]:
    """Return the cells of the rows of the first table below a heading."""
    text = TEXT.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, int]]:
    """The folder of a gateway's federation file, and its port."""
    file = demo.write(tmp_path_factory.mktemp("demo") / "hospitals", noise=False)
    tls = own(file.parent / "gateway", [], "hospitals")
    with gateway(file, tls=(tls.chain, tls.key)) as service:
        yield file.parent, service.port


@pytest.fixture
def cursor(place: tuple[Path, int]) -> Iterator[Any]:
    folder, port = place
    options = {"username": "ada", "password": PASSWORD}
    options["adbc.flight.sql.client_option.tls_root_certs"] = (folder / "gateway" / "ca.pem").read_text()
    with (
        adbc.connect(f"grpc+tls://localhost:{port}", db_kwargs=options, autocommit=True) as connection,
        connection.cursor() as made,
    ):
        yield made


def test_every_block_of_python_runs(place: tuple[Path, int], monkeypatch: pytest.MonkeyPatch) -> None:
    folder, port = place
    monkeypatch.chdir(folder)
    blocks = re.findall(r"^```python\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
    shared: dict[str, Any] = {}
    found = []
    for block in blocks:
        assert PASSWORD in blocks[0]
        exec(compile(block.replace(ADDRESS, f"localhost:{port}"), str(PAGE), "exec"), shared)
        found.append(shared.get("frame", shared["table"]))
    table, pandas, polars = found
    assert sorted(table.column("sex").to_pylist()) == ["F", "M"]
    assert list(pandas["health"]) == ["excellent", "good", "fair", "poor"]
    assert polars.height > 5


@pytest.mark.parametrize(("query", "message"), [row[:2] for row in _rows("Known messages")])
def test_messages(cursor: Any, query: str, message: str) -> None:
    with pytest.raises(adbc.Error) as refused:
        cursor.execute(query.strip("`"))
    assert f"[FlightSQL] {message}" in str(refused.value)


def test_what_is_answered(cursor: Any) -> None:
    found = []
    for sent, gets in _rows("What is answered"):
        if not (query := re.match(r"`(SELECT [^`]*)`", sent)):
            continue
        found.append(gets.split()[1].strip(",:"))
        if gets.startswith("a refusal"):
            with pytest.raises(adbc.ProgrammingError, match="would move rows"):
                cursor.execute(query[1])
            continue
        cursor.execute(query[1])
        assert cursor.description
        assert bool(cursor.fetchall()) == gets.startswith("the answer")
    assert found == ["answer", "answer", "answer", "columns", "refusal"]


def test_links_lead_somewhere() -> None:
    anchors = {
        re.sub(r"[^\w -]", "", line[3:].lower()).replace(" ", "-") for line in TEXT.splitlines() if line[:3] == "## "
    }
    for target in re.findall(r"\]\(([^)]+)\)", TEXT):
        file, _, anchor = target.partition("#")
        assert (PAGE.parent / file).exists()
        assert file or anchor in anchors, target
