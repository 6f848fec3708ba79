"""Questions that were not asked as signed: forged, altered, replayed, expired, planned otherwise, or under a bad key."""

from __future__ import annotations

import json
import math
import os
from dataclasses import fields, replace

import gmpy2
import pytest
from harness import Run, Watched, paillier, small

from fedsql.codec import decode, encode
from fedsql.crypto.keys import IdentityKey
from fedsql.crypto.sealing import SealKey
from fedsql.errors import DataError, Error, InternalError, OperationalError, ProtocolError
from fedsql.executors.protocol.wire import COORDINATOR, Message
from fedsql.executors.roles.common import software
from fedsql.planner.question import Question, Settings

SQL = "SELECT g, count(*), sum(v) FROM t GROUP BY g"
GROUPS = {"north": {"aa": 6, "bb": 9}, "south": {"aa": 6, "bb": 8}, "west": {"bb": 7}}


@pytest.fixture(scope="module")
def world():
    made = Watched(small(GROUPS, value=3))
    yield made
    made.close()


def refused(run: Run, reason: str) -> None:
    """Assert that the parties refused with ``reason`` and that nothing was planned, charged or computed."""
    assert isinstance(run.error, ProtocolError), run.error
    assert reason in str(run.error)
    kinds = {m.kind for m in run.messages}
    assert kinds <= {"ask", "question", "hello", "abort"}


class Stale:
    """An identity that signed one question and shows that signature under every other."""

    def __init__(self, identity: IdentityKey, text: bytes) -> None:
        self.public = identity.public
        self._signature = identity.sign(b"fedsql question" + text)

    def sign(self, data: bytes) -> bytes:
        return self._signature


@pytest.mark.parametrize(
    "change",
    [
        {"sql": "SELECT g, count(*), max(v) FROM t GROUP BY g"},
        {"sql": SQL + " "},
        {"parameters": (("BIGINT", "1"),)},
        {"now": "2030-01-01 00:00:00"},
        {"settings": Settings(epsilon=9.0)},
        {"contributors": (("north", "south"),)},
        {"paillier_n": b"\1" * 256},
        {"analyst_box": SealKey().public},
        {"expiry": 1 << 40},
        {"nonce": b"n" * 16},
        {"attempt": 2},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_question_altered_after_it_was_signed_is_refused(world, change):
    honest = world.ask(SQL).question
    altered = replace(honest, query_id=os.urandom(16), nonce=os.urandom(16))
    signed = Stale(world.analyst.identity, altered.encode())
    plan = world.ask(SQL).plan
    run = world.send(replace(altered, **change), plan, sign_with=signed)  # type: ignore[arg-type]
    if "paillier_n" in change:
        assert isinstance(run.error, ProtocolError)
        assert not run.of("question")  # the coordinator has looked at the key before
    else:
        refused(run, "not signed by its analyst")


def test_a_question_signed_by_another_key_is_refused(world):
    stranger = IdentityKey.generate()
    refused(world.ask(SQL, sign_with=stranger), "not signed by its analyst")
    refused(
        world.ask(SQL, sign_with=stranger, edit=lambda q: replace(q, analyst_key=stranger.public)),
        "is not known here, or asks with another key",
    )


def test_another_analysts_name_or_an_unknown_one_is_refused(world):
    world.admit("bob")
    for name in ("bob", "nobody"):
        refused(world.ask(SQL, edit=lambda q, name=name: replace(q, analyst=name)), f"the analyst {name} is not known")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"federation": "another"}, "another federation"),
        ({"planner": "0"}, "the analyst plans with version 0"),
        (
            {"offers": (("north", bytes(32)), ("south", bytes(32)), ("west", b""))},
            "what north and south and west offer has",
        ),
        ({"offers": (("north", bytes(32)),)}, "planned for other parties: south, west"),
        ({"plan_digest": bytes(32)}, "not the one that this party derives"),
        ({"contributors": (("north", "south"),)}, "not the one that this party derives"),
        ({"contributors": (("north", "south", "west", "east"),)}, "not the one that this party derives"),
        ({"contributors": (("south", "north", "west"),)}, "not the one that this party derives"),
        ({"contributors": ()}, "not the one that this party derives"),
        ({"sql": SQL.replace("sum", "avg")}, "not the one that this party derives"),
        ({"settings": Settings(epsilon=2.0)}, None),
        ({"expiry": 0}, "expired or was asked before"),
        ({"expiry": -5}, "expired or was asked before"),
        ({"analyst_box": bytes(32)}, "not a valid X25519 key"),
        ({"analyst_box": b"short"}, "not a valid X25519 key"),
    ],
)
def test_a_signed_question_that_is_not_what_it_should_be_is_refused(world, change, reason):
    """Signed by the analyst itself: here the analyst is the one who cheats."""
    run = world.ask(SQL, edit=lambda question: replace(question, **change))
    if reason is None:  # epsilon changes nothing that parties do without noise
        assert run.error is None
    else:
        refused(run, reason)


