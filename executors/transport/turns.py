"""The queries that are open at the hub, and whose is next: no analyst with many questions keeps the others waiting."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from fedsql.executors.transport.connection import Connection
from fedsql.executors.transport.frames import Query
from fedsql.executors.transport.mailbox import Mailbox


@dataclass(eq=False)
class OpenQuery:
    """One query. ``begun``: it waits for its turn or runs; ``off``: who and why ended it early; ``done``: it is over."""

    key: Query
    session: Connection
    inbox: Mailbox
    parties: dict[str, Connection] = field(default_factory=dict)
    begun: bool = False
    off: tuple[str, str] | None = None
    done: bool = False

    def members(self) -> list[Connection]:
        """Return the connections of all who take part."""
        return [self.session, *self.parties.values()]


def in_turn(waiting: Sequence[OpenQuery], running: Mapping[str, int]) -> list[OpenQuery]:
    """Return the queries that wait in the order of their turns; ``running`` counts those that run, by analyst.

    Each analyst's own come as they came; among analysts, first whoever has the fewest that run or come before.
    """
    before = Counter(running)
    turns = []
    for arrival, query in enumerate(waiting):
        analyst = query.session.name
        turns.append((before[analyst], arrival))
        before[analyst] += 1
    return [waiting[arrival] for _, arrival in sorted(turns)]
