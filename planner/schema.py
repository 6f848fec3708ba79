"""Names in SQL: the tables that a question may name, and what each name in its text stands for.

`main.<table>` is the union over every party that offers the table; `<party>.<table>` is that party's alone; the
analyst's local tables stand in `main` too. An unlisted table or column does not exist here.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence

from sqlglot import exp

from fedsql.errors import NotSupportedError, ProgrammingError
from fedsql.planner.blocks import items
from fedsql.planner.catalog import Catalog, PublicTable
from fedsql.planner.offer import TableOffer
from fedsql.planner.positions import position
from fedsql.planner.trees import find, sql_of
from fedsql.types import SqlType

Schema = Mapping[str, Mapping[str, Mapping[str, str]]]  # schema -> table -> column -> type
Columns = Sequence[tuple[str, str]]  # (name, type)
Local = Sequence[tuple[str, Columns]]  # (table, its columns)

UNION = "main"
RESERVED = frozenset({UNION, "temp", "system", "information_schema", "pg_catalog", "memory"})


def clash(types: Iterable[str]) -> bool:
    """Say whether types are of families that have no meaningful common type (text with numbers, dates with numbers)."""
    families = {
        "number" if SqlType.parse(t).family in ("integer", "decimal", "float") else SqlType.parse(t).family
        for t in types
    }
    return len(families) > 1


def public_of(table: exp.Table, catalog: Catalog) -> PublicTable | None:
    """Return the public table that a name with its schema stands for; None if it is none. Raises ProgrammingError."""
    return catalog.public(table.name, None if table.db.lower() == UNION else table.db)


def union_columns(offers: Sequence[TableOffer], supertype: Callable[[Sequence[str]], str]) -> dict[str, str]:
    """Return the columns of the union over ``offers`` with their common types; a clashing one keeps its first type."""
    columns: dict[str, list[str]] = {}
    for offer in offers:
        for column in offer.columns:
            columns.setdefault(column.name.lower(), []).append(column.type)
    return {
        name: types[0] if len(set(types)) == 1 or clash(types) else supertype(tuple(sorted(set(types))))
        for name, types in columns.items()
    }


def mirror(
    catalog: Catalog, local: Local, supertype: Callable[[Sequence[str]], str]
) -> dict[str, dict[str, dict[str, str]]]:
    """Return every table that a statement may name, as schema -> table -> column -> type, all lower case.

    Raises ProgrammingError when a local table has the name of one that is offered.
    """
    tables: dict[str, dict[str, dict[str, str]]] = {UNION: {}}
    for name in catalog.names():
        tables[UNION][name] = union_columns(catalog.tables(name), supertype)
    for offer in catalog.offers:
        tables[offer.party.lower()] = {
            table.name.lower(): {c.name.lower(): c.type for c in table.columns} for table in offer.tables
        }
    for name, columns in local:
        if name.lower() in tables[UNION]:
            raise ProgrammingError(f"the local table {name} has the name of one that parties offer")
        tables[UNION][name.lower()] = {column.lower(): type_ for column, type_ in columns}
    return tables


def resolve_tables(tree: exp.Query, schema: Schema) -> exp.Query:
    """Qualify each table of ``tree`` with its schema. Raises ProgrammingError for a name that nobody offers."""
    for table in find(tree, exp.Table):
        if not isinstance(table.this, exp.Identifier) or is_cte_reference(table):
            continue
        name, where = table.name.lower(), position(table)
        if table.catalog:
            raise ProgrammingError(f"{sql_of(table)}: a table is named table or party.table", position=where)
        if table.db and table.db.lower() != UNION:
            party = table.db.lower()
            if party not in schema or party == UNION:
                parties = sorted(s for s in schema if s != UNION)
                raise ProgrammingError(
                    f"no party is called {table.db}; {_choices(table.db, parties)}", position=where, sqlstate="42P01"
                )
            if name not in schema[party]:
                raise ProgrammingError(
                    f"{table.db} offers no table {table.name}; {_choices(name, sorted(schema[party]))}",
                    position=where,
                    sqlstate="42P01",
                )
            table.set("db", exp.to_identifier(party))
            continue
        if name not in schema[UNION]:
            raise ProgrammingError(
                f"there is no table {table.name}; {_choices(name, sorted(schema[UNION]))}",
                position=where,
                sqlstate="42P01",
            )
        table.set("db", exp.to_identifier(UNION))
    return tree


def list_nothing(tree: exp.Expr) -> None:
    """Write the * of EXISTS (SELECT * ...) as a constant, in place: else it would become all columns, each planned for."""
    for exists in find(tree, exp.Exists):
        select = exists.this
        if not isinstance(select, exp.Select) or not select.args.get("from_") or select.args.get("distinct"):
            continue
        if len(select.expressions) == 1 and type(select.expressions[0]) is exp.Star:
            select.set("expressions", [exp.Literal.number(1)])


def any_as_in(tree: exp.Expr) -> None:
    """Write x = ANY (SELECT ...) as IN and x <> ALL (SELECT ...) as NOT IN, in place: they are the same (SQL:2016, 8.4).

    So is a list in brackets, which DuckDB takes in place of a query.
    """
    for node in find(tree, exp.EQ, exp.NEQ):
        some = node.expression
        if not isinstance(some, exp.Any if isinstance(node, exp.EQ) else exp.All):
            continue
        among = some.this.unnest()
        if isinstance(among, exp.Array) and among.expressions:
            within: exp.Expr = exp.In(this=node.this, expressions=among.expressions)
        elif isinstance(among, exp.Query):
            within = exp.In(this=node.this, query=exp.Subquery(this=among))
        else:
            continue
        node.replace(within if isinstance(node, exp.EQ) else exp.Not(this=within))


def name_values(tree: exp.Expr) -> None:
    """Name the values of subqueries in a select list, in place: sqlglot cannot say ORDER BY 1 of one without a name."""
    for select in find(tree, exp.Select):
        for place, value in enumerate(select.expressions):
            if isinstance(value, exp.Subquery):
                value.replace(exp.Alias(this=value.copy(), alias=exp.to_identifier(f"_col_{place}")))


def check_aliases(tree: exp.Query) -> None:
    """Raise NotSupportedError where two items of one FROM have one name. DuckDB allows it where nothing needs the name."""
    for select in find(tree, exp.Select):
        seen = set()
        for item, _ in items(select):
            name = item.alias_or_name.lower()
            if name and name in seen:
                raise NotSupportedError(
                    f"{name} names two tables of one FROM: that is not answered",
                    hint="give each an alias of its own",
                    position=position(item),
                )
            seen.add(name)


def is_cte_reference(table: exp.Table) -> bool:
    """Say whether ``table`` names a common table expression that is in scope where it stands."""
    if table.db or not isinstance(table.this, exp.Identifier):
        return False
    node: exp.Expr = table
    while (parent := node.parent) is not None:
        if isinstance(parent, exp.With):
            earlier = parent.expressions if parent.args.get("recursive") else parent.expressions[: node.index]
            if any(cte.alias.lower() == table.name.lower() for cte in earlier):
                return True
            node = parent.parent or parent  # the query that holds this WITH is not a scope for its own CTEs
            continue
        if isinstance(parent, exp.Query) and any(cte.alias.lower() == table.name.lower() for cte in parent.ctes):
            return True
        node = parent
    return False


def _choices(name: str, valid: Sequence[str]) -> str:
    near = difflib.get_close_matches(name.lower(), valid, n=1)
    listed = f"there are: {', '.join(valid)}" if valid else "there are none"
    return f"did you mean {near[0]}? ({listed})" if near else listed
