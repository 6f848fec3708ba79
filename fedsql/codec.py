"""The one encoding of every record that is signed, hashed or sent: deterministic CBOR (RFC 8949, section 4.2.1).

Arrays of numbers travel as raw little-endian bytes inside it. Decoding accepts data only: no tags become objects.
"""

from __future__ import annotations

import hashlib
from typing import Any

import cbor2


def encode(record: Any) -> bytes:
    """Return the canonical CBOR of ``record`` (None, bool, int, float, str, bytes, list/tuple, dict)."""
    return cbor2.dumps(record, canonical=True)


def decode(data: bytes) -> Any:
    """Return the record that ``data`` holds. Raises ValueError when it is not exactly one CBOR item."""
    try:
        record = cbor2.loads(data)
    except Exception as error:
        raise ValueError("not a CBOR record") from error
    return record


def digest(record: Any) -> bytes:
    """Return the SHA-256 of the canonical encoding of ``record``: 32 bytes."""
    return hashlib.sha256(encode(record)).digest()
