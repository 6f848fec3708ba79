"""Rows stay: every message of a run is of a known kind and size, and none holds a value, key, label, partial or the SQL."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from harness import Run, Watched, federation, party
from needles import GROUPS, HIDDEN, NAMES, SQL, VALUES, K, Needles, rows_of

from fedsql.codec import decode, encode
from fedsql.errors import Error
from fedsql.executors.protocol import contribute
from fedsql.executors.protocol.wire import ANALYST, COORDINATOR, Message

PARTY = "a party"
# kind -> from, to, how it is protected. "plain": nothing in it is secret from who carries it; "sealed": to its recipient
KINDS = {
    "ask": (ANALYST, COORDINATOR, "plain"),  # digests, the Paillier key, outlines, and a sealed box for each party
    "question": (COORDINATOR, PARTY, "plain"),  # the sealed box
    "hello": (PARTY, COORDINATOR, "plain"),  # a fresh public key, signed
    "roster": (COORDINATOR, PARTY, "plain"),  # all hellos
    "align/key": (PARTY, PARTY, "sealed"),
    "align/tags": (PARTY, COORDINATOR, "sealed"),  # keyed tags, shuffled
    "align/slots": (COORDINATOR, PARTY, "sealed"),
    "threshold/dealing": (COORDINATOR, PARTY, "sealed"),
    "threshold/shares": (PARTY, PARTY, "sealed"),
    "threshold/open": (PARTY, PARTY, "sealed"),
    "threshold/prefix": (PARTY, PARTY, "sealed"),
    "threshold/and": (PARTY, PARTY, "sealed"),
    "threshold/result": (PARTY, PARTY, "sealed"),
    "ready": (PARTY, COORDINATOR, "sealed"),
    "go": (COORDINATOR, PARTY, "sealed"),
    "vector": (PARTY, COORDINATOR, "plain"),  # ciphertexts, signed; labels sealed for the analyst
    "answer": (COORDINATOR, ANALYST, "plain"),  # the added ciphertexts, the signed bits, sealed labels
}


def known(kind: str) -> str:
    return re.sub(r"^\d+/|-\d+$", "", kind)


def watched(groups: dict[str, tuple[int, ...]] = GROUPS, values: tuple[tuple[int, ...], ...] = VALUES, **options):
    return Watched(
        federation(
            *(
                party(name, rows_of(at, groups, values[at]), min_group_size=K, **options)
                for at, name in enumerate(NAMES)
            )
        )
    )


PUBLIC = {"columns": {"g": {"values": list(GROUPS)}}}
NOISY = {"columns": {"g": {"values": list(GROUPS)}, "v": {"bounds": [0, 98765431]}}, "noise": "required"}


@pytest.fixture(scope="module")
def aligned() -> Iterator[Watched]:
    world = watched()
    yield world
    world.close()


@pytest.fixture(scope="module", params=[{}, PUBLIC, NOISY], ids=["aligned", "public", "noisy"])
def world(request) -> Iterator[Watched]:
    made = watched(**request.param)
    yield made
    made.close()


NEEDLES = Needles()


def leaks(messages: list[Message]) -> set[tuple[str, object]]:
    return {(message.kind, hit) for message in messages for hit in NEEDLES.found(message.body)}


def leaks_twice(world: Watched) -> set[tuple[str, object]]:
    """Return what two runs both leak: a four-byte number appears in megabytes of ciphertext by chance, not twice."""
    first = leaks(world.ask(SQL).messages)
    return first and first & leaks(world.ask(SQL).messages)


def test_the_federation_of_these_tests_answers(aligned):
    shown = {row["k0"]: (row["a0"], row["a1"]) for row in aligned.ask(SQL).rows}
    assert set(shown) == set(GROUPS) - set(HIDDEN)
    assert int(shown["Quillwort-71"][0]) == sum(GROUPS["Quillwort-71"])


def test_every_message_is_of_a_known_kind_between_those_it_is_for(world):
    run = world.ask(SQL)
    assert run.error is None
    for message in run.messages:
        sender, recipient, protection = KINDS[known(message.kind)]
        assert message.sender in (NAMES if sender == PARTY else [sender])
        assert message.recipient in (NAMES if recipient == PARTY else [recipient])
        assert message.sealed is (protection == "sealed")


def test_all_kinds_of_the_table_occur(aligned):
    assert {known(message.kind) for message in aligned.ask(SQL).messages} == set(KINDS)


def test_no_message_holds_a_value_key_label_partial_or_the_sql(world):
    assert leaks_twice(world) == set()


@pytest.mark.parametrize("needle", [*GROUPS, SQL, 43218765, 3121, sum(GROUPS["Zebrawood-38"]), 10_000_019])
def test_the_search_would_find_it(needle):
    noise = bytes(range(256)) * 4
    planted = [encode({"a": [1, {"b": needle}]}), encode([encode([needle])])]
    if isinstance(needle, int):
        short = needle != 10_000_019  # ids are too many to look for in four bytes
        planted += [noise + code + noise for code in Needles.encodings(needle) if len(code) != 4 or short]
    else:
        planted.append(noise + needle.encode() + noise)
    for body in planted:
        assert NEEDLES.found(body), body
    assert not NEEDLES.found(noise)


def test_an_unencrypted_vector_would_be_found(aligned, monkeypatch):
    def in_the_clear(talk, outline, columns, rows, public):
        # In whole words, as arrays are sent: slots of two or three bytes are too short to look for among random ones.
        words = [np.pad(column, ((0, 0), (0, max(0, 8 - column.shape[1])))) for column in columns]
        return b"".join(column.tobytes() for column in words)

    monkeypatch.setattr(contribute, "encrypt", in_the_clear)
    run = aligned.ask(SQL)
    found = {hit for kind, hit in leaks(run.messages) if known(kind) == "vector"}
    assert {*GROUPS["Quillwort-71"], *GROUPS["Zebrawood-38"]} <= found
    assert not found & set(GROUPS["Xylotomy-94"])  # what is hidden is not even encrypted


def coordinators_view(run: Run) -> Iterator[bytes]:
    yield from (message.body for message in run.messages if COORDINATOR in (message.sender, message.recipient))
    yield from (plain for by, _, _, plain in run.opened if by == COORDINATOR)


def test_the_coordinator_sees_nothing_of_it_in_all_that_it_opens(world):
    def view() -> set[object]:
        run = world.ask(SQL)
        assert {known(kind) for by, kind, _, _ in run.opened if by == COORDINATOR} >= {"ready"}
        return {hit for body in coordinators_view(run) for hit in NEEDLES.found(body)}

    first = view()
    assert not first or not first & view()


def test_the_coordinator_cannot_tell_equal_questions_or_test_a_guess(aligned):
    """Nothing that it is sent repeats when a question does, nor is the digest of the plan that it could derive itself."""

    def strings(run: Run) -> set[bytes]:
        asked = decode(run.of("ask")[0].body)
        return {value for value in asked.values() if isinstance(value, bytes)} - {asked["paillier_n"]}

    one, two = aligned.ask(SQL), aligned.ask(SQL)
    assert one.plan.digest == two.plan.digest
    assert not strings(one) & strings(two)
    assert all(one.plan.digest not in body for body in coordinators_view(one))


def sizes(run: Run) -> list[tuple[str, str, str, int]]:
    """Every message with its size; label boxes taken out of vectors, for the coordinator draws who sends them."""
    listed = []
    for message in run.messages:
        body = message.body
        if known(message.kind) == "vector":
            body = encode({**decode(body), "labels": []})
        if known(message.kind) == "go":
            body = bytes(len(body) - len(decode(_plain(run, message))["labels"]))
        listed.append((message.kind, message.sender, message.recipient, len(body)))
    return sorted(listed)


def _plain(run: Run, message: Message) -> bytes:
    opened = (plain for by, kind, _, plain in run.opened if (by, kind) == (message.recipient, message.kind))
    return next(opened)


@pytest.mark.parametrize("options", [{}, PUBLIC], ids=["aligned", "public"])
def test_sizes_do_not_depend_on_values(options):
    """The same shape over other rows: other values, other counts, the same groups at the same parties."""
    other = {label: tuple(n and n + 13 * at for at, n in enumerate(counts)) for label, counts in GROUPS.items()}
    one, two = watched(**options), watched(other, VALUES[::-1], **options)
    runs = [world.ask(SQL, first=1) for world in (one, two)]
    assert runs[0].rows != runs[1].rows
    assert sizes(runs[0]) == sizes(runs[1])
    one.close()
    two.close()


def test_the_length_of_the_sql_shows_in_kilobytes_only(aligned):
    short, long = (aligned.ask(SQL.replace("zugzwang", name)) for name in ("z" * 200, "z" * 400))
    assert [len(m.body) for m in short.of("question")] == [len(m.body) for m in long.of("question")]


def test_what_a_party_refuses_with_is_for_the_analyst_alone(aligned):
    """A party's words may name columns and budgets: the coordinator passes them on in a box."""
    run = aligned.ask(SQL, edit=lambda question: replace(question, sql="SELECT avg(g) AS zugzwang FROM t"))
    assert isinstance(run.error, Error)
    told = run.error.message
    assert "t.g inside an aggregate" in told
    assert run.of("abort")
    assert not leaks(run.messages)
    for message in run.of("abort"):
        record = decode(message.body)
        assert set(record) == {"party", "box"}
        assert b"t.g" not in message.body
