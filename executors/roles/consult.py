"""Asking parties for what is no answer to a question: where an analyst stands with them, or the rows of a public table.

The request is signed and sealed like a question, the reply is sealed to the analyst: the coordinator sees who asks whom.
It reads nothing that is protected, and costs nothing.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, get_type_hints

from fedsql.codec import encode, fits
from fedsql.crypto.keys import IdentityKey, verify
from fedsql.crypto.sealing import SealKey, pad, seal, unpad
from fedsql.errors import ProtocolError
from fedsql.executors.protocol.wire import ANALYST, COORDINATOR, Aborted, Exchange, Message, Steps
from fedsql.executors.roles.analyst import Analyst
from fedsql.executors.roles.common import error_of, sealed_size
from fedsql.executors.roles.directory import Directory
from fedsql.planner.question import VALID_FOR
from fedsql.privacy.ledger import Spent

BUDGET = "budget"
_REPLY_BYTES = 512


@dataclass(frozen=True)
class Consultation:
    """What the analyst signs. ``party`` is whom it asks; ``expiry`` in unix seconds.

    ``what``: `BUDGET`, or the relation of a public table (`PublicTable.relation`).
    """

    federation: str
    party: str
    what: str
    analyst: str
    analyst_box: bytes
    query_id: bytes
    nonce: bytes
    expiry: int


def consult(
    analyst: Analyst, what: str, parties: Sequence[str], directory: Directory
) -> tuple[bytes, Steps[dict[str, Any]]]:
    """Return the id of a consultation and the analyst's steps of it; their result is what each party replied."""
    query_id = os.urandom(16)
    return query_id, _consult(analyst, query_id, what, parties, directory)


def _consult(
    analyst: Analyst, query_id: bytes, what: str, parties: Sequence[str], directory: Directory
) -> Steps[dict[str, Any]]:
    offers = {offer.party: offer for offer in directory.catalog.offers}
    boxes = {}
    for party in parties:
        record = Consultation(
            directory.catalog.federation,
            party,
            what,
            analyst.name,
            analyst.box.public,
            query_id,
            os.urandom(16),
            int(analyst.clock()) + VALID_FOR,
        )
        text = encode(asdict(record))
        signed = encode({"record": text, "signature": analyst.identity.sign(b"fedsql consultation" + text)})
        boxes[party] = seal(offers[party].seal_key, pad(signed, sealed_size(len(signed))), b"consult", query_id)
    request = Message.of("consult", ANALYST, COORDINATOR, {"query_id": query_id, "boxes": boxes})
    try:
        inbox = yield Exchange.of([request], [("replies", COORDINATOR)])
    except Aborted as aborted:
        raise error_of(aborted, query_id, analyst.box) from None
    replies = inbox["replies", COORDINATOR]
    told: Any = replies.record()
    if not fits(told, dict[str, bytes]) or sorted(told) != sorted(parties):
        raise replies.malformed()
    return {party: _read(analyst, party, told[party], query_id, directory.identities[party]) for party in parties}


def _read(analyst: Analyst, party: str, box: bytes, query_id: bytes, identity: bytes) -> dict[str, Any]:
    try:
        reply = Message("reply", party, ANALYST, unpad(analyst.box.open(box, b"reply", query_id)))
    except ProtocolError as error:
        raise ProtocolError(f"the reply of {party} is refused: {error.message}") from None
    text, signature = reply.fields(record=bytes, signature=bytes)
    if not verify(identity, signature, b"fedsql reply" + query_id + text):
        raise ProtocolError(f"a reply of {party} is not signed by the identity known for it")
    told = reply.decoded(text)
    if not fits(told, dict[str, Any]):
        raise reply.malformed()
    found: dict[str, Any] = told
    return found


def spent_of(party: str, record: dict[str, Any]) -> Spent:
    """Return where an analyst stands with ``party``, as it replied. Raises ProtocolError when that is no such reply."""
    if record.keys() != get_type_hints(Spent).keys() or not fits(record, dict[str, int | float]):
        raise ProtocolError(f"the reply of {party} is malformed")
    return Spent(**record)


def pass_on(request: Message, identities: Mapping[str, bytes], parties: list[str]) -> Steps[None]:
    """Run the coordinator's side. ``parties`` gets the names of those who were asked."""
    query_id, boxes = request.fields(query_id=bytes, boxes=dict[str, bytes])
    if not boxes.keys() <= identities.keys():
        raise ProtocolError("the analyst's request does not go to parties of this federation")
    parties.extend(sorted(boxes))
    messages = [
        Message.of("consult", COORDINATOR, name, {"query_id": query_id, "box": boxes[name]}) for name in parties
    ]
    inbox = yield Exchange.of(messages, [("reply", name) for name in parties])
    replies = {name: inbox["reply", name].body for name in parties}
    yield Exchange.of([Message.of("replies", COORDINATOR, ANALYST, replies)])


def opened(message: Message, party: str, key: SealKey, directory: Directory, now: float) -> Consultation:
    """Open and verify a request, at ``party``. Raises ProtocolError with the reason."""
    query_id, box = message.fields(query_id=bytes, box=bytes)
    text = message.decoded(unpad(key.open(box, b"consult", query_id)))
    record, signature = message.values(text, record=bytes, signature=bytes)
    kinds = get_type_hints(Consultation)
    request = Consultation(**dict(zip(kinds, message.values(message.decoded(record), **kinds), strict=True)))
    pinned = directory.analysts.get(request.analyst)
    if pinned is None or not verify(pinned, signature, b"fedsql consultation" + record):
        raise ProtocolError(f"the analyst {request.analyst} is not known here, or asks with another key")
    wanted = (directory.catalog.federation, party, query_id)
    if (request.federation, request.party, request.query_id) != wanted:
        raise ProtocolError("the request was made for another federation, party or id")
    if not now < request.expiry <= now + 2 * VALID_FOR:
        raise ProtocolError("the request has expired, or is valid for too long", hint="compare the clocks")
    return request


def reply(request: Consultation, record: Mapping[str, object], identity: IdentityKey) -> Message:
    """Return what a party tells the analyst who asks: signed, and sealed to it."""
    text = encode(dict(record))
    signed = encode({"record": text, "signature": identity.sign(b"fedsql reply" + request.query_id + text)})
    box = seal(
        request.analyst_box, pad(signed, max(_REPLY_BYTES, sealed_size(len(signed)))), b"reply", request.query_id
    )
    return Message("reply", request.party, COORDINATOR, box, sealed=True)
