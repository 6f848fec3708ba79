"""The coordinator's side of one release: match tags, deal, collect verdicts and READY, say GO, add up.

It sees pseudonymous tags, which slots survive, and ciphertexts; never a label, a count, a value or the SQL.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fedsql.codec import encode
from fedsql.crypto.packing import Layout
from fedsql.crypto.paillier import PublicKey, add, validate
from fedsql.errors import ProtocolError
from fedsql.executors.protocol import extremes, quantiles
from fedsql.executors.protocol.align import Matching, match, padded
from fedsql.executors.protocol.conversation import Conversation
from fedsql.executors.protocol.distinct import counted, tags_kind
from fedsql.executors.protocol.helper import help_release
from fedsql.executors.protocol.join_outline import ANCHOR
from fedsql.executors.protocol.outline import Outline, Released, packed_rows, row_bytes, unpacked_rows
from fedsql.executors.protocol.threshold import deal_messages
from fedsql.executors.protocol.verdict import COMMITMENT_BYTES, SALT_BYTES, Verdict
from fedsql.executors.protocol.wire import Exchange, Message, Steps

_BITS = ("rows", "salts", "commitments")
_VERDICT = dict.fromkeys((*_BITS, "signature", "released"), bytes)


@dataclass(frozen=True)
class Collected:
    """A release whose contributors are all READY: which of them hold each slot, and what each computing party judged."""

    outline: Outline
    matching: Matching
    judged: Mapping[str, Mapping[str, Any]]


def collect(talk: Conversation, outline: Outline) -> Steps[Collected]:
    """Run the coordinator's side of one release until everybody is READY. No ciphertext has left any party then."""
    n, names = outline.number, outline.contributors
    matching = Matching(outline.slots or 0, {})
    if outline.join is not None:
        matching = yield from help_release(talk, outline)
    elif outline.slots is None:
        matching = yield from match(talk, n, names)
    computing = _computing(talk, outline)
    if len(computing) == 2:
        # A slot that nobody holds is there to blur their number, and noise alone must not let it through.
        noisy = outline.slots is None and outline.circuit is not None and outline.circuit.noisy
        blurred = noisy or outline.join is not None
        barred = np.array([slot not in matching.holders for slot in range(matching.count)]) if blurred else None
        setting = outline.setting(matching.count, talk.draw)
        yield Exchange.of(deal_messages(setting, talk.sealer, barred=barred))
        if outline.extremes:
            yield Exchange.of(extremes.deal(talk, outline, matching.count))
        if outline.ranks:
            yield Exchange.of(quantiles.deal(talk, outline, matching.count))
    judged = {}
    if outline.told:
        inbox = yield Exchange.of((), [(f"{n}/verdict", name) for name in computing])
        judged = {name: _fields(talk, inbox[f"{n}/verdict", name], _VERDICT) for name in computing}
        verdict = _verdict(judged, outline, matching.count)
        told = {name: _told(outline, matching, judged, verdict, name) for name in names}
        yield Exchange.of([talk.seal(f"{n}/told", name, encode(record)) for name, record in told.items()])
    inbox = yield Exchange.of((), [(f"{n}/ready", name) for name in names])
    for name in names:
        said = _fields(talk, inbox[f"{n}/ready", name], _VERDICT if name in computing and not outline.told else {})
        if said:
            judged[name] = said
    return Collected(outline, matching, judged)


def conclude(
    talk: Conversation, collected: Collected, public: PublicKey, identities: Mapping[str, bytes]
) -> Steps[Released]:
    """Say GO, add up what comes, and return what goes to the analyst. Every release of the question must be READY."""
    outline, matching, judged = collected.outline, collected.matching, collected.judged
    n, names = outline.number, outline.contributors
    made = _verdict(judged, outline, matching.count) if judged else None
    survivors = np.flatnonzero(made.bits.survive).tolist() if made else list(range(matching.count))
    aligned = outline.slots is None
    position = {slot: i if aligned else slot for i, slot in enumerate(survivors)}
    rows = padded(len(survivors)) if aligned else matching.count
    if aligned and not set(survivors) <= set(matching.holders):
        raise ProtocolError(f"{' and '.join(judged)} let a slot through that nobody holds")
    senders = {slot: _senders(outline, matching, slot) if aligned else () for slot in survivors}
    asked = {name: [position[s] for s in survivors if name in senders[s]] for name in names}
    messages = []
    for name in names:
        go: dict[str, Any] = {"rows": rows, "labels": asked[name]}
        if made and not outline.told:
            go |= _told(outline, matching, judged, made, name)
        messages.append(talk.seal(f"{n}/go", name, encode(go)))
    kind, tags = f"{n}/vector", tags_kind(outline)
    kinds = (kind, tags) if outline.tagged else (kind,)
    inbox = yield Exchange.of(messages, [(each, name) for each in kinds for name in names])
    size = Layout(outline.widths, rows, public.plaintext_bytes).plaintexts * public.ciphertext_bytes
    given = {name: _delivery(talk, inbox[kind, name], identities[name], outline, size) for name in names}
    vectors = {name: public.from_bytes(each.vector) for name, each in given.items()}
    if outline.tagged:
        vectors[talk.me] = counted(outline, rows, [talk.record(inbox[tags, name]) for name in names], public)
    boxes: dict[tuple[str, int], bytes] = {}
    for name, each in given.items():
        if [at for at, _ in each.labels] != asked[name]:
            raise ProtocolError(f"{name} did not send the labels of released groups that it was asked for")
        boxes |= {(name, at): box for at, box in each.labels}
    return Released(
        rows=rows,
        positions=tuple(position[slot] for slot in survivors),
        bits=packed_rows(made.bits, survivors) if made else b"",
        signatures={name: each["released"] for name, each in judged.items()},
        vector=public.to_bytes(_sum(public, vectors)),
        label_key=given[names[0]].label_key,
        labels=tuple(boxes[name, position[slot]] for slot in survivors for name in senders[slot]),
    )


