"""The coordinator: passes sealed questions on, keeps the roster, and runs its side of each release.

It holds an identity key and nothing of the data. The SQL reaches it only inside boxes that it cannot open.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fedsql.codec import digest, encode
from fedsql.crypto.keys import IdentityKey
from fedsql.errors import DatabaseError, ProtocolError
from fedsql.executors.protocol.arrange import collect, conclude
from fedsql.executors.protocol.conversation import Context, Conversation
from fedsql.executors.protocol.outline import Outline
from fedsql.executors.protocol.wire import ANALYST, COORDINATOR, Aborted, Exchange, Message, Steps, together
from fedsql.executors.roles.common import FAILED, OnOutcome, abort, event, untold
from fedsql.executors.roles.consult import pass_on
from fedsql.executors.roles.keys import AnalystKeys

_log = logging.getLogger("fedsql.coordinator")
_log.addHandler(logging.NullHandler())
_OF_ABORT = ("error", "message", "party", "hint", "box")


@dataclass
class Coordinator:
    """The coordinator of a federation."""

    identity: IdentityKey = field(default_factory=IdentityKey.generate)
    on_outcome: OnOutcome = untold
    keys: AnalystKeys = field(default_factory=AnalystKeys)

    def serve(self, identities: Mapping[str, bytes]) -> Steps[None]:
        """Coordinate one question, or one consultation. ``identities`` are the parties' pinned keys."""
        parties: list[str] = []
        told: dict[str, object] = {}
        outcome, begun = "cancelled", time.perf_counter()
        try:
            inbox = yield Exchange((), ((("ask", ANALYST),), (("consult", ANALYST),)))
            if request := inbox.get(("consult", ANALYST)):
                yield from pass_on(request, identities, parties)
                outcome = "consulted"
            else:
                yield from self._serve(inbox["ask", ANALYST], identities, parties, told)
                outcome = "answered"
                _log.info("answered", extra=event("answered", **told))
        except Aborted as aborted:
            # What a party says is sealed to the analyst; what the transport says is not.
            why = str(aborted.record.get("message", "the reason is sealed to the analyst"))
            by = str(_passed_on(aborted).get("party"))
            _log.warning("called off", extra=event("aborted", **told, by=by, reason=why))
            others = [name for name in parties if name != aborted.sender]
            record = _passed_on(aborted)
            yield Exchange.of([Message.of("abort", COORDINATOR, name, record) for name in (*others, ANALYST)])
        except Exception as error:
            refused = isinstance(error, DatabaseError)
            outcome, reason = ("refused", str(error)) if refused else ("failed", FAILED)
            extra = event(outcome, **told, reason=reason)
            _log.log(logging.WARNING if refused else logging.ERROR, outcome, extra=extra, exc_info=not refused)
            yield Exchange.of([abort(error, COORDINATOR, name) for name in (*parties, ANALYST)])
        finally:
            self.on_outcome(outcome, time.perf_counter() - begun)

    def _serve(
        self, request: Message, identities: Mapping[str, bytes], parties: list[str], told: dict[str, object]
    ) -> Steps[None]:
        query_id, attempt, plan_digest, question_digest, n, records, owners, boxes = request.fields(
            query_id=bytes,
            attempt=int,
            plan_digest=bytes,
            question_digest=bytes,
            paillier_n=bytes,
            outlines=list[dict[str, Any]],
            owners=list[str],
            boxes=dict[str, bytes],
        )
        outlines = [Outline.of(record, request) for record in records]
        if len({outline.number for outline in outlines}) != len(outlines):
            raise request.malformed()
        contributors, shape = tuple(o.contributors for o in outlines), digest([o.record() for o in outlines])
        context = Context(query_id, attempt, plan_digest, question_digest, contributors, shape, tuple(owners))
        needed = context.participants
        if not outlines or tuple(sorted(boxes)) != needed or not set(needed) <= set(identities):
            raise ProtocolError("the analyst's request does not go to exactly the participants")
        public = self.keys.get(n)
        parties.extend(needed)
        told |= {"query_id": context.query_id.hex(), "attempt": context.attempt, "parties": list(needed)}
        talk = Conversation(COORDINATOR, context, self.identity)
        questions = [
            Message.of("question", COORDINATOR, name, {"query_id": context.query_id, "box": boxes[name]})
            for name in needed
        ]
        inbox = yield Exchange.of(questions, [("hello", name) for name in needed])
        hellos = [inbox["hello", name].record() for name in needed]
        everybody = [*hellos, talk.hello()]
        talk.admit(everybody, {**identities, COORDINATOR: self.identity.public}, (*needed, COORDINATOR))
        roster = encode(everybody)
        yield Exchange.of([Message("roster", COORDINATOR, name, roster) for name in needed])
        collected = yield from together(collect(talk, outline) for outline in outlines)
        released = yield from together(conclude(talk, each, public, identities) for each in collected)
        answer = {"hellos": hellos, "releases": [each.record() for each in released]}
        yield Exchange.of([Message.of("answer", COORDINATOR, ANALYST, answer)])


def _passed_on(aborted: Aborted) -> dict[str, object]:
    """Return what all others are told of an abort: what may be in one, and nobody blames another in a party's name."""
    record = {key: value for key, value in aborted.record.items() if key in _OF_ABORT}
    return record if aborted.sender == COORDINATOR else record | {"party": aborted.sender}
