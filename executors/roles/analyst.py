"""The analyst: signs and seals the question, opens and checks the answer.

The Paillier key is fresh for each connection; it is made in the background while the connection opens.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa

from fedsql.codec import decode, encode, fits
from fedsql.crypto.keys import IdentityKey, verify
from fedsql.crypto.paillier import SecretKey, generate
from fedsql.crypto.sealing import SealKey, pad, seal, unpad
from fedsql.errors import ProtocolError
from fedsql.executors.finalize import finalize
from fedsql.executors.protocol.align import padded
from fedsql.executors.protocol.conversation import Context
from fedsql.executors.protocol.join_outline import ANCHOR, PROVIDER
from fedsql.executors.protocol.labels import WHOLE, LabelBoxes, parts_of
from fedsql.executors.protocol.outline import Label, Outline, Released, released_record, unpacked_rows
from fedsql.executors.protocol.vector import open_vector
from fedsql.executors.protocol.wire import ANALYST, COORDINATOR, Aborted, Exchange, Message, Steps
from fedsql.executors.roles.common import context_of, error_of, outline_of, sealed_size, software
from fedsql.executors.roles.directory import Directory
from fedsql.executors.stopwatch import Stopwatch
from fedsql.planner.plans import Plan, ReleasePlan
from fedsql.planner.question import VALID_FOR, Question

REPEATED = b"fedsql.repeated"  # marks a table that every party held from before: nothing was charged for it


def _generate_in_background() -> Future[SecretKey]:
    pool = ThreadPoolExecutor(1, thread_name_prefix="fedsql-key")
    future = pool.submit(generate)
    pool.shutdown(wait=False)
    return future


@dataclass
class Analyst:
    """An analyst's identity and the session's keys."""

    name: str
    identity: IdentityKey = field(default_factory=IdentityKey.generate)
    box: SealKey = field(default_factory=SealKey)
    paillier: Future[SecretKey] = field(default_factory=_generate_in_background)
    clock: Callable[[], float] = time.time

    def sign(self, question: Question, plan: Plan, directory: Directory, after: Question | None = None) -> Question:
        """Return ``question`` completed with everything that is signed: a new query id, or the next attempt ``after`` one."""
        n = self.paillier.result().public.n
        return replace(
            question,
            offers=directory.catalog.digests,
            contributors=plan.contributors,
            plan_digest=plan.digest,
            software=software(),
            paillier_n=n.to_bytes(-(-n.bit_length() // 8), "big"),
            analyst_key=self.identity.public,
            analyst_box=self.box.public,
            query_id=os.urandom(16) if after is None else after.query_id,
            attempt=1 if after is None else after.attempt + 1,
            nonce=os.urandom(16),
            expiry=int(self.clock()) + VALID_FOR,
        )

    def ask(self, question: Question, plan: Plan, directory: Directory, watch: Stopwatch) -> Steps[list[pa.Table]]:
        """Ask a signed question; return the released relation of each release. Raises what a party refused with."""
        context = context_of(question, plan)
        outlines = [outline_of(release) for release in plan.releases]
        try:
            inbox = yield Exchange.of(
                [self._request(question, context, outlines, directory)], [("answer", COORDINATOR)]
            )
        except Aborted as aborted:
            raise error_of(aborted, question.query_id, self.box) from None
        try:
            return self._opened(inbox["answer", COORDINATOR], plan, outlines, context, directory.identities, watch)
        except ProtocolError as error:
            told = f"the coordinator's answer is refused: {error.message}"
            raise ProtocolError(told, hint=error.hint, query_id=question.query_id.hex()) from None

    def _opened(
        self,
        answer: Message,
        plan: Plan,
        outlines: list[Outline],
        context: Context,
        identities: Mapping[str, bytes],
        watch: Stopwatch,
    ) -> list[pa.Table]:
        hellos, records = answer.fields(hellos=list[Any], releases=list[dict[str, Any]])
        if len(records) != len(plan.releases):
            raise answer.malformed()
        said = context.roster(hellos, identities, plan.participants)
        draw = context.draw({name: hello.key for name, hello in said.items()})
        holds = {said[name].holds for name in plan.parties}
        released = [Released.of(record, answer) for record in records]
        opened = [
            self._open(release, outline, each, context, draw, identities, watch)
            for release, outline, each in zip(plan.releases, outlines, released, strict=True)
        ]
        if len(holds) == 1 and all(holds):
            return [table.replace_schema_metadata({REPEATED: b"1"}) for table in opened]
        return opened

    def _request(self, question: Question, context: Context, outlines: list[Outline], directory: Directory) -> Message:
        text = question.encode()
        signed = encode({"question": text, "signature": self.identity.sign(b"fedsql question" + text)})
        offers = {offer.party: offer for offer in directory.catalog.offers}
        padded_text = pad(signed, sealed_size(len(signed)))
        boxes = {
            name: seal(offers[name].seal_key, padded_text, b"question", question.query_id)
            for name in context.participants
        }
        request = {
            "query_id": question.query_id,
            "attempt": question.attempt,
            "plan_digest": context.plan_digest,
            "question_digest": question.digest,
            "paillier_n": question.paillier_n,
            "outlines": [outline.record() for outline in outlines],
            "owners": list(context.owners),
            "boxes": boxes,
        }
        return Message.of("ask", ANALYST, COORDINATOR, request)

    def _open(
        self,
        release: ReleasePlan,
        outline: Outline,
        released: Released,
        context: Context,
        draw: bytes,
        identities: Mapping[str, bytes],
        watch: Stopwatch,
    ) -> pa.Table:
        with watch("open"):
            self._verify(outline, released, context, draw, identities)
            columns = open_vector(context, outline, released.rows, released.vector, self.paillier.result())
            labels = self._labels(release, outline, released, context)
        with watch("finalize"):
            bits = unpacked_rows(released.bits, outline).cells if outline.circuit is not None else None
            return finalize(release, labels, released.positions, columns, bits)

    def _verify(
        self, outline: Outline, released: Released, context: Context, draw: bytes, identities: Mapping[str, bytes]
    ) -> None:
        """Verify that no row is missing or shown twice, and that the computing parties signed which are shown."""
        shown = list(released.positions)
        if outline.slots is None:
            whole = released.rows == padded(len(shown)) and shown == list(range(len(shown)))
        else:
            whole = released.rows == outline.slots and shown == sorted(set(shown) & set(range(outline.slots)))
            whole &= outline.circuit is not None or len(shown) == outline.slots
        if not whole:
            raise ProtocolError("its rows or labels are not whole")
        if outline.circuit is None:
            return
        record = released_record(outline, released.positions, released.bits)
        for name in outline.computing(draw):
            signature = released.signatures.get(name, b"")
            if not verify(identities[name], signature, context.bind("fedsql", "released", name, record)):
                raise ProtocolError(f"the verdict on small groups is not signed by {name}")

    def _labels(self, release: ReleasePlan, outline: Outline, released: Released, context: Context) -> list[Label]:
        """Return the labels of the rows shown: public ones, or unsealed."""
        if release.domain is not None:
            return [release.domain[position] for position in released.positions]
        key = self.box.open(released.label_key, context.bind("labels", outline.number))
        parts = parts_of(outline)
        if len(released.labels) != len(parts) * len(released.positions):
            raise ProtocolError("its rows or labels are not whole")
        boxes = iter(released.labels)
        places = _places(release)
        opened = [(LabelBoxes(key, context, outline.number, part), len(places[part])) for part in parts]
        ordered = [place for part in parts for place in places[part]]
        order = sorted(range(len(ordered)), key=ordered.__getitem__)
        labels: list[Label] = []
        for position in released.positions:
            found = [value for part, keys in opened for value in _label(part.open(position, next(boxes)), keys)]
            labels.append(tuple([found[at] for at in order]))
        return labels


def _places(release: ReleasePlan) -> dict[str, Sequence[int]]:
    """Return the places in the release of the keys in each part of a label."""
    join = release.join
    if join is None:
        return {WHOLE: range(len(release.release.keys))}
    return {ANCHOR: join.keys, PROVIDER: join.keyed.keys if join.keyed is not None else ()}


def _label(data: bytes, keys: int) -> list[str | None]:
    """Read one part of a label, of so many ``keys``. Raises ProtocolError when it is malformed."""
    try:
        label = decode(unpad(data))
    except ValueError:
        label = None
    if not fits(label, list[str | None]) or len(label) != keys:
        raise ProtocolError("a label is malformed")
    found: list[str | None] = label
    return found
