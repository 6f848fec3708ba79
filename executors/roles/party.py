"""The party: verify -> plan -> policy -> CHARGE -> fragment in DuckDB -> partials, and its side of the protocol.

A party receives a question, never a plan: it plans the SQL itself, applies its own policy, charges its ledger before
anything that depends on data is sent, and runs only the fragment that it derived.
"""

from __future__ import annotations

import logging
import math
import secrets
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from threading import Lock
from typing import Protocol

import numpy as np
import pyarrow as pa

from fedsql.codec import decode, digest
from fedsql.crypto.keys import IdentityKey, verify
from fedsql.crypto.paillier import PublicKey
from fedsql.crypto.sealing import SealKey, seal, unpad
from fedsql.errors import DatabaseError, InternalError, OperationalError, ProtocolError
from fedsql.executors.engines.fragments import read_fragment
from fedsql.executors.protocol.contribute import contribute
from fedsql.executors.protocol.conversation import Conversation
from fedsql.executors.protocol.outline import GroupPartials, NoiseDraws
from fedsql.executors.protocol.wire import COORDINATOR, Aborted, Exchange, Message, Steps, together
from fedsql.executors.roles.common import FAILED, abort, context_of, outline_of
from fedsql.executors.roles.consult import opened, reply
from fedsql.executors.roles.directory import Directories, Directory
from fedsql.executors.stopwatch import Stopwatch
from fedsql.planner.catalog import Offer, ReleasePolicy, TableOffer
from fedsql.planner.fragments import SAMPLING_KEY
from fedsql.planner.planning import Plan, ReleasePlan
from fedsql.planner.question import PLANNER_VERSION, VALID_FOR, Question
from fedsql.privacy.ledger import Charge, Ledger, Limits, Spent
from fedsql.privacy.noise import skellam

# For the operator of a party, and it may quote rows. Without this handler, Python would print it where no logging is set
# up: in an embedded federation, to the analyst.
_KEPT_KEYS = 16
_log = logging.getLogger("fedsql.party")
_log.addHandler(logging.NullHandler())


