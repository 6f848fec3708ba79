"""Rosters, requests and vectors that are forged with care: valid keys, names and lengths, of the wrong ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from harness import Watched, answering, edited, flipped, paillier, small

from fedsql.crypto.keys import IdentityKey, QueryKey
from fedsql.errors import OperationalError, ProtocolError
from fedsql.executors.protocol import contribute
from fedsql.executors.protocol.wire import COORDINATOR

GROUPS = {"north": {"aa": 6, "bb": 9, "few": 2}, "south": {"aa": 6, "bb": 8}, "west": {"bb": 7, "few": 1}}
SQL = "SELECT g, count(*), sum(v) FROM t GROUP BY g"


@pytest.fixture(scope="module")
def world():
    made = Watched(small(GROUPS, value=1234))
    yield made
    made.close()


def hellos(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[[Any], Any]:
    return lambda roster: [change(hello) if hello["name"] == "south" else hello for hello in roster]


STRANGER = IdentityKey.generate()


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (hellos(lambda h: {**h, "key": QueryKey().public}), "hello of south is not signed"),
        (hellos(lambda h: {**h, "key": QueryKey().public, "signature": STRANGER.sign(b"x")}), "hello of south is not"),
        (hellos(lambda h: {**h, "key": bytes(32)}), "hello of south is not signed"),
        (lambda roster: [h for h in roster if h["name"] != "south"], "contributors are not those"),
        (lambda roster: [h for h in roster if h["name"] != COORDINATOR], "contributors are not those"),
        (lambda roster: [*roster, roster[0]], "hello of north is not signed"),
        (lambda roster: [*roster, {**roster[0], "name": "east"}], "hello of east is not signed"),
        (hellos(lambda h: {**h, "name": "west"}), "hello of west is not signed"),
        (hellos(lambda h: {**h, "more": 1}), "hello is malformed"),
    ],
)
def test_a_forged_roster_is_refused(world, edit, reason):
    run = world.ask(SQL, wire=edited("roster", edit))
    assert isinstance(run.error, ProtocolError)
    assert reason in str(run.error)
    assert not run.of("vector")


@pytest.mark.parametrize(
    "edit",
    [
        lambda ask: {**ask, "boxes": {k: v for k, v in ask["boxes"].items() if k != "west"}},
        lambda ask: {**ask, "boxes": {**ask["boxes"], "east": b"x"}},
        lambda ask: {**ask, "boxes": {**ask["boxes"], "west": ask["boxes"]["south"]}},
        lambda ask: {**ask, "outlines": [{**ask["outlines"][0], "contributors": ["north", "south"]}]},
        lambda ask: {**ask, "query_id": bytes(16)},
        lambda ask: {**ask, "attempt": 2},
        lambda ask: {**ask, "outlines": []},
        lambda ask: {**ask, "outlines": ask["outlines"] * 2},
        lambda ask: {**ask, "paillier_n": ask["paillier_n"][:-1] + b"\x04"},
    ],
)
def test_a_forged_request_is_refused(world, edit):
    run = world.ask(SQL, wire=edited("ask", edit))
    assert isinstance(run.error, OperationalError)
    assert not run.of("vector")


def test_an_altered_vector_is_refused_by_its_signature(world):
    """Before it is added to the others', so that it is known whose it was."""

    def flip(record: Any) -> Any:
        return {**record, "vector": flipped(record["vector"], 77)}

    run = world.ask(SQL, wire=edited("0/vector", flip))
    sender = run.of("0/vector")[0].sender
    assert f"a message of {sender} is not signed" in str(run.error)
    assert not run.of("answer")


def square() -> int:
    return paillier().public.n ** 2


@pytest.mark.parametrize(
    "bad", [lambda c: 0, lambda c: square(), lambda c: paillier().public.n * 5, lambda c: square() + c % 7]
)
def test_malformed_ciphertexts_are_refused(world, monkeypatch, bad):
    """From a party, which signs them, and from the coordinator."""

    def spoil(vector: bytes) -> bytes:
        first, *rest = paillier().public.from_bytes(vector)
        return paillier().public.to_bytes([bad(first) % 2**4096, *rest])

    def edit(released: dict[str, Any]) -> dict[str, Any]:
        return {**released, "vector": spoil(released["vector"])}

    assert isinstance(world.ask(SQL, wire=answering(edit)).error, ProtocolError)
    original = contribute.encrypt
    monkeypatch.setattr(contribute, "encrypt", lambda talk, *rest: spoil(original(talk, *rest)))
    run = world.ask(SQL)
    assert isinstance(run.error, ProtocolError)
    assert not run.of("answer")
