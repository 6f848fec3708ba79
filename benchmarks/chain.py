"""How many messages of a query must wait for one another: its longest causal chain.

The query runs in one process, through the protocol code of all participants. Each has a clock: the length of the longest
chain of messages that led to what it has taken in so far. A message that it sends is one longer, whether or not it needed
all of that; whoever takes the message in sets its own clock to that if it is behind. The analyst's clock at the end is
the number of sequential messages. A message that lies unread counts for nobody.

The same is counted in *hops*, for the time it takes over a network: whatever does not come from the coordinator or go
to it is passed on there, so it is two hops long.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pyarrow as pa

from fedsql.executors.embedded import EmbeddedFederation
from fedsql.executors.federation import OnProgress
from fedsql.executors.protocol.wire import ANALYST, COORDINATOR, Message, Steps
from fedsql.executors.roles.analyst import Analyst
from fedsql.executors.stopwatch import Stopwatch
from fedsql.executors.transport.inprocess import run
from fedsql.planner.planning import Plan
from fedsql.planner.question import Question


class Clock(NamedTuple):
    """The longest chain so far, in messages and in hops."""

    messages: int = 0
    hops: int = 0

    def after(self, other: Clock) -> Clock:
        return Clock(max(self.messages, other.messages), max(self.hops, other.hops))


class ChainedFederation(EmbeddedFederation):
    """An embedded federation that counts: ``longest`` is the chain of the last question."""

    longest = Clock()

    def ask(
        self,
        analyst: Analyst,
        question: Question,
        plan: Plan,
        watch: Stopwatch,
        record: Callable[[Message], None] | None = None,
        on_progress: OnProgress | None = None,
    ) -> list[pa.Table]:
        participants = {name: self.parties[name].serve(self.directory, watch) for name in plan.parties}
        participants[COORDINATOR] = self.coordinator.serve(self.directory.identities)
        participants[ANALYST] = analyst.ask(question, plan, self.directory, watch)
        sent: dict[tuple[str, str, str], Clock] = {}
        counted = {name: _counted(name, steps, sent) for name, steps in participants.items()}
        tables, self.longest = run(counted, record, watch)[ANALYST]
        return tables


def _counted(name: str, steps: Steps, sent: dict[tuple[str, str, str], Clock]) -> Steps:
    """Drive ``steps``; return its result and its clock at the end. ``sent`` holds the clock of each message."""
    clock = Clock()
    try:
        exchange = next(steps)
        while True:
            for message in exchange.send:
                hops = 1 if COORDINATOR in (message.sender, message.recipient) else 2
                sent[message.kind, message.sender, message.recipient] = Clock(clock.messages + 1, clock.hops + hops)
            inbox = yield exchange
            for kind, sender in inbox:
                clock = clock.after(sent[kind, sender, name])
            exchange = steps.send(inbox)
    except StopIteration as stop:
        return stop.value, clock
