"""The messages of Arrow Flight SQL, by name: ``messages.CommandGetTables()``.

Each is a protobuf message with the numbers of Flight.proto and FlightSql.proto (Arrow format, version 1.5). They are
made here from a table of fields, in a descriptor pool of their own: in the default pool they would collide with those
of other Flight SQL packages in the process. Commands travel in a google.protobuf.Any: `pack`, `unpack`.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError, Message

_SQL = "arrow.flight.protocol.sql"
_FLIGHT = "arrow.flight.protocol"
_URL = "type.googleapis.com/"
# Fields are numbered from 1 on, or as "=n" says. "?": may be absent, "*": repeated, "|": one of those marked so.
_FLIGHT_FIELDS = {
    "FlightDescriptor": "type:int32 cmd:bytes path:string*",
    "Ticket": "ticket:bytes",
    "FlightEndpoint": "ticket:Ticket",
    "FlightInfo": "schema:bytes flight_descriptor:FlightDescriptor endpoint:FlightEndpoint*",
    "CancelFlightInfoRequest": "info:FlightInfo",
    "CancelFlightInfoResult": "status:int32",
    "StringListValue": "values:string*",
    "SessionOptionValue": "string_value:string| bool_value:bool| int64_value:sfixed64| double_value:double|"
    " string_list_value:StringListValue|",
    "SessionOption": "key:string value:SessionOptionValue",
    "SetSessionOptionsRequest": "session_options:SessionOption*",
    "SessionError": "value:int32",
    "SessionErrorEntry": "key:string value:SessionError",
    "SetSessionOptionsResult": "errors:SessionErrorEntry*",
    "GetSessionOptionsResult": "session_options:SessionOption*",
    "CloseSessionResult": "status:int32",
}
_KEYS = "catalog:string? db_schema:string? table:string"
_SQL_FIELDS = {
    "CommandGetSqlInfo": "info:uint32*",
    "CommandGetXdbcTypeInfo": "data_type:int32?",
    "CommandGetCatalogs": "",
    "CommandGetDbSchemas": "catalog:string? db_schema_filter_pattern:string?",
    "CommandGetTables": "catalog:string? db_schema_filter_pattern:string? table_name_filter_pattern:string?"
    " table_types:string* include_schema:bool",
    "CommandGetTableTypes": "",
    "CommandGetPrimaryKeys": _KEYS,
    "CommandGetExportedKeys": _KEYS,
    "CommandGetImportedKeys": _KEYS,
    "CommandGetCrossReference": "pk_catalog:string? pk_db_schema:string? pk_table:string"
    " fk_catalog:string? fk_db_schema:string? fk_table:string",
    "CommandStatementQuery": "query:string transaction_id:bytes?",
    "CommandStatementUpdate": "query:string transaction_id:bytes?",
    "CommandPreparedStatementQuery": "prepared_statement_handle:bytes",
    "CommandPreparedStatementUpdate": "prepared_statement_handle:bytes",
    "TableDefinitionOptions": "if_not_exist:int32 if_exists:int32",
    "CommandStatementIngest": "table_definition_options:TableDefinitionOptions table:string schema:string?"
    " catalog:string? temporary:bool transaction_id:bytes?",
    "TicketStatementQuery": "statement_handle:bytes",
    "ActionCreatePreparedStatementRequest": "query:string transaction_id:bytes?",
    "ActionCreatePreparedStatementResult": "prepared_statement_handle:bytes dataset_schema:bytes"
    " parameter_schema:bytes is_update:bool?",
    "ActionClosePreparedStatementRequest": "prepared_statement_handle:bytes",
    "ActionBeginTransactionResult": "transaction_id:bytes",
    "ActionEndTransactionRequest": "transaction_id:bytes action:int32",
    "ActionCancelQueryRequest": "info:bytes",
    "ActionCancelQueryResult": "result:int32",
    "DoPutUpdateResult": "record_count:int64",
    "DoPutPreparedStatementResult": "prepared_statement_handle:bytes?",
}
_RPC_FIELDS = {  # google.rpc: what the details of an error are made of
    "Status": "code:int32 message:string details:.google.protobuf.Any*",
    "MetadataEntry": "key:string value:string",
    "ErrorInfo": "reason:string domain:string metadata:MetadataEntry*",
}
_RPC = "google.rpc"


def _file(name: str, package: str, fields: dict[str, str]) -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(name=name, package=package, syntax="proto3")
    file.dependency.append("google/protobuf/any.proto")
    for message, text in fields.items():
        described = file.message_type.add(name=message)
        for number, field in enumerate(text.split(), start=1):
            _add(described, package, field, number)
    return file


def _add(described: Any, package: str, field: str, number: int) -> None:
    kinds = descriptor_pb2.FieldDescriptorProto
    name, _, kind = field.partition(":")
    made = described.field.add(name=name, number=number, label=kinds.LABEL_OPTIONAL)
    plain = kind.rstrip("?*|")
    if plain[0] == "." or plain[0].isupper():
        made.type, made.type_name = kinds.TYPE_MESSAGE, plain if plain[0] == "." else f".{package}.{plain}"
    else:
        made.type = kinds.Type.Value(f"TYPE_{plain.upper()}")
    if kind.endswith("*"):
        made.label = kinds.LABEL_REPEATED
    elif kind.endswith("?"):
        made.oneof_index, made.proto3_optional = len(described.oneof_decl), True
        described.oneof_decl.add(name=f"_{name}")
    elif kind.endswith("|"):
        if not described.oneof_decl:
            described.oneof_decl.add(name="option_value")
        made.oneof_index = 0


def _made() -> dict[str, type[Message]]:
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(any_pb2.DESCRIPTOR.serialized_pb)
    found: dict[str, type[Message]] = {}
    for name, package, fields in (
        ("Flight.proto", _FLIGHT, _FLIGHT_FIELDS),
        ("FlightSql.proto", _SQL, _SQL_FIELDS),
        ("status.proto", _RPC, _RPC_FIELDS),
    ):
        pool.AddSerializedFile(_file(name, package, fields).SerializeToString())
        for message in fields:
            found[message] = message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{message}"))
    return found


_CLASSES = _made()


def __getattr__(name: str) -> Any:
    try:
        return _CLASSES[name]
    except KeyError:
        raise AttributeError(name) from None


def pack(message: Message) -> bytes:
    """Return a message as a serialized Any, as commands and the bodies of SQL actions travel."""
    packed = any_pb2.Any(type_url=_URL + message.DESCRIPTOR.full_name, value=message.SerializeToString())
    return bytes(packed.SerializeToString())


def unpack(data: bytes) -> Any:
    """Return the message in a serialized Any. Raises ValueError when it holds none that is known here."""
    packed = any_pb2.Any()
    try:
        packed.ParseFromString(data)
        full = packed.type_url.removeprefix(_URL)
        kind = _CLASSES[full.rpartition(".")[2]]
        if kind.DESCRIPTOR.full_name != full:
            raise ValueError(full)
        return kind.FromString(packed.value)
    except (DecodeError, KeyError):
        raise ValueError(packed.type_url[:200] or "no command") from None


def read(name: str, data: bytes) -> Any:
    """Return a message that travels as it is. Raises ValueError when it is malformed."""
    try:
        return _CLASSES[name].FromString(data)
    except DecodeError:
        raise ValueError(f"a malformed {name}") from None
