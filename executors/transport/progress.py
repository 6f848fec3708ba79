"""What a participant is busy with, for whoever waits: named by the stages of a query, told to its analyst.

Progress is shown and decides nothing, so it is neither signed nor sealed: the coordinator sees the same from the order
of the messages.
"""

from __future__ import annotations

from fedsql.codec import decode
from fedsql.executors.protocol.wire import ANALYST, PROGRESS, Exchange, Message

_OF_KIND = {
    "align": "align",
    "join": "join",
    "threshold": "threshold",
    "verdict": "threshold",
    "told": "threshold",
    "ready": "threshold",
    "go": "threshold",
    "vector": "encrypt",
    "distinct": "encrypt",
    "extremes": "threshold",
    "ranks": "threshold",
}
STAGES = ("queued", "plan", "handshake", "charge", "noise", "fragment", "align", "join", "threshold", "encrypt", "add")


def stage_of(exchange: Exchange) -> str:
    """Return the stage of a step: what the messages are about that it sends, or else those that it waits for."""
    for kind in (
        *(message.kind for message in exchange.send),
        *(kind for group in exchange.groups for kind, _ in group),
    ):
        release, _, rest = kind.partition("/")
        if rest:
            return _OF_KIND.get(rest.split("/")[0], rest)
        return "add" if release == "answer" else "handshake"
    return "handshake"


def progress_message(sender: str, stage: str, place: int | None = None) -> Message:
    """Return the message that tells the analyst what ``sender`` does now; ``place`` is that in a queue, from 1."""
    return Message.of(PROGRESS, sender, ANALYST, {"stage": stage, "place": place})


def progress_of(message: Message) -> tuple[str, int | None] | None:
    """Return (stage, place) of a progress message; None when it is not a proper one."""
    try:
        record = decode(message.body)
        stage, place = record["stage"], record["place"]
    except (ValueError, KeyError, TypeError):
        return None
    if stage not in STAGES or not (place is None or (type(place) is int and 0 < place < 1 << 20)):
        return None
    return stage, place
