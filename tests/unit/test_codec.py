"""The codec reads plain data only, and exactly one item."""

import datetime
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedsql.codec import decode, digest, encode, fits

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**200), 2**200) | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(0, 9), inner),
    max_leaves=20,
)


@given(PLAIN)
def test_what_is_encoded_is_decoded(record):
    assert decode(encode(record)) == record


def test_order_of_keys_does_not_matter():
    assert digest({"b": 1, "a": 2}) == digest({"a": 2, "b": 1})


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x01\x02",
        encode([1, 2])[:-1],
        cbor2.dumps(datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)),
        cbor2.dumps({1: datetime.date(2026, 1, 1)}),
        cbor2.dumps(cbor2.CBORTag(4000, "x")),
        b"\xd8\x1c\x81\xd8\x1d\x00",  # a list that holds itself
        b"\xf7",  # undefined
        b"\x81" * 5000 + b"\x01",
    ],
    ids=["nothing", "two items", "cut", "a time", "a date inside", "a tag", "a cycle", "undefined", "nested deeply"],
)
def test_anything_else_is_refused(data):
    with pytest.raises(ValueError, match="not a CBOR record"):
        decode(data)


@pytest.mark.parametrize(
    "data",
    [
        b"\x9a\x00\x20\x00\x00" + b"\x80" * (1 << 21),  # two million empty lists: 2 MB become 130
        b"\x9a\x00\x20\x00\x00" + b"\x81\x80" * (1 << 20),
        b"\x5f" + b"\x41x" * (1 << 20) + b"\xff",  # of indefinite length
        b"\x5a\x7f\xff\xff\xff" + bytes(1 << 21),  # longer than it is
        b"\xc1" * (1 << 21) + b"\x00",
    ],
    ids=["items", "nested", "indefinite", "cut", "tags"],
)
def test_a_record_that_would_grow_in_memory_is_refused(data):
    with pytest.raises(ValueError, match="not a CBOR record"):
        decode(data)


def test_a_long_record_of_data_is_not():
    labels = [[number, bytes(100)] for number in range(20_000)]
    assert decode(encode({"labels": labels, "vector": bytes(1 << 20)}))["labels"] == labels


def test_a_reader_may_ask_for_fewer_items():
    assert decode(encode([1, b"two", {"three": 4}]), 6) == [1, b"two", {"three": 4}]
    with pytest.raises(ValueError, match="not a CBOR record"):
        decode(encode([1, b"two", {"three": 4}]), 5)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (1, int),
        (None, int | None),
        ([1, [b"x"]], tuple[int, list[bytes]]),
        ((), tuple[int, ...]),
        ([[1, b"x"], [2, b""]], list[tuple[int, bytes]]),
        ({"a": [1]}, dict[str, list[int]]),
        ({1: object}, Any),
    ],
)
def test_a_value_fits_its_kind(value, kind):
    assert fits(value, kind)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (True, int),
        (1.0, int),
        (1, float),
        (b"", str),
        ("", None),
        ([1], tuple[int, bytes]),
        ([1, b"x", 2], tuple[int, bytes]),
        ([1, "x"], list[int]),
        ("xx", list[str]),
        ({"a": 1}, list[str]),
        ({1: 1}, dict[str, int]),
        ({"a": "b"}, dict[str, int]),
        ([], dict[str, int]),
    ],
)
def test_a_value_of_another_kind_does_not(value, kind):
    assert not fits(value, kind)
