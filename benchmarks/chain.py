"""How many messages of a query must wait for one another: its longest causal chain.

The query runs in one process, through the protocol code of all participants. Each has a clock: the length of the longest
chain of messages that led to what it has taken in so far. A message that it sends is one longer, whether or not it needed
all of that; whoever takes the message in puts its own clock forward to that. The analyst's clock at the end is the number
of sequential messages. A message that lies unread counts for nobody.

The same is counted in *hops*, for the time it takes over a network: whatever neither comes from the coordinator nor goes
to it is passed on there, so it is two hops long.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from fedsql.config.models import FederationConfig
from fedsql.executors.embedded import EmbeddedFederation
from fedsql.executors.protocol.wire import ANALYST, COORDINATOR, Steps
from fedsql.executors.roles.analyst import Analyst


class Clock(NamedTuple):
    """The longest chain so far, in messages and in hops."""

    messages: int = 0
    hops: int = 0

    def after(self, other: Clock) -> Clock:
        return Clock(max(self.messages, other.messages), max(self.hops, other.hops))


class ChainedFederation(EmbeddedFederation):
    """An embedded federation that counts."""

    def __init__(self, config: FederationConfig) -> None:
        super().__init__(config)
        self._sent: dict[tuple[str, str, str], Clock] = {}  # the clock of each message: kind, sender, recipient
        self._clocks: dict[str, Clock] = {}
        for name, participant in [*self.parties.items(), (COORDINATOR, self.coordinator)]:
            participant.serve = self._counting(name, participant.serve)

    def admit(self, name: str) -> Analyst:
        analyst = super().admit(name)
        analyst.ask = self._counting(ANALYST, analyst.ask)
        return analyst

    @property
    def longest(self) -> Clock:
        """The longest chain of the last question."""
        return self._clocks[ANALYST]

    def _counting(self, name: str, protocol: Callable[..., Steps[Any]]) -> Callable[..., Steps[Any]]:
        """Return ``protocol`` of a participant, which counts while it runs."""

        def steps(*arguments: Any, **options: Any) -> Steps[Any]:
            steps, clock = protocol(*arguments, **options), Clock()
            try:
                exchange = next(steps)
                while True:
                    for message in exchange.send:
                        hops = 1 if COORDINATOR in (message.sender, message.recipient) else 2
                        one_more = Clock(clock.messages + 1, clock.hops + hops)
                        self._sent[message.kind, message.sender, message.recipient] = one_more
                    inbox = yield exchange
                    for kind, sender in inbox:
                        clock = clock.after(self._sent[kind, sender, name])
                    exchange = steps.send(inbox)
            except StopIteration as stop:
                self._clocks[name] = clock
                return stop.value

        return steps
