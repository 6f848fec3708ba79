"""Sealed boxes open for the right key and context only, always fail alike, and padding hides lengths."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from hypothesis import given
from hypothesis import strategies as st

from fedsql.crypto.sealing import Channel, SealKey, pad, seal, unpad
from fedsql.errors import ProtocolError


def failures_of_opening(key: SealKey, attempts: list[tuple[bytes, bytes, bytes]]) -> set[str]:
    messages = set()
    for box, info, aad in attempts:
        with pytest.raises(ProtocolError) as caught:
            key.open(box, info, aad)
        messages.add(str(caught.value))
    return messages


def test_seal_round_trip() -> None:
    key = SealKey()
    box = seal(key.public, b"label", b"info", b"aad")
    assert key.open(box, b"info", b"aad") == b"label"
    assert len(box) == len(b"label") + 48
    assert b"label" not in box
    assert box != seal(key.public, b"label", b"info", b"aad")


def test_every_failure_to_open_is_the_same_error() -> None:
    key = SealKey()
    box = seal(key.public, b"label", b"info", b"aad")
    flipped = [box[:i] + bytes([box[i] ^ 1]) + box[i + 1 :] for i in (0, 32, len(box) - 1)]
    attempts = [(each, b"info", b"aad") for each in (*flipped, b"", box[:-1], box + b"\0", bytes(48))]
    attempts += [(box, b"info2", b"aad"), (box, b"info", b""), (box, b"infoa", b"ad"), (box, b"", b"infoaad")]
    attempts += [(seal(SealKey().public, b"label", b"info", b"aad"), b"info", b"aad")]
    assert failures_of_opening(key, attempts) == {"a sealed message could not be opened"}


def test_the_box_is_rfc9180_base_mode() -> None:
    key = SealKey()
    suite = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)
    context = (4).to_bytes(8, "big") + b"info" + b"aad"
    box = suite.encrypt(b"label", X25519PublicKey.from_public_bytes(key.public), context)
    assert key.open(box, b"info", b"aad") == b"label"


@pytest.mark.parametrize("public", [b"short", bytes(32)])
def test_sealing_to_an_unusable_key_is_refused(public: bytes) -> None:
    with pytest.raises(ProtocolError, match="not a valid X25519 key"):
        seal(public, b"label")


def test_channel_round_trip_and_binding_to_the_label() -> None:
    here, there = Channel(bytes(range(32))), Channel(bytes(range(32)))
    box = here.seal(b"shares/north/south/q1", b"payload")
    assert there.open(b"shares/north/south/q1", box) == b"payload"
    assert len(box) == len(b"payload") + 28
    messages = set()
    for channel, label, attempt in [
        (there, b"shares/south/north/q1", box),  # reflected to its sender
        (there, b"shares/north/south/q2", box),
        (Channel(bytes(32)), b"shares/north/south/q1", box),
        (there, b"shares/north/south/q1", box[:-1]),
        (there, b"shares/north/south/q1", box[:5]),
        (there, b"shares/north/south/q1", b""),
    ]:
        with pytest.raises(ProtocolError) as caught:
            channel.open(label, attempt)
        messages.add(str(caught.value))
    assert messages == {"a sealed message could not be opened"}


def test_channel_nonces_differ() -> None:
    channel = Channel(bytes(32))
    assert len({channel.seal(b"label", b"same")[:12] for _ in range(500)}) == 500


def test_channel_wants_a_whole_key() -> None:
    with pytest.raises(ValueError, match="not 16"):
        Channel(bytes(16))


@given(st.binary(max_size=60))
def test_padding_round_trip(data: bytes) -> None:
    padded = pad(data, 64)
    assert len(padded) == 64
    assert unpad(padded) == data


def test_too_long_to_pad() -> None:
    with pytest.raises(ValueError, match="61 bytes do not fit a box of 64"):
        pad(bytes(61), 64)


@pytest.mark.parametrize("padded", [b"", b"\1\0\0", b"\5\0\0\0abcd", b"\1\0\0\0a\0x\0", b"\xff\xff\xff\xffabcd"])
def test_malformed_padding_is_refused(padded: bytes) -> None:
    with pytest.raises(ProtocolError, match="malformed"):
        unpad(padded)
