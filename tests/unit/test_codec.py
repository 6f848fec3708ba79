"""The codec reads plain data only, and exactly one item."""

import datetime

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedsql.codec import decode, digest, encode

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
