"""Keys: a long-lived Ed25519 identity for each participant, and one fresh X25519 key per query.

An identity signs questions and messages; its public half is what federation files pin, as ``ed25519:<base64>``.
A `QueryKey` lives for one query: every pair of parties derives one secret per purpose from it with HKDF-SHA256
(RFC 5869), the purpose being the ``info``. Signatures are RFC 8032, key agreement is RFC 7748.
"""

from __future__ import annotations

import base64
import binascii
import os
import secrets
from functools import lru_cache
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from fedsql.errors import ConfigError, ProtocolError

PREFIX = "ed25519:"
_SHORT = 4096  # bytes


class IdentityKey:
    """An Ed25519 private key. ``public`` is its public half: 32 raw bytes."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private
        self.public: bytes = private.public_key().public_bytes_raw()

    def __repr__(self) -> str:
        return f"IdentityKey({format_public(self.public)})"

    @classmethod
    def generate(cls) -> IdentityKey:
        """Return a new key from the operating system's randomness."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> IdentityKey:
        """Read the PEM file (PKCS #8) at ``path``.

        Raises ConfigError when it is missing, is not an Ed25519 key, or (POSIX) when others than its owner have any
        right to it: such a key may have been copied, so it is not worth trusting.
        """
        try:
            with open(path, "rb") as file:
                mode = os.fstat(file.fileno()).st_mode
                pem = file.read(65536)
        except OSError as error:
            raise ConfigError(f"{path}: cannot read the identity key: {error.strerror}") from error
        if os.name == "posix" and mode & 0o077:
            raise ConfigError(f"{path}: the identity key is open to other users", hint=f"chmod 600 {path}")
        try:
            private = load_pem_private_key(pem, password=None)
        except Exception:  # whatever the library found wrong could quote the file: say only that it is no key
            raise ConfigError(f"{path}: not an unencrypted private key in PEM form") from None
        if not isinstance(private, Ed25519PrivateKey):
            raise ConfigError(f"{path}: not an Ed25519 key")
        return cls(private)

    def to_pem(self) -> bytes:
        """Return the key as the content of a PEM file (PKCS #8, not encrypted): what only its owner may ever read."""
        return self._private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def to_file(self, path: str | os.PathLike[str]) -> None:
        """Write the key as a new PEM file (PKCS #8), 0600; missing parent directories are made 0700.

        The file appears whole or not at all. Raises ConfigError when ``path`` exists already: a key is never
        overwritten, and of two processes that both make the first key one wins.
        """
        target = Path(path)
        _make_private_directories(target.parent)
        draft = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
        try:
            with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(self.to_pem())
                file.flush()
                os.fsync(file.fileno())
            # POSIX rename would replace an existing key silently, link refuses; on Windows rename itself refuses.
            (os.rename if os.name == "nt" else os.link)(draft, target)
        except FileExistsError:
            raise ConfigError(f"{path}: exists already; an identity key is never overwritten") from None
        finally:
            draft.unlink(missing_ok=True)

    def sign(self, data: bytes) -> bytes:
        """Return the signature of ``data``: 64 bytes."""
        return self._private.sign(data)


def _make_private_directories(directory: Path) -> None:
    """Create ``directory`` and its missing parents, each 0700 (mkdir's own ``parents`` would leave these open)."""
    missing = [d for d in (directory, *directory.parents) if not d.exists()]
    for each in reversed(missing):
        each.mkdir(mode=0o700, exist_ok=True)


def verify(public: bytes, signature: bytes, data: bytes) -> bool:
    """Return whether ``signature`` is ``public``'s over ``data``; malformed keys and signatures are simply False."""
    return (_remembered if len(data) <= _SHORT else _verified)(public, signature, data)


def _verified(public: bytes, signature: bytes, data: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, data)
    except (InvalidSignature, ValueError):
        return False
    return True


_remembered = lru_cache(maxsize=256)(_verified)  # where all participants are in one process, each verifies the same


def format_public(public: bytes) -> str:
    """Return the text form ``ed25519:<base64>`` of a 32-byte public key."""
    if len(public) != 32:
        raise ValueError(f"a public key has 32 bytes, not {len(public)}")
    return PREFIX + base64.b64encode(public).decode("ascii")


def parse_public(text: str) -> bytes:
    """Return the 32 raw bytes of ``ed25519:<base64>``. Raises ValueError that says what is wrong with it."""
    if not text.startswith(PREFIX):
        raise ValueError(f"a public key is written {PREFIX}<base64 of 32 bytes>")
    try:
        public = base64.b64decode(text[len(PREFIX) :], validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"what follows {PREFIX} is not base64") from None
    if len(public) != 32:
        raise ValueError(f"a public key has 32 bytes, this one has {len(public)}")
    if format_public(public) != text:  # two spellings of one key would make pinning ambiguous
        raise ValueError(f"what follows {PREFIX} is not canonical base64")
    return public


class QueryKey:
    """A fresh X25519 key for one query. ``public`` (32 bytes) goes, signed, to the others."""

    def __init__(self) -> None:
        self._private = X25519PrivateKey.generate()
        self.public: bytes = self._private.public_key().public_bytes_raw()

    def shared(self, peer_public: bytes, info: bytes, length: int = 32) -> bytes:
        """Return ``length`` secret bytes that only this key and ``peer_public``'s owner can derive for ``info``.

        ``info`` separates purposes and must bind all that the secret is for (query, attempt, stage, round,
        contributors). Raises ProtocolError when ``peer_public`` is not a usable key: of a wrong length, or one of the
        points of small order, with which the secret would not depend on this key.
        """
        try:
            secret = self._private.exchange(X25519PublicKey.from_public_bytes(peer_public))
        except ValueError:
            raise ProtocolError("a peer's key for this query is not a valid X25519 key") from None
        return HKDF(algorithm=SHA256(), length=length, salt=None, info=info).derive(secret)
