"""The one encoding of every record that is signed, hashed or sent: deterministic CBOR (RFC 8949, section 4.2.1).

Arrays of numbers travel as raw little-endian bytes inside it. Decoding accepts data only: no tags become objects.
"""

from __future__ import annotations

import hashlib
from io import BytesIO
from typing import Any

import cbor2


def encode(record: Any) -> bytes:
    """Return the canonical CBOR of ``record`` (None, bool, int, float, str, bytes, list/tuple, dict)."""
    return cbor2.dumps(record, canonical=True)


def decode(data: bytes) -> Any:
    """Return the record that ``data`` holds. Raises ValueError when it is not exactly one CBOR item."""
    stream = BytesIO(data)
    try:
        record = cbor2.CBORDecoder(stream).decode()
        plain = _plain(record)
    except Exception as error:
        raise ValueError("not a CBOR record") from error
    if not plain or stream.tell() != len(data):
        raise ValueError("not a CBOR record")
    return record


def _plain(record: Any) -> bool:
    """Say whether a record holds nothing but data. One that holds itself ends in a RecursionError."""
    if isinstance(record, dict):
        return all(_plain(key) and _plain(value) for key, value in record.items())
    if isinstance(record, list | tuple):
        return all(map(_plain, record))
    return record is None or isinstance(record, bool | int | float | str | bytes)


def digest(record: Any) -> bytes:
    """Return the SHA-256 of the canonical encoding of ``record``: 32 bytes."""
    return hashlib.sha256(encode(record)).digest()
