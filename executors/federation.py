"""What a session needs of a federation, whether its parties run in this process or are reached over the network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

from fedsql.executors.protocol.wire import Message
from fedsql.executors.roles.analyst import Analyst
from fedsql.executors.roles.directory import Directory
from fedsql.executors.stopwatch import Stopwatch
from fedsql.planner.planning import Plan
from fedsql.planner.question import Question
from fedsql.privacy.ledger import Spent

OnProgress = Callable[[str, str, int | None], None]  # (participant, stage, place in its queue)


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

    def interrupt(self) -> None:
        """Stop what is being asked from here."""

    def close(self) -> None:
        """Close what this holds open."""
