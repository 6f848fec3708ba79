"""A coordinator that lies: parties and analyst refuse what it may not decide, and what is left to it is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from harness import Watched, answered, answering, edited, lies, small

from fedsql.codec import decode, encode
from fedsql.errors import InternalError, OperationalError, ProtocolError
from fedsql.executors.protocol.wire import COORDINATOR, Exchange
from fedsql.executors.roles import coordinator

# Slots that everybody holds, one that is hidden, and (public or aligned) the same questions.
HELD = {name: {"aa": 20, "bb": 30, "cc": 40, "few": 2} for name in ("north", "south", "west")}
SQL = "SELECT g, count(*), sum(v) FROM t GROUP BY g"
VALUE = 1_000_003
PUBLIC = {"columns": {"g": {"values": ["aa", "bb", "cc", "few"]}}}


@pytest.fixture(scope="module", params=[{}, PUBLIC], ids=["aligned", "public"])
def world(request):
    made = Watched(small(HELD, value=VALUE, **request.param))
    yield made
    made.close()


@pytest.fixture(scope="module")
def aligned():
    made = Watched(small(HELD, value=VALUE))
    yield made
    made.close()


def swapped(data: bytes, size: int) -> bytes:
    """Swap the first and the last item of ``size`` bytes."""
    return data[-size:] + data[size:-size] + data[:size]


def flipped(data: bytes, at: int, mask: int = 0x80) -> bytes:
    return data[:at] + bytes([data[at] ^ mask]) + data[at + 1 :]


WIDTH = 5  # of a row: a byte of bits, four of the rank
LIES: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "a survive bit": lambda go: {**go, "bits": flipped(go["bits"], 0)},
    "every survive bit": lambda go: {**go, "bits": bytes(b | 0x80 for b in go["bits"])},
    "a cell bit": lambda go: {**go, "bits": flipped(go["bits"], 0, 0x40)},
    "a rank": lambda go: {**go, "bits": flipped(go["bits"], 1, 1)},
    "the bits of another slot": lambda go: {**go, "bits": swapped(go["bits"], WIDTH)},
    "bits and salts of another slot": lambda go: {
        **go,
        "bits": swapped(go["bits"], WIDTH),
        "salts": swapped(go["salts"], 16),
    },
    "all of another slot": lambda go: {
        **go,
        "bits": swapped(go["bits"], WIDTH),
        "salts": swapped(go["salts"], 16),
        "commitments": swapped(go["commitments"], 16),
    },
    "a commitment": lambda go: {**go, "commitments": flipped(go["commitments"], 0)},
    "no bits": lambda go: {**go, "bits": b"", "salts": b""},
    "one signature": lambda go: {**go, "signatures": dict(list(go["signatures"].items())[:1])},
    "one signature twice": lambda go: {
        **go,
        "signatures": dict.fromkeys(go["signatures"], next(iter(go["signatures"].values()))),
    },
    "no signatures": lambda go: {**go, "signatures": {}},
    "too many rows": lambda go: {**go, "rows": 1 << 40},
    "too few rows": lambda go: {**go, "rows": 1},
    "rows below zero": lambda go: {**go, "rows": -8},
    "no verdict": lambda go: {"rows": go["rows"], "labels": go["labels"]},
}


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("to", ["everybody", "south"])
def test_a_lie_about_who_survives_is_refused_before_anything_is_encrypted(world, lie, to):
    def edit(go: dict[str, Any], recipient: str) -> dict[str, Any]:
        return LIES[lie](go) if to in ("everybody", recipient) else go

    with lies(COORDINATOR, "/go", edit):
        run = world.ask(SQL)
    assert isinstance(run.error, OperationalError)
    assert {m.sender for m in run.of("vector")} <= ({"north", "west"} if to == "south" else set())
    assert not run.of("answer")


@pytest.mark.parametrize("lie", [name for name in LIES if "rows" not in name and name != "no verdict"])
def test_a_lie_about_what_is_told_is_refused_before_totals_are_counted(world, lie):
    with lies(COORDINATOR, "/told", lambda told, recipient: LIES[lie](told) if recipient == "south" else told):
        run = world.ask("SELECT g, count(*) AS n FROM t GROUP BY ROLLUP (g)")
    assert isinstance(run.error, OperationalError)
    assert not [m for m in run.messages if m.sender == "south" and m.kind.startswith(("1/", "0/ready", "0/vector"))]
    assert not run.of("vector")


def test_an_old_verdict_does_not_pass(world):
    old = world.ask(SQL, first=1)
    kept = {by: decode(plain) for by, kind, _, plain in old.opened if kind == "0/go"}
    with lies(COORDINATOR, "/go", lambda go, recipient: kept[recipient]):
        run = world.ask(SQL, first=1)
    assert "not signed by the identity known for it" in str(run.error)
    assert not run.of("vector")


def hurried(forge: Callable[[Any], dict[str, Any]]):
    """Return a `collect` that says GO at once, to everybody, without waiting for READY."""

    def collect(talk, outline):
        names = outline.contributors
        yield Exchange.of(
            [talk.seal("0/go", name, encode(forge(outline))) for name in names], [("0/vector", n) for n in names]
        )

    return collect


def test_a_go_before_ready_is_refused(monkeypatch):
    public = Watched(small(HELD, value=VALUE, **PUBLIC))
    old = next(go for go in public.ask(SQL, first=1).said("/go"))
    for forge in (lambda outline: {"rows": outline.slots, "labels": []}, lambda outline: old):
        monkeypatch.setattr(coordinator, "collect", hurried(forge))
        run = public.ask(SQL, first=1)
        assert isinstance(run.error, OperationalError | InternalError)
        assert not run.of("vector")
    public.close()


@pytest.mark.parametrize(
    "edit",
    [
        lambda found: {**found, "slots": found["slots"][4:] + found["slots"][-4:]},  # two groups in one slot
        lambda found: {**found, "slots": found["slots"][4:]},
        lambda found: {**found, "slots": b"\xff" * len(found["slots"])},
        lambda found: {**found, "count": 1},
        lambda found: {**found, "slots": found["slots"] + b"\0"},
    ],
)
def test_malformed_slots_are_refused(aligned, edit):
    with lies(COORDINATOR, "/align/slots", lambda found, recipient: edit(found)):
        run = aligned.ask(SQL)
    assert isinstance(run.error, OperationalError)
    assert not run.of("ready")


@pytest.mark.parametrize("edit", [lambda d: d[:-1], lambda d: d + b"\0", lambda d: b"", lambda d: 5, lambda d: [d]])
def test_malformed_dealings_are_refused(aligned, edit):
    with lies(COORDINATOR, "/threshold/dealing", lambda dealt, recipient: edit(dealt)):
        run = aligned.ask(SQL)
    assert isinstance(run.error, ProtocolError)
    assert not run.of("vector")


@pytest.mark.parametrize(
    "edit",
    [
        lambda r: {**r, "bits": flipped(r["bits"], 0, 0x40)},
        lambda r: {**r, "bits": r["bits"] + b"\x80"},
        lambda r: {**r, "positions": r["positions"][:-1], "bits": r["bits"][:-1], "labels": r["labels"][:-1]},
        lambda r: {**r, "positions": [*r["positions"], 3], "bits": r["bits"] + b"\xc0", "labels": r["labels"]},
        lambda r: {**r, "positions": [r["positions"][0]] * len(r["positions"])},
        lambda r: {**r, "positions": r["positions"][::-1]},
        lambda r: {**r, "positions": [-1, *r["positions"][1:]]},
        lambda r: {**r, "rows": r["rows"] + 8},
        lambda r: {**r, "rows": 1 << 40},
        lambda r: {**r, "signatures": {}},
        lambda r: {**r, "signatures": dict(zip(r["signatures"], list(r["signatures"].values())[::-1], strict=True))},
        lambda r: {**r, "vector": r["vector"][:512]},
        lambda r: {**r, "vector": b""},
        lambda r: {**r, "vector": r["vector"] + r["vector"][:512]},
    ],
)
def test_forged_bits_and_rows_are_refused_by_the_analyst(world, edit):
    run = world.ask(SQL, wire=answering(edit))
    if run.error is None:  # a vector of one ciphertext, cut to one
        assert len(run.rows) == 3
    else:
        assert isinstance(run.error, ProtocolError)


def test_labels_cannot_change_places(aligned):
    def edit(released: dict[str, Any]) -> dict[str, Any]:
        return {**released, "labels": released["labels"][::-1]}

    assert isinstance(aligned.ask(SQL, wire=answering(edit)).error, ProtocolError)
    other = aligned.ask(SQL)
    old = answered(other)
    for part in ("labels", "label_key"):
        run = aligned.ask(SQL, wire=answering(lambda r, part=part: {**r, part: old[part]}))
        assert isinstance(run.error, ProtocolError)


def test_the_analyst_is_not_shown_other_computing_parties(aligned):
    """They follow from the fresh keys of all contributors, which these have signed for this very attempt."""
    other = decode(aligned.ask(SQL).of("answer")[0].body)["hellos"]
    for edit in (
        lambda hellos: [other[0], *hellos[1:]],
        lambda hellos: other,
        lambda hellos: hellos[1:],
        lambda hellos: [*hellos, hellos[0]],
        lambda hellos: [{**hellos[0], "key": other[0]["key"]}, *hellos[1:]],
        lambda hellos: [{**hellos[0], "name": "west"}, *hellos[1:]],
    ):
        run = aligned.ask(
            SQL, wire=edited("answer", lambda answer, edit=edit: {**answer, "hellos": edit(answer["hellos"])})
        )
        assert isinstance(run.error, ProtocolError)
        assert "coordinator's answer is refused" in str(run.error)


def test_the_analyst_does_not_choose_who_computes(aligned):
    """It draws the query id: of these questions each has one that is as like the others' as can be."""
    pairs: set[frozenset[str]] = set()
    for number in range(30):  # all alike: once in 3^29
        run = aligned.ask(SQL, edit=lambda question, n=number: replace(question, query_id=b"chosen by ada %02d" % n))
        pairs.add(frozenset(m.sender for m in run.of("/threshold/open")))
        if len(pairs) > 1:
            return
    raise AssertionError(pairs)


def test_no_row_is_missing_under_noise():
    made = Watched(
        small(HELD, noise="required", columns={"g": {"values": ["aa", "bb", "cc", "few"]}, "v": {"bounds": [0, 9]}})
    )
    assert len(made.ask(SQL, wire=answering(lambda r: r)).rows) == 5
    run = made.ask(SQL, wire=answering(lambda r: {**r, "positions": r["positions"][1:]}))
    assert isinstance(run.error, ProtocolError)
    made.close()
