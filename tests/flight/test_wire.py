"""Commands as they are on the wire: what is told of what there is, sessions, replay, cancelling, refusals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.flight as flight
import pytest

from fedsql.flight import messages, metadata, sql_info
from fedsql.flight.service import GatewayService
from tests.flight.raw import Raw
from tests.flight.world import federation, gateway


def _spent(raw: Raw) -> list[Any]:
    return raw.query("SHOW BUDGET").to_pylist()


def _used(raw: Raw) -> set[int]:
    return {row["queries_used"] for row in _spent(raw)}


@pytest.fixture
def fresh(tmp_path: Path) -> Any:
    with gateway(federation(tmp_path / "f", queries=3)) as service:
        raw = Raw(service)
        yield raw
        raw.close()


def test_only_a_result_that_is_fetched_is_charged_and_once(fresh: Raw) -> None:
    command = messages.CommandStatementQuery(query="SELECT k, SUM(v) AS s FROM t GROUP BY k ORDER BY k")
    infos = [fresh.info(command) for _ in range(5)]
    fresh.client.get_schema(flight.FlightDescriptor.for_command(messages.pack(command)), fresh.options)
    prepared = fresh.prepare("SELECT COUNT(*) AS n FROM t")
    fresh.info(messages.CommandPreparedStatementQuery(prepared_statement_handle=prepared.prepared_statement_handle))
    for name in ("Catalogs", "DbSchemas", "Tables", "TableTypes", "SqlInfo", "XdbcTypeInfo"):
        fresh.rows(getattr(messages, f"CommandGet{name}")())
    assert _used(fresh) == {0}
    first = fresh.get(infos[0])
    assert _used(fresh) == {1}
    for _ in range(5):
        assert fresh.get(infos[0]).equals(first)
    assert _used(fresh) == {1}


def test_noise_is_replayed_too(tmp_path: Path) -> None:
    with gateway(federation(tmp_path / "f", noise="required")) as service:
        raw = Raw(service)
        info = raw.info(messages.CommandStatementQuery(query="SELECT COUNT(*) AS n FROM t"))
        values = {raw.get(info).to_pylist()[0]["n"] for _ in range(5)}
        assert len(values) == 1
        assert {row["epsilon_spent"] for row in _spent(raw)} == {1.0}
        raw.close()


def test_an_error_is_replayed(fresh: Raw) -> None:
    for number in range(3):
        fresh.query(f"SELECT COUNT(*) AS n FROM t WHERE v > {number}")
    info = fresh.info(messages.CommandStatementQuery(query="SELECT COUNT(*) AS n FROM t WHERE v > 50"))
    for _ in range(3):
        with pytest.raises(flight.FlightUnauthorizedError, match="quota"):
            fresh.get(info)


def test_another_session_has_no_use_for_a_handle(service: GatewayService, raw: Raw) -> None:
    other = Raw(service, "bob")
    info = raw.info(messages.CommandStatementQuery(query="SELECT COUNT(*) AS n FROM t"))
    with pytest.raises(flight.FlightServerError, match="not kept any more"):
        other.get(info)
    handle = raw.prepare("SELECT 1 AS a").prepared_statement_handle
    with pytest.raises(flight.FlightServerError, match="prepared statement is closed"):
        other.info(messages.CommandPreparedStatementQuery(prepared_statement_handle=handle))
    other.close()


def test_what_there_is(raw: Raw) -> None:
    assert raw.rows(messages.CommandGetCatalogs()).to_pylist() == [{"catalog_name": "hospitals"}]
    schemas = raw.rows(messages.CommandGetDbSchemas()).column("db_schema_name").to_pylist()
    assert schemas == ["main", "north", "south", "west"]
    only = raw.rows(messages.CommandGetDbSchemas(db_schema_filter_pattern="%th"))
    assert only.column("db_schema_name").to_pylist() == ["north", "south"]
    assert raw.rows(messages.CommandGetDbSchemas(catalog="other")).num_rows == 0
    for types, found in ((["TABLE"], 8), (["BASE TABLE"], 8), (["VIEW"], 0), ([], 8), (["VIEW", "TABLE"], 8)):
        assert raw.rows(messages.CommandGetTables(table_types=types)).num_rows == found
    one = messages.CommandGetTables(
        db_schema_filter_pattern="main", table_name_filter_pattern="V_SITS", include_schema=True
    )
    (row,) = raw.rows(one).to_pylist()
    assert (row["table_name"], row["table_type"]) == ("visits", "TABLE")
    schema = pa.ipc.read_schema(pa.py_buffer(row["table_schema"]))
    assert schema.names == ["patient", "ward"]
    told = schema.field("ward").metadata
    assert told[b"ARROW:FLIGHT:SQL:TYPE_NAME"] == b"VARCHAR"
    assert told[b"ARROW:FLIGHT:SQL:REMARKS"] == b"use: filter, group; at north, south, west"
    assert raw.rows(messages.CommandGetTables(table_name_filter_pattern="v\\_sits")).num_rows == 0


def test_references_are_keys(raw: Raw) -> None:
    imported = raw.rows(messages.CommandGetImportedKeys(table="visits", db_schema="main"))
    (row,) = imported.to_pylist()
    assert (row["pk_table_name"], row["pk_column_name"], row["fk_column_name"]) == ("t", "id", "patient")
    exported = raw.rows(messages.CommandGetExportedKeys(table="t", db_schema="main"))
    assert exported.equals(imported)
    crossed = messages.CommandGetCrossReference(
        pk_table="t", fk_table="visits", pk_db_schema="main", fk_db_schema="main"
    )
    assert raw.rows(crossed).equals(imported)
    assert raw.rows(messages.CommandGetImportedKeys(table="t")).num_rows == 0
    assert raw.rows(messages.CommandGetPrimaryKeys(table="t")).schema.equals(metadata.PRIMARY_KEYS)


def test_keys_of_local_tables(raw: Raw) -> None:
    raw.query("CREATE TABLE keyed (a INTEGER, b VARCHAR, c INTEGER, PRIMARY KEY (c, a))")
    keys = raw.rows(messages.CommandGetPrimaryKeys(table="keyed")).to_pylist()
    assert [(row["column_name"], row["key_sequence"]) for row in keys] == [("c", 1), ("a", 2)]
    assert raw.rows(messages.CommandGetPrimaryKeys(table="keyed", db_schema="north")).num_rows == 0
    raw.query("CREATE TABLE one (i INTEGER PRIMARY KEY)")
    raw.query("CREATE TABLE many (one INTEGER REFERENCES one (i))")
    (row,) = raw.rows(messages.CommandGetImportedKeys(table="many")).to_pylist()
    assert (row["pk_table_name"], row["pk_column_name"], row["fk_column_name"]) == ("one", "i", "one")


def test_every_code_of_sql_info_has_a_value(raw: Raw) -> None:
    everything = raw.rows(messages.CommandGetSqlInfo())
    codes = everything.column("info_name").to_pylist()
    assert set(codes) == {*range(12), 100, 101, *range(500, 577)}
    some = raw.rows(messages.CommandGetSqlInfo(info=[8, 0, 9999]))
    assert [row["info_name"] for row in some.to_pylist()] == [8, 0]
    assert everything.schema.equals(sql_info.SQL_INFO)
    values = dict(zip(codes, everything.column("value").to_pylist(), strict=True))
    assert (values[0], values[3], values[504], values[517]) == ("fedsql", False, '"', [])


def test_type_info(raw: Raw) -> None:
    everything = raw.rows(messages.CommandGetXdbcTypeInfo()).to_pylist()
    assert {row["type_name"] for row in everything} >= {"VARCHAR", "DECIMAL", "TIMESTAMP", "HUGEINT"}
    numbers = raw.rows(messages.CommandGetXdbcTypeInfo(data_type=3)).to_pylist()
    assert {row["type_name"] for row in numbers} == {"DECIMAL", "HUGEINT"}


def test_prepared_statements(raw: Raw) -> None:
    prepared = raw.prepare("SELECT COUNT(*) AS n FROM t WHERE v > ? AND small < ?")
    assert pa.ipc.read_schema(pa.py_buffer(prepared.dataset_schema)).names == ["n"]
    parameters = pa.ipc.read_schema(pa.py_buffer(prepared.parameter_schema))
    assert parameters.types == [pa.int32(), pa.int16()]
    assert not prepared.is_update
    handle = prepared.prepared_statement_handle
    command = messages.CommandPreparedStatementQuery(prepared_statement_handle=handle)
    with pytest.raises(flight.FlightServerError, match="2 parameters, 0 were given"):
        raw.info(command)
    told = raw.put(command, pa.table({"a": [10], "b": [4]}))
    assert messages.read("DoPutPreparedStatementResult", told).prepared_statement_handle == handle
    assert raw.rows(command).num_rows == 1
    raw.action(
        "ClosePreparedStatement",
        messages.pack(messages.ActionClosePreparedStatementRequest(prepared_statement_handle=handle)),
    )
    with pytest.raises(flight.FlightServerError, match="is closed"):
        raw.info(command)
    assert raw.prepare("CREATE TABLE x AS SELECT 1 AS a").is_update
    assert raw.prepare("SET epsilon = 2").is_update


def test_a_listing_is_never_an_old_one(raw: Raw) -> None:
    handle = raw.prepare("SHOW SETTINGS").prepared_statement_handle
    command = messages.CommandPreparedStatementQuery(prepared_statement_handle=handle)
    before = raw.rows(command).to_pylist()
    raw.query("SET epsilon = 3")
    assert raw.rows(command).to_pylist() != before
    handle = raw.prepare("SHOW BUDGET").prepared_statement_handle
    command = messages.CommandPreparedStatementQuery(prepared_statement_handle=handle)
    before = raw.rows(command).to_pylist()
    raw.query("SELECT COUNT(*) AS n FROM t WHERE v > 17")
    assert raw.rows(command).to_pylist() != before


def test_a_query_is_described_anew_when_its_table_is_another(raw: Raw) -> None:
    raw.query("CREATE TABLE changing AS SELECT 1 AS a")
    assert raw.query("SELECT * FROM changing").to_pylist() == [{"a": 1}]
    raw.query("CREATE OR REPLACE TABLE changing AS SELECT 'x' AS b")
    assert raw.query("SELECT * FROM changing").to_pylist() == [{"b": "x"}]
    raw.put(messages.CommandStatementUpdate(query="CREATE OR REPLACE TABLE changing AS SELECT 2.5 AS c"))
    assert raw.query("SELECT * FROM changing").num_rows == 1


def test_what_changes_something_is_run_when_it_is_asked_about(raw: Raw) -> None:
    info = raw.info(messages.CommandStatementQuery(query="CREATE TABLE made AS SELECT 1 AS a"))
    assert raw.query("SELECT a FROM made").to_pylist() == [{"a": 1}]
    assert raw.get(info).num_columns == 0
    told = raw.put(messages.CommandStatementUpdate(query="INSERT INTO made VALUES (2), (3)"))
    assert messages.read("DoPutUpdateResult", told).record_count == 2
    info = raw.info(messages.CommandStatementQuery(query="DELETE FROM made WHERE a > 1"))
    assert info.total_records == 2


def test_session_options(raw: Raw) -> None:
    def options() -> dict[str, Any]:
        (body,) = raw.action("GetSessionOptions", b"")
        found = messages.read("GetSessionOptionsResult", body).session_options
        return {o.key: (w := o.value.WhichOneof("option_value")) and getattr(o.value, w) for o in found}

    def set_(**values: Any) -> dict[str, int]:
        request = messages.SetSessionOptionsRequest()
        for key, value in values.items():
            request.session_options.add(key=key, value=value)
        (body,) = raw.action("SetSessionOptions", request.SerializeToString())
        return {e.key: e.value.value for e in messages.read("SetSessionOptionsResult", body).errors}

    value = messages.SessionOptionValue
    start = {"catalog": "hospitals", "schema": "main", "epsilon": 1.0, "accuracy": None, "allow_missing": False}
    assert options() == start
    given = {"epsilon": value(double_value=2.5), "allow_missing": value(bool_value=True)}
    assert set_(**given, catalog=value(string_value="hospitals")) == {}
    assert options() == {**start, "epsilon": 2.5, "allow_missing": True}
    wrong = {"epsilon": value(string_value="much"), "nothing": value(int64_value=1), "catalog": value(string_value="x")}
    assert set_(**wrong) == {"epsilon": 2, "nothing": 1, "catalog": 2}
    assert set_(epsilon=value(), allow_missing=value()) == {}
    assert options() == start


def test_a_closed_session_is_over(service: GatewayService) -> None:
    raw = Raw(service)
    raw.query("CREATE TABLE mine AS SELECT 1 AS a")
    before = service.clients.count()
    raw.close_session()
    assert service.clients.count() == before - 1
    with pytest.raises(flight.FlightUnauthenticatedError, match="session has ended"):
        raw.query("SELECT a FROM mine")
    raw.close()


def test_cancelling_what_has_run_or_not_begun(raw: Raw) -> None:
    def cancel(info: flight.FlightInfo, ticket: bytes) -> int:
        request = messages.CancelFlightInfoRequest()
        request.info.endpoint.add().ticket.ticket = ticket
        (body,) = raw.action("CancelFlightInfo", request.SerializeToString())
        return int(messages.read("CancelFlightInfoResult", body).status)

    info = raw.info(messages.CommandStatementQuery(query="SELECT COUNT(*) AS n FROM t"))
    assert cancel(info, info.endpoints[0].ticket.ticket) == 1
    with pytest.raises(flight.FlightCancelledError, match="was cancelled"):
        raw.get(info)
    info = raw.info(messages.CommandStatementQuery(query="SELECT COUNT(*) AS n FROM t"))
    assert raw.get(info).to_pylist() == [{"n": 63}]
    assert cancel(info, info.endpoints[0].ticket.ticket) == 3


def test_a_transaction_holds_nothing_back_and_says_so(raw: Raw) -> None:
    def begin() -> bytes:
        (body,) = raw.action("BeginTransaction", b"")
        return bytes(messages.unpack(body).transaction_id)

    def end(handle: bytes, action: int) -> None:
        request = messages.ActionEndTransactionRequest(transaction_id=handle, action=action)
        assert raw.action("EndTransaction", messages.pack(request)) == []

    commit, rollback = 1, 2
    raw.query("CREATE TABLE held AS SELECT 1 AS a")
    first = begin()
    raw.query("SELECT a FROM held")
    end(first, rollback)
    with pytest.raises(flight.FlightServerError, match="no such transaction"):
        end(first, commit)
    second, third = begin(), begin()
    raw.query("INSERT INTO held VALUES (2)")
    end(second, commit)
    with pytest.raises(flight.FlightServerError, match="is not taken back"):
        end(third, rollback)
    assert raw.query("SELECT a FROM held ORDER BY a").to_pylist() == [{"a": 1}, {"a": 2}]
    with pytest.raises(flight.FlightServerError, match="commit or rollback"):
        end(begin(), 0)


@pytest.mark.parametrize("name", ["BeginSavepoint", "EndSavepoint", "Nonsense"])
def test_actions_that_are_refused(raw: Raw, name: str) -> None:
    with pytest.raises(flight.FlightServerError, match="is not known"):
        raw.action(name, b"")


@pytest.mark.parametrize("body", [b"", b"\xff\xff", messages.pack(messages.CommandGetCatalogs())])
@pytest.mark.parametrize("name", ["CreatePreparedStatement", "ClosePreparedStatement", "CancelQuery"])
def test_malformed_actions(raw: Raw, name: str, body: bytes) -> None:
    with pytest.raises(flight.FlightServerError, match="malformed") as caught:
        raw.action(name, body)
    assert "Traceback" not in str(caught.value)


def test_no_method_tells_a_traceback(raw: Raw) -> None:
    descriptors = [flight.FlightDescriptor.for_path("x"), flight.FlightDescriptor.for_command(b"nonsense")]
    failures = []
    for descriptor in descriptors:
        for call in (raw.client.get_flight_info, raw.client.get_schema):
            try:
                assert call(descriptor, raw.options).schema.names == []
            except flight.FlightError as error:
                failures.append(error)
    for ticket in (b"", b"nonsense", messages.pack(messages.TicketStatementQuery(statement_handle=b"x"))):
        with pytest.raises(flight.FlightError) as caught:
            raw.client.do_get(flight.Ticket(ticket), raw.options).read_all()
        failures.append(caught.value)
    with pytest.raises(flight.FlightError) as caught:
        raw.put(messages.CommandGetCatalogs())
    failures.append(caught.value)
    writer, reader = raw.client.do_exchange(descriptors[1], raw.options)
    writer.done_writing()
    with pytest.raises(flight.FlightError) as caught:
        reader.read_chunk()
    failures.append(caught.value)
    assert list(raw.client.list_flights(b"", raw.options)) == []
    assert {a.type for a in raw.client.list_actions(raw.options)} >= {"CreatePreparedStatement", "CloseSession"}
    for error in failures:
        assert "Traceback" not in str(error)
        assert ".py" not in str(error)


def test_who_may_call(service: GatewayService) -> None:
    for headers in (
        [],
        [(b"authorization", b"Bearer nonsense")],
        [(b"authorization", b"Basic !!")],
        [(b"authorization", b"x")],
    ):
        raw = Raw(service, None, headers)
        with pytest.raises(flight.FlightUnauthenticatedError) as caught:
            raw.rows(messages.CommandGetCatalogs())
        assert "Traceback" not in str(caught.value)
        raw.close()
