"""The one encoding of every record that is signed, hashed or sent: deterministic CBOR (RFC 8949, section 4.2.1).

Arrays of numbers travel as raw little-endian bytes inside it. Decoding accepts data only: no tags become objects, and no
record takes up much more memory than it had bytes. `fits` says whether what was decoded has the shape that it should.
"""

from __future__ import annotations

import hashlib
import types
from collections.abc import Callable
from functools import cache
from io import BytesIO
from typing import Any, Union, get_args, get_origin

import cbor2

_ITEMS = 1 << 20  # that any record may hold; an item of one byte can take up 80 in memory
_DATA = frozenset((type(None), bool, int, float, str, bytes))
_SPARSE = 8  # bytes for each item of a record that holds more


def encode(record: Any) -> bytes:
    """Return the canonical CBOR of ``record`` (None, bool, int, float, str, bytes, list/tuple, dict)."""
    return cbor2.dumps(record, canonical=True)


def decode(data: bytes, most: int | None = None) -> Any:
    """Return the record that ``data`` holds. Raises ValueError when it is not exactly one CBOR item.

    Or when it holds more than ``most`` items: by default a million, and one for every eight bytes where it is longer.
    """
    stream = BytesIO(data)
    try:
        if most is not None or len(data) > _ITEMS:
            _count(data, most if most is not None else max(_ITEMS, len(data) // _SPARSE))
        record = cbor2.CBORDecoder(stream).decode()
        plain = _plain(record)
    except Exception as error:
        raise ValueError("not a CBOR record") from error
    if not plain or stream.tell() != len(data):
        raise ValueError("not a CBOR record")
    return record


def _count(data: bytes, most: int) -> None:
    """Raise ValueError or IndexError unless ``data`` holds ``most`` items of definite length at most."""
    at, seen, pending = 0, 0, 1
    while pending:
        kind, size = data[at] >> 5, data[at] & 31
        at += 1
        if size >= 24:
            width = 1 << (size - 24)
            size = int.from_bytes(data[at : at + width], "big")
            at += width
            if width > 8:
                raise ValueError("an item of indefinite length")
        seen += 1
        if seen > most:
            raise ValueError("too many items")
        if kind in (2, 3):  # bytes and text
            at += size
        elif kind in (4, 5):  # lists and dictionaries
            pending += size * (kind - 3)
        elif kind == 6:  # a tag, of the item that follows
            pending += 1
        pending -= 1


def _plain(record: Any) -> bool:
    """Say whether a record holds nothing but data. One that holds itself ends in a RecursionError."""
    if isinstance(record, dict):
        return all(_plain(key) and _plain(value) for key, value in record.items())
    if isinstance(record, list | tuple):
        return all(type(item) in _DATA or _plain(item) for item in record)
    return type(record) in _DATA


def fits(value: Any, kind: Any) -> bool:
    """Say whether a decoded value is of a type, to the last item: no bool is an int, no int a float.

    ``kind`` is made of int, float, bool, str, bytes, None, Any, unions, and of list[X], dict[X, Y], tuple[X, Y] and
    tuple[X, ...], which are lists in CBOR.
    """
    return _test(kind)(value)


@cache
def _test(kind: Any) -> Callable[[Any], bool]:
    origin, inner = get_origin(kind), get_args(kind)
    if kind is Any:
        return lambda value: True
    if kind is None:
        return lambda value: value is None
    if origin in (types.UnionType, Union):
        if all(each is not Any and isinstance(each, type) for each in inner):
            return lambda value: type(value) in inner
        tests = [_test(each) for each in inner]
        return lambda value: any(test(value) for test in tests)
    if origin is dict:
        key, item = map(_test, inner)
        return lambda value: type(value) is dict and all(map(key, value)) and all(map(item, value.values()))
    if origin is tuple and inner[-1] is not ...:
        tests = [_test(each) for each in inner]
        return lambda value: (
            type(value) in (list, tuple)
            and len(value) == len(tests)
            and all(test(each) for test, each in zip(tests, value, strict=True))
        )
    if origin in (list, tuple):
        test = _test(inner[0])
        return lambda value: type(value) in (list, tuple) and all(map(test, value))
    return lambda value: type(value) is kind


def digest(record: Any) -> bytes:
    """Return the SHA-256 of the canonical encoding of ``record``: 32 bytes."""
    return hashlib.sha256(encode(record)).digest()
