"""Who may log in, at both ends, and what is said to who may not."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest
from toys import QUICK, SOON, Raw, Toys, eventually

import fedsql
from fedsql.codec import decode, encode
from fedsql.crypto.keys import IdentityKey
from fedsql.errors import ConfigError, OperationalError
from fedsql.executors.protocol.wire import Message
from fedsql.executors.transport import frames
from fedsql.executors.transport.frames import CONTROL, VERSION, control
from fedsql.executors.transport.login import HubSide, new_challenge


def test_both_roles_log_in_and_the_hub_knows_the_parties(make):
    toys = make(parties=("a", "b"))
    toys.analyst()
    assert toys.hub.connected() == ["a", "b"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"name": "nobody"}, "no party nobody with this key is known"),
        ({"role": "analyst"}, "no analyst mallory with this key is known"),
        ({"name": "a"}, "no party a with this key is known"),
        ({"signature": bytes(64)}, "no party mallory with this key is known"),
        ({}, "no party mallory with this key is known"),
        ({"federation": "zoo"}, "this is the coordinator of the federation toys, not of zoo"),
        ({"role": "coordinator"}, frames.MALFORMED),
        ({"signature": "text"}, frames.MALFORMED),
        ({"name": None}, frames.MALFORMED),
        ({"name": ""}, frames.MALFORMED),
        ({"name": "mallory\n2026-01-01 INFO hub: party a connected"}, frames.MALFORMED),
        ({"name": "m" * 257}, frames.MALFORMED),
        ({"federation": "f" * 257}, frames.MALFORMED),
        ({"more": "x" * 5000}, frames.MALFORMED),
    ],
)
def test_a_login_is_refused_with_its_reason(make, changes, reason):
    toys = make(parties=("a",))
    with Raw(toys) as raw:
        answer = raw.login("mallory", "party", None if changes else IdentityKey.generate(), changes)
        assert answer.kind == "bye"
        assert answer.record()["reason"].startswith(reason)
        with pytest.raises(StopIteration):
            raw.receive()
    assert toys.hub.connected() == ["a"]


def test_a_signature_cannot_be_replayed(make):
    toys = make()
    with Raw(toys) as first, Raw(toys) as second:
        sent = []
        first.message = lambda query, message: (sent.append(message), Raw.message(first, query, message))
        assert first.login("a", "party").kind == "welcome"
        second.message(CONTROL, sent[0])
        second.receive("challenge")
        second.message(CONTROL, sent[1])
        assert "with this key" in second.receive("bye").message.record()["reason"]


def test_strangers_do_not_learn_who_is_known_but_the_operator_does(make, caplog):
    toys = make(parties=("a",))
    told = []
    for name in ("a", "b"):
        with Raw(toys) as raw:
            told.append(raw.login("mallory", "party", IdentityKey.generate(), {"name": name}).record()["reason"])
    assert told[0].replace(" a ", " b ") == told[1]
    assert [line.partition("is known ")[2] for line in caplog.messages if "was refused" in line] == [
        "(the key is not the pinned one)",
        "(the name is not known)",
    ]


def test_an_analyst_has_so_many_connections_and_no_more(make):
    """So it cannot take all those that there are."""
    toys = make(settings=replace(QUICK, sessions=2))
    with Raw(toys) as first, Raw(toys) as second, Raw(toys) as third, Raw(toys) as bob, Raw(toys) as again:
        first.login("ada", "analyst")
        second.login("ada", "analyst")
        assert third.login("ada", "analyst").record()["reason"] == "ada has 2 connections already"
        assert bob.login("bob", "analyst").kind == "welcome"
        first.message(CONTROL, Message.of("bye", "", "", None))
        first.receive("bye")
        assert eventually(lambda: sum(each.name == "ada" for each in toys.hub._connections) == 1)
        assert again.login("ada", "analyst").kind == "welcome"


def test_another_version_is_refused_in_words(make, caplog):
    caplog.set_level(logging.WARNING, "fedsql.transport")
    toys = make()
    with Raw(toys) as raw:
        fields = decode(control("dial", {"challenge": new_challenge()})[0])
        raw.send(encode([VERSION + 1, *fields[1:]]))
        reason = raw.receive("bye").message.record()["reason"]
        assert reason == (
            f"the participant speaks version {VERSION + 1} of the protocol, the coordinator (fedsql {fedsql.__version__})"
            f" version {VERSION}: everybody needs the same fedsql"
        )
    (record,) = caplog.records
    assert record.getMessage().endswith(reason)


@pytest.mark.parametrize("role", ["party", "analyst"])
def test_a_coordinator_of_another_version_is_told_from_one_that_cannot_be_reached(make, monkeypatch, role):
    original = HubSide.challenge

    def newer(side, theirs, ours):
        return [encode([VERSION + 1, *decode(frame)[1:]]) for frame in original(side, theirs, ours)]

    monkeypatch.setattr(HubSide, "challenge", newer)
    toys = make()
    toys.key("ada", role)
    with pytest.raises(OperationalError) as raised:
        toys.node("ada", role).connect()
    assert raised.value.message.endswith(
        f"the coordinator speaks version {VERSION + 1} of the protocol, fedsql {fedsql.__version__} here version"
        f" {VERSION}: everybody needs the same fedsql"
    )


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"coordinator_key": IdentityKey.generate().public}, "not the one that is pinned here as the coordinator's"),
        ({"federation": "zoo"}, "of the federation toys, not of zoo"),
        (
            {"identity": IdentityKey.generate()},
            "the coordinator refused the login: no analyst ada with this key is known",
        ),
        ({"address": "grpc://127.0.0.1:1"}, "the coordinator cannot be reached: "),
    ],
)
def test_an_analyst_learns_at_once_why_there_is_no_connection(make, options, reason):
    toys = make()
    toys.key("ada", "analyst")
    with pytest.raises(OperationalError, match=reason) as raised:
        toys.analyst(**options)
    assert "Traceback" not in str(raised.value)


def test_a_second_login_replaces_the_first_which_does_not_come_back(make):
    toys = make()
    older = toys.party("a", 1)
    older.offer(b"older")
    newer = toys.party("a", 2)
    assert older.wait_closed(SOON)
    assert "a has logged in from elsewhere" in older.reason
    assert toys.hub.connected() == ["a"]
    assert toys.sum(toys.analyst(), ["a"])[0] == 2
    assert newer.wait_connected(0)


def test_an_analyst_may_have_several_sessions(make):
    toys = make(parties=("a",))
    first, second = toys.analyst(), toys.analyst()
    assert [toys.sum(node, ["a"])[0] for node in (first, second, first)] == [1, 1, 1]


def test_who_is_no_longer_known_is_disconnected(make):
    toys = make(parties=("a", "b"))
    ada, bob = toys.analyst("ada"), toys.analyst("bob")
    toys.hub.recheck()
    assert toys.sum(ada, ["a", "b"])[0] == 11
    del toys.keys["ada", "analyst"]
    toys.keys["b", "party"] = IdentityKey.generate()
    toys.hub.recheck()
    assert toys.hub.connected() == ["a"]
    for node in (ada, toys.nodes[1]):
        assert eventually(lambda node=node: "this key is known" in node.reason)  # it has dialed again
        assert not node.wait_connected(0)
    assert toys.sum(bob, ["a"])[0] == 1


def test_only_the_loopback_interface_goes_without_tls(make):
    with pytest.raises(ConfigError, match="without TLS only this machine"):
        Toys(address="grpc://0.0.0.0:0")
    toys = make()
    with pytest.raises(ConfigError, match="without TLS only this machine"):
        toys.node("a", "party", address="grpc://coordinator.example:31337")
    with pytest.raises(ConfigError, match="is written"):
        toys.node("a", "party", address="http://127.0.0.1:31337")
    with pytest.raises(ConfigError, match="needs a certificate"):
        Toys(address="grpc+tls://127.0.0.1:0")


def test_a_port_in_use_is_said(make):
    toys = make()
    with pytest.raises(ConfigError, match="cannot listen here"):
        Toys(address=toys.hub.address)


def test_who_does_not_log_in_is_cut_off(make):
    settings = Toys.__init__.__defaults__[0]
    toys = make(settings=type(settings)(ping=0.05, silent=10.0, login=0.1))
    with Raw(toys) as raw:
        raw.send(control("dial", {"challenge": new_challenge()})[0])
        raw.receive("challenge")
        assert raw.receive().message.record()["reason"] == "nothing was heard for too long"
    assert eventually(lambda: not toys.hub._connections)


def test_a_call_without_a_word_does_not_keep_the_hub_from_closing(make):
    toys = make()
    with Raw(toys):
        toys.hub.close()


def test_a_login_frame_of_the_wrong_kind_is_malformed(make):
    toys = make()
    with Raw(toys) as raw:
        raw.message(CONTROL, Message.of("ping", "", "", None))
        assert raw.receive().message.record()["reason"] == frames.MALFORMED
