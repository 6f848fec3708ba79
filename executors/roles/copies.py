"""Public tables: within a query, whoever lacks one that its fragment reads is sent it by its owner; an analyst asks for it.

What each party lacks stands in its signed hello, so the owners know with the roster; where nobody lacks anything there is no
message more. A table is named by its number in `Plan.lent`: the coordinator, which sees what a message is about, learns
that one is sent and how large it is, and not which.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from fedsql.errors import PolicyDenied, ProtocolError
from fedsql.executors.protocol.conversation import Conversation
from fedsql.executors.protocol.wire import Exchange, Message, Steps
from fedsql.planner.catalog import Catalog, PublicTable
from fedsql.planner.offer import Offer
from fedsql.planner.plans import Plan

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


def rows_for(analyst: str, relation: str, engine: Engine, offer: Offer) -> bytes:
    """Return a public table's rows for an analyst who asks for them. Raises PolicyDenied where it may not."""
    name = relation.partition("@")[0]
    table = next((table for table in offer.tables if table.public and table.name == name), None)
    if table is None:
        raise ProtocolError(f"{offer.party} offers no public table {name}")
    if "*" not in table.analysts and analyst not in table.analysts:
        raise PolicyDenied(
            f"{offer.party} does not offer {name} to {analyst}",
            hint=f"at {offer.party}: tables.{name}.analysts lists who may ask",
        )
    if PublicTable.of(table).relation != relation:
        raise ProtocolError(f"what {offer.party} offers has changed since the question was planned", hint="ask again")
    return engine.rows_of(name)


def _sent(talk: Conversation, plan: Plan, engine: Engine) -> Iterator[Message]:
    for number, table in enumerate(plan.lent):
        peers = [peer for peer in plan.parties if number in talk.lacking.get(peer, ())]
        if table.owner == talk.me and peers:
            rows = engine.rows_of(table.name)
            yield from (talk.seal(_kind(number), peer, rows) for peer in peers)


def _kind(number: int) -> str:
    return f"public-{number}"
