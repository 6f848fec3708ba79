"""The messages have the fields of Flight.proto and FlightSql.proto: those that ADBC's own driver was built from."""

from __future__ import annotations

from pathlib import Path

import adbc_driver_flightsql
import pytest
from google.protobuf import descriptor_pb2

from fedsql.flight import messages

_FOUND: dict[str, descriptor_pb2.DescriptorProto] = {}


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def _file_at(data: bytes) -> bytes:
    """Return the FileDescriptorProto that ``data`` begins with: its last field is the syntax, number 12."""
    at = 0
    while True:
        tag, at = _varint(data, at)
        if tag & 7 != 2:
            raise ValueError(tag)
        length, at = _varint(data, at)
        at += length
        if tag >> 3 == 12:
            return data[:at]


def _official() -> dict[str, descriptor_pb2.DescriptorProto]:
    """Return the messages that the shared library of ADBC's driver describes, by name."""
    if not _FOUND:
        (library,) = Path(adbc_driver_flightsql.__file__).parent.glob("libadbc_driver_flightsql*")
        data = library.read_bytes()
        for name in (b"Flight.proto", b"FlightSql.proto"):
            at = data.index(b"\n" + bytes([len(name)]) + name + b"\x12")
            file = descriptor_pb2.FileDescriptorProto.FromString(_file_at(data[at : at + 100_000]))
            for message in file.message_type:
                _FOUND[message.name] = message
                _FOUND.update({each.name: each for each in message.nested_type})
    return _FOUND


# Maps are lists of entries on the wire, enumerations integers, and what nobody here reads is left out.
_ENTRIES = {"SessionOption": "SessionOptionsEntry", "SessionErrorEntry": "ErrorsEntry", "SessionError": "Error"}
_NESTED = {"TableDefinitionOptions", "StringListValue"}
_GOOGLE = {"Status", "MetadataEntry", "ErrorInfo"}
_LEFT_OUT = {
    "FlightInfo": {"total_records", "total_bytes", "ordered", "app_metadata"},
    "FlightEndpoint": {"location", "expiration_time", "app_metadata"},
    "CommandStatementIngest": {"options"},
}


@pytest.mark.parametrize("name", sorted(messages._CLASSES.keys() - _GOOGLE))
def test_the_fields_are_the_official_ones(name: str) -> None:
    official = _official()[_ENTRIES.get(name, name)]
    ours = descriptor_pb2.DescriptorProto()
    messages._CLASSES[name].DESCRIPTOR.CopyToProto(ours)
    theirs = {f.name: f for f in official.field}
    for field in ours.field:
        other = theirs[field.name]
        kinds = descriptor_pb2.FieldDescriptorProto
        enumeration = other.type == kinds.TYPE_ENUM and field.type == kinds.TYPE_INT32
        assert (field.number, field.label) == (other.number, other.label)
        assert field.type == other.type or enumeration
        assert field.proto3_optional == other.proto3_optional
        assert field.HasField("oneof_index") == other.HasField("oneof_index")
    assert theirs.keys() - {f.name for f in ours.field} == _LEFT_OUT.get(name, set())


def test_a_command_goes_and_comes() -> None:
    command = messages.CommandGetTables(catalog="c", table_types=["VIEW"], include_schema=True)
    assert messages.unpack(messages.pack(command)) == command


@pytest.mark.parametrize("data", [b"", b"\xff", b"\n\x03abc", messages.pack(messages.Ticket(ticket=b"x"))[:-1]])
def test_what_is_no_command_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        messages.unpack(data)
