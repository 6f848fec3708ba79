"""What the roles share: how a plan looks to the protocol, and how errors are told without telling data."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from functools import cache
from importlib.metadata import version
from typing import Any, Protocol

from fedsql import errors
from fedsql.codec import decode, digest, encode
from fedsql.crypto.sealing import SealKey, pad, seal, unpad
from fedsql.executors.protocol.conversation import Context
from fedsql.executors.protocol.join_outline import JoinOutline
from fedsql.executors.protocol.outline import Outline
from fedsql.executors.protocol.wire import ABORT, COORDINATOR, Aborted, Message, named
from fedsql.executors.transport.router import FAILED as COORDINATOR_FAILED
from fedsql.planner.plans import Plan, ReleasePlan
from fedsql.planner.question import Question

OnOutcome = Callable[[str, float], None]
FAILED = "a party could not run its part of the query"
# Errors that follow from the question, the policy or the ledger alone may be told; all else becomes FAILED.
_MAY_BE_TOLD = (
    "PolicyDenied",
    "BudgetExhausted",
    "NotSupportedError",
    "ProgrammingError",
    "DataError",
    "ProtocolError",
    "TooComplex",
)


@cache
def software() -> str:
    """Return what a plan depends on besides the question and the catalog: the same versions derive the same plan."""
    return ", ".join(f"{name} {version(name)}" for name in ("fedsql", "sqlglot", "duckdb", "dp-accounting"))


def outline_of(plan: ReleasePlan) -> Outline:
    """Return the public shape of a planned release."""
    slots = None if plan.domain is None else len(plan.domain)
    placed = list(zip(plan.starts, plan.partials, strict=True))
    widths = tuple(partial.width for partial in plan.partials for _ in range(partial.columns))
    tagged = tuple(index for index, partial in placed if partial.tagged)
    coded = [(index, p.order, p.rank) for index, p in placed if p.order is not None]
    extremes = tuple((index, order.bits) for index, order, rank in coded if rank is None)
    ranks = tuple((index, rank.values) for index, _, rank in coded if rank is not None)
    join = None if plan.join is None else JoinOutline.planned(plan.join)
    sent = widths, tagged, extremes, ranks
    return Outline(plan.number, plan.contributors, slots, plan.circuit, *sent, plan.told, join)


def context_of(question: Question, plan: Plan) -> Context:
    """Return what all keys and signatures of this attempt are bound to.

    The coordinator knows it all. So the plan's digest is salted with the nonce, which is sealed to the parties: a bare
    one would let it test guesses of the SQL, and see which questions are the same.
    """
    salted = hashlib.sha256(question.nonce + plan.digest).digest()
    shape = digest([outline_of(release).record() for release in plan.releases])
    return Context(question.query_id, question.attempt, salted, question.digest, plan.contributors, shape, plan.owners)


class Asked(Protocol):
    """What an analyst signed: a question or a consultation."""

    @property
    def analyst_box(self) -> bytes:
        """What answers are sealed to."""

    @property
    def query_id(self) -> bytes:
        """What they are bound to."""


def event(name: str, **fields: object) -> dict[str, Any]:
    """Return the ``extra`` of a log record: which event it is, with its fields (JSON-able, and never data of rows)."""
    return {"event": name, "fields": fields}


def untold(outcome: str, seconds: float) -> None:
    """Tell nobody an outcome: an `OnOutcome`, which gets what became of a question, and the seconds that it took here.

    Outcomes are answered, refused, failed and cancelled (called off by another participant), and consulted where it was no
    question but a consultation.
    """


def sealed_size(size: int) -> int:
    """Return the length to which texts that quote SQL are padded before they are sealed: whole kilobytes."""
    return -(-(size + 4) // 1024) * 1024


def abort(error: Exception, sender: str, recipient: str, asked: Asked | None = None) -> Message:
    """Return the message that tells ``recipient`` that ``sender`` gave up, in words that hold no data.

    They may name columns of the question or what its analyst has spent, so a party that knows what was ``asked`` seals
    them for its analyst.
    """
    name = type(error).__name__
    failed = COORDINATOR_FAILED if sender == COORDINATOR else FAILED
    record: dict[str, Any] = {"error": "OperationalError", "message": failed, "party": sender}
    if name in _MAY_BE_TOLD and isinstance(error, errors.Error):
        record |= {"error": name, "message": error.message, "hint": error.hint}
    if asked is not None:
        text = encode(record)
        box = seal(asked.analyst_box, pad(text, sealed_size(len(text))), b"abort", asked.query_id)
        record = {"party": sender, "box": box}
    return Message.of(ABORT, sender, recipient, record)


def error_of(aborted: Aborted, query_id: bytes, key: SealKey) -> errors.Error:
    """Return the error that an abort tells, for the analyst, whose boxes ``key`` opens. It always names somebody."""
    record = _told(aborted, query_id, key)
    name, party, told, hint = (record.get(field) for field in ("error", "party", "message", "hint"))
    if not isinstance(party, str) or not party.isprintable():
        party = aborted.sender
    message = "".join(c if c.isprintable() else "?" for c in told) if isinstance(told, str) else FAILED
    kind = getattr(errors, name) if name in (*_MAY_BE_TOLD, "PartyUnreachable") else errors.OperationalError
    shown = message if named(party).removeprefix("the ") in message else f"{named(party)}: {message}"
    found: errors.Error = kind(shown, hint=hint if isinstance(hint, str) else None, query_id=query_id.hex())
    if isinstance(found, errors.PartyUnreachable):
        found.party = party
    return found


def _told(aborted: Aborted, query_id: bytes, key: SealKey) -> Mapping[str, Any]:
    """Return what an abort tells, out of its box where it is in one."""
    box = aborted.record.get("box")
    if not isinstance(box, bytes):
        return aborted.record
    try:
        record = decode(unpad(key.open(box, b"abort", query_id)))
    except (errors.ProtocolError, ValueError):
        record = None
    return record if isinstance(record, dict) else {"party": aborted.record.get("party")}
