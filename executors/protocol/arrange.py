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

from fedsql.codec import decode, encode
from fedsql.crypto.paillier import PublicKey, add
from fedsql.errors import ProtocolError
from fedsql.executors.protocol.align import Matching, match, padded
from fedsql.executors.protocol.conversation import Conversation
from fedsql.executors.protocol.distinct import counted, tags_kind
from fedsql.executors.protocol.outline import Outline, Released, row_bytes, unpacked_rows
from fedsql.executors.protocol.threshold import deal_messages
from fedsql.executors.protocol.verdict import Verdict
from fedsql.executors.protocol.wire import Exchange, Steps

_BITS = ("rows", "salts", "commitments")


@dataclass(frozen=True)
class Collected:
    """A release whose contributors are all READY: which of them hold each slot, and what each one said."""

    outline: Outline
    matching: Matching
    ready: Mapping[str, Any]


def collect(talk: Conversation, outline: Outline) -> Steps[Collected]:
    """Run the coordinator's side of one release until everybody is READY. No ciphertext has left any party then."""
    n, names = outline.number, outline.contributors
    matching = Matching(outline.slots or 0, {})
    if outline.slots is None:
        matching = yield from match(talk, n, names)
    if len(_computing(talk, outline)) == 2:
        yield Exchange.of(deal_messages(outline.setting(matching.count, talk.context.query_id), talk.sealer))
    inbox = yield Exchange.of((), [(f"{n}/ready", name) for name in names])
    return Collected(outline, matching, {name: decode(talk.open(inbox[f"{n}/ready", name])) for name in names})


def conclude(
    talk: Conversation, collected: Collected, public: PublicKey, identities: Mapping[str, bytes]
) -> Steps[Released]:
    """Say GO, add up what comes, and return what goes to the analyst. Every release of the question must be READY."""
    outline, matching, ready = collected.outline, collected.matching, collected.ready
    n, names, computing = outline.number, outline.contributors, _computing(talk, outline)
    judged = _judged(ready, computing, outline, matching.count)
    made = Verdict(unpacked_rows(judged["rows"], outline), judged["salts"], judged["commitments"]) if judged else None
    survivors = np.flatnonzero(made.bits.survive).tolist() if made else list(range(matching.count))
    aligned = outline.slots is None
    position = {slot: i if aligned else slot for i, slot in enumerate(survivors)}
    rows = padded(len(survivors)) if aligned else matching.count
    holder = {slot: secrets.choice(matching.holders[slot]) for slot in survivors} if aligned else {}
    messages = []
    for name in names:
        go: dict[str, Any] = {"rows": rows, "labels": [position[s] for s in survivors if holder.get(s) == name]}
        if made:  # a party gets what verifies the bits of its own slots; where groups are public, of all
            held = sorted(s for s, who in matching.holders.items() if name in who)
            salts, bits = made.reveal(held if aligned else range(matching.count))
            go |= {"bits": bits, "salts": salts, "commitments": made.commitments}
            go["signatures"] = {c: ready[c]["signature"] for c in computing}
        messages.append(talk.seal(f"{n}/go", name, encode(go)))
    kind, tags = f"{n}/vector", tags_kind(outline)
    kinds = (kind, tags) if outline.tagged else (kind,)
    inbox = yield Exchange.of(messages, [(each, name) for each in kinds for name in names])
    records: dict[str, Any] = {name: inbox[kind, name].record() for name in names}
    for name, record in records.items():
        signed = hashlib.sha256(record["vector"]).digest()
        talk.signed_by(name, identities[name], "vector", signed, record["signature"])
    vectors = [public.from_bytes(record["vector"]) for record in records.values()]
    if outline.tagged:
        vectors.append(counted(outline, rows, [talk.open(inbox[tags, name]) for name in names], public))
    total = add(public, vectors)
    boxes = {int(at): bytes(box) for record in records.values() for at, box in record.get("labels", ())}
    shown = tuple(position[slot] for slot in survivors)
    if aligned and sorted(boxes) != sorted(shown):
        raise ProtocolError("labels of released groups are missing")
    width = row_bytes(outline)
    return Released(
        rows=rows,
        positions=shown,
        bits=b"".join(judged["rows"][s * width : (s + 1) * width] for s in survivors) if judged else b"",
        signatures={c: ready[c]["released"] for c in computing},
        vector=public.to_bytes(total),
        label_key=records[names[0]].get("label_key", b""),
        labels=tuple(boxes[p] for p in shown) if aligned else (),
    )


def _computing(talk: Conversation, outline: Outline) -> tuple[str, ...]:
    return outline.computing(talk.context.query_id) if outline.circuit is not None else ()


def _judged(ready: Mapping[str, Any], computing: Sequence[str], outline: Outline, slots: int) -> dict[str, Any] | None:
    """Return the verdict that all computing parties agree on; None under noise, where nothing is judged."""
    if not computing:
        return None
    first: dict[str, Any] = ready[computing[0]]
    if any(ready[name][part] != first[part] for name in computing for part in _BITS):
        raise ProtocolError("the computing parties disagree about a verdict")
    if len(first["rows"]) != slots * row_bytes(outline):
        raise ProtocolError("a verdict has the wrong length")
    return first
