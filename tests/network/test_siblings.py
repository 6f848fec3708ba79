"""Totals beside their parts over the network, where each process is told between two sets what is shown of the first."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest
from world import NAMES, Network

from fedsql.session import Session


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    with closing(Network(tmp_path_factory.mktemp("network"))) as network:
        network.start("coordinator", *NAMES)
        with closing(network.session()) as made:
            yield made


@pytest.mark.parametrize(
    ("where", "shown"),
    [
        ("true", [("a", 20), ("b", 16), (None, 36)]),
        ("g = 'a' OR v = 5", [("a", 20), (None, None)]),  # four units of b would be the total less a
    ],
)
def test_totals_that_would_open_a_group_are_not_shown(session: Session, where: str, shown: list[object]) -> None:
    answer = session.execute(f"SELECT g, COUNT(*) AS n FROM t WHERE {where} GROUP BY ROLLUP (g) ORDER BY g")
    assert answer.table is not None
    assert [tuple(row.values()) for row in answer.table.to_pylist()] == shown
