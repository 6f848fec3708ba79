"""SQL, DDL, types and names as DuckDB reads them, where that is not what SQLAlchemy writes for anybody."""

from __future__ import annotations

import datetime
from typing import Any

from sqlalchemy import exc
from sqlalchemy.schema import Identity
from sqlalchemy.sql import compiler
from sqlalchemy.sql import expression as elements
from sqlalchemy.types import Date, DateTime, String, Time

_STRING = String()
_DATED = ((datetime.datetime, "TIMESTAMP"), (datetime.date, "DATE"), (datetime.time, "TIME"))
_SINGLE = 24  # bits of a 32-bit floating-point number's significand

# DuckDB's keywords that cannot name everything (duckdb_keywords(): all but "unreserved").
_WORDS = """
all analyse analyze and anti any array as asc asof asymmetric at authorization between bigint binary bit boolean both
by case cast char character check coalesce collate collation column columns concurrently constraint create cross dec
decimal default deferrable desc describe distinct do else end except exists extract false fetch float for foreign
freeze from full generated glob group grouping grouping_id having ilike in initially inner inout int integer intersect
interval into is isnull join lambda lateral leading left like limit map national natural nchar none not notnull null
nullif numeric offset on only or order out outer overlaps overlay pivot pivot_longer pivot_wider placing position
positional precision primary qualify real references returning right row select semi setof show similar smallint some
struct substring summarize symmetric table tablesample then time timestamp to trailing treat trim true try_cast tuple
union unique unpack unpivot using values varchar variadic verbose when where window with xmlattributes xmlconcat
xmlelement xmlexists xmlforest xmlnamespaces xmlparse xmlpi xmlroot xmlserialize xmltable
"""


class FedsqlIdentifierPreparer(compiler.IdentifierPreparer):
    """Names in double quotes, where they need any."""

    reserved_words = set(_WORDS.split())  # noqa: RUF012


def sequences(table: Any, preparer: Any) -> list[str]:
    """Return the name of the sequence that numbers the rows of ``table``, as SQL; none where nothing does."""
    column = table._autoincrement_column
    if column is None or column.default is not None:
        return []
    if column.server_default is not None and not isinstance(column.server_default, Identity):
        return []
    return [preparer.quote(f"{table.name}_{column.name}_seq")]


