"""The SQL of `Rows`: over empty mirrors for the typer, over a party's own tables for its fragment."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TypeVar

import sqlglot
from sqlglot import exp

from fedsql.planner.blocks import is_grouped, items, kept_items, reads_federated, sides
from fedsql.planner.bounds import Known
from fedsql.planner.catalog import Catalog
from fedsql.planner.identities import unit_path
from fedsql.planner.offer import TableOffer
from fedsql.planner.relations import Rows
from fedsql.planner.row_columns import offer_at
from fedsql.planner.row_ranges import RowRanges
from fedsql.planner.schema import UNION, Columns, Schema, public_of
from fedsql.planner.secure import Secure
from fedsql.planner.trees import copied, find, sql_of
from fedsql.planner.typer import Typer
from fedsql.types import DATED, SqlType, quoted

UNIT = "_unit"
T = TypeVar("T", bound=exp.Expr)


@dataclass(frozen=True)
class RowsSql:
    """Writes the SQL of one `Rows`. ``inputs`` holds the columns of each stage input, ``schema`` the typer's mirror."""

    rows: Rows
    catalog: Catalog
    typer: Typer
    schema: Schema
    inputs: Mapping[str, Columns]
    _written: dict[tuple[bool, bool], list[str | exp.Table]] = field(default_factory=dict, init=False, repr=False)

    def typed(self) -> Rows:
        """Return the rows with DuckDB's types on their columns, and offers that describe them for every party."""
        listed = [sql_of(c.expression) for c in self.rows.columns]
        types: list[str] = []
        if listed:
            body = self._with_inputs(copied(self.rows.query))
            types = [t for _, t in self.typer.describe(_selecting(body, ", ".join(listed)))]
        columns = tuple(replace(c, type=t) for c, t in zip(self.rows.columns, types, strict=True))
        rows = replace(self.rows, columns=columns)
        return replace(rows, offers=tuple(offer_at(rows, party, self.catalog) for party in rows.parties))

    def mirror(self) -> str:
        """Return the relation, with its alias, as the typer knows it: of the types that `typed` has found, without rows."""
        return f"({_empty({c.name: c.type for c in self.rows.columns}, unit=False)}) AS {quoted(self.rows.alias)}"

    def sums(self) -> Known:
        """Return the intervals of those columns that are sums and counts of derived tables: by public sizes."""

        def type_of(query: exp.Select, value: exp.Expr) -> SqlType:
            types = self.typer.describe(_selecting(copied(query), sql_of(value), ungrouped=True))
            return SqlType.parse(types[0][1])

        return self._ranges.sums(self.rows, type_of)

    def at(self, party: str, clamp: bool, unit: bool, numbered: bool) -> str:
        """Return the relation as ``party`` computes it, without its alias.

        ``clamp``: with values held inside their bounds; ``unit``: with the privacy unit's id; ``numbered``: with a number for
        each row.
        """
        key = unit, numbered
        if key not in self._written:
            self._written[key] = self._write(unit, numbered)
        return "".join(
            part if isinstance(part, str) else self._at(part, party, clamp, unit=unit) for part in self._written[key]
        )

    def _write(self, unit: bool, numbered: bool) -> list[str | exp.Table]:
        """Return the relation's SQL with the tables, whose places in it alone differ from party to party."""
        body = copied(self._secured)
        if unit:
            for item, _ in items(body):
                self._carry_unit(item)
        listed = [f"{sql_of(c.expression)} AS {quoted(c.name)}" for c in self.rows.columns]
        if unit:
            ids = [f'{quoted(name)}."{UNIT}"' for name in self.rows.units]
            value = ids[0] if len(ids) == 1 else f"coalesce({', '.join(ids)})"
            listed.append(f'{value} AS "{UNIT}"')
        if numbered:
            listed.append("row_number() OVER () AS _row")
        tables: list[exp.Table] = []
        mark = "_at"
        while any(mark in node.name for node in find(body, exp.Literal, exp.Identifier)):
            mark += "_"
        for table in find(body, exp.Table):
            if table.db:  # an input is there by its name
                place = exp.to_identifier(f"{mark}{len(tables)}", quoted=True)
                alias = exp.TableAlias(this=exp.to_identifier(table.alias_or_name, quoted=True))
                tables.append(table.copy())
                table.replace(exp.Table(this=place, alias=alias))
        parts = re.split(f'"{mark}([0-9]+)"', _selecting(body, ", ".join(listed) or "1 AS nothing"))
        return [tables[int(part)] if i % 2 else part for i, part in enumerate(parts)]

    @property
    def _ranges(self) -> RowRanges:
        return RowRanges(self.catalog, self.inputs)

    @cached_property
    def _secured(self) -> exp.Select:
        """The query made safe."""
        body = copied(self.rows.query)
        for query in find(body, exp.SetOperation):
            if not isinstance(query.parent, exp.SetOperation):
                self._unify(query)
        Secure(lambda sql: [t for _, t in self.typer.describe(sql)], self._mirrored, self._ranges.known).block(body)
        return body

    def _unify(self, query: exp.SetOperation) -> None:
        """Write out the casts to the common types of a set operation's sides, so that they are made safe like others."""
        wanted = [type_ for _, type_ in self.typer.describe(self._mirrored(query))]
        for select in sides(query):
            found = [type_ for _, type_ in self.typer.describe(self._mirrored(select))]
            for projection, type_, own in zip(select.expressions, wanted, found, strict=True):
                if type_ != own:
                    value = exp.cast(projection.unalias().copy(), type_, dialect="duckdb")
                    projection.replace(exp.alias_(value, projection.alias_or_name, quoted=True))

    def _at(self, table: exp.Table, party: str, clamp: bool, *, unit: bool) -> str:
        """Return what stands for a table at ``party``."""
        offers = self.catalog.tables(table.name)
        if any(offer.public for offer in offers):
            public = public_of(table, self.catalog)
            assert public is not None
            own = next((o for o in offers if o.party == party and o.content == public.content), None)
            return f'main."{own.name}"' if own is not None else f'copies."{public.relation}"'
        scan = next(
            s
            for s in self.rows.scans
            if s.name == table.name.lower() and (s.party or UNION).lower() == table.db.lower()
        )
        held = next((offer for offer in scan.offers if offer.party == party), None)
        columns = self._columns[scan.party, scan.name]
        return f"({base_table(held, columns, clamp, self.catalog, unit=unit) if held else _empty(columns, unit=unit)})"

    @cached_property
    def _columns(self) -> dict[tuple[str | None, str], dict[str, str]]:
        """The columns of each scanned table that the query names, with their types in the union."""
        used = {column.name.lower() for column in find(self.rows.query, exp.Column)}
        used |= {c.expression.name.lower() for c in self.rows.columns}
        found = {}
        for scan in self.rows.scans:
            mirrored = self.schema[scan.party.lower() if scan.party else UNION][scan.name]
            found[scan.party, scan.name] = {name: type_ for name, type_ in mirrored.items() if name in used}
        return found

    def _carry_unit(self, item: exp.Expr) -> None:
        """Let a derived table pass on the privacy unit of its rows, or of its groups, which are of one unit each."""
        if not isinstance(item, exp.Subquery) or not reads_federated(item, self.catalog):
            return
        for select in sides(item.this):
            self._select_unit(select)

    def _select_unit(self, select: exp.Select) -> None:
        found = [each for each in kept_items(select) if self._is_federated_item(each)]
        for each in found:
            self._carry_unit(each)
        ids: list[exp.Expr] = [exp.column(UNIT, table=each.alias_or_name, quoted=True) for each in found]
        value = ids[0] if len(ids) == 1 else exp.Coalesce(this=ids[0], expressions=ids[1:])
        if is_grouped(select) and not select.args.get("distinct"):
            value = exp.AnyValue(this=value)
        select.append("expressions", exp.alias_(value, UNIT, quoted=True))

    def _is_federated_item(self, item: exp.Expr) -> bool:
        return reads_federated(exp.Select().from_(item.copy()), self.catalog)

    def _with_inputs(self, tree: T) -> T:
        """Put empty relations in place of stage inputs."""
        for table in [t for t in find(tree, exp.Table) if not t.db and t.name in self.inputs]:
            table.replace(empty(table, self.inputs[table.name]))
        return tree

    def _mirrored(self, node: exp.Expr) -> str:
        """Return the SQL of an expression or a FROM item as the typer knows it."""
        if not self.inputs or not any(not t.db and t.name in self.inputs for t in find(node, exp.Table)):
            return sql_of(node)
        holder = self._with_inputs(exp.Tuple(expressions=[node.copy()]))
        found: exp.Expr = holder.expressions[0]
        return sql_of(found)


