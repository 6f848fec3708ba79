"""What everybody in a federation knows: the catalog of offers, and whose keys are whose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Protocol

from fedsql.errors import PolicyDenied, ProtocolError
from fedsql.executors.engines.describer import Describer
from fedsql.executors.engines.typer import DuckDBTyper
from fedsql.executors.protocol.wire import COORDINATOR
from fedsql.planner.catalog import Catalog, Digests
from fedsql.planner.explain import Stages
from fedsql.planner.planning import plan, stages
from fedsql.planner.plans import Plan
from fedsql.planner.question import Question
from fedsql.planner.schema import Local


@dataclass
class Directory:
    """One consistent view of the federation. ``coordinator`` and ``analysts`` are pinned Ed25519 keys (32 bytes).

    ``operators``: who runs each party, each analyst and the `COORDINATOR`, where that is said and is not the name itself;
    None where all of them run in this process. ``describer``: where statements are described, None for this process.
    """

    catalog: Catalog
    coordinator: bytes
    analysts: Mapping[str, bytes]
    operators: Mapping[str, str] | None = None
    describer: Describer | None = None
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
                database = None if self.describer is None else self.describer.database()
                self._typers[local] = DuckDBTyper(self.catalog, local, database)
            return self._typers[local]

    def plan(self, question: Question) -> Plan:
        """Plan a question against this catalog. Raises PolicyDenied, too, where the coordinator is no helper for its joins."""
        typer = self.typer(question.local)
        made = plan(question, self.catalog, typer, typer.tables)
        self._check_helper(made, question.analyst)
        return made

    def _check_helper(self, made: Plan, analyst: str) -> None:
        """Refuse a private join whose helper, the coordinator, is run by one of its parties or by the analyst."""
        named = self.operators or {}
        helper = named.get(COORDINATOR)
        for name in (*(n for r in made.releases if r.join is not None for n in r.contributors), analyst):
            if helper is not None and named.get(name, name) == helper and any(r.join for r in made.releases):
                also = ", and takes part" if name == helper else f" and {name}"
                raise PolicyDenied(
                    f"a private join needs a coordinator that none of its parties and no analyst runs: {helper} runs it{also}",
                    hint="somebody else would run the coordinator; operator in federation.toml says who runs what",
                )

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
