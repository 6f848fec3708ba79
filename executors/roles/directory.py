"""What everybody in a federation knows: the catalog of offers, and whose keys are whose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Lock

from fedsql.executors.engines.typer import DuckDBTyper
from fedsql.planner.catalog import Catalog
from fedsql.planner.planning import Plan, plan
from fedsql.planner.question import Question
from fedsql.planner.schema import Local


@dataclass
class Directory:
    """One consistent view of the federation. ``coordinator`` and ``analysts`` are pinned Ed25519 keys (32 bytes)."""

    catalog: Catalog
    coordinator: bytes
    analysts: Mapping[str, bytes]
    _typers: dict[Local, DuckDBTyper] = field(default_factory=dict)
    _guard: Lock = field(default_factory=Lock)

    @property
    def identities(self) -> dict[str, bytes]:
        """The pinned identity of each party."""
        return {offer.party: offer.identity_key for offer in self.catalog.offers}

    def typer(self, local: Local) -> DuckDBTyper:
        """Return the typer over this catalog and an analyst's local tables; made once for each set of these."""
        with self._guard:
            if local not in self._typers:
                if len(self._typers) > 32:
                    self._typers.clear()
                self._typers[local] = DuckDBTyper(self.catalog, local)
            return self._typers[local]

    def plan(self, question: Question) -> Plan:
        """Plan a question against this catalog."""
        typer = self.typer(question.local)
        return plan(question, self.catalog, typer, typer.tables)