class Newer(Question):
    """A question of a later version, which has another field."""

    def encode(self) -> bytes:
        record = decode(super().encode())
        return encode(record | {"planner": "7", "software": "fedsql 7.0, sqlglot 1", "hints": []})


def test_a_question_of_another_version_says_who_plans_with_what(world):
    run = world.ask(SQL, edit=lambda q: Newer(**{each.name: getattr(q, each.name) for each in fields(q)}))
    refused(run, "the analyst plans with version 7, north with 1")
    assert run.error.hint == (
        f"everybody needs the same: the analyst runs fedsql 7.0, sqlglot 1; north runs {software()}"
    )


def test_a_plan_that_differs_says_who_plans_with_what(world):
    same = world.ask(SQL, edit=lambda question: replace(question, plan_digest=bytes(32)))
    refused(same, "not the one that this party derives")
    assert same.error.hint is None
    older = world.ask(SQL, edit=lambda question: replace(question, plan_digest=bytes(32), software="fedsql 0.0"))
    refused(older, "not the one that this party derives")
    assert "the analyst runs fedsql 0.0; " in older.error.hint
    assert older.error.hint.endswith(f" runs {software()}")


def test_a_question_expires_by_the_partys_clock(world, monkeypatch):
    late = world.federation.parties["south"]
    monkeypatch.setattr(late, "clock", lambda: 1e12)
    refused(world.ask(SQL), "south: the question has expired")


def test_a_question_is_answered_once(world):
    run = world.ask(SQL)
    assert run.error is None
    refused(world.ask(SQL, edit=lambda q: replace(q, nonce=run.question.nonce)), "asked before (its nonce is known)")
    # A new nonce does not make a new attempt of it: under noise a second answer would be a second draw, unpaid.
    again = world.ask(SQL, edit=lambda q: replace(q, query_id=run.question.query_id))
    refused(again, "the query was answered in another attempt")
    later = world.ask(SQL, edit=lambda q: replace(q, query_id=run.question.query_id, attempt=2))
    refused(later, "the query was answered in another attempt")


def test_a_question_delivered_once_more_gets_the_stored_bytes(world):
    """The coordinator has new keys for it, so that it can do nothing with them."""
    run = world.ask(SQL)
    assert run.error is None
    again = world.send(run.question, run.plan)
    assert again.error is not None
    for kind in ("hello", "tags", "vector"):
        before = {(m.sender, m.kind): m.body for m in run.of(kind) if not m.sender.startswith("@")}
        assert before == {(m.sender, m.kind): m.body for m in again.of(kind) if not m.sender.startswith("@")}
        assert before
    for party in world.federation.parties.values():
        assert [e["event"] for e in events(party, run.question.query_id)] == ["charged", "answered"]


def events(party, query_id):
    rows = party.ledger._db.execute("SELECT record FROM audit ORDER BY seq").fetchall()
    return [e for (record,) in rows if (e := json.loads(record)).get("query_id") == query_id.hex()]


def test_a_box_for_one_query_does_not_open_in_another(world):
    """The coordinator keeps a box and delivers it under a new query id."""
    old = world.ask(SQL)
    boxes = decode(old.of("ask")[0].body)["boxes"]

    def wire(message: Message) -> list[Message]:
        if message.kind != "question":
            return [message]
        record = decode(message.body)
        return [replace(message, body=encode({**record, "box": boxes[message.recipient]}))]

    refused(world.ask(SQL, wire=wire), "could not be opened")


