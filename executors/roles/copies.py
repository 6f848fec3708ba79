"""Public tables: within a query, whoever lacks one that its fragment reads is sent it by its owner.

What each party lacks stands in its signed hello, so the owners know with the roster; where nobody lacks anything there is no
message more. A table is named by its number in `Plan.lent`: the coordinator, which sees what a message is about, learns
that one is sent and how large it is, and not which.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from fedsql.executors.protocol.conversation import Conversation
from fedsql.executors.protocol.wire import Exchange, Message, Steps
from fedsql.planner.catalog import Catalog
from fedsql.planner.planning import Plan

if TYPE_CHECKING:
    from fedsql.executors.roles.party import Engine


def lacks(plan: Plan, party: str, engine: Engine) -> tuple[int, ...]:
    """Return the numbers of the public tables that the fragments of ``party`` read and ``engine`` does not hold."""
    read = {table for release in plan.releases if party in release.contributors for table in release.copies}
    return tuple(n for n, table in enumerate(plan.lent) if table in read and not engine.holds(table.relation))


def bring(talk: Conversation, plan: Plan, engine: Engine, catalog: Catalog) -> Steps[None]:
    """Send the party's own tables to those who lack them, and keep what it lacks itself.

    Raises ProtocolError, naming the owner, when other rows come than those offered.
    """
    sent = list(_sent(talk, plan, engine))
    wanted = {number: (_kind(number), plan.lent[number].owner) for number in talk.lacks}
    if not sent and not wanted:
        return
    inbox = yield Exchange.of(sent, wanted.values())
    for number, key in wanted.items():
        table = plan.lent[number]
        engine.keep(table, catalog.columns(table), talk.open(inbox[key]))


def _sent(talk: Conversation, plan: Plan, engine: Engine) -> Iterator[Message]:
    for number, table in enumerate(plan.lent):
        peers = [peer for peer in plan.parties if number in talk.lacking.get(peer, ())]
        if table.owner == talk.me and peers:
            rows = engine.rows_of(table.name)
            yield from (talk.seal(_kind(number), peer, rows) for peer in peers)


def _kind(number: int) -> str:
    return f"public-{number}"
