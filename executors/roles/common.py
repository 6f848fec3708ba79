"""What the roles share: how a plan looks to the protocol, and how errors are told without telling data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fedsql import errors
from fedsql.executors.protocol.conversation import Context
from fedsql.executors.protocol.outline import Outline
from fedsql.executors.protocol.wire import ABORT, Message
from fedsql.planner.planning import Plan, ReleasePlan
from fedsql.planner.question import Question

FAILED = "a party could not run its part of the query"
# Errors that follow from the question, the policy or the ledger alone may be told; all else becomes FAILED.
_TOLD = ("PolicyDenied", "BudgetExhausted", "NotSupportedError", "ProgrammingError", "DataError", "ProtocolError")


def outline_of(plan: ReleasePlan) -> Outline:
    """Return the public shape of a planned release."""
    slots = None if plan.domain is None else len(plan.domain)
    return Outline(plan.number, plan.contributors, slots, plan.circuit, tuple(p.width for p in plan.partials))


def context_of(question: Question, plan: Plan) -> Context:
    """Return what all keys and signatures of this attempt are bound to."""
    return Context(question.query_id, question.attempt, plan.digest, question.digest, plan.contributors)


def abort(error: Exception, sender: str, recipient: str) -> Message:
    """Return the message that tells ``recipient`` that ``sender`` gave up, in words that hold no data."""
    name = type(error).__name__
    record: dict[str, Any] = {"error": "OperationalError", "message": FAILED, "party": sender}
    if name in _TOLD and isinstance(error, errors.Error):
        record |= {"error": name, "message": error.message, "hint": error.hint}
    return Message.of(ABORT, sender, recipient, record)


def error_of(record: Mapping[str, Any], query_id: bytes) -> errors.Error:
    """Return the error that an abort message tells, for the analyst."""
    name, party = str(record.get("error")), str(record.get("party"))
    kind = getattr(errors, name) if name in _TOLD else errors.OperationalError
    message = str(record.get("message"))
    shown = message if party.startswith("@") or party in message else f"{party}: {message}"
    found: errors.Error = kind(shown, hint=record.get("hint"), query_id=query_id.hex())
    return found