def malformed_keys() -> dict[str, int]:
    n, bits = paillier().public.n, paillier().public.n.bit_length()
    third = (1 << bits - 1) // 3
    return {
        "zero": 0,
        "even": n - 1,
        "small": (1 << 512) + 1,
        "long": n << 64 | 1,
        "short by a bit": n >> 1 | 1,
        "a small factor": 3 * (third + 2 + third % 2),
        "a prime": int(gmpy2.next_prime(1 << bits - 1)),
        "a square": int(gmpy2.next_prime(3 << bits // 2 - 2)) ** 2,
    }


@pytest.mark.parametrize("name", malformed_keys())
def test_a_malformed_paillier_key_is_refused_by_coordinator_and_parties(world, name, caplog):
    """With the reason in the log of whoever refuses it, and in a party's audit log."""

    def logged(logger: str) -> list[str]:
        refused = [r for r in caplog.records if r.name == logger and getattr(r, "event", "") == "refused"]
        return [r.fields["reason"] for r in refused]

    n = malformed_keys()[name]
    bad = n.to_bytes(max(1, -(-n.bit_length() // 8)), "big")
    good = paillier().public.n.to_bytes(256, "big")
    run = world.ask(SQL, edit=lambda q: replace(q, paillier_n=bad))
    assert isinstance(run.error, ProtocolError)
    assert "Paillier modulus" in str(run.error)
    assert not run.of("question")
    (reason,) = logged("fedsql.coordinator")
    assert reason.startswith("the analyst's Paillier key is refused: a Paillier modulus ")

    def wire(message: Message) -> list[Message]:  # the coordinator is shown a good key, the parties find the bad one
        if message.kind != "ask":
            return [message]
        return [replace(message, body=encode({**decode(message.body), "paillier_n": good}))]

    run = world.ask(SQL, edit=lambda q: replace(q, paillier_n=bad), wire=wire)
    refused(run, "Paillier key is refused")
    told = logged("fedsql.party")
    assert told
    assert set(told) == {reason}
    audited = [events(party, run.question.query_id) for party in world.federation.parties.values()]
    assert [e["reason"] for entries in audited for e in entries] == told


@pytest.mark.parametrize("field", list(Question.__dataclass_fields__))
def test_a_question_with_fields_of_other_types_is_refused(world, field):
    """An analyst signs nonsense: the parties answer with an error of fedsql, and go on."""
    for value in (None, -1, "x", (((),),), {"a": 1}, math.nan):
        try:
            run = world.ask(SQL, edit=lambda q, value=value: replace(q, **{field: value}))
        except (AttributeError, TypeError):
            continue  # the analyst's own program could not send it
        assert run.error is None or isinstance(run.error, Error)
        assert not isinstance(run.error, InternalError)
    assert world.ask(SQL).error is None


@pytest.mark.parametrize("epsilon", [0.0, -1.0, math.inf, math.nan, 1e-300, 1e300])
def test_a_nonsensical_epsilon_is_refused_before_it_is_asked(epsilon):
    world = Watched(small(GROUPS, noise="required", columns={"g": {"values": ["aa", "bb"]}, "v": {"bounds": [0, 5]}}))
    with pytest.raises(Error) as refusal:
        assert world.ask(SQL, epsilon=epsilon).rows
    assert isinstance(refusal.value, DataError | OperationalError) or "budget" in str(refusal.value)
    world.close()


def test_a_lone_opened_message_names_its_sender(world):
    """A coordinator that poses as a party cannot seal to another one."""

    def wire(message: Message) -> list[Message]:
        if message.kind == "0/go" and message.recipient == "south":
            return [replace(message, sender="north"), message]
        return [message]

    run = world.ask(SQL, wire=wire)
    assert run.error is None
    assert all(sender == COORDINATOR for by, kind, sender, _ in run.opened if kind == "0/go")


def test_no_text_of_a_question_means_another_thing_at_each_party(world):
    """The place that a party fills in by itself is not to be had from SQL: it would answer over some parties alone."""
    everyone = sum(sum(groups.values()) for groups in GROUPS.values())
    for below in ("0", "8", "g", "~"):
        rows = world.ask(f"SELECT count(*) FROM t WHERE '{{sampling_key}}' < '{below}'").rows
        assert rows == [{"a0": str(everyone) if below > "{sampling_key}" else None}]
    open_world = Watched(small(GROUPS, min_group_size=1, min_parties=1))
    for text in ("{sampling_key}", "sha256('{sampling_key}' || ", "'{sampling_key}'"):
        quoted = text.replace("'", "''")
        assert [r["k0"] for r in open_world.ask(f"SELECT '{quoted}' || g, count(*) FROM t GROUP BY 1").rows] == [
            f"{text}aa",
            f"{text}bb",
        ]
    open_world.close()
