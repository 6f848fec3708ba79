"""The party: its tables, policy, ledger and keys, and what it answers. How it does so is in `attempt`."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import asdict, dataclass, field
from threading import Lock
from typing import Protocol

import pyarrow as pa

from fedsql.crypto.keys import IdentityKey
from fedsql.crypto.sealing import SealKey
from fedsql.errors import BudgetExhausted, DatabaseError, InternalError, OperationalError
from fedsql.executors.protocol.wire import COORDINATOR, Aborted, Exchange, Steps
from fedsql.executors.roles.attempt import Attempt
from fedsql.executors.roles.common import FAILED, OnOutcome, abort, event, untold
from fedsql.executors.roles.consult import BUDGET, Consultation, opened, reply
from fedsql.executors.roles.copies import rows_for
from fedsql.executors.roles.directory import Directories
from fedsql.executors.roles.keys import AnalystKeys
from fedsql.executors.stopwatch import Stopwatch
from fedsql.planner.catalog import PublicTable
from fedsql.planner.offer import Offer, ReleasePolicy, TableOffer
from fedsql.planner.question import StageInput
from fedsql.privacy.ledger import Ledger, Limits, Spent

# For the operator of a party, and it may quote rows. Without this handler, Python would print it where no logging is set
# up: in an embedded federation, to the analyst.
_log = logging.getLogger("fedsql.party")
_log.addHandler(logging.NullHandler())


class Engine(Protocol):
    """Where a party's tables are. ``most_groups``: over how many groups one release may go, [limits] groups."""

    most_groups: int

    def offers(self) -> tuple[TableOffer, ...]:
        """Return what the party's policy lets others see of its tables."""

    def run(
        self,
        sql: str,
        key: Hashable = None,
        on_place: Callable[[int], None] | None = None,
        inputs: Sequence[StageInput] = (),
        joined: bool = False,
    ) -> pa.Table:
        """Run a fragment, known by ``key``; ``on_place`` is told its place while it waits for its turn, then 0.

        ``inputs`` are relations that it alone sees; ``joined``: it yields rows, for a private join.
        """

    def rows_of(self, name: str) -> bytes:
        """Return the rows of a public table as they are sent."""

    def holds(self, relation: str) -> bool:
        """Say whether fragments can read `copies."<relation>"`."""

    def keep(self, table: PublicTable, columns: Sequence[tuple[str, str]], data: bytes) -> None:
        """Keep a public table of another party, as it was sent. Raises ProtocolError when it is not what is offered."""

    def interrupt(self, key: Hashable = None) -> None:
        """Stop the fragments of ``key``, also those not begun; without one all that run now."""

    def load(self) -> tuple[int, int]:
        """Return how many fragments run, and how many wait for their turn."""

    def close(self) -> None:
        """Drop the tables."""


