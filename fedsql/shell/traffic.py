"""What left each party for one answer, in plain words, from the record of its messages."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence

from fedsql.answer import Sent
from fedsql.shell.messages import count

_WORDS = {
    "hello": "fresh keys",
    "align/key": "a sealed key for tags",
    "align/tags": "shuffled tags of its groups",
    "distinct/key": "a sealed key for tags",
    "distinct/tags": "tags of values among dummies",
    "threshold": "sealed shares of counts",
    "extremes": "sealed shares of least and largest values",
    "ranks": "sealed shares of counts up to each value",
    "verdict": "a sealed verdict on small groups",
    "ready": "a sealed READY",
    "vector": "encrypted masked sums",
}


def left(sent: Sequence[Sent], parties: Sequence[str], width: int = 80) -> Iterator[str]:
    """Yield lines of at most ``width`` that say for each party how much it sent, and what that was."""
    names = max((len(party) for party in parties), default=0)
    for party in parties:
        own = [message for message in sent if message.sender == party]
        size = sum(message.size for message in own)
        kinds = dict.fromkeys(_words(message.kind) for message in own)
        head = f"  {party:{names}}  {count(len(own), 'message')}, {size:,} bytes: "
        yield from textwrap.wrap(head + ", ".join(kinds), width, subsequent_indent=" " * (names + 4))


def _words(kind: str) -> str:
    """Return a kind of message in words; a release's number before it, and a round's name after it, do not matter."""
    plain = re.sub(r"^\d+/", "", kind)
    return _WORDS.get(plain) or _WORDS.get(plain.split("/")[0], plain)
