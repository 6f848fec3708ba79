"""What goes over a connection: frames, each one part of one message, in canonical CBOR.

A frame is ``[version, query id, attempt, kind, sender, recipient, sealed, part, parts, body]``. It names the query and
the route in the clear, so that the hub forwards it as it is; a body over `PART` bytes is cut into several frames. The
connection's own talk (login, ping, offers) are frames too, under the empty query id. Nothing that was not
written here passes `parse`: it raises `Malformed`, and the connection is closed with one constant reason.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fedsql.codec import decode, encode
from fedsql.errors import OperationalError
from fedsql.executors.protocol.wire import ABORT, Message

VERSION = 4  # raised with every change of what goes over a connection: frames, and the records in them
PART = 4 << 20  # bytes of body in one frame; other Flight clients and proxies cap messages at 16 MB
LIMIT = 1 << 30  # bytes of body in one message
MALFORMED = "the connection was closed: a frame was malformed"
_PARTS = LIMIT // PART
HEADER = 4096  # more than the header of any frame with names and kinds of legal length, or than any frame of a login
_WORD = 256  # bytes of a name or a kind
_ITEMS = 11  # of CBOR in a frame

Query = tuple[bytes, int]  # query id, attempt
CONTROL: Query = (b"", 0)  # the connection's own talk


class Malformed(Exception):
    """A frame that no honest participant sends. It says nothing more: its maker knows, and nobody else should."""


class WrongVersion(Malformed):
    """A frame of another version of this protocol: ``version``."""

    def __init__(self, version: int) -> None:
        super().__init__(version)
        self.version = version


@dataclass(frozen=True, slots=True)
class Frame:
    """Part number ``part`` of ``parts`` of a message of ``query``; ``message.body`` is that part of the body."""

    query: Query
    message: Message
    part: int = 0
    parts: int = 1


def frames_of(query: Query, message: Message) -> Iterator[bytes]:
    """Yield the frames of a message. Raises OperationalError when it is over `LIMIT`."""
    size = len(message.body)
    if size > LIMIT:
        raise OperationalError(f"a message ({message.kind}) of {size} bytes is over the limit of {LIMIT}")
    route = [VERSION, *query, message.kind, message.sender, message.recipient, message.sealed]
    parts = max(1, -(-size // PART))
    for part in range(parts):
        yield encode([*route, part, parts, message.body[part * PART : (part + 1) * PART]])


def parse(data: bytes, most: int = PART + HEADER) -> Frame:
    """Return the frame that ``data`` holds. Raises Malformed, and WrongVersion where only that is wrong.

    A frame has up to ``most`` bytes.
    """
    if len(data) > most:
        raise Malformed
    try:
        fields = decode(data, _ITEMS)
    except ValueError:
        raise Malformed from None
    if type(fields) is not list or not fields or type(fields[0]) is not int:
        raise Malformed
    if fields[0] != VERSION:
        raise WrongVersion(fields[0])
    if [type(field) for field in fields[1:]] != [bytes, int, str, str, str, bool, int, int, bytes]:
        raise Malformed
    _, query_id, attempt, kind, sender, recipient, sealed, part, parts, body = fields
    sizes_fit = len(query_id) <= 64 and max(len(kind), len(sender), len(recipient)) <= _WORD
    # Every part but the last is whole: so a message of n parts cannot be held open by many tiny ones.
    whole = len(body) == PART or (part == parts - 1 and len(body) <= PART and (len(body) > 0 or parts == 1))
    if not (sizes_fit and whole and 0 <= part < parts <= _PARTS and 0 <= attempt < 1 << 32) or encode(fields) != data:
        raise Malformed
    return Frame((query_id, attempt), Message(kind, sender, recipient, body, sealed), part, parts)


def control(kind: str, record: object = None) -> list[bytes]:
    """Return the frames of a control record."""
    return list(frames_of(CONTROL, Message.of(kind, "", "", record)))


def control_record(frame: Frame, kind: str) -> object:
    """Return the record of a control frame of ``kind`` that has one part. Raises Malformed when it is none."""
    if frame.query != CONTROL or frame.message.kind != kind or frame.parts != 1:
        raise Malformed
    try:
        return decode(frame.message.body)
    except ValueError:
        raise Malformed from None


def abort_message(sender: str, recipient: str, party: str, reason: str, *, lost: bool = False) -> Message:
    """Return the ABORT that blames ``party`` (a name of the wire) for ``reason``, in words that hold no data.

    ``lost``: it cannot be reached or does not answer, so that asking the others alone might help.
    """
    error = "PartyUnreachable" if lost and not party.startswith("@") else "OperationalError"
    return Message.of(ABORT, sender, recipient, {"error": error, "message": reason, "party": party, "hint": None})
