"""Labels of shown groups: each sealed for the analyst by one holder of its group, bound to its place in the answer.

Where a private join has grouping keys at both sides, each of them seals its own part of a label.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from fedsql.codec import encode
from fedsql.crypto.sealing import Channel, pad
from fedsql.errors import ProtocolError
from fedsql.executors.protocol.conversation import Context, Conversation
from fedsql.executors.protocol.outline import Label, Outline
from fedsql.executors.protocol.verdict import NO_RANK
from fedsql.executors.protocol.wire import Exchange, Steps

KEY_BYTES = 32
WHOLE = ""  # the only part of a label that one party has
_LABEL_BYTES = 128  # what a label box holds at least


class LabelBoxes:
    """How one ``part`` of a release's labels is sealed for the analyst: each box is bound to its position in the answer."""

    def __init__(self, key: bytes, context: Context, release: int, part: str = WHOLE) -> None:
        self._channel, self._bound = Channel(key), context.bind("label", release, part)

    def seal(self, position: int, label: bytes) -> bytes:
        """Return the box of the label at ``position``."""
        return self._channel.seal(self._bound + position.to_bytes(8, "little"), label)

    def open(self, position: int, box: bytes) -> bytes:
        """Return the label at ``position``. Raises ProtocolError when the box is not that of this place."""
        return self._channel.open(self._bound + position.to_bytes(8, "little"), box)


def parts_of(outline: Outline) -> tuple[str, ...]:
    """Return the parts of each label, in order: as many boxes are sent."""
    return (WHOLE,) if outline.join is None else outline.join.parts


def share_key(talk: Conversation, outline: Outline) -> Steps[bytes]:
    """Return the key of a release's labels, which its first contributor draws and seals to the others."""
    kind, (leader, *others) = f"{outline.number}/join/labels", outline.contributors
    if talk.me == leader:
        key = os.urandom(KEY_BYTES)
        yield Exchange.of([talk.seal(kind, name, key) for name in others])
        return key
    inbox = yield Exchange.of((), [(kind, leader)])
    key = talk.open(inbox[kind, leader])
    if len(key) != KEY_BYTES:
        raise inbox[kind, leader].malformed()
    return key


def sealed_labels(
    context: Context,
    release: int,
    part: str,
    key: bytes,
    labels: Sequence[Label],
    positions: Sequence[int],
    asked: Sequence[int],
) -> list[list[object]]:
    """Seal this party's ``part`` of the labels at the positions that it was ``asked`` for.

    ``labels`` and ``positions`` are those of its groups. Raises ProtocolError when it has no such group.

    Boxes are equally long up to 124 bytes of label, and the next power of two beyond. A length that served all groups of
    a release would depend on the longest label, so it would tell of groups that are not shown.
    """
    wanted = set(asked)
    group_at = {at: i for i, at in enumerate(positions) if at in wanted and at != NO_RANK}
    if len(wanted) != len(asked) or wanted != group_at.keys() or not all(labels[i] for i in group_at.values()):
        raise ProtocolError("the coordinator asks for labels of groups that are not here")
    boxes: list[list[object]] = []
    sealer = LabelBoxes(key, context, release, part)
    for position in asked:
        text = encode(list(labels[group_at[position]]))
        size = max(_LABEL_BYTES, 1 << (len(text) + 3).bit_length())
        boxes.append([position, sealer.seal(position, pad(text, size))])
    return boxes
