"""What the Java driver sends when a tool opens its tree of tables, sent command by command.

DBeaver, Tableau and their like ask by `ArrowFlightMetaData`: SqlInfo by code, catalogs, schemas, tables, table types,
type info, then for each table its columns (GetTables with the schema), primary, imported and exported keys, and a
prepared statement that is described and not run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from fedsql.flight import messages
from tests.flight.raw import Raw

# Those that the Java driver asks for.
CODES = [*range(9), *range(500, 577)]


@dataclass
class Seen:
    """What a crawl was told: by (schema, table), the columns with their types in SQL, and how many commands it took."""

    catalogs: list[str] = field(default_factory=list)
    schemas: list[str] = field(default_factory=list)
    columns: dict[tuple[str, str], list[tuple[str, str]]] = field(default_factory=dict)
    primary: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    imported: dict[tuple[str, str], list[tuple[str, str, str]]] = field(default_factory=dict)
    exported: dict[tuple[str, str], list[tuple[str, str, str]]] = field(default_factory=dict)
    described: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    codes: int = 0
    types: int = 0
    commands: int = 0


def crawl(
    raw: Raw, select: str | None = "SELECT COUNT(*) AS n FROM {table}", schemas: Sequence[str] | None = None
) -> Seen:
    """Open these schemas, or all; ``select`` is prepared for each table of main (None: nothing is)."""
    seen = Seen()

    def ask(name: str, **given: object) -> pa.Table:
        seen.commands += 1
        return raw.rows(getattr(messages, f"CommandGet{name}")(**given))

    seen.codes = ask("SqlInfo", info=CODES).num_rows
    seen.catalogs = ask("Catalogs").column("catalog_name").to_pylist()
    assert ask("TableTypes").column("table_type").to_pylist() == ["TABLE", "VIEW"]
    seen.types = ask("XdbcTypeInfo").num_rows
    for catalog in seen.catalogs:
        seen.schemas += ask("DbSchemas", catalog=catalog).column("db_schema_name").to_pylist()
    for schema in seen.schemas if schemas is None else schemas:
        listed = ask("Tables", catalog=seen.catalogs[0], db_schema_filter_pattern=schema)
        for table in listed.column("table_name").to_pylist():
            key = (schema, table)
            (row,) = ask(
                "Tables",
                catalog=seen.catalogs[0],
                db_schema_filter_pattern=schema,
                table_name_filter_pattern=table.replace("_", r"\_"),
                include_schema=True,
            ).to_pylist()
            shape = pa.ipc.read_schema(pa.py_buffer(row["table_schema"]))
            seen.columns[key] = [(f.name, f.metadata[b"ARROW:FLIGHT:SQL:TYPE_NAME"].decode()) for f in shape]
            named = {"catalog": seen.catalogs[0], "db_schema": schema, "table": table}
            seen.primary[key] = ask("PrimaryKeys", **named).column("column_name").to_pylist()
            seen.imported[key] = _keys(
                ask("ImportedKeys", **named), "fk_column_name", "pk_table_name", "pk_column_name"
            )
            seen.exported[key] = _keys(
                ask("ExportedKeys", **named), "pk_column_name", "fk_table_name", "fk_column_name"
            )
            if select is not None and schema == "main":  # one party alone may not be asked
                quoted = f'"{schema}"."{table}"'
                prepared = raw.prepare(select.format(table=quoted))
                seen.described[key] = pa.ipc.read_schema(pa.py_buffer(prepared.dataset_schema)).names
                handle = prepared.prepared_statement_handle
                command = messages.CommandPreparedStatementQuery(prepared_statement_handle=handle)
                assert raw.info(command).schema.names == seen.described[key]
                closing = messages.ActionClosePreparedStatementRequest(prepared_statement_handle=handle)
                raw.action("ClosePreparedStatement", messages.pack(closing))
                seen.commands += 3
    return seen


def _keys(table: pa.Table, *names: str) -> list[tuple[str, str, str]]:
    return list(zip(*(table.column(name).to_pylist() for name in names), strict=True))


def wide(folder: Path, tables: int = 50, columns: int = 30) -> Path:
    """Write a federation of three parties that all offer ``tables`` tables of ``columns`` columns; return its file."""
    types = (pa.int64(), pa.utf8(), pa.float64(), pa.date32(), pa.bool_())
    shape = pa.schema([pa.field("id", pa.int64()), *(pa.field(f"c{i}", types[i % 5]) for i in range(1, columns))])
    uses = ('"aggregate", "filter"', '"group", "filter"', '"filter"', '"group", "filter"', '"group", "filter"')
    listed = "".join(f"c{i} = {{ use = [{uses[i % 5]}] }}\n" for i in range(1, columns))
    text = 'name = "wide"\n'
    for party in ("north", "south", "west"):
        (folder / party).mkdir(parents=True)
        pq.write_table(shape.empty_table(), folder / party / "t.parquet")
        policy = f'name = "{party}"\n'
        for number in range(tables):
            policy += f'[tables.t{number}]\nsource = "t.parquet"\nprivacy_unit = "id"\n'
            policy += f'[tables.t{number}.columns]\nid = {{ use = ["join"] }}\n{listed}'
        (folder / party / f"{party}.toml").write_text(policy)
        text += f'[parties.{party}]\nconfig = "{party}/{party}.toml"\n'
    (folder / "federation.toml").write_text(text)
    return folder / "federation.toml"