class Engine(Protocol):
    """Where a party's tables are."""

    def offers(self) -> tuple[TableOffer, ...]:
        """Return what the party's policy lets others see of its tables."""

    def run(self, sql: str) -> pa.Table:
        """Run a fragment."""

    def interrupt(self) -> None:
        """Stop the fragments that run now."""

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
    _keys: dict[bytes, PublicKey] = field(default_factory=dict)  # analysts' session keys, with this party's tables
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
        self.engine.interrupt()

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
        """Answer one question, or one consultation. Whatever goes wrong here is told in words that hold no data.

        ``query`` (query id, attempt) is what `interrupt` knows it by.
        """
        asked: list[Question] = []
        try:
            inbox = yield Exchange((), ((("question", COORDINATOR),), (("consult", COORDINATOR),)))
            if request := inbox.get(("consult", COORDINATOR)):
                yield Exchange.of([self._consulted(request, directories.at(()))])
            else:
                yield from self._serve(inbox["question", COORDINATOR], directories, watch, asked)
        except Aborted:
            return
        except Exception as error:
            if not isinstance(error, DatabaseError) or isinstance(error, InternalError):
                _log.exception("%s: a fragment failed", self.name)
            yield Exchange.of([abort(error, self.name, COORDINATOR, asked[0] if asked else None)])

    def spent(self, analyst: str) -> Spent:
        """Return where ``analyst`` stands with this party's budget and quota."""
        return self.ledger.spent(analyst, self.limits, self.clock())

    def _consulted(self, message: Message, directory: Directory) -> Message:
        request = opened(message, self.name, self.seal_key, directory, self.clock())
        return reply(request, asdict(self.spent(request.analyst)), self.identity)

    def _serve(
        self, message: Message, directories: Directories, watch: Stopwatch, asked: list[Question]
    ) -> Steps[None]:
        with watch("plan"):
            question, directory = self._verified(message, directories)
            asked.append(question)
            plan = directory.plan(question)
            if plan.contributors != question.contributors or plan.digest != question.plan_digest:
                raise ProtocolError("the question's plan is not the one that this party derives from its text")
            public = self._public_key(question.paillier_n)
        talk = Conversation(self.name, context_of(question, plan), self.identity)
        inbox = yield Exchange.of(
            [Message.of("hello", self.name, COORDINATOR, talk.hello())], [("roster", COORDINATOR)]
        )
        identities = directory.identities | {COORDINATOR: directory.coordinator}
        hellos = decode(inbox["roster", COORDINATOR].body)
        talk.admit(hellos, identities, (*plan.parties, COORDINATOR))
        with watch("charge"):
            self._charge(question, plan)
        mine = [release for release in plan.releases if self.name in release.contributors]
        with watch("noise"):
            noise = [_draw(release) for release in mine]
        with watch("fragment"):
            parts = [self._run(release) for release in mine]
        yield from together(
            contribute(talk, outline_of(release), part, release.domain, public, question.analyst_box, identities, drawn)
            for release, part, drawn in zip(mine, parts, noise, strict=True)
        )

    def _verified(self, message: Message, directories: Directories) -> tuple[Question, Directory]:
        """Open and verify the question; return it and the view it is planned against. Raises ProtocolError."""
        body = message.record()
        if not isinstance(body, dict):
            raise ProtocolError("a question is malformed")
        opened = decode(unpad(self.seal_key.open(body["box"], b"question", body["query_id"])))
        try:
            question = Question.decode(opened["question"])
        except ValueError:
            raise ProtocolError("a question is malformed") from None
        directory = directories.at(question.offers)
        pinned = directory.analysts.get(question.analyst)
        if pinned is None or pinned != question.analyst_key:
            raise ProtocolError(f"the analyst {question.analyst} is not known here, or asks with another key")
        if not verify(pinned, opened["signature"], b"fedsql question" + opened["question"]):
            raise ProtocolError("the question is not signed by its analyst")
        if question.federation != directory.catalog.federation or question.query_id != body["query_id"]:
            raise ProtocolError("the question was asked of another federation or under another id")
        if question.planner != PLANNER_VERSION:
            raise ProtocolError(
                f"the analyst plans with version {question.planner}, {self.name} with {PLANNER_VERSION}"
            )
        directory.check(question.offers)
        seal(question.analyst_box, b"")  # refused here, where errors can still be told in the open
        now = self.clock()
        if question.expiry > now + 2 * VALID_FOR:
            raise ProtocolError("the question is valid for too long", hint="compare the clocks")
        if not self.ledger.remember_nonce(question.nonce, question.expiry, now):
            raise ProtocolError("the question has expired or was asked before (its nonce is known)")
        # The ledger charges an attempt once. Answered twice, under two nonces, it would draw a second noise for nothing.
        attempt = digest(["attempt", question.query_id, question.attempt])
        if not self.ledger.remember_nonce(attempt, math.inf, now):
            raise ProtocolError("this attempt of the query was asked before")
        return question, directory

    def _public_key(self, n: bytes) -> PublicKey:
        if n not in self._keys:
            try:
                key = PublicKey.from_n(int.from_bytes(n, "big"))
            except ValueError as error:
                raise ProtocolError(f"the analyst's Paillier key is refused: {error}") from None
            while len(self._keys) >= _KEPT_KEYS:
                self._keys.pop(next(iter(self._keys)))
            self._keys[n] = key
        return self._keys[n]

    def _charge(self, question: Question, plan: Plan) -> None:
        scans = sorted({table for release in plan.releases for table in release.tables(self.name)})
        versions = [o.data_version for o in self.engine.offers() if o.name in scans]
        self.ledger.charge(
            Charge(
                query_id=question.query_id,
                attempt=question.attempt,
                analyst=question.analyst,
                tables=tuple(scans),
                question=plan.meaning,
                data_version="/".join(versions),
                time=self.clock(),
                rdp=plan.rdp,
                answers=sum(self.name in release.contributors for release in plan.releases),
            ),
            self.limits,
        )

    def _run(self, release: ReleasePlan) -> GroupPartials:
        """Run this party's fragment. Its errors, which could tell about rows, become one constant error."""
        # Only where the planner put it: in a text of the question it would be a value that differs from party to party.
        # There it cannot stand like this, for quotes inside of a text are doubled.
        place = f"sha256('{SAMPLING_KEY}' ||"
        sql = release.fragments[self.name].replace(place, place.replace(SAMPLING_KEY, secrets.token_hex(32)))
        try:
            return read_fragment(self.engine.run(sql), release)
        except Exception as error:
            _log.error("%s: fragment failed: %s", self.name, error)
            raise OperationalError(FAILED) from None


def _draw(release: ReleasePlan) -> NoiseDraws | None:
    """Draw this party's noise shares, before its data is touched."""
    if release.noise is None:
        return None
    assert release.domain is not None
    rows = len(release.domain)
    draws = [skellam(n.share, rows) if n.share > 0 else np.zeros(rows, np.int64) for n in release.noise]
    return NoiseDraws(draws, [n.grid for n in release.noise])
