"""What a session needs of a federation, whether its parties run in this process or are reached over the network."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import Any, Protocol

import pyarrow as pa

from fedsql.errors import ProtocolError
from fedsql.executors.engines.copies import opened
from fedsql.executors.protocol.wire import Message
from fedsql.executors.roles.analyst import Analyst
from fedsql.executors.roles.directory import Directory
from fedsql.executors.stopwatch import Stopwatch
from fedsql.planner.catalog import Catalog, PublicTable
from fedsql.planner.plans import Plan
from fedsql.planner.question import Question
from fedsql.privacy.ledger import Spent

OnProgress = Callable[[str, str, int | None], None]  # (participant, stage, place in its queue)
Consult = Callable[[Analyst, str, Sequence[str]], Mapping[str, Any]]  # (who, what, of whom) -> what each one replied


@dataclass(frozen=True, slots=True)
class Presence:
    """Whether a party can be asked. ``state``: "here" (this process), "connected", "away", or "never seen".

    ``since`` is the unix time at which that began, None where nobody knows.
    """

    party: str
    state: str
    since: int | None = None

    @property
    def reachable(self) -> bool:
        """Whether it can be asked now."""
        return self.state in ("here", "connected")


class Federation(Protocol):
    """A federation as its analysts see it."""

    @property
    def directory(self) -> Directory:
        """The newest view of the offers."""

    def admit(self, name: str) -> Analyst:
        """Return the analyst who asks from here."""

    def ask(
        self,
        analyst: Analyst,
        question: Question,
        plan: Plan,
        watch: Stopwatch,
        record: Callable[[Message], None] | None = None,
        on_progress: OnProgress | None = None,
    ) -> list[pa.Table]:
        """Run the protocol for one signed question; return the released relations."""

    def presence(self) -> Sequence[Presence]:
        """Return for each party of the federation whether it can be asked, sorted by name."""

    def budgets(self, analyst: Analyst) -> dict[str, Spent | None]:
        """Ask each party where the analyst stands; None for those that cannot be reached. Costs nothing."""

    def fetch(self, analyst: Analyst, tables: Sequence[PublicTable]) -> dict[str, pa.Table]:
        """Return the rows of public tables, by relation, as tables of texts (engines/texts.py). Costs nothing.

        They are fetched from their owners once, and verified. Raises PolicyDenied where the analyst may not have one.
        """

    def interrupt(self, analyst: Analyst) -> None:
        """Stop what this analyst's session asks, and nothing that others ask."""

    def close(self) -> None:
        """Close what this holds open."""


class Asking:
    """The attempts (query id, attempt) that run for each session, so that one can be stopped alone. Threads may share it.

    A session is known by its box: the public key that it alone has.
    """

    def __init__(self) -> None:
        self._guard = Lock()
        self._running: dict[bytes, list[tuple[bytes, int]]] = {}

    @contextmanager
    def one(self, analyst: Analyst, query_id: bytes, attempt: int) -> Iterator[None]:
        """Count an attempt as running."""
        query = (query_id, attempt)
        with self._guard:
            self._running.setdefault(analyst.box.public, []).append(query)
        try:
            yield
        finally:
            with self._guard:
                left = self._running[analyst.box.public]
                left.remove(query)
                if not left:
                    del self._running[analyst.box.public]

    def of(self, analyst: Analyst) -> list[tuple[bytes, int]]:
        """Return what runs for the session of ``analyst``."""
        with self._guard:
            return list(self._running.get(analyst.box.public, ()))


class Fetched:
    """The public tables that analysts have fetched through ``consult``, kept while they are offered. Threads may share it."""

    def __init__(self, consult: Consult) -> None:
        self._consult = consult
        self._guard = Lock()
        self._rows: dict[tuple[str, str], pa.Table] = {}  # by analyst and relation: not everybody may have everything

    def fetch(self, analyst: Analyst, tables: Sequence[PublicTable], catalog: Catalog) -> dict[str, pa.Table]:
        """See `Federation.fetch`."""
        offered = {PublicTable.of(table).relation for offer in catalog.offers for table in offer.tables if table.public}
        with self._guard:
            self._rows = {key: rows for key, rows in self._rows.items() if key[1] in offered}
            found = {table.relation: self._rows.get((analyst.name, table.relation)) for table in tables}
        for table in tables:
            if found[table.relation] is None:
                columns = catalog.columns(table)
                told = self._consult(analyst, table.relation, [table.owner])[table.owner]
                data = told.get("rows") if isinstance(told, dict) else None
                if not isinstance(data, bytes):
                    raise ProtocolError(f"the reply of {table.owner} is malformed")
                found[table.relation] = rows = opened(table, columns, data)
                with self._guard:
                    self._rows[analyst.name, table.relation] = rows
        return found
