"""Private joins: a block whose FROM has rows of different parties, split into parts that each party computes alone.

The parts make a star (`planner.star`): one *anchor*, whose rows are grouped, and *providers*, each linked to it by keys.
What a WHERE says of one part alone decides which of its rows take part; the rest is decided where rows are joined.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import combinations

from sqlglot import exp

from fedsql.errors import NotSupportedError
from fedsql.planner.blocks import conjuncts, is_federated, items, nested_queries, own_columns
from fedsql.planner.catalog import Catalog
from fedsql.planner.positions import position, shown
from fedsql.planner.private_parts import Part, joined_rows
from fedsql.planner.relations import Rows
from fedsql.planner.schema import UNION
from fedsql.planner.star import Pair, anchor_of, not_star
from fedsql.planner.trees import find


def private_join(work: exp.Select, bare: exp.Select, catalog: Catalog) -> Rows | None:
    """Bind FROM and WHERE of ``work`` as a private join, whose columns its projections come to name.

    ``bare`` has the same FROM and WHERE. Returns None where no two items are of different parties.
    """
    if not joins_parties(bare, catalog):
        return None
    return _Splitter(catalog, work, bare, [_owners(item, catalog) for item, _ in items(bare)]).rows()


def joins_parties(select: exp.Select, catalog: Catalog) -> bool:
    """Say whether two items of FROM are rows of different parties."""
    owners = [found for item, _ in items(select) if (found := _owners(item, catalog))]
    return any(not one & other for one, other in combinations(owners, 2))


def _owners(item: exp.Expr, catalog: Catalog) -> frozenset[str]:
    """Return the parties whose rows an item of FROM reads."""
    found: set[str] = set()
    for table in find(item, exp.Table):
        if is_federated(table, catalog):
            offers = [o for o in catalog.tables(table.name) if o.party not in catalog.missing]
            found |= {o.party for o in offers if table.db.lower() in (UNION, o.party.lower())}
    return frozenset(found)


@dataclass
class _Splitter:
    """Splits one block."""

    catalog: Catalog
    work: exp.Select
    bare: exp.Select
    owners: list[frozenset[str]]
    parts: list[Part] = field(default_factory=list)
    pairs: list[Pair] = field(default_factory=list)
    where: list[exp.Expr] = field(default_factory=list)
    anywhere: dict[str, exp.Expr] = field(default_factory=dict)  # items of one row, which every part may read

    def rows(self) -> Rows:
        """Return the joined rows."""
        self._refuse()
        self._make_parts()
        ons, where = self._conditions()
        self._attach([*(c for _, listed in ons for c in listed), *where])
        for (item, join), listed in ons:
            self._on(item, join, listed)
        for conjunct in where:
            self._where(conjunct)
        anchor = anchor_of(self.parts, self.pairs, self.catalog)
        links = [part for part in self.parts if part is not anchor]
        return joined_rows(self.catalog, self.work, self.bare, anchor, links, self.where, self.anywhere)

    def _refuse(self) -> None:
        """Refuse kinds of joins, and queries nested in conditions, keys and aggregates."""
        if nested := [query for each in (self.bare, *self.work.expressions) for query in nested_queries(each)]:
            raise NotSupportedError(
                "a subquery beside a join of different parties' rows is not answered",
                hint="join the tables, or aggregate in a query of its own",
                position=position(nested[0])
                or position(nested[0].find_ancestor(exp.Binary, exp.Predicate) or nested[0]),
            )
        for item, join in items(self.bare):
            if isinstance(item, exp.Lateral):
                raise NotSupportedError(
                    "LATERAL beside a join of different parties' rows is not answered",
                    hint="join the tables",
                    position=position(item),
                )
            if join is None:
                continue
            kind = " ".join(part for part in (join.method, join.side, join.kind) if part)
            if join.method or join.side == "FULL" or join.kind not in ("", "INNER", "OUTER", "CROSS"):
                raise NotSupportedError(
                    f"{kind} JOIN of different parties' rows is not answered",
                    hint="INNER, LEFT and RIGHT JOIN are",
                    position=position(join),
                )

    def _make_parts(self) -> None:
        """Put items together that the same parties have."""
        for (item, join), owners in zip(items(self.bare), self.owners, strict=True):
            if not owners:
                continue
            found = [part for part in self.parts if part.owners & owners]
            if any(part.owners != owners for part in found):
                raise NotSupportedError(
                    f"{item.alias_or_name} is at {', '.join(sorted(owners))} and {found[0].text} at"
                    f" {', '.join(sorted(found[0].owners))}: rows of different parties are joined only where no party has both",
                    hint="name one party's table: party.table",
                    position=position(item),
                )
            part = found[0] if found else Part(owners)
            if not found:
                self.parts.append(part)
                part.outer = join is not None and join.side == "LEFT"
            part.items.append((item, join))

    def _conditions(self) -> tuple[list[tuple[tuple[exp.Expr, exp.Join], list[exp.Expr]]], list[exp.Expr]]:
        """Return the conditions of each ON, and of WHERE. What USING made of two keys becomes one of them."""
        listed = []
        for item, join in items(self.bare):
            if join is None:
                continue
            found = list(conjuncts(join.args.get("on")))
            listed.append(((item, join), found))
        where = list(conjuncts(self.bare.args.get("where")))
        for at, ((item, join), found) in enumerate(listed):
            for kept, lost in _equal(found, item.alias_or_name.lower(), join.side):
                merged = partial(_merged, kept=kept, lost=lost)
                for later in range(at + 1, len(listed)):
                    listed[later] = (listed[later][0], [c.transform(merged) for c in listed[later][1]])
                where = [c.transform(merged) for c in where]
                self.work.set("expressions", [e.transform(merged) for e in self.work.expressions])
        for kept, lost in _equal(where):
            merged = partial(_merged, kept=kept, lost=lost)
            self.work.set("expressions", [e.transform(merged) for e in self.work.expressions])
        return listed, where

    def _attach(self, conditions: Sequence[exp.Expr]) -> None:
        """Let each copied item be read by the part that conditions link it with; one that has one row by all."""
        waiting = {}
        for (item, join), owners in zip(items(self.bare), self.owners, strict=True):
            name = item.alias_or_name.lower()
            if owners:
                continue
            if isinstance(item, exp.Table) and not item.db and item.alias_or_name == item.name:
                self.anywhere[name] = item
            else:
                waiting[name] = (item, join)
        while waiting:
            at = next((at for at in self._attached(waiting, conditions)), None)
            name, part = at if at is not None else (next(iter(waiting)), self.parts[0])
            part.items.append(waiting.pop(name))

    def _attached(self, waiting: Iterable[str], conditions: Sequence[exp.Expr]) -> Iterable[tuple[str, Part]]:
        for name in waiting:
            for conjunct in conditions:
                named = self._names(conjunct)
                found = [part for part in self.parts if part.names & named]
                if name in named and len(found) == 1:
                    yield name, found[0]

    def _names(self, expression: exp.Expr) -> set[str]:
        return {column.table.lower() for column in own_columns(expression)} - self.anywhere.keys()

    def _of(self, expression: exp.Expr) -> list[Part]:
        """Return the parts whose columns an expression names."""
        return [part for part in self.parts if part.names & self._names(expression)]

    def _on(self, item: exp.Expr, join: exp.Join, listed: list[exp.Expr]) -> None:
        """Sort the conditions of an ON."""
        own = next((part for part in self.parts if item.alias_or_name.lower() in part.names), None)
        if own is None:  # an item of one row: its conditions are like those of WHERE
            for conjunct in listed:
                self._where(conjunct)
            return
        first = own.items[0][0] is item
        if not first and join.side:  # within a part: it stays there
            if any(self._of(conjunct) != [own] for conjunct in listed) or join.side != "LEFT":
                raise not_star(item, "an outer join inside of a part must be LEFT, and by its own columns")
            return
        if not first and own.outer:
            raise not_star(item, "write LEFT JOIN for what follows a LEFT JOIN, too")
        if join.side == "RIGHT" and (len(self.parts) != 2 or own is not self.parts[1]):
            raise not_star(item, "RIGHT JOIN is answered between two tables; write LEFT JOIN")
        if join.side == "RIGHT":
            self.parts[0].outer = True
        link = self.parts[0] if join.side == "RIGHT" else own  # the part that may match nothing
        for conjunct in listed:
            found = self._of(conjunct)
            if not (join.side and first) or len(found) == 2:
                self._where(conjunct, is_on=True)
            elif found == [link]:
                self._inner(link, conjunct)
            else:
                link.on.append(conjunct)

    def _where(self, conjunct: exp.Expr, *, is_on: bool = False) -> None:
        """Sort one condition that joined rows must meet."""
        found = self._of(conjunct)
        if len(found) == 2 and isinstance(conjunct, exp.EQ):
            sides = conjunct.left.unnest(), conjunct.right.unnest()
            of = [self._of(side) for side in sides]
            if all(len(each) == 1 for each in of) and (is_on or not any(part.outer for part in found)):
                self.pairs.append(((of[0][0], sides[0]), (of[1][0], sides[1])))
                return
        if len(found) > 1 and is_on:
            raise NotSupportedError(
                f"{shown(conjunct, tables=True)} compares columns of different parties: rows are joined by equal keys alone",
                hint="join on key = key, and put conditions on each table's own columns",
                position=position(conjunct),
            )
        if len(found) == 1 and not found[0].outer:
            self._inner(found[0], conjunct)
        elif not found:
            self._inner(self.parts[0], conjunct)
        else:
            self.where.append(conjunct)

    def _inner(self, part: Part, conjunct: exp.Expr) -> None:
        """Add a condition of one part: between its tables, or one that leaves out rows that then look like all others."""
        joins = isinstance(conjunct, exp.EQ) and len(self._names(conjunct)) > 1
        (part.inside if joins else part.own).append(conjunct)


def _equal(conditions: Iterable[exp.Expr], item: str = "", side: str = "") -> Iterator[tuple[exp.Expr, exp.Expr]]:
    """Yield (kept, lost) of each equality that joined rows meet: lost is equal to kept, or NULL where ``item`` is outer.

    ``side`` is that of its join; then the equality must be of a column of it with another's.
    """
    for each in conditions:
        if not isinstance(each, exp.EQ):
            continue
        sides = each.left.unnest(), each.right.unnest()
        if not side:
            yield sides
            continue
        of_item = [e.table.lower() == item for e in sides if isinstance(e, exp.Column)]
        if len(of_item) == 2 and sum(of_item) == 1:
            yield sides if of_item[1] == (side == "LEFT") else sides[::-1]


def _merged(node: exp.Expr, kept: exp.Expr, lost: exp.Expr) -> exp.Expr:
    """Return COALESCE, which USING makes, without ``lost``, where that changes nothing."""
    if not isinstance(node, exp.Coalesce):
        return node
    listed = [argument.unnest() for argument in (node.this, *node.expressions)]
    one, other = (next((at for at, e in enumerate(listed) if e == wanted), -1) for wanted in (kept, lost))
    if -1 in (one, other) or one == other or one - other > 1:  # what stands between them may be something else
        return node
    left = [e for at, e in enumerate(listed) if at != other]
    return (
        left[0].copy()
        if len(left) == 1
        else exp.Coalesce(this=left[0].copy(), expressions=[e.copy() for e in left[1:]])
    )
