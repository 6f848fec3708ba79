"""COUNT(DISTINCT x) over parties: equal values are matched by tags, and only the analyst learns how many there are.

The contributors share a key that the coordinator lacks. Beside its vector each sends the coordinator keyed tags of its
values in the cells that are shown, and dummies. The coordinator counts the different tags of each place and adds its
numbers, encrypted, to the vectors; the first contributor has taken the number of dummies off. So no message comes on top
of those that are sent anyway, and what the analyst opens is exactly the number of distinct values.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from fedsql.codec import encode
from fedsql.crypto.dummies import Dummies, dummies
from fedsql.crypto.packing import Column, Layout, from_int64
from fedsql.crypto.paillier import PublicKey
from fedsql.crypto.tags import TAG_BYTES, tags
from fedsql.errors import ProtocolError
from fedsql.executors.protocol.conversation import Conversation
from fedsql.executors.protocol.outline import Outline
from fedsql.executors.protocol.wire import COORDINATOR, Message

KEY_BYTES = 32
Places = NDArray[np.uint32]
Tags = NDArray[np.uint8]


def key_kind(outline: Outline) -> str:
    """Return the kind of the message that brings the key from the first contributor to the others."""
    return f"{outline.number}/distinct/key"


def tags_kind(outline: Outline) -> str:
    """Return the kind of the message that brings tags to the coordinator."""
    return f"{outline.number}/distinct/tags"


def share_key(talk: Conversation, outline: Outline) -> tuple[bytes, list[Message]]:
    """Draw the key; return it and the messages to the other contributors."""
    key = os.urandom(KEY_BYTES)
    return key, [talk.seal(key_kind(outline), other, key) for other in outline.contributors[1:]]


def mixed(key: bytes, outline: Outline, partial: int, rows: int, me: str) -> Dummies:
    """Return the dummies of one partial, as ``me`` sends them."""
    names = outline.contributors
    return dummies(_derived(key, b"dummies", partial), rows, len(names), names.index(me))


def taken_off(drawn: Dummies, width: int) -> Column:
    """Return the column [rows, width] by which the first contributor takes the dummies off the count."""
    return from_int64(-drawn.numbers, width)


def tagged(key: bytes, partial: int, values: Mapping[int, Sequence[str]], drawn: Dummies) -> bytes:
    """Return the list of one partial: tags of ``values`` (by place) under ``key``, among the dummies, in their order."""
    labels = [place.to_bytes(4, "little") + text.encode() for place, texts in values.items() for text in texts]
    own = np.frombuffer(b"".join(tags(_derived(key, b"values", partial), labels)), np.uint8).reshape(-1, TAG_BYTES)
    where = np.repeat(np.array(list(values), np.uint32), [len(texts) for texts in values.values()])
    places, listed = np.concatenate([where, drawn.places]), np.concatenate([own, drawn.tags])
    order = _order(places, listed)
    return places[order].astype("<u4").tobytes() + listed[order].tobytes()


def tags_message(talk: Conversation, outline: Outline, lists: Sequence[bytes]) -> Message:
    """Return the message with the lists of all tagged partials."""
    return talk.seal(tags_kind(outline), COORDINATOR, encode(list(lists)))


def counted(outline: Outline, rows: int, given: Sequence[object], public: PublicKey) -> list[int]:
    """Return the coordinator's vector, encrypted: how many different tags each place has in the lists ``given``.

    ``given`` are the records of the contributors' `tags_message`. Raises ProtocolError when one is malformed.
    """
    lists = [_read(data, outline, rows) for data in given]
    columns: list[Column] = [np.zeros((rows, width), np.uint8) for width in outline.widths]
    for number, partial in enumerate(outline.tagged):
        places = np.concatenate([each[number][0] for each in lists])
        found = np.concatenate([each[number][1] for each in lists])
        columns[partial] = from_int64(_distinct(places, found, rows), outline.widths[partial])
    layout = Layout(outline.widths, rows, public.plaintext_bytes)
    plaintexts = layout.pack(columns, np.zeros(layout.plaintexts, np.uint64))
    return public.encryptor(len(plaintexts)).encrypt(plaintexts)


def _distinct(places: Places, found: Tags, rows: int) -> NDArray[np.int64]:
    """Count the different tags of each place."""
    order = _order(places, found)
    places, found = places[order], found[order]
    new = np.ones(len(places), bool)
    new[1:] = (places[1:] != places[:-1]) | (found[1:] != found[:-1]).any(axis=1)
    return np.bincount(places[new], minlength=rows).astype(np.int64)


def _order(places: Places, found: Tags) -> NDArray[np.intp]:
    """Return the order by place and tag. It tells nothing: the order of keyed tags is random."""
    halves = np.ascontiguousarray(found).view("<u8").reshape(-1, 2)
    return np.lexsort((halves[:, 1], halves[:, 0], places))


def _read(lists: object, outline: Outline, rows: int) -> list[tuple[Places, Tags]]:
    if not isinstance(lists, list) or len(lists) != len(outline.tagged):
        raise ProtocolError("tags are malformed")
    return [_read_list(each, rows) for each in lists]


def _read_list(data: object, rows: int) -> tuple[Places, Tags]:
    if not isinstance(data, bytes) or len(data) % (4 + TAG_BYTES):
        raise ProtocolError("tags are malformed")
    count = len(data) // (4 + TAG_BYTES)
    places = np.frombuffer(data[: 4 * count], "<u4").astype(np.uint32)
    if count and int(places.max()) >= rows:
        raise ProtocolError("tags are malformed")
    return places, np.frombuffer(data[4 * count :], np.uint8).reshape(count, TAG_BYTES)


def _derived(key: bytes, purpose: bytes, partial: int) -> bytes:
    return hashlib.blake2b(partial.to_bytes(4, "little"), key=key, digest_size=32, person=b"fedsql " + purpose).digest()
