"""Suppression: which of a party's groups may be shown, from its counts to the bits that both computing parties signed.

A party whose groups are judged takes part in the threshold (`judge`); if it computes, it signs the verdict. What it is told
of its own groups afterwards it believes only by the signatures of both (`revealed`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fedsql.codec import encode
from fedsql.crypto.circuit import Bits
from fedsql.errors import ProtocolError
from fedsql.executors.protocol import verdict
from fedsql.executors.protocol.conversation import Context, Conversation
from fedsql.executors.protocol.labels import WHOLE
from fedsql.executors.protocol.outline import GroupPartials, NoiseShares, Outline, packed_rows, released_record
from fedsql.executors.protocol.threshold import decide, decide_alone, share_counts
from fedsql.executors.protocol.wire import Exchange, Steps

HIDDEN = verdict.NO_RANK  # the position of a group that is not released


@dataclass(frozen=True)
class Slots:
    """Where a party's groups are: the slot of each label, the number of slots, and what labels are sealed under.

    ``part``: which part of each label it has (see `labels`).
    """

    of: Sequence[int]
    count: int
    label_key: bytes | None = None
    part: str = WHOLE


@dataclass(frozen=True)
class Told:
    """What verifies the ``bits`` of a party's slots (see `verdict.check`)."""

    bits: bytes
    salts: bytes
    commitments: bytes
    signatures: Mapping[str, bytes]


TOLD: dict[str, Any] = {"bits": bytes, "salts": bytes, "commitments": bytes, "signatures": dict[str, bytes]}


def judge(
    talk: Conversation, outline: Outline, part: GroupPartials, slots: Slots, noise: NoiseShares | None
) -> Steps[tuple[dict[str, object], Bits | None]]:
    """Take part in the threshold step; return what a computing party says: its signed verdict, and the bits."""
    assert outline.circuit is not None
    counts = np.zeros((slots.count, len(outline.circuit.tests)), np.int64)
    counts[np.asarray(slots.of, np.intp)] = part.counts
    if noise is not None and noise.units is not None:  # in every slot, whoever has it
        counts[:, 0] += noise.units(slots.count)
    if len(outline.contributors) == 1:
        bits, seed = decide_alone(outline.circuit, counts), os.urandom(32)
        own = np.zeros(slots.count, bool)  # what is in the others is noise alone
        own[np.asarray(slots.of, np.intp)] = True
        bits = Bits(bits.survive & own, bits.cells & own[:, None])
    else:
        setting = outline.setting(slots.count, talk.draw)
        # At once, not with READY: who computes may wait for these before another release that this party waits in goes on.
        yield Exchange.of(share_counts(setting, talk.me, counts, talk.sealer))
        if talk.me not in setting.computing:
            return {}, None
        decision = yield from decide(setting, talk.me, counts, talk.sealer)
        bits, seed = decision.bits, decision.seed
    return _verdict(talk, outline, bits, seed), bits


def _verdict(talk: Conversation, outline: Outline, bits: Bits, seed: bytes) -> dict[str, object]:
    """Return the decision as its computing party signs it: for the parties slot by slot, for the analyst in one."""
    made = verdict.commit(bits, seed)
    survivors = np.flatnonzero(bits.survive).tolist()
    return {
        "rows": packed_rows(bits),
        "salts": made.salts,
        "commitments": made.commitments,
        "signature": talk.sign("verdict", _verdict_record(talk.context, outline, made.commitments)),
        "released": talk.sign("released", released_record(outline, survivors, packed_rows(bits, survivors))),
    }


def _verdict_record(context: Context, outline: Outline, commitments: bytes) -> bytes:
    names = outline.contributors
    return encode(
        verdict.record(context.query_id, context.attempt, outline.number, names, context.plan_digest, commitments)
    )


def revealed(
    talk: Conversation, outline: Outline, slots: Slots, told: Told, identities: Mapping[str, bytes]
) -> verdict.Revealed:
    """Return the bits of each own group. Raises ProtocolError unless both computing parties signed them."""
    assert outline.circuit is not None
    signed = _verdict_record(talk.context, outline, told.commitments)
    for name in outline.computing(talk.draw):
        talk.signed_by(name, identities[name], "verdict", signed, told.signatures.get(name))
    # The coordinator knows the slots of aligned groups; where groups are public, or joined, everyone gets all slots.
    asked = sorted(slots.of) if outline.slots is None else list(range(slots.count))
    found = verdict.check(asked, told.bits, told.salts, told.commitments, len(outline.circuit.cells))
    where = {slot: i for i, slot in enumerate(asked)}
    order = np.asarray([where[slot] for slot in slots.of], np.intp)
    return verdict.Revealed(found.survive[order], found.cells[order], found.ranks[order])


def admitted(outline: Outline, slots: Slots, rows: int, shown: verdict.Revealed | None) -> tuple[Bits, list[int]]:
    """Return, for each own group, its bits and its position among ``rows``. ``shown``: None where none is hidden.

    Raises ProtocolError when so many rows cannot be.
    """
    if not 0 <= rows <= slots.count or (outline.slots is not None and rows != slots.count):
        raise ProtocolError("the rows of a release are malformed")
    if shown is None:
        assert outline.circuit is None
        return Bits(np.ones(len(slots.of), bool), np.ones((len(slots.of), 0), bool)), list(slots.of)
    places = shown.ranks.tolist() if outline.slots is None else list(slots.of)
    positions = [int(p) if s else HIDDEN for p, s in zip(places, shown.survive, strict=True)]
    if any(rows <= p != HIDDEN for p in positions):
        raise ProtocolError("the rows of a release are malformed")
    return shown, positions
