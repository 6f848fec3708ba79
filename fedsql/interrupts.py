"""Ctrl-C while a query runs. DuckDB does not see signals, and Python cannot act on one while DuckDB's code runs.

So a query of the main thread, the only one that gets signals, runs in a thread of its own, and the main one waits.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from fedsql.answer import Answer
from fedsql.planner.parameters import Parameters
from fedsql.session import Session


def execute(
    session: Session, sql: str, parameters: Parameters = (), *, on_wait: Callable[[], None] = lambda: None
) -> Answer:
    """Run one statement as `Session.execute` does, see `stoppable`."""
    return stoppable(session, partial(session.execute, sql, parameters), on_wait)


def stoppable(session: Session, run: Callable[[], Answer], on_wait: Callable[[], None] = lambda: None) -> Answer:
    """Call ``run``; on Ctrl-C what it has ``session`` do is stopped, and KeyboardInterrupt raised once it has.

    In the main thread ``on_wait`` is called ten times a second meanwhile.
    """
    if threading.current_thread() is not threading.main_thread():
        return run()
    answers: list[Answer] = []
    failures: list[BaseException] = []
    done = threading.Event()  # not Thread.join: a KeyboardInterrupt in it makes a running thread look finished

    def work() -> None:
        try:
            answers.append(run())
        except BaseException as error:
            failures.append(error)
        finally:
            done.set()

    thread = threading.Thread(target=work, name="fedsql-query", daemon=True)
    try:
        thread.start()
        while not done.wait(0.1):  # Windows sees Ctrl-C only between waits
            on_wait()
    except KeyboardInterrupt:
        while thread.is_alive() and not done.is_set():  # a session is not closed or asked again before it has stopped
            with suppress(KeyboardInterrupt):
                session.interrupt()
        raise
    if failures:
        raise failures[0]
    return answers[0]
