"""Conversations: who said hello is who it says, boxes open for whom and what they are for, secrets serve one purpose."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import replace
from itertools import combinations

import pytest

from fedsql.crypto.keys import IdentityKey, QueryKey
from fedsql.errors import ProtocolError
from fedsql.executors.protocol.conversation import Context, Conversation
from fedsql.executors.protocol.outline import Outline
from fedsql.executors.protocol.wire import COORDINATOR, Message

NAMES = ("ann", "bob", "cyd")
CONTEXT = Context(os.urandom(16), 1, b"p" * 32, b"q" * 32, (NAMES,), b"s" * 32)
IDENTITIES = {name: IdentityKey.generate() for name in NAMES}
PUBLIC = {name: key.public for name, key in IDENTITIES.items()}


def talking(context: Context = CONTEXT) -> dict[str, Conversation]:
    talks = {name: Conversation(name, context, IDENTITIES[name]) for name in NAMES}
    hellos = [talk.hello() for talk in talks.values()]
    for talk in talks.values():
        talk.admit(hellos, PUBLIC, NAMES)
    return talks


OTHERS = {
    "query": replace(CONTEXT, query_id=bytes(16)),
    "attempt": replace(CONTEXT, attempt=2),
    "plan": replace(CONTEXT, plan_digest=b"o" * 32),
    "question": replace(CONTEXT, question_digest=b"o" * 32),
    "contributors": replace(CONTEXT, contributors=(("ann", "bob"),)),
    "two releases": replace(CONTEXT, contributors=(NAMES, NAMES)),
    "shape": replace(CONTEXT, shape=b"o" * 32),
    "owners": replace(CONTEXT, owners=("dan",)),
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_a_hello_serves_one_context(other):
    hellos = [talk.hello() for talk in talking(other).values()]
    with pytest.raises(ProtocolError, match="is not signed"):
        Conversation("ann", CONTEXT, IDENTITIES["ann"]).admit(hellos, PUBLIC, NAMES)


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_the_same_keys_share_nothing_in_another_context(other):
    one, two = QueryKey(), QueryKey()
    secrets = {
        Conversation("ann", context, IDENTITIES["ann"], one, {"bob": two.public}).secret("bob", "mask", 0)
        for context in (CONTEXT, other)
    }
    assert len(secrets) == 2


def test_secrets_agree_between_two_and_differ_by_purpose_and_peer():
    talks = talking()
    purposes = [("mask", 0), ("mask", 1), ("channel",), ("mask",)]
    for purpose in purposes:
        assert talks["ann"].secret("bob", *purpose) == talks["bob"].secret("ann", *purpose)
    drawn = [talks["ann"].secret(peer, *purpose) for peer in ("bob", "cyd") for purpose in purposes]
    assert len(set(drawn)) == len(drawn)


def test_a_box_opens_for_its_recipient_kind_and_sender_alone():
    talks = talking()
    box = talks["ann"].seal("0/ready", "bob", b"secret")
    assert box.sealed
    assert talks["bob"].open(box) == b"secret"
    for by, wrong in (
        ("cyd", replace(box, recipient="cyd")),
        ("bob", replace(box, kind="0/go")),
        ("bob", replace(box, sender="cyd")),
        ("ann", replace(box, sender="bob", recipient="ann")),  # reflected
        ("bob", replace(box, body=b"")),
        ("bob", replace(box, sender="eve")),
    ):
        with pytest.raises(ProtocolError):
            talks[by].open(wrong)


def hello(**change: object) -> dict[str, object]:
    return {**Conversation("bob", CONTEXT, IDENTITIES["bob"]).hello(), **change}


@pytest.mark.parametrize(
    "other",
    [
        [],
        [hello(), hello()],
        [hello(name="cyd")],
        [hello(key=QueryKey().public)],
        [hello(signature=bytes(64))],
        [hello(signature=b"")],
        [hello(key=7)],
        [hello(lacks=[0])],
        [hello(lacks=["0"])],
        [hello(lacks=0)],
        [{"name": "bob"}],
        ["bob"],
        [None],
    ],
)
def test_malformed_rosters_are_refused(other):
    ann, cyd = (Conversation(name, CONTEXT, IDENTITIES[name]) for name in ("ann", "cyd"))
    with pytest.raises(ProtocolError):
        ann.admit([ann.hello(), cyd.hello(), *other], PUBLIC, NAMES)
    assert ann.roster == {}


def test_everybody_knows_what_the_others_lack():
    talks = [
        Conversation(name, CONTEXT, IDENTITIES[name], lacks=lacks)
        for name, lacks in zip(NAMES, [(), (0, 2), (1,)], strict=True)
    ]
    for talk in talks:
        talk.admit([each.hello() for each in talks], PUBLIC, NAMES)
    assert talks[0].lacking == {"bob": (0, 2), "cyd": (1,)}
    assert talks[1].lacking == {"ann": (), "cyd": (1,)}


def test_nobody_more_than_the_contributors_is_admitted():
    talks = [Conversation(name, CONTEXT, IDENTITIES[name]) for name in NAMES]
    with pytest.raises(ProtocolError, match="not those of the signed question"):
        talks[0].admit([talk.hello() for talk in talks], PUBLIC, ("ann", "bob"))


def test_a_signature_serves_one_purpose_and_signer():
    talks = talking()
    signature = talks["ann"].sign("verdict", b"data")
    talks["bob"].signed_by("ann", PUBLIC["ann"], "verdict", b"data", signature)
    for name, what, data, given in (
        ("bob", "verdict", b"data", signature),
        ("ann", "vector", b"data", signature),
        ("ann", "verdict", b"date", signature),
        ("ann", "verdict", b"data", None),
        ("ann", "verdict", b"data", b"short"),
    ):
        with pytest.raises(ProtocolError):
            talks["cyd"].signed_by(name, PUBLIC[name], what, data, given)


def test_all_draw_the_same_and_every_fresh_key_counts():
    talks = talking()
    (drawn,) = {talk.draw for talk in talks.values()}
    keys = {name: talk.key.public for name, talk in talks.items()}
    for name in NAMES:
        assert CONTEXT.draw({**keys, name: QueryKey().public}) != drawn
    assert CONTEXT.draw({**keys, COORDINATOR: QueryKey().public}) == drawn  # it comes last: it could choose
    assert replace(CONTEXT, query_id=bytes(16)).draw(keys) != drawn


def test_any_two_contributors_may_be_drawn_to_compute():
    names = ("ann", "bob", "cyd", "dan")
    outline = Outline(0, names, 4, None, (8,))
    pairs = Counter(tuple(sorted(outline.computing(os.urandom(32)))) for _ in range(600))
    assert set(pairs) == set(combinations(names, 2))
    assert min(pairs.values()) > 50  # of 100 expected: five standard deviations below are never seen
    assert replace(outline, contributors=("ann",)).computing(bytes(32)) == ("ann",)


def test_a_key_of_small_order_is_refused():
    talk = Conversation("ann", CONTEXT, IDENTITIES["ann"], roster={"bob": bytes(32)})
    with pytest.raises(ProtocolError, match="not a valid X25519 key"):
        talk.seal("0/ready", "bob", b"")


def test_a_message_that_is_no_record_is_refused():
    with pytest.raises(ProtocolError, match="malformed"):
        Message("hello", "ann", "bob", b"\xff").record()
