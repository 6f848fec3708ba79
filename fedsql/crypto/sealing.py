"""Boxes that only their recipient opens: HPKE to a public key, AEAD between two who share a key, fixed lengths.

`seal` is HPKE in base mode (RFC 9180: X25519, HKDF-SHA256, ChaCha20-Poly1305): anyone can seal to a public key, so
what is inside must be signed where the sender matters. `Channel` is for two parties within one query that derived a
key together. `pad` makes boxes of one kind equally long, so that a length tells nothing. Every failure to open is the
same error: what exactly was wrong helps only an attacker.
"""

from __future__ import annotations

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from fedsql.errors import ProtocolError

_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)
_NONCE = 12
_LENGTH = 4
_NOT_OPENED = "a sealed message could not be opened"


def _context(info: bytes, aad: bytes) -> bytes:
    """Join ``info`` and ``aad`` unambiguously into HPKE's info.

    For a box sealed once, info authenticates as well as associated data does (RFC 9180, section 8.1), and the
    library's interface takes info alone.
    """
    return len(info).to_bytes(8, "big") + info + aad


def seal(public: bytes, plaintext: bytes, info: bytes = b"", aad: bytes = b"") -> bytes:
    """Seal ``plaintext`` to the X25519 key ``public`` (32 bytes); the box is 48 bytes longer than the plaintext.

    ``info`` says what the box is for, ``aad`` what it belongs to; both must be given again to open it. Raises
    ProtocolError when ``public`` is not a usable key.
    """
    try:
        return _SUITE.encrypt(plaintext, X25519PublicKey.from_public_bytes(public), _context(info, aad))
    except ValueError:
        raise ProtocolError("a recipient's key is not a valid X25519 key") from None


class SealKey:
    """A fresh private key that opens what was sealed to its ``public`` half (32 bytes)."""

    def __init__(self) -> None:
        self._private = X25519PrivateKey.generate()
        self.public: bytes = self._private.public_key().public_bytes_raw()

    def open(self, box: bytes, info: bytes = b"", aad: bytes = b"") -> bytes:
        """Return the plaintext of ``box``. Raises ProtocolError, always the same, when it does not open."""
        try:
            return _SUITE.decrypt(box, self._private, _context(info, aad))
        except (InvalidTag, ValueError):
            raise ProtocolError(_NOT_OPENED) from None


class Channel:
    """Authenticated encryption between two parties under a 32-byte key that they share for one query.

    The label of a box names its kind, sender, recipient, query and round. It is not sent: the recipient knows which
    box it awaits, and a box given out for another one, also one reflected to its sender, does not open.
    """

    def __init__(self, key: bytes) -> None:
        if len(key) != 32:
            raise ValueError(f"a channel's key has 32 bytes, not {len(key)}")
        self._aead = ChaCha20Poly1305(key)

    def seal(self, label: bytes, plaintext: bytes) -> bytes:
        """Return the box of ``plaintext``: 28 bytes longer.

        The nonce is random, so both ends may use one key without counters; a key serves one query, far below the 2^32
        boxes at which 96-bit nonces begin to repeat.
        """
        nonce = os.urandom(_NONCE)
        return nonce + self._aead.encrypt(nonce, plaintext, label)

    def open(self, label: bytes, box: bytes) -> bytes:
        """Return the plaintext of ``box``. Raises ProtocolError, always the same, when it does not open."""
        try:
            return self._aead.decrypt(box[:_NONCE], box[_NONCE:], label)
        except (InvalidTag, ValueError):
            raise ProtocolError(_NOT_OPENED) from None


def pad(data: bytes, size: int) -> bytes:
    """Return exactly ``size`` bytes: the length (4 bytes, little-endian), ``data``, zeros. ValueError if too long."""
    if len(data) + _LENGTH > size:
        raise ValueError(f"{len(data)} bytes do not fit a box of {size} (4 of them hold the length)")
    return (len(data).to_bytes(_LENGTH, "little") + data).ljust(size, b"\0")


def unpad(padded: bytes) -> bytes:
    """Return what `pad` was given. Raises ProtocolError when ``padded`` was not made by it."""
    end = _LENGTH + int.from_bytes(padded[:_LENGTH], "little")
    if len(padded) < _LENGTH or end > len(padded) or padded[end:].strip(b"\0"):
        raise ProtocolError("a padded message is malformed")
    return padded[_LENGTH:end]
