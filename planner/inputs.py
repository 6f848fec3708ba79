"""Stage inputs: what a block below the cut reads that is no federated row, computed by the analyst before it is asked.

Released relations, the analyst's local tables and constants, and every query over these alone. The analyst's own DuckDB
computes an input; its rows are signed into the question, so the parties see them. Public tables stay where they are named:
each party has them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from sqlglot import exp

from fedsql.errors import NotSupportedError
from fedsql.planner.blocks import is_federated, items, nested_queries, outside_columns, reads_federated, sides
from fedsql.planner.catalog import Catalog
from fedsql.planner.functions import is_runnable
from fedsql.planner.positions import position
from fedsql.planner.trees import find

INPUT = "_input_"
VALUE = "value"  # the column of a scalar input


@dataclass(frozen=True)
class Input:
    """A relation that the analyst computes: ``query`` in its own DuckDB, over released relations and local tables.

    ``single``: it has exactly one row, and parties hold the analyst to that: more would be weights.
    """

    name: str
    query: exp.Query
    single: bool = False


@dataclass
class Inputs:
    """The inputs of a statement, each once."""

    catalog: Catalog
    found: list[Input] = field(default_factory=list)

    def extract(self, select: exp.Select) -> None:
        """Replace everything in a block below the cut that is no federated row by the names of inputs, in place."""
        for item, join in items(select):
            self._item(item, select)
            if join is not None and join.method == "NATURAL":
                raise NotSupportedError("a NATURAL JOIN of federated rows is not answered", hint="write JOIN ... USING")
        for query in nested_queries(select):
            self._nested(query, select)

    def _item(self, item: exp.Expr, select: exp.Select) -> None:
        if isinstance(item, exp.Subquery) and reads_federated(item, self.catalog):
            for side in sides(item.this):
                if reads_federated(side, self.catalog):
                    self.extract(side)
            return
        if isinstance(item, exp.Table) and (is_federated(item, self.catalog) or self._is_public(item)):
            return
        if reads_federated(item, self.catalog) or item.args.get("joins"):
            return  # a nested join: the binder refuses it
        if isinstance(item, exp.Subquery):
            if self._stays(item.this):
                return
            query = item.this.copy()
            names = None
        else:
            names = item.args["alias"].columns if item.args.get("alias") else None
            query = exp.Select(expressions=_named(item, select)).from_(item.copy())
        if isinstance(item, exp.Table) and not item.db and isinstance(item.this, exp.Identifier):
            raise NotSupportedError(
                f"{item.name} is a recursive common table expression: that is not answered next to federated rows",
                hint="aggregate the federated rows in a query of their own, and join the result",
                position=position(item),
            )
        if outside_columns(query):
            return  # LATERAL, by another name: the binder refuses it
        alias = exp.TableAlias(this=exp.to_identifier(item.alias_or_name, quoted=True), columns=names)
        item.replace(exp.Table(this=exp.to_identifier(self._name(query)), alias=alias))

    def _nested(self, query: exp.Query, select: exp.Select) -> None:
        if isinstance(query, exp.Select) and (outside_columns(query) or reads_federated(query, self.catalog)):
            self.extract(query)
            return
        if reads_federated(query, self.catalog) or self._stays(query):
            return
        holder = query.parent if isinstance(query.parent, exp.Subquery) else query
        around = holder.parent
        if isinstance(around, exp.In | exp.Exists | exp.Any | exp.All) and holder.arg_key in ("query", "this"):
            name = self._name(query.copy())
            query.replace(exp.Select(expressions=[exp.Star()]).from_(exp.Table(this=exp.to_identifier(name))))
            return
        scalar = exp.Select(expressions=[exp.alias_(exp.Subquery(this=query.copy()), VALUE)])
        name = self._name(scalar, single=True)
        around = holder.find_ancestor(exp.Join, exp.Select)
        holder.replace(exp.column(VALUE, table=name, quoted=True))
        _add(select, name, around if isinstance(around, exp.Join) else None)

    def _name(self, query: exp.Query, *, single: bool = False) -> str:
        for known in self.found:
            if (known.query, known.single) == (query, single):
                return known.name
        self.found.append(Input(f"{INPUT}{len(self.found)}", query, single))
        return self.found[-1].name

    def _stays(self, query: exp.Query) -> bool:
        """Say whether parties can run a query over public tables as it is."""
        return (
            all(self._is_public(table) for table in find(query, exp.Table))
            and any(find(query, exp.Table))
            and isinstance(query, exp.Select)
            and is_runnable(query)
        )

    def _is_public(self, table: exp.Table) -> bool:
        return bool(table.db) and any(offer.public for offer in self.catalog.tables(table.name))


def _add(select: exp.Select, name: str, before: exp.Join | None) -> None:
    """Add an input of one row to FROM: at its end, or before the join whose ON reads it."""
    joins = select.args.get("joins") or []
    at = next((number for number, join in enumerate(joins) if join is before), len(joins))
    if any(join.this.alias_or_name == name for join in joins[:at]):
        return
    if any(join.side in ("RIGHT", "FULL") for join in joins[at:]):
        raise NotSupportedError(
            f"a subquery in ON of a {joins[at].side or 'RIGHT'} JOIN over federated rows is not answered",
            hint="write LEFT JOIN, the other way round",
            position=position(joins[at]),
        )
    table = exp.Table(this=exp.to_identifier(name), alias=exp.TableAlias(this=exp.to_identifier(name)))
    rest = [join for join in joins[at:] if join.this.alias_or_name != name]
    select.set("joins", [*joins[:at], exp.Join(this=table, kind="CROSS"), *rest])


def _named(item: exp.Expr, select: exp.Select) -> list[exp.Expr]:
    """Return the columns of a local table that a block names: parties see no others. All where that is not known."""
    if not isinstance(item, exp.Table) or (item.args.get("alias") and item.args["alias"].columns):
        return [exp.Star()]
    alias = item.alias_or_name
    used = {c.name.lower(): c for c in find(select, exp.Column) if c.table.lower() == alias.lower()}
    found: list[exp.Expr] = [exp.column(c.name, table=alias, quoted=True) for _, c in sorted(used.items())]
    return found or [exp.alias_(exp.Literal.number(1), "nothing")]


def inputs_in(query: exp.Expr) -> Iterator[str]:
    """Yield the names of the inputs that a block below the cut reads."""
    for table in find(query, exp.Table):
        if not table.db and table.name.startswith(INPUT):
            yield table.name