def _senders(outline: Outline, matching: Matching, slot: int) -> tuple[str, ...]:
    """Return who seals the label of a slot for the analyst: one of its holders; in a join one for each part of it."""
    holder = secrets.choice(matching.holders[slot])
    if outline.join is None:
        return (holder,)
    return tuple(holder if part == ANCHOR else outline.join.keyed for part in outline.join.parts)


@dataclass(frozen=True)
class _Delivery:
    """What a contributor sends at the end: its encrypted vector, and the sealed labels that it was asked for."""

    vector: bytes
    labels: list[tuple[int, bytes]]
    label_key: bytes


def _delivery(talk: Conversation, message: Message, identity: bytes, outline: Outline, size: int) -> _Delivery:
    """Read a contributor's last message. Raises ProtocolError unless it is signed and its vector has ``size`` bytes."""
    kinds: dict[str, Any] = {"vector": bytes, "signature": bytes}
    if outline.slots is None:
        kinds["labels"] = list[tuple[int, bytes]]
        if message.sender == outline.contributors[0]:
            kinds["label_key"] = bytes
    found: dict[str, Any] = dict(zip(kinds, message.fields(**kinds), strict=True))
    signed = hashlib.sha256(found["vector"]).digest()
    talk.signed_by(message.sender, identity, "vector", signed, found["signature"])
    if len(found["vector"]) != size:
        raise message.malformed()
    labels = [(at, box) for at, box in found.get("labels", ())]
    return _Delivery(found["vector"], labels, found.get("label_key", b""))


def _sum(public: PublicKey, vectors: Mapping[str, Sequence[int]]) -> list[int]:
    """Return the sum of the contributors' vectors. Raises ProtocolError, which names whose is not valid."""
    try:
        return add(public, list(vectors.values()))
    except ProtocolError as error:
        for name, vector in vectors.items():
            if not _valid(public, vector):
                raise ProtocolError(f"{name}: {error.message}") from None
        raise


def _valid(public: PublicKey, vector: Sequence[int]) -> bool:
    try:
        validate(public, vector)
    except ProtocolError:
        return False
    return True


def _computing(talk: Conversation, outline: Outline) -> tuple[str, ...]:
    return outline.computing(talk.draw) if outline.circuit is not None else ()


def _fields(talk: Conversation, message: Message, kinds: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a sealed message says, by name."""
    return dict(zip(kinds, talk.fields(message, **kinds), strict=True))


def _told(
    outline: Outline, matching: Matching, judged: Mapping[str, Mapping[str, Any]], verdict: Verdict, name: str
) -> dict[str, Any]:
    """Return what verifies the bits of a party's own slots; where groups are public, or joined, of all."""
    everything = outline.slots is not None or outline.join is not None
    held = sorted(s for s, who in matching.holders.items() if name in who)
    salts, bits = verdict.reveal(range(matching.count) if everything else held)
    signatures = {computing: each["signature"] for computing, each in judged.items()}
    return {"bits": bits, "salts": salts, "commitments": verdict.commitments, "signatures": signatures}


def _verdict(judged: Mapping[str, Mapping[str, Any]], outline: Outline, slots: int) -> Verdict:
    """Return the verdict that all computing parties agree on."""
    first, *others = judged.values()
    if any(other[part] != first[part] for other in others for part in _BITS):
        raise ProtocolError(f"the computing parties {' and '.join(judged)} disagree about a verdict")
    sizes = (row_bytes(outline), SALT_BYTES, COMMITMENT_BYTES)
    if [len(first[part]) for part in _BITS] != [slots * size for size in sizes]:
        raise ProtocolError(f"a verdict of {' and '.join(judged)} has the wrong length")
    return Verdict(unpacked_rows(first["rows"], outline), first["salts"], first["commitments"])
