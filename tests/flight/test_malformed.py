"""What a client that means harm puts into the rows and texts that it sends."""

from __future__ import annotations

import struct
from typing import Any

import pyarrow as pa
import pyarrow.flight as flight
import pytest

from fedsql.flight import messages, parameters
from tests.flight.raw import Raw

NEW = messages.TableDefinitionOptions(if_not_exist=1, if_exists=1)


def _reaching() -> pa.Table:
    """Return rows whose first value goes on for 4,000 bytes behind the eight of its column."""
    offsets = pa.py_buffer(struct.pack("<3i", 0, 4008, 8))
    valid = pa.py_buffer(b"\x01")  # the second, of a negative length, is NULL: nobody looks at it
    return pa.table({"a": pa.Array.from_buffers(pa.binary(), 2, [valid, offsets, pa.py_buffer(b"x" * 8)])})


@pytest.fixture
def prepared(raw: Raw) -> Any:
    raw.query("CREATE OR REPLACE TABLE own (a BLOB)")
    return raw.prepare("INSERT INTO own VALUES (?)").prepared_statement_handle


@pytest.mark.parametrize("command", ["CommandPreparedStatementUpdate", "CommandPreparedStatementQuery"])
def test_parameters_read_no_memory_of_the_gateway(raw: Raw, prepared: bytes, command: str) -> None:
    made = getattr(messages, command)(prepared_statement_handle=prepared)
    with pytest.raises(flight.FlightServerError, match="malformed"):
        raw.put(made, _reaching())
    assert raw.query("SELECT COUNT(*) AS n FROM own").to_pylist() == [{"n": 0}]


def test_a_loaded_table_reads_no_memory_of_the_gateway(raw: Raw) -> None:
    with pytest.raises(flight.FlightServerError, match="malformed"):
        raw.put(messages.CommandStatementIngest(table="loaded", table_definition_options=NEW), _reaching())
    with pytest.raises(flight.FlightServerError, match="no table loaded"):
        raw.query("SELECT * FROM loaded")


@pytest.mark.parametrize(
    "values",
    [
        pa.DictionaryArray.from_arrays(pa.array([0] * 9, pa.int8()), pa.array(["x" * 1000])),
        pa.array(["x" * 1000] * 9).cast(pa.string_view()),
        pa.array(["x" * 1000] * 9),
        pa.array([["x" * 1000] * 9]),
    ],
    ids=lambda values: str(values.type),
)
def test_few_bytes_do_not_become_many(
    raw: Raw, prepared: bytes, values: pa.Array, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parameters, "ROOM", 5000)
    with pytest.raises(flight.FlightServerError, match="of parameters"):
        raw.put(messages.CommandPreparedStatementUpdate(prepared_statement_handle=prepared), pa.table({"a": values}))


@pytest.mark.parametrize(
    "values",
    [
        pa.array([None], pa.list_(pa.dictionary(pa.int8(), pa.utf8()))),
        pa.array([None], pa.list_view(pa.int8())),
        pa.array([None], pa.list_(pa.string_view())),
        pa.StructArray.from_arrays([pa.array(["x"]).dictionary_encode()], ["a"]),
    ],
    ids=lambda values: str(values.type),
)
def test_no_value_holds_the_same_bytes_many_times(raw: Raw, prepared: bytes, values: pa.Array) -> None:
    rows = pa.table({"a": values})
    with pytest.raises(flight.FlightServerError, match="cannot be bound"):
        raw.put(messages.CommandPreparedStatementUpdate(prepared_statement_handle=prepared), rows)


def test_a_loaded_table_has_a_limit(raw: Raw, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parameters, "LOADED", 1000)
    rows = pa.table({"a": list(range(1000))})
    with pytest.raises(flight.FlightServerError, match="at once"):
        raw.put(messages.CommandStatementIngest(table="loaded", table_definition_options=NEW), rows)


def test_the_number_of_a_parameter_takes_no_room(raw: Raw) -> None:
    with pytest.raises(flight.FlightServerError, match="at most 65535"):
        raw.prepare("SELECT $65536")
