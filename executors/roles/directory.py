"""What everybody in a federation knows: the catalog of offers, and whose keys are whose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Protocol

from fedsql.errors import ProtocolError
from fedsql.executors.engines.typer import DuckDBTyper
from fedsql.planner.catalog import Catalog, Digests
from fedsql.planner.explain import Stages
from fedsql.planner.planning import plan, stages
from fedsql.planner.plans import Plan
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
        """The pinned identity of each party whose offer is known."""
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

    def stages(self, question: Question) -> Stages:
        """Return (name, text) of each stage of planning a question."""
        typer = self.typer(question.local)
        return stages(question, self.catalog, typer, typer.tables)

    def at(self, offers: Digests) -> Directory:
        """Return the view in which the offers have these digests, or the newest there is: see `Directories`."""
        return self

    def check(self, offers: Digests) -> None:
        """Raise ProtocolError, naming the parties, unless a question was planned against the offers known here."""
        if offers == self.catalog.digests:
            return
        asked, known = dict(offers), dict(self.catalog.digests)
        strangers = sorted(asked.keys() ^ known.keys())
        if strangers:
            raise ProtocolError(
                f"the question was planned for other parties: {', '.join(strangers)} is in one federation file only",
                hint="everybody needs the same federation.toml",
            )
        changed = sorted(party for party in known if asked[party] != known[party])
        raise ProtocolError(
            f"what {' and '.join(changed)} offer{'s' * (len(changed) == 1)} has changed since the question was planned",
            hint="ask again",
        )


class Directories(Protocol):
    """Where a party finds the view that a question was planned against."""

    def at(self, offers: Digests) -> Directory:
        """Return the view in which the offers have these digests; the newest one when it does not come soon."""
