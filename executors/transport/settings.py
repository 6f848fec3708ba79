"""The times and sizes of the transport. The defaults suit links of 10 Mb/s and more; tests make them small."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    """Times are in seconds, sizes in bytes.

    Whoever knows most should give up first: the coordinator waits ``deadline`` for a party, a party twice as long for
    the others, and an analyst's own deadline should be longer still.
    """

    ping: float = 5.0  # a participant speaks at least this often
    silent: float = 20.0  # who was not heard for this long is gone
    login: float = 10.0  # for all of the login
    stalled: float = 30.0  # a message waits this long for a reader that takes nothing
    deadline: float = 300.0  # each wait of a protocol at the coordinator
    backoff: float = 0.2  # before the first new attempt to connect; doubled each time
    longest_backoff: float = 30.0
    room: int = 16 << 20  # what may wait to be written to one connection
    inbox: int = 2 << 30  # what may wait to be read in one query
    held: int = 4 << 30  # in all queries of one participant; at the hub, of what one party has sent
    asked: int = 64 << 20  # at the hub, of what one analyst has sent
    at_once: int = 16  # queries that the hub runs at once; the others wait there, those of busy analysts longer
    open_queries: int = 32  # of one analyst, running or waiting
    answering: int = 256  # of one party, at the party
    connections: int = 1000
    sessions: int = 64  # connections of one analyst