@dataclass
class Party:
    """One party: its tables, policy, ledger and keys."""

    name: str
    engine: Engine
    policy: ReleasePolicy
    ledger: Ledger
    identity: IdentityKey
    seal_key: SealKey = field(default_factory=SealKey)
    clock: Callable[[], float] = time.time
    on_outcome: OnOutcome = untold
    keys: AnalystKeys = field(default_factory=AnalystKeys)
    _guard: Lock = field(default_factory=Lock)  # of engine and policy: they change together

    def offer(self) -> Offer:
        """Return what this party tells the federation."""
        with self._guard:
            return self._offer()

    def _offer(self) -> Offer:
        return Offer(self.name, self.engine.offers(), self.policy, self.identity.public, self.seal_key.public)

    def replace(self, engine: Engine, policy: ReleasePolicy) -> None:
        """Answer the next question from another engine under another policy; what runs ends on the old one."""
        with self._guard:
            self.engine, self.policy = engine, policy

    def interrupt(self, query_id: bytes | None = None, attempt: int = 0) -> None:
        """Stop the fragments of one attempt, or all that run now."""
        self.engine.interrupt(None if query_id is None else (query_id, attempt))

    def close(self) -> None:
        """Close the tables and the ledger."""
        self.engine.close()
        self.ledger.close()

    @property
    def limits(self) -> Limits:
        """What the policy lets analysts spend."""
        p = self.policy
        return Limits(p.epsilon, p.total_epsilon, p.delta, p.budget_period, p.queries, p.quota_period)

    def serve(self, directories: Directories, watch: Stopwatch, query: tuple[bytes, int] | None = None) -> Steps[None]:
        """Answer one question or consultation, or lend what one reads. Whatever goes wrong here is told in words that hold no data.

        ``query`` (query id, attempt) is what `interrupt` knows it by.
        """
        with self._guard:
            attempt = Attempt(self, self.engine, self._offer(), directories, watch, query)
        outcome, begun = "cancelled", time.perf_counter()
        consulted: Consultation | None = None
        try:
            inbox = yield Exchange((), ((("question", COORDINATOR),), (("consult", COORDINATOR),)))
            if request := inbox.get(("consult", COORDINATOR)):
                consulted = opened(request, self.name, self.seal_key, directories.at(()), self.clock())
                yield Exchange.of([reply(consulted, self._told(consulted, attempt), self.identity)])
                outcome = "consulted"
                asked = {"analyst": consulted.analyst, "what": consulted.what}
                _log.info("was consulted by an analyst", extra=event("consulted", party=self.name, **asked))
            else:
                yield from attempt.answer(inbox["question", COORDINATOR])
                outcome, told = "answered", {**attempt.told(), **self._head()}
                _log.info("answered", extra=event("answered", **told, seconds=dict(watch.seconds)))
        except Aborted as aborted:
            why = str(aborted.record.get("message", "another participant gave up"))
            by = str(aborted.record.get("party", aborted.sender))
            told = {**attempt.told(), **self._head()}
            _log.warning("called off", extra=event("aborted", **told, by=by, reason=why))
        except Exception as error:
            refused = isinstance(error, DatabaseError) and not isinstance(error, InternalError)
            self._audit(error, attempt)
            outcome, reason = ("refused", str(error)) if refused else ("failed", FAILED)
            extra = event(outcome, **attempt.told(), **self._head(), reason=reason)
            _log.log(logging.WARNING if refused else logging.ERROR, outcome, extra=extra, exc_info=not refused)
            yield Exchange.of([abort(error, self.name, COORDINATOR, consulted or attempt.question)])
        finally:
            self.on_outcome(outcome, time.perf_counter() - begun)

    def spent(self, analyst: str) -> Spent:
        """Return where ``analyst`` stands with this party's budget and quota."""
        return self.ledger.spent(analyst, self.limits, self.clock())

    def _audit(self, error: Exception, attempt: Attempt) -> None:
        """Write into the audit log why a question is not answered. What is spent up has said so itself."""
        question = attempt.question
        if isinstance(error, BudgetExhausted) or question is None:
            return
        reason = str(error) if isinstance(error, DatabaseError) and not isinstance(error, InternalError) else FAILED
        asked = {"analyst": question.analyst, "query_id": question.query_id, "attempt": question.attempt}
        try:
            self.ledger.note("refused", {**asked, "sql": question.sql, "reason": reason}, self.clock())
        except OperationalError:
            _log.exception("%s: the audit log cannot be written", self.name)

    def _head(self) -> dict[str, object]:
        """Return the audit log's head for the operator's log; nothing where it cannot be read."""
        try:
            return {"audit": self.ledger.head()}
        except OperationalError:
            _log.exception("%s: the audit log cannot be read", self.name)
            return {}

    def _told(self, request: Consultation, attempt: Attempt) -> dict[str, object]:
        """Return what the analyst is told of itself, or of a public table."""
        if request.what == BUDGET:
            return asdict(self.spent(request.analyst))
        return {"rows": rows_for(request.analyst, request.what, attempt.engine, attempt.offer)}
