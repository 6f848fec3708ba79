"""A coordinator or a party as a process of its own, with quick settings and, if asked for, a fault at one message.

    python process.py coordinator FOLDER
    python process.py party FOLDER NAME [FAULT NUMBER]

FAULT is kill, stop, cut (the connection) or wait (for a SIGUSR2). A SIGUSR1 arms it: it strikes in the next query that gets as far
as the party's message number NUMBER, sent or received; armed again, at the next number. With number 0 it only counts. What happens is said on standard output, one line each;
the log is on standard error.

The environment may name two parties that compute in every query, instead of those that are drawn.
"""

import itertools
import os
import signal
import sys
import threading
from pathlib import Path

from fedsql.executors.engines.describer import Describer
from fedsql.executors.protocol.outline import Outline
from fedsql.executors.services.coordinator import CoordinatorService
from fedsql.executors.services.party import PartyService
from fedsql.executors.transport import queries
from fedsql.executors.transport.drive import drive
from fedsql.executors.transport.settings import Settings
from fedsql.operation.logs import set_up

QUICK = Settings(
    ping=0.1, silent=2.0, login=20.0, stalled=4.0, deadline=5.0, backoff=0.05, longest_backoff=0.2, open_queries=64
)


COMPUTING = "FEDSQL_TESTS_COMPUTING"


def say(*words):
    print(*words, flush=True)


class Faults:
    """Drives the queries of a party, and strikes at one message of the next one when it is armed."""

    def __init__(self, service, kind, number):
        self.service, self.kind, self.number = service, kind, number
        self.armed = False
        self.go = threading.Event()
        signal.signal(signal.SIGUSR1, self.arm)
        signal.signal(signal.SIGUSR2, lambda *_: self.go.set())

    def arm(self, *_):
        self.armed = True
        say("armed")

    def drive(self, *arguments, **options):
        seen = itertools.count(1)

        def record(message):
            number = next(seen)
            if self.number == 0:
                say("message", number, message.kind)
            elif self.armed and number == self.number:
                self.armed = False
                self.number += 1
                say("strikes", message.kind)
                self.strike()

        return drive(*arguments, **options, record=record)

    def strike(self):
        if self.kind == "wait":
            self.go.wait()
        elif self.kind == "cut":
            self.service._node._dialed.outbox.close()
            self.service._node._dialed._over.set()
        else:
            os.kill(os.getpid(), signal.SIGKILL if self.kind == "kill" else signal.SIGSTOP)


def main(role, folder, name=None, kind="", number=0):
    set_up("text")
    folder = Path(folder)
    if chosen := os.environ.get(COMPUTING):
        Outline.computing = lambda outline, draw: tuple(chosen.split())
    shared = folder / "federation.toml"
    if role == "coordinator":
        service = CoordinatorService(shared, folder / "coordinator", settings=QUICK)
        say("listening")
    else:
        own = folder / f"{name}.toml"
        service = PartyService(own, shared, settings=QUICK, described=Describer(seconds=0.5))
        if kind:
            queries.drive = Faults(service, kind, int(number)).drive
        service.start()
        assert service.wait_connected(40), service.reason
        say("connected")
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    stop.wait()
    service.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
