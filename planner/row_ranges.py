"""The intervals that columns of `Rows` are in: through derived tables and set operations, down to what the parties verified.

A name that several sources of a block have is in the hull of their intervals, so a reader need not know which is meant.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from sqlglot import exp

from fedsql.planner.blocks import items
from fedsql.planner.bounds import Interval, Known, column_interval, interval, type_interval
from fedsql.planner.catalog import Catalog
from fedsql.planner.relations import Rows
from fedsql.planner.schema import Columns
from fedsql.types import SqlType


@dataclass(frozen=True)
class RowRanges:
    """Finds intervals by the offers of the ``catalog``; of stage inputs, whose columns ``inputs`` holds, by their types."""

    catalog: Catalog
    inputs: Mapping[str, Columns]

    def known(self, blocks: Sequence[exp.Select]) -> Known:
        """Return the intervals that columns of a name are in, whichever source of the blocks they are of."""
        found: dict[str, Interval | None] = {}
        for name, range_ in (pair for block in blocks for item, _ in items(block) for pair in self._ranges(item)):
            before = found.get(name, range_)
            found[name] = before.hull(range_) if before is not None and range_ is not None else None
        return {name: range_ for name, range_ in found.items() if range_ is not None}

    def sums(self, rows: Rows, type_of: Callable[[exp.Select, exp.Expr], SqlType]) -> Known:
        """Return the intervals of those columns that are sums and counts of derived tables: by public sizes.

        ``type_of`` tells DuckDB's type of a value in the rows of a derived table, before they are grouped.
        """
        found: dict[str, Interval] = {}
        derived = {item.alias_or_name.lower(): item.this for item, _ in items(rows.query) if item.key == "subquery"}
        for column in rows.columns:
            query = derived.get(column.expression.table.lower())
            if not isinstance(query, exp.Select):
                continue
            for projection in query.expressions:
                call = projection.unalias()
                if projection.alias_or_name.lower() != column.expression.name.lower() or not isinstance(
                    call, exp.Sum | exp.Count
                ):
                    continue
                each: Interval | None = Interval(Fraction(0), Fraction(1))
                if isinstance(call, exp.Sum):
                    by_type = type_interval(type_of(query, call.this))
                    each = interval(call.this, self.known([query])) or by_type
                if each is not None and len(items(query)) == 1:
                    most = max(offer.rows for scan in rows.scans for offer in scan.offers)
                    found[column.name] = Interval(min(Fraction(0), each.low * most), max(Fraction(0), each.high * most))
        return found

    def _ranges(self, item: exp.Expr) -> list[tuple[str, Interval | None]]:
        """Return the columns of a FROM item, each with its interval where that is known."""
        found: list[tuple[str, Interval | None]] = []
        if isinstance(item, exp.Subquery):
            found = self._computed(item.this)
        elif item.name in self.inputs:
            found = [(name.lower(), type_interval(SqlType.parse(type_))) for name, type_ in self.inputs[item.name]]
        else:
            offers = self.catalog.tables(item.name)
            for name in dict.fromkeys(c.name.lower() for offer in offers for c in offer.columns):
                found.append((name, column_interval([c for o in offers if (c := o.column(name)) is not None])))
        names = [column.lower() for column in item.alias_column_names]
        return [(name, range_) for name, (_, range_) in zip(names, found, strict=False)] + found[len(names) :]

    def _computed(self, query: exp.Expr) -> list[tuple[str, Interval | None]]:
        query = query.unnest()
        if isinstance(query, exp.SetOperation):
            pairs = zip(self._computed(query.left), self._computed(query.right), strict=True)
            return [(name, one.hull(other) if one and other else None) for (name, one), (_, other) in pairs]
        assert isinstance(query, exp.Select)
        known = self.known([query])
        return [(p.alias_or_name.lower(), interval(p.unalias(), known)) for p in query.expressions]