class FedsqlCompiler(compiler.SQLCompiler):
    """Statements in DuckDB's dialect."""

    def render_literal_value(self, value: Any, type_: Any) -> str:
        """Write a date or a time as what it is: DATE '2024-02-29'. SQLAlchemy 1.4 writes none, 2 writes text."""
        if isinstance(value, datetime.datetime) and isinstance(type_, Date):
            value = value.date()
        for kind, name in _DATED:
            if isinstance(value, kind) and isinstance(type_, Date | DateTime | Time):
                zoned = getattr(value, "tzinfo", None) is not None
                return f"CAST('{value}' AS {name}{' WITH TIME ZONE' if zoned else ''})"
        return str(super().render_literal_value(value, type_))

    def visit_ilike_op_binary(self, binary: Any, operator: Any, **kw: Any) -> str:
        """Write a ILIKE b."""
        return self._ilike(binary, "ILIKE", **kw)

    def visit_not_ilike_op_binary(self, binary: Any, operator: Any, **kw: Any) -> str:
        """Write a NOT ILIKE b."""
        return self._ilike(binary, "NOT ILIKE", **kw)

    def _ilike(self, binary: Any, operator: str, **kw: Any) -> str:
        escape = binary.modifiers.get("escape")
        return (
            f"{self.process(binary.left, **kw)} {operator} {self.process(binary.right, **kw)}"
            f"{'' if escape is None else ' ESCAPE ' + self.render_literal_value(escape, _STRING)}"
        )

    def visit_regexp_match_op_binary(self, binary: Any, operator: Any, **kw: Any) -> str:
        """Write regexp_matches(text, pattern), which looks anywhere in the text."""
        return self._regexp("regexp_matches", binary, **kw)

    def visit_not_regexp_match_op_binary(self, binary: Any, operator: Any, **kw: Any) -> str:
        """Write NOT regexp_matches(text, pattern)."""
        return f"NOT {self._regexp('regexp_matches', binary, **kw)}"

    def visit_regexp_replace_op_binary(self, binary: Any, operator: Any, **kw: Any) -> str:
        """Write regexp_replace(text, pattern, replacement, 'g'): all of them, as everywhere else."""
        return self._regexp("regexp_replace", binary, always="g", **kw)

    def _regexp(self, function: str, binary: Any, always: str = "", **kw: Any) -> str:
        flags = always + (binary.modifiers.get("flags") or "")
        arguments = [self.process(binary.left, **kw), self.process(binary.right, **kw)]
        if flags:
            arguments.append(self.render_literal_value(flags, _STRING))
        return f"{function}({', '.join(arguments)})"

    def visit_bitwise_xor_op_binary(self, binary: Any, operator: Any, **kw: Any) -> str:
        """Write xor(a, b): ^ is a power."""
        return f"xor({self.process(binary.left, **kw)}, {self.process(binary.right, **kw)})"

    def visit_bitwise_not_op_unary_operator(self, element: Any, operator: Any, **kw: Any) -> str:
        """Write xor(a, -1): fedsql does not answer ~."""
        return f"xor({self.process(element.element, **kw)}, -1)"

    def visit_now_func(self, fn: Any, **kw: Any) -> str:
        """Write now()."""
        return "now()"

    def limit_clause(self, select: Any, **kw: Any) -> str:
        """Write LIMIT n OFFSET m, or OFFSET m alone."""
        text = ""
        if select._limit_clause is not None:
            text += f"\n LIMIT {self.process(select._limit_clause, **kw)}"
        if select._offset_clause is not None:
            text += f"\n OFFSET {self.process(select._offset_clause, **kw)}"
        return text

    def fetch_clause(  # type: ignore[override]  # the rest is in kw
        self, select: Any, **kw: Any
    ) -> str:
        """Write FETCH FIRST n ROWS ONLY as LIMIT. Raises CompileError for PERCENT and WITH TIES."""
        if any(select._fetch_clause_options.values()):
            raise exc.CompileError("FETCH ... PERCENT and WITH TIES are not answered")
        text = f"\n LIMIT {self.process(select._fetch_clause, **kw)}"
        if select._offset_clause is not None:
            text += f"\n OFFSET {self.process(select._offset_clause, **kw)}"
        return text

    def get_select_precolumns(self, select: Any, **kw: Any) -> str:
        """Write DISTINCT, or DISTINCT ON (...)."""
        if not select._distinct_on:
            return super().get_select_precolumns(select, **kw)
        return f"DISTINCT ON ({', '.join(self.process(each, **kw) for each in select._distinct_on)}) "

    def for_update_clause(self, select: Any, **kw: Any) -> str:
        """Write nothing: nobody else writes what a query reads."""
        return ""

    def returning_clause(self, stmt: Any, returning_cols: Any, **kw: Any) -> str:
        """Write RETURNING, which SQLAlchemy 1.4 leaves to the dialect and calls without keywords."""
        if kw:
            return super().returning_clause(stmt, returning_cols, **kw)
        columns = elements._select_iterables(returning_cols)
        label: Any = self._label_returning_column
        return "RETURNING " + ", ".join(label(stmt, each) for each in columns)

    def visit_empty_set_expr(self, element_types: Any, **kw: Any) -> str:
        """Write a query without rows."""
        return f"SELECT {', '.join('NULL' for _ in element_types or [None])} WHERE false"

    def update_from_clause(
        self, update_stmt: Any, from_table: Any, extra_froms: Any, from_hints: Any, **kw: Any
    ) -> str:
        """Write UPDATE ... FROM others."""
        return "FROM " + self._others(extra_froms, from_hints, **kw)

    def delete_extra_from_clause(
        self, delete_stmt: Any, from_table: Any, extra_froms: Any, from_hints: Any, **kw: Any
    ) -> str:
        """Write DELETE ... USING others."""
        return "USING " + self._others(extra_froms, from_hints, **kw)

    def _others(self, tables: Any, hints: Any, **kw: Any) -> str:
        kw["asfrom"] = True
        return ", ".join(each._compiler_dispatch(self, fromhints=hints, **kw) for each in tables)


