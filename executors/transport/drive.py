"""Runs one participant's protocol over a mailbox, in the calling thread. Every wait has a deadline."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from fedsql.executors.protocol.wire import Aborted, Exchange, Message, Steps
from fedsql.executors.stopwatch import Stopwatch
from fedsql.executors.transport.mailbox import Mailbox
from fedsql.executors.transport.progress import stage_of

T = TypeVar("T")


def drive(
    steps: Steps[T],
    send: Callable[[Sequence[Message]], None],
    inbox: Mailbox,
    deadline: float,
    record: Callable[[Message], None] | None = None,
    watch: Stopwatch | None = None,
) -> T:
    """Run ``steps`` to its end and return its result; what it raises propagates.

    ``send`` gets all messages of an exchange and must not raise: where one cannot be sent it puts an ABORT into
    ``inbox``. ``deadline`` is in seconds and holds for each wait; when it passes, `Aborted` is thrown into the protocol,
    naming who did not answer, as it is when an ABORT arrives. ``record`` sees every message sent, and every one received
    when the protocol gets it; ``watch`` adds up each step's time by stage, and tells the stages.
    """
    timer = watch or Stopwatch()

    def step(advance: Callable[[], Exchange]) -> Exchange:
        with timer.rest() as stage:
            exchange = advance()
            stage.name = stage_of(exchange)
        if exchange.send:
            timer.enter(stage.name)
        return exchange

    try:
        exchange = step(partial(next, steps))
        while True:
            if record is not None:
                for message in exchange.send:
                    record(message)
            send(exchange.send)
            arrived = inbox.wait(exchange.groups, deadline)
            if isinstance(arrived, Aborted):
                exchange = step(partial(steps.throw, arrived))
                continue
            if record is not None:
                for message in arrived.values():
                    record(message)
            exchange = step(partial(steps.send, arrived))
    except StopIteration as stop:
        result: T = stop.value
        return result
    finally:
        steps.close()