def empty(table: exp.Table, columns: Columns) -> exp.Subquery:
    """Return an empty relation with these columns, as which the typer knows ``table``."""
    listed = ", ".join(f"CAST(NULL AS {type_}) AS {quoted(name)}" for name, type_ in columns)
    alias = table.args["alias"].copy() if table.args.get("alias") else exp.TableAlias(this=table.this.copy())
    return exp.Subquery(this=sqlglot.parse_one(f"SELECT {listed}", dialect="duckdb"), alias=alias)


def base_table(
    offer: TableOffer, columns: Mapping[str, str], clamp: bool, catalog: Catalog, *, unit: bool, numbered: bool = False
) -> str:
    """Return the SELECT over a party's own table: columns in the union's types, and the privacy unit where it is asked for.

    ``clamp``: with values held inside their bounds, for noise hides a unit only if its values cannot exceed them.
    """
    listed = []
    for name, type_ in columns.items():
        column = offer.column(name)
        if column is None:  # no expression reads it: it would have been refused
            continue
        value = f"t.{quoted(name)}" if column.type == type_ else f"TRY_CAST(t.{quoted(name)} AS {type_})"
        if clamp and column.bounds is not None and column.type not in DATED:  # these are not summed
            low, high = column.bounds
            clamped = f"CAST(least(greatest({value}, {low}), {high}) AS {type_})"
            counts = f"isfinite({value})" if SqlType.parse(type_).family == "float" else f"{value} IS NOT NULL"
            absent = f" ELSE CAST({(low + high) / 2:f} AS {type_})" if column.required else ""  # it is counted, too
            value = f"CASE WHEN {counts} THEN {clamped}{absent} END"  # least and greatest would make NULL a bound
        listed.append(f"{value} AS {quoted(name)}")
    joins = ""
    if unit:
        path = unit_path(catalog, offer)
        joins = "".join(
            f" LEFT JOIN main.{quoted(hop.table)} AS u{i}"
            f" ON {'t' if i == 0 else f'u{i - 1}'}.{quoted(hop.column)} = u{i}.{quoted(hop.key)}"
            for i, hop in enumerate(path.hops)
        )
        holder = f"u{len(path.hops) - 1}" if path.hops else "t"
        listed.append(f'{holder}.{path.column} AS "{UNIT}"')
    if numbered:
        listed.append("t.rowid AS _row")
    return f"SELECT {', '.join(listed) or '1 AS nothing'} FROM main.{quoted(offer.name)} AS t{joins}"


def _empty(columns: Mapping[str, str], *, unit: bool) -> str:
    listed = [f"CAST(NULL AS {type_}) AS {quoted(name)}" for name, type_ in columns.items()]
    listed += [f'NULL AS "{UNIT}"'] if unit else []
    return f"SELECT {', '.join(listed) or '1 AS nothing'} WHERE false"


def _selecting(body: exp.Select, listed: str, *, ungrouped: bool = False) -> str:
    """Return the SQL of ``body`` with this select list, and no GROUP BY if ``ungrouped``; ``body`` is no more of use then."""
    for part in ("group", "having") if ungrouped else ():
        body.set(part, None)
    body.set("expressions", [exp.Star()])
    text = body.sql("duckdb", copy=False)
    assert text.startswith("SELECT *")
    return f"SELECT {listed}{text.removeprefix('SELECT *')}"
