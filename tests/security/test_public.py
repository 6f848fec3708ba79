"""Public tables travel to whoever lacks them, and nothing else does: who is sent what, what it costs, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest
from harness import NOW, Run, Watched, alter, body, edited, federation, flipped, lies, small
from lending import CODES, GROUPS, SHOWN, SQL, lib, patients, public, world

from fedsql.codec import decode, encode
from fedsql.errors import Error, OperationalError, PolicyDenied, ProtocolError
from fedsql.executors.engines import texts
from fedsql.executors.engines.store import PartyStore
from fedsql.executors.protocol.wire import ANALYST, COORDINATOR, Message
from fedsql.executors.roles import copies
from fedsql.executors.roles.consult import consult
from fedsql.executors.stopwatch import Stopwatch
from fedsql.executors.transport.inprocess import run as run_in_process
from fedsql.planner.catalog import PublicTable
from fedsql.planner.question import Question, StageInput

FREE = {"ask", "question", "hello", "roster", "public-0"}
NAMES = CODES.column("name").to_pylist()


@pytest.fixture
def watched() -> Iterator[Watched]:
    made = Watched(world())
    yield made
    made.close()


def kinds(run: Run) -> set[str]:
    return {message.kind for message in run.messages}


def charges(world: Watched) -> dict[str, int]:
    return {
        name: party.ledger._db.execute("SELECT count(*) FROM charges").fetchone()[0]
        for name, party in world.federation.parties.items()
    }


def test_fragments_read_what_another_party_offers(watched):
    assert watched.ask(SQL).rows == SHOWN


def test_rows_are_sent_once_sealed_from_their_owner_to_whoever_lacks_them(watched):
    first, second = watched.ask(SQL), watched.ask(SQL)
    sent = [message for message in first.messages if message.kind.startswith("public")]
    assert {(message.sender, message.recipient, message.sealed) for message in sent} == {
        ("lib", "north", True),
        ("lib", "south", True),
    }
    assert len(sent) == 2
    assert not second.of("public-0")
    assert second.rows == SHOWN
    assert kinds(first) - kinds(second) == {"public-0"}


def test_nobody_waits_for_rows_that_it_holds(watched):
    """Once all is held, the messages are those of a plan without public tables, and one hello more."""
    watched.ask(SQL)
    plain = Watched(small(GROUPS, value=7))
    without = plain.ask("SELECT g, count(*) AS n, sum(v) AS s FROM t GROUP BY g")
    assert kinds(without) == kinds(watched.ask(SQL))
    plain.close()


def test_only_who_lacks_a_table_is_sent_it(watched):
    held = watched.federation.parties["south"].engine
    offer = watched.federation.directory.catalog.offer("lib").table("codes")
    held.keep(
        PublicTable.of(offer),
        [(column.name, column.type) for column in offer.columns],
        watched.federation.parties["lib"].engine.rows_of("codes"),
    )
    run = watched.ask(SQL)
    assert [message.recipient for message in run.of("public-0")] == ["north"]
    assert run.rows == SHOWN


def test_an_owner_is_no_contributor(watched):
    run = watched.ask(SQL)
    assert run.question.contributors == (("north", "south"),)
    assert run.outline.contributors == ("north", "south")
    assert (run.plan.parties, run.plan.owners, run.plan.participants) == (
        ("north", "south"),
        ("lib",),
        ("lib", "north", "south"),
    )
    assert {m.kind for m in run.messages if m.sender == "lib"} == {"hello", "public-0"}
    assert {m.kind for m in run.messages if m.recipient == "lib"} == {"question", "roster"}
    assert charges(watched) == {"lib": 0, "north": 1, "south": 1}


def test_an_owner_does_not_count_as_a_party_with_units():
    """Two contributors where three are asked for: the owner is not the third."""
    made = Watched(federation(*({**patients(name), "release": {"min_parties": 3}} for name in GROUPS), lib()))
    with pytest.raises(PolicyDenied, match="min_parties = 3"):
        made.ask(SQL)
    made.close()


def test_an_owner_may_contribute_too_and_reads_its_own():
    made = Watched(federation(patients("north", codes=public()), patients("south")))
    run = made.ask(SQL)
    assert run.rows == SHOWN
    assert [(m.sender, m.recipient) for m in run.of("public-0")] == [("north", "south")]
    made.close()


def test_whoever_offers_the_same_rows_is_sent_nothing():
    made = Watched(federation(patients("north", codes=public()), patients("south", codes=public())))
    run = made.ask(SQL)
    assert (run.rows, run.of("public-0")) == (SHOWN, [])
    made.close()


def test_several_tables_of_several_owners_come_at_once():
    more = public(pa.table({"code": ["bb"]}))
    made = Watched(federation(patients("north", more=more), patients("south"), lib()))
    run = made.ask(SQL.replace("GROUP", "JOIN more ON g = more.code GROUP"))
    assert run.rows == SHOWN[1:]
    sent = sorted((m.kind, m.sender, m.recipient) for m in run.messages if m.kind.startswith("public"))
    assert sent == [("public-0", "lib", "north"), ("public-0", "lib", "south"), ("public-1", "north", "south")]
    made.close()


def test_rows_come_before_anything_is_charged_and_anything_that_depends_on_data_after(watched):
    log: list[tuple[str, str]] = []

    def wire(message: Message) -> list[Message]:
        log.extend(
            (name, "charge") for name, count in charges(watched).items() if count and (name, "charge") not in log
        )
        log.append((message.sender, message.kind))
        return [message]

    assert watched.ask(SQL, wire=wire).rows == SHOWN
    for name in GROUPS:
        paid = log.index((name, "charge"))
        assert {kind for sender, kind in log[:paid] if sender in (name, "lib")} <= FREE
        assert log.index(("lib", "public-0")) < paid


# --- who sees what ------------------------------------------------------------------------------------------------


def test_no_message_shows_rows_and_only_those_of_the_public_table_are_in_boxes(watched):
    private = [b"zz", (6174).to_bytes(2, "little"), b"6174"]
    run = watched.ask(SQL)
    assert run.rows == SHOWN
    for message in run.messages:
        assert not any(name.encode() in message.body for name in NAMES), message.kind
        assert b"codes" not in message.body  # the question is sealed, and so is which table it reads
        assert b"codes" not in message.kind.encode()
    held = {kind for _, kind, _, plain in run.opened if any(name.encode() in plain for name in NAMES)}
    assert held == {"public-0"}
    sent = {plain for _, kind, _, plain in run.opened if kind == "public-0"}
    assert sent == {watched.federation.parties["lib"].engine.rows_of("codes")}
    assert not any(needle in plain for plain in sent for needle in private)
    assert {by for by, kind, _, _ in run.opened if kind == "public-0"} == {"north", "south"}


def test_an_owner_gets_no_share_tag_or_vector(watched):
    assert all("lib" not in (m.sender, m.recipient) or m.kind in FREE for m in watched.ask(SQL).messages)


def test_what_is_kept_to_be_sent_again_holds_no_public_rows():
    made = Watched(federation(patients("north", codes=public()), patients("south")))
    run = made.ask(SQL)
    for party in made.federation.parties.values():
        stored = party.ledger.finished(run.question.query_id, 1)
        assert stored is not None
        assert {kind.partition("-")[0] for kind, *_ in decode(stored[1])} >= {"hello", "0/vector"}
        assert "public-0" not in {kind for kind, *_ in decode(stored[1])}
    again = made.send(run.question, run.plan)
    assert not again.of("public-0")
    made.close()


# --- what is refused ----------------------------------------------------------------------------------------------


def refused(run: Run, reason: str) -> None:
    assert isinstance(run.error, ProtocolError), run.error
    assert reason in run.error.message
    assert kinds(run) <= FREE | {"abort"}


@pytest.mark.parametrize(
    "change",
    [
        lambda rows, _: [[*column[:3], column[3].replace(b"aa", b"zz")] for column in rows],
        lambda rows, _: rows[:1],
        lambda rows, _: [],
        lambda rows, peer: rows if peer == "south" else rows[::-1],
    ],
    ids=["another code", "a column less", "nothing", "to one of them"],
)
def test_an_owner_that_sends_other_rows_is_named(watched, change):
    with lies("lib", "public-0", change):
        refused(watched.ask(SQL), "the rows of codes that lib sent are not those that it offers")
    assert charges(watched)["north"] == 0
    assert watched.ask(SQL).rows == SHOWN


@pytest.mark.parametrize("bit", [0, 1000, -1])
def test_rows_that_are_altered_on_their_way_are_refused(watched, bit):
    run = watched.ask(SQL, wire=alter("public-0", body(lambda sealed: flipped(sealed, bit))))
    assert isinstance(run.error, ProtocolError)
    assert charges(watched)["north"] == 0


@pytest.mark.parametrize("lacks", [[], [0, 0], [1], [True], 0, None, ["0"], [-1]])
def test_what_a_hello_says_is_lacking_is_signed(watched, lacks):
    north = alter("hello", body(lambda hello: encode({**decode(hello), "lacks": lacks})), nth=1)
    refused(watched.ask(SQL, wire=north), "a hello is malformed" if not _numbers(lacks) else "is not signed by")


def _numbers(lacks: object) -> bool:
    return isinstance(lacks, list) and all(type(number) is int for number in lacks)


@pytest.mark.parametrize("lacks", [(0, 0), (1,), (-1,), (0, 7)])
def test_a_party_that_says_it_lacks_what_there_is_not_harms_nobody_else(watched, lacks, monkeypatch):
    original = copies.lacks

    def lying(plan: Any, party: str, engine: Any) -> tuple[int, ...]:
        return lacks if party == "south" else original(plan, party, engine)

    monkeypatch.setattr("fedsql.executors.roles.attempt.lacks", lying)
    run = watched.ask(SQL)
    assert run.error is None or isinstance(run.error, Error)
    assert {m.recipient for m in run.messages if m.kind == "public-0"} <= {"north", "south"}


def test_the_coordinator_is_sent_no_rows_whatever_it_says_it_lacks(watched, monkeypatch):
    from fedsql.executors.protocol.conversation import Conversation

    original = Conversation.hello

    def greedy(talk: Conversation) -> dict[str, object]:
        talk.lacks = talk.lacks if talk.me != COORDINATOR else (0,)
        return original(talk)

    monkeypatch.setattr(Conversation, "hello", greedy)
    run = watched.ask(SQL)
    assert {m.recipient for m in run.of("public-0")} == {"north", "south"}
    assert run.rows == SHOWN


@pytest.mark.parametrize("owners", [[], ["north"], ["lib", "lib"], ["lib", "nobody"], "lib", None, 7])
def test_other_owners_than_those_of_the_plan_are_noticed(watched, owners):
    run = watched.ask(SQL, wire=edited("ask", lambda asked: {**asked, "owners": owners}))
    assert isinstance(run.error, OperationalError)
    assert not run.of("vector")


def test_an_owner_that_fails_ends_the_query(watched, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(PartyStore, "rows_of", lambda self, name: 1 / 0)
        run = watched.ask(SQL)
    assert isinstance(run.error, OperationalError)
    assert run.error.message.startswith("lib: ")
    assert charges(watched) == {"lib": 0, "north": 0, "south": 0}
    assert watched.ask(SQL).rows == SHOWN


def test_a_question_is_lent_to_once(watched):
    run = watched.ask(SQL)
    again = watched.send(run.question, run.plan)
    assert isinstance(again.error, ProtocolError)
    assert "asked before" in again.error.message
    assert not again.of("public-0")


# --- to the analyst -----------------------------------------------------------------------------------------------


def table_of(world: Watched, name: str = "codes", owner: str = "lib") -> PublicTable:
    return PublicTable.of(world.federation.directory.catalog.offer(owner).table(name))


def asked(world: Watched, what: str, party: str = "lib", wire: Any = None) -> tuple[list[Message], Any]:
    """Consult ``party``; return all messages and what it replied, or the error."""
    federation, messages = world.federation, []
    _, steps = consult(world.analyst, what, [party], federation.directory)
    everybody = {party: federation.parties[party].serve(federation.directory, Stopwatch())}
    everybody |= {COORDINATOR: federation.coordinator.serve(federation.directory.identities), ANALYST: steps}
    try:
        return messages, run_in_process(everybody, messages.append)[ANALYST][party]
    except Error as error:
        return messages, error


def test_an_analyst_fetches_rows_once_and_no_message_shows_them(watched):
    table = table_of(watched)
    messages, told = asked(watched, table.relation)
    assert texts.unpacked(told["rows"]).to_pydict() == CODES.to_pydict()
    assert [message.kind for message in messages] == ["consult", "consult", "reply", "replies"]
    assert not any(name.encode() in m.body for m in messages for name in [*NAMES, "codes"])
    consulted = []
    original = watched.federation._fetched._consult
    watched.federation._fetched._consult = lambda *given: consulted.append(given[1:]) or original(*given)
    for _ in range(2):
        found = watched.federation.fetch(watched.analyst, [table])
        assert {relation: rows.to_pydict() for relation, rows in found.items()} == {table.relation: CODES.to_pydict()}
    assert consulted == [(table.relation, ["lib"])]
    watched.federation.fetch(watched.admit("bob"), [table])
    assert len(consulted) == 2  # what ada may have, bob may not
    assert charges(watched) == {"lib": 0, "north": 0, "south": 0}


def test_who_may_not_ask_gets_no_rows_and_the_coordinator_does_not_see_why():
    made = Watched(world(codes=public(analysts=["bob"])))
    with pytest.raises(PolicyDenied, match="lib does not offer codes to ada"):
        made.federation.fetch(made.analyst, [table_of(made)])
    assert made.federation.fetch(made.admit("bob"), [table_of(made)])
    with pytest.raises(PolicyDenied):
        made.federation.fetch(made.analyst, [table_of(made)])
    messages, error = asked(made, table_of(made).relation)
    assert isinstance(error, PolicyDenied)
    for message in messages:
        assert b"codes" not in message.body
        if message.kind == "abort":
            assert set(decode(message.body)) == {"party", "box"}
    made.close()


def test_a_question_of_who_may_not_ask_is_not_planned():
    made = Watched(world(codes=public(analysts=["bob"])))
    with pytest.raises(PolicyDenied, match="lib does not offer codes to ada"):
        made.ask(SQL)
    made.close()


@pytest.mark.parametrize("what", ["staff@0000000000000000", "staff", "nothing@0000000000000000", "", "@", "budgets"])
def test_nothing_but_public_tables_can_be_fetched(watched, what):
    messages, error = asked(watched, what)
    assert isinstance(error, ProtocolError)
    assert "lib offers no public table" in error.message
    assert all(b"6174" not in message.body for message in messages)


def test_rows_that_are_not_offered_any_more_are_not_sent(watched):
    _, error = asked(watched, "codes@0000000000000000")
    assert isinstance(error, ProtocolError)
    assert "what lib offers has changed" in error.message
    gone = replace(table_of(watched), content=bytes(32))
    with pytest.raises(ProtocolError, match="what lib offers has changed"):
        watched.federation.fetch(watched.analyst, [gone])


def test_an_owner_that_replies_with_other_rows_is_named(watched, monkeypatch):
    monkeypatch.setattr(PartyStore, "rows_of", lambda self, name: texts.packed(texts.unpacked(b"\x80")))
    with pytest.raises(ProtocolError, match="the rows of codes that lib sent are not those that it offers"):
        watched.federation.fetch(watched.analyst, [table_of(watched)])


# --- what an earlier stage released -------------------------------------------------------------------------------

ABOVE = "SELECT count(*) FROM t WHERE v >= (SELECT avg(v) FROM t)"


def given(value: str | None = "7", type_: str = "DOUBLE", name: str = "_input_0", column: str = "value") -> StageInput:
    return StageInput(name, ((column, type_),), ((value,),))


@pytest.fixture(scope="module")
def plain() -> Iterator[Watched]:
    made = Watched(small({"north": {"aa": 71}, "south": {"aa": 72}}, value=7))
    yield made
    made.close()


def second_stage(world: Watched, *inputs: StageInput) -> Run:
    """Ask the second stage of `ABOVE` alone, with these inputs."""
    directory = world.federation.directory
    question = Question(directory.catalog.federation, "ada", ABOVE, NOW, stage=1, inputs=inputs)
    plan = directory.plan(question).at(1)
    return world.send(world.analyst.sign(question, plan, directory), plan)


@pytest.mark.parametrize(("value", "count"), [("7", "143"), ("7.5", None), (None, None), ("-1e300", "143")])
def test_a_stage_reads_what_is_given_to_it(plain, value, count):
    assert second_stage(plain, given(value)).rows == [{"a0": count}]


@pytest.mark.parametrize(
    "inputs",
    [
        (),
        (given(), given()),
        (given(name="_input_9"),),
        (given(name="t"),),
        (given(column="v"),),
        (given(type_="BIGINT"),),
        (given(type_="DOUBLE) AS value FROM _texts; DROP TABLE main.t; --"),),
        (given("seven"),),
        (replace(given(), rows=(("7", "8"),)),),
    ],
)
def test_a_stage_without_exactly_its_input_is_refused(plain, inputs):
    run = second_stage(plain, *inputs)
    assert isinstance(run.error, OperationalError)
    assert not run.of("vector")
    assert second_stage(plain, given()).rows == [{"a0": "143"}]