class FedsqlDDLCompiler(compiler.DDLCompiler):
    """CREATE TABLE and its like, of local tables."""

    def get_column_specification(self, column: Any, **kw: Any) -> str:
        """Write a column; an autoincrement key takes its default from a sequence."""
        text = super().get_column_specification(column, **kw)
        if column is column.table._autoincrement_column:
            for name in sequences(column.table, self.preparer):
                text += f" DEFAULT nextval({self.sql_compiler.render_literal_value(name, _STRING)})"
        return text

    def visit_foreign_key_constraint(self, constraint: Any, **kw: Any) -> str:
        """Write FOREIGN KEY. Raises CompileError for what DuckDB does not do when the other row changes."""
        if constraint.ondelete or constraint.onupdate:
            raise exc.CompileError("a foreign key of a local table has neither ON DELETE nor ON UPDATE")
        return super().visit_foreign_key_constraint(constraint, **kw)


class FedsqlTypeCompiler(compiler.GenericTypeCompiler):
    """The names of types."""

    def _named(self, type_: Any, **kw: Any) -> str:
        return str(type_.__visit_name__)

    visit_TINYINT = visit_UTINYINT = visit_USMALLINT = visit_UINTEGER = visit_UBIGINT = _named
    visit_HUGEINT = visit_UHUGEINT = visit_DOUBLE = visit_INTERVAL = _named

    def visit_FLOAT(self, type_: Any, **kw: Any) -> str:
        """Write DOUBLE: Python's float has 64 bits, DuckDB's FLOAT 32."""
        return "REAL" if type_.precision is not None and type_.precision <= _SINGLE else "DOUBLE"

    def visit_DOUBLE_PRECISION(self, type_: Any, **kw: Any) -> str:
        """Write DOUBLE."""
        return "DOUBLE"

    def visit_large_binary(self, type_: Any, **kw: Any) -> str:
        """Write BLOB."""
        return "BLOB"

    def visit_BINARY(self, type_: Any, **kw: Any) -> str:
        """Write BLOB, which has no length."""
        return "BLOB"

    visit_VARBINARY = visit_BINARY

    def visit_DATETIME(self, type_: Any, **kw: Any) -> str:
        """Write TIMESTAMP."""
        return self.visit_TIMESTAMP(type_, **kw)

    def visit_TIMESTAMP(self, type_: Any, **kw: Any) -> str:
        """Write TIMESTAMP, with or without a time zone."""
        return "TIMESTAMP WITH TIME ZONE" if type_.timezone else "TIMESTAMP"

    def visit_TIME(self, type_: Any, **kw: Any) -> str:
        """Write TIME, with or without a time zone."""
        return "TIME WITH TIME ZONE" if type_.timezone else "TIME"

    def visit_CLOB(self, type_: Any, **kw: Any) -> str:
        """Write VARCHAR, which has no limit."""
        return "VARCHAR"

    visit_NVARCHAR = visit_NCHAR = visit_TEXT = visit_CLOB

    def visit_UUID(self, type_: Any, **kw: Any) -> str:
        """Write UUID, but for Uuid(native_uuid=False), which is text."""
        return "UUID" if getattr(type_, "native_uuid", True) else "CHAR(32)"

    visit_uuid = visit_UUID

    def visit_JSON(self, type_: Any, **kw: Any) -> str:
        """Write JSON."""
        return "JSON"

    def visit_ARRAY(self, type_: Any, **kw: Any) -> str:
        """Write the type of the elements, and [] for each dimension."""
        return f"{self.process(type_.item_type, **kw)}{'[]' * (type_.dimensions or 1)}"
