"""One attempt of one question at a party: verify -> plan -> policy -> CHARGE -> fragment -> partials -> vector.

A party receives a question, never a plan: it plans the SQL itself, applies its own policy, charges its ledger before
anything that depends on data is sent, and runs only the fragment that it derived. All that it has sent is in the ledger
before the vector leaves: delivered once more, the same question gets the same bytes (but for private joins: that would be
too much to keep). An attempt that was cut short is never taken up again, so no charge is answered with two different noises.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from fedsql.codec import decode, digest, encode
from fedsql.crypto.keys import verify
from fedsql.crypto.sealing import seal, unpad
from fedsql.errors import NotSupportedError, ProtocolError
from fedsql.executors.protocol.conversation import Conversation
from fedsql.executors.protocol.outline import GroupPartials, NoiseShares
from fedsql.executors.protocol.wire import COORDINATOR, Exchange, Message, Steps
from fedsql.executors.roles.common import context_of, software
from fedsql.executors.roles.copies import bring, lacks
from fedsql.executors.roles.directory import Directories, Directory
from fedsql.executors.roles.held import Held, held_under, is_holdable, name_of, unpacked
from fedsql.executors.roles.releases import Releases, drawn, is_kept
from fedsql.executors.stopwatch import Stopwatch
from fedsql.planner.offer import Offer
from fedsql.planner.plans import Plan
from fedsql.planner.question import PLANNER_VERSION, VALID_FOR, Question, versions_of
from fedsql.planner.recheck import recheck
from fedsql.privacy.ledger import Charge

if TYPE_CHECKING:
    from fedsql.executors.roles.party import Engine, Party


@dataclass
class Attempt:
    """What a party holds while it answers. ``engine`` and ``offer`` are those of its beginning, whatever is reloaded."""

    party: Party
    engine: Engine
    offer: Offer
    directories: Directories
    watch: Stopwatch
    key: tuple[bytes, int] | None = None  # what `Engine.interrupt` knows its fragments by
    question: Question | None = None
    sent: list[Message] = field(default_factory=list)
    key_held: bytes | None = None  # what its sums can be held under
    held: Held | None = None  # what it holds of the same question

    def told(self) -> dict[str, object]:
        """Return what names this attempt in the operator's log."""
        if self.question is None:
            return {"party": self.party.name}
        question = self.question
        return {
            "party": self.party.name,
            "analyst": question.analyst,
            "query_id": question.query_id.hex(),
            "attempt": question.attempt,
        }

    def answer(self, message: Message) -> Steps[None]:
        """Answer the question in ``message``. Raises what the analyst is told."""
        question, directory = self._verified(message)
        self.question = question
        stored = self.party.ledger.finished(question.query_id, question.attempt)
        if stored is not None and stored[0] == question.digest:  # delivered once more
            kept = [Message(*fields) for fields in decode(stored[1])]
            if not kept:
                raise ProtocolError(
                    "the question was answered, and what a private join sends is not kept", hint="ask anew"
                )
            yield Exchange.of(kept)
            return
        now = self.party.clock()
        self.party.ledger.admit(question.query_id, question.attempt, question.nonce, question.expiry, now)
        plan = self._planned(question, directory)
        talk = yield from self._met(question, plan, directory)
        if self.party.name not in plan.parties:  # it lends public tables and contributes nothing
            return
        last, released = yield from self._up_to_go(question, plan, talk, directory.identities)
        with self.watch("keep"):
            mine = [release for release in plan.releases if self.party.name in release.contributors]
            self._keep(question, [*self.sent, *last] if is_kept(mine) else [], released)
        yield Exchange.of(last)

    def _planned(self, question: Question, directory: Directory) -> Plan:
        """Plan the question from its text. Raises ProtocolError when the analyst planned otherwise."""
        with self.watch("plan"):
            plan = directory.plan(question).at(question.stage)
            if plan.contributors != question.contributors or plan.digest != question.plan_digest:
                raise ProtocolError(
                    "the question's plan is not the one that this party derives from its text",
                    hint=_differing(question.software, self.party.name),
                )
            _check_inputs(question, plan)
            self._check_sizes(plan)
            self.party.keys.get(question.paillier_n)
        return plan

    def _met(self, question: Question, plan: Plan, directory: Directory) -> Steps[Conversation]:
        """Say hello, verify everybody else's, and bring public tables to where they are lacking."""
        party = self.party
        missing = lacks(plan, party.name, self.engine)
        context, holds = context_of(question, plan), b""
        if party.name in plan.parties and is_holdable(plan):
            self.key_held = held_under(question, plan, self._data_version(plan))
            if (found := party.ledger.held(self.key_held)) is not None:
                mine = [release for release in plan.releases if party.name in release.contributors]
                self.held = Held(found[0], unpacked(found[1], mine))
                holds = name_of(self.held.run, context)
        if party.name in plan.parties and self.held is None:
            # The others charge when everybody has said hello: nobody pays for a question that one cannot afford.
            charge, note = self._cost(question, plan, repeated=False)
            party.ledger.check(charge, party.limits, note)
        talk = Conversation(party.name, context, party.identity, lacks=missing, holds=holds)
        hello = Message.of("hello", party.name, COORDINATOR, talk.hello())
        self.sent.append(hello)
        inbox = yield Exchange.of([hello], [("roster", COORDINATOR)])
        identities = directory.identities | {COORDINATOR: directory.coordinator}
        talk.admit(inbox["roster", COORDINATOR].record(), identities, (*plan.participants, COORDINATOR))
        yield from bring(talk, plan, self.engine, directory.catalog)
        return talk

    def _up_to_go(
        self, question: Question, plan: Plan, talk: Conversation, identities: Mapping[str, bytes]
    ) -> Steps[tuple[list[Message], list[dict[str, object]]]]:
        """Charge, and take part until every contributor is READY: see `Releases.up_to_go`."""
        mine = [release for release in plan.releases if self.party.name in release.contributors]
        held = self._repeated(talk, plan)
        with self.watch("charge"):
            self._charge(question, plan, repeated=held is not None)
        releases = Releases(self.party, self.engine, self.watch, question, self.key, talk, identities, self.sent)
        noise: dict[int, NoiseShares | None] = {}
        if held is None:
            with self.watch("noise"):
                noise = {release.number: drawn(release) for release in mine}
            if self.key_held is not None:
                held, noise = releases.hold(self.key_held, mine, noise), {}
        return (yield from releases.up_to_go(mine, held or (), noise))

    def _repeated(self, talk: Conversation, plan: Plan) -> Sequence[GroupPartials] | None:
        """Return what this party held, if every contributor holds the same attempt."""
        said = {talk.holds, *(talk.holding[name] for name in plan.parties if name != talk.me)}
        return self.held.parts if self.held is not None and said == {talk.holds} else None

    def _keep(self, question: Question, messages: list[Message], released: list[dict[str, object]]) -> None:
        """Put what is sent into the ledger, before its last part leaves."""
        text = encode([[m.kind, m.sender, m.recipient, m.body, m.sealed] for m in messages])
        now, note = self.party.clock(), {"released": released}
        self.party.ledger.finish(question.query_id, question.attempt, question.digest, text, question.expiry, now, note)

    def _verified(self, message: Message) -> tuple[Question, Directory]:
        """Open and verify the question; return it and the view it is planned against. Raises ProtocolError."""
        party = self.party
        query_id, box = message.fields(query_id=bytes, box=bytes)
        signed = message.decoded(unpad(party.seal_key.open(box, b"question", query_id)))
        text, signature = message.values(signed, question=bytes, signature=bytes)
        try:
            planner, theirs = versions_of(text)
            if planner != PLANNER_VERSION:
                raise ProtocolError(
                    f"the analyst plans with version {planner or '?'}, {party.name} with {PLANNER_VERSION}",
                    hint=_differing(theirs, party.name),
                )
            question = Question.decode(text)
        except ValueError:
            raise ProtocolError("a question is malformed") from None
        pinned = self.directories.at(()).analysts.get(question.analyst)
        if pinned is None or pinned != question.analyst_key:
            raise ProtocolError(f"the analyst {question.analyst} is not known here, or asks with another key")
        if not verify(pinned, signature, b"fedsql question" + text):
            raise ProtocolError("the question is not signed by its analyst")
        directory = self.directories.at(question.offers)  # it may wait for them: for a known analyst alone
        if question.federation != directory.catalog.federation or question.query_id != query_id:
            raise ProtocolError("the question was asked of another federation or under another id")
        directory.check(question.offers)
        if directory.catalog.offer(party.name) != self.offer:  # reloaded a moment ago
            raise ProtocolError(
                f"what {party.name} offers has changed since the question was planned", hint="ask again"
            )
        seal(question.analyst_box, b"")  # refused here, where errors can still be told in the open
        now = party.clock()
        if question.expiry > now + 2 * VALID_FOR:
            raise ProtocolError("the question is valid for too long", hint="compare the clocks")
        if question.expiry <= now:
            raise ProtocolError("the question has expired or was asked before (its nonce is known)")
        return question, directory

    def _check_sizes(self, plan: Plan) -> None:
        """Raise NotSupportedError when a release has more public groups than this party computes over."""
        most = self.engine.most_groups
        slots = max((len(release.domain or ()) for release in plan.releases), default=0)
        if slots > most:
            raise NotSupportedError(
                f"{self.party.name} computes over {most} groups at most, and the public values make {slots}",
                hint="group by fewer columns",
            )

    def _data_version(self, plan: Plan) -> str:
        """Return the version of the data that this party's fragments read."""
        return "/".join(o.data_version for o in self.engine.offers() if o.name in self._scans(plan))

    def _scans(self, plan: Plan) -> list[str]:
        return sorted({table for release in plan.releases for table in release.tables(self.party.name)})

    def _charge(self, question: Question, plan: Plan, *, repeated: bool) -> None:
        """Charge the question; a ``repeated`` answer costs nothing more, and is written down."""
        recheck(plan)
        charge, note = self._cost(question, plan, repeated=repeated)
        self.party.ledger.charge(charge, self.party.limits, note)

    def _cost(self, question: Question, plan: Plan, *, repeated: bool) -> tuple[Charge, dict[str, object]]:
        """Return what a question costs here, and what the audit log tells of it."""
        charge = Charge(
            query_id=question.query_id,
            attempt=question.attempt,
            analyst=question.analyst,
            tables=tuple(self._scans(plan)),
            question=digest([plan.meaning, question.stage, [asdict(each) for each in question.inputs]]),
            data_version=self._data_version(plan),
            time=self.party.clock(),
            rdp=(0.0,) * len(plan.rdp) if repeated and plan.rdp is not None else plan.rdp,
            delta=plan.delta_of_groups,
            answers=sum(self.party.name in release.contributors for release in plan.releases),
        )
        return charge, {
            "sql": question.sql,
            "parameters": [list(parameter) for parameter in question.parameters],
            "contributors": [list(names) for names in plan.contributors],
            "shown": [
                {"keys": len(r.release.keys), "values": [a.function for a in r.release.aggregates]}
                for r in plan.releases
            ],
        }


def _check_inputs(question: Question, plan: Plan) -> None:
    """Raise ProtocolError unless a question brings exactly the inputs that its stage reads."""
    read = [(each.name, each.columns, each.unique) for each in plan.inputs if each.name in plan.reads]
    if read != [(each.name, each.columns, each.unique) for each in question.inputs]:
        raise ProtocolError("the question's inputs are not those that its plan reads")
    singles = {each.name for each in plan.inputs if each.single}
    for each in question.inputs:
        if any(len(row) != len(each.columns) for row in each.rows) or (each.name in singles and len(each.rows) != 1):
            raise ProtocolError("an input of the question is malformed")


def _differing(analysts: str, party: str) -> str | None:
    """Return who runs what, where that differs."""
    if analysts == software():
        return None
    return f"everybody needs the same: the analyst runs {analysts or 'an older fedsql'}; {party} runs {software()}"
