"""A federation over the network, from the analyst's side: dials the coordinator, and asks the parties through it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from fedsql.config.models import FederationConfig
from fedsql.config.problems import choices
from fedsql.crypto.keys import IdentityKey, format_public
from fedsql.errors import ConfigError, OperationalError, PartyUnreachable
from fedsql.executors.engines.describer import Describer
from fedsql.executors.federation import Asking, Fetched, OnProgress, Presence
from fedsql.executors.live import LiveDirectory
from fedsql.executors.protocol.wire import Message, Steps
from fedsql.executors.roles.analyst import Analyst
from fedsql.executors.roles.consult import BUDGET, consult, spent_of
from fedsql.executors.roles.directory import Directory
from fedsql.executors.stopwatch import Stopwatch
from fedsql.executors.transport.login import ANALYST_ROLE
from fedsql.executors.transport.node import Node
from fedsql.executors.transport.settings import Settings
from fedsql.planner.catalog import PublicTable
from fedsql.planner.plans import Plan
from fedsql.planner.question import Question
from fedsql.privacy.ledger import Spent

_LONGER = 1.25  # the analyst waits this much longer than whoever can say more of what is wrong


class RemoteFederation:
    """A connection to a coordinator as the analyst ``name``, whose private key is in the file ``key``.

    ``address`` replaces the one in the federation file (a tunnel, another port), ``describer`` is as for `Directory`.
    Raises ConfigError when the files do not fit, OperationalError when the coordinator cannot be reached.
    """

    def __init__(
        self,
        config: FederationConfig,
        name: str,
        key: str | Path,
        *,
        address: str | None = None,
        settings: Settings | None = None,
        describer: Describer | None = None,
    ) -> None:
        assert config.coordinator is not None  # the file's own check: remote parties need one
        pinned = config.analysts.get(name)
        if pinned is None:
            known = choices(name, tuple(config.analysts)) if config.analysts else "; it lists nobody"
            raise ConfigError(
                f"{config.name}: the federation file knows no analyst {name}{known}",
                hint=f"fedsql enroll federation.toml --analyst {name}",
            )
        self._identity = IdentityKey.from_file(key)
        if format_public(self._identity.public) != pinned.public_key:
            raise ConfigError(
                f"{key}: is not the key of the analyst {name}: its public half is"
                f" {format_public(self._identity.public)}, [analysts.{name}] pins {pinned.public_key}"
            )
        self._name = name
        self._settings = settings or Settings()
        self._live = LiveDirectory(config, describer=describer)
        self._fetched = Fetched(self._consult)
        self._asking = Asking()
        self._node = Node(
            address or config.coordinator.address,
            name,
            ANALYST_ROLE,
            self._identity,
            self._live.newest.coordinator,
            config.name,
            config.root_certificates,
            on_directory=self._live.update,
            settings=self._settings,
        )
        self._node.connect()
        if not self._live.wait(self._settings.login):
            self._node.close()
            raise OperationalError("the coordinator does not say who is there", hint="is it of the same version?")

    @property
    def directory(self) -> Directory:
        """The newest view of the offers."""
        return self._live.newest

    def admit(self, name: str) -> Analyst:
        """Return the analyst whose key this connection was made with."""
        if name != self._name:
            raise ConfigError(f"this connection is {self._name}'s, not {name}'s")
        return Analyst(name, self._identity)

    def ask(
        self,
        analyst: Analyst,
        question: Question,
        plan: Plan,
        watch: Stopwatch,
        record: Callable[[Message], None] | None = None,
        on_progress: OnProgress | None = None,
    ) -> list[pa.Table]:
        """Run the analyst's side of one signed question; return the released relations."""
        self._check_present(plan.participants)
        steps: Steps[list[pa.Table]] = analyst.ask(question, plan, self.directory, watch)
        with watch.rest() as waiting:
            waiting.name = "parties"
            query = (question.query_id, question.attempt)
            tables: list[pa.Table] = self._ask(analyst, query, steps, record, on_progress)
        return tables

    def presence(self) -> list[Presence]:
        """Return who is there, as the coordinator says. Raises OperationalError while it cannot be reached."""
        if not self._node.wait_connected(self._settings.login):
            raise OperationalError(f"the coordinator cannot be reached: {self._node.reason}")
        return self._live.presence()

    def budgets(self, analyst: Analyst) -> dict[str, Spent | None]:
        """Ask each connected party where the analyst stands."""
        presence = self.presence()
        there = [each.party for each in presence if each.reachable]
        told = self._consult(analyst, BUDGET, there) if there else {}
        return {each.party: spent_of(each.party, told[each.party]) if each.party in told else None for each in presence}

    def fetch(self, analyst: Analyst, tables: Sequence[PublicTable]) -> dict[str, pa.Table]:
        """Return the rows of public tables, by relation, as tables of texts (engines/texts.py)."""
        return self._fetched.fetch(analyst, tables, self.directory.catalog)

    def interrupt(self, analyst: Analyst) -> None:
        """Call off what this analyst's session asks: the parties stop their fragments."""
        for query in self._asking.of(analyst):
            self._node.interrupt(*query, "the query was cancelled")

    def close(self) -> None:
        """Say goodbye to the coordinator."""
        self._node.close()

    def _consult(self, analyst: Analyst, what: str, parties: Sequence[str]) -> dict[str, Any]:
        self._check_present(parties)
        query_id, steps = consult(analyst, what, parties, self.directory)
        replies: dict[str, Any] = self._ask(analyst, (query_id, 1), steps)
        return replies

    def _ask(
        self,
        analyst: Analyst,
        query: tuple[bytes, int],
        steps: Steps[Any],
        record: Callable[[Message], None] | None = None,
        on_progress: OnProgress | None = None,
    ) -> Any:
        with self._asking.one(analyst, *query):
            return self._node.ask(*query, steps, 2 * _LONGER * self._settings.deadline, record, on_progress)

    def _check_present(self, parties: Collection[str]) -> None:
        """Raise PartyUnreachable, before anything is sent, when a party that is needed is not there."""
        for each in self.presence():
            if each.party in parties and not each.reachable:
                lost = PartyUnreachable(
                    f"{each.party} is not connected",
                    hint="SHOW PARTIES tells who is there; SET allow_missing = true asks the others where policies allow",
                )
                lost.party = each.party
                raise lost
