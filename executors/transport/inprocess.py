"""The in-process transport: drives all participants of a query in one thread, by the very messages a network would carry."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from fedsql.errors import InternalError
from fedsql.executors.protocol.wire import ABORT, Exchange, Message, Steps, Wanted
from fedsql.executors.stopwatch import Stopwatch
from fedsql.executors.transport.mailbox import aborted_by, collect
from fedsql.executors.transport.progress import stage_of

Recorder = Callable[[Message], None]


class _Participant:
    """A protocol with its inbox. It rests where none of the groups that it waits for is complete."""

    def __init__(self, steps: Steps[Any], post: deque[Message], watch: Stopwatch) -> None:
        self.steps = steps
        self.post = post
        self.watch = watch
        self.arrived: dict[Wanted, Message] = {}
        self.groups: tuple[tuple[Wanted, ...], ...] | None = None
        self.result: Any = None

    def start(self) -> None:
        self._step(lambda: next(self.steps))
        self._go_on()

    def deliver(self, message: Message) -> None:
        if self.groups is None:
            return
        if message.kind == ABORT:
            self._step(lambda: self.steps.throw(aborted_by(message)))
        else:
            self.arrived[message.kind, message.sender] = message
        self._go_on()

    def _go_on(self) -> None:
        while self.groups is not None and (inbox := collect(self.groups, self.arrived)) is not None:
            self._step(partial(self.steps.send, inbox))

    def _step(self, step: Callable[[], Exchange]) -> None:
        self.groups = None
        with self.watch.rest() as stage:
            try:
                exchange = step()
            except StopIteration as stop:
                self.result = stop.value
                return
            stage.name = stage_of(exchange)
        if exchange.send:
            self.watch.enter(stage.name)
        self.groups = exchange.groups
        self.post.extend(exchange.send)


def run(
    participants: Mapping[str, Steps[Any]],
    record: Recorder | None = None,
    watches: Mapping[str, Stopwatch] | None = None,
) -> dict[str, Any]:
    """Run every participant's protocol to its end; return their results by name.

    ``record`` sees every message, in order; ``watches`` add up the time of each participant's steps by stage, and tell the
    stages. An error of a participant propagates at once. Raises InternalError when everybody waits for messages that
    nobody will send.
    """
    post: deque[Message] = deque()
    timers = watches or dict.fromkeys(participants, Stopwatch())
    running = {name: _Participant(steps, post, timers[name]) for name, steps in participants.items()}
    for participant in running.values():
        participant.start()
    while post:
        message = post.popleft()
        if record is not None:
            record(message)
        running[message.recipient].deliver(message)
    stuck = {name: participant.groups for name, participant in running.items() if participant.groups is not None}
    if stuck:
        raise InternalError(f"the protocol is stuck: {stuck}")
    return {name: participant.result for name, participant in running.items()}
