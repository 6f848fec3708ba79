"""The parts of a private join: what each party, or the anchors alike, computes alone; and the joined rows that they make."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from sqlglot import exp

from fedsql.planner.below import Below
from fedsql.planner.blocks import grouping, own_columns
from fedsql.planner.catalog import Catalog
from fedsql.planner.relations import Join, Link, RowColumn, Rows
from fedsql.planner.row_columns import ROWS, row_column, rows_of
from fedsql.planner.trees import find


@dataclass
class Part:
    """Items of FROM whose rows the same parties have. ``inside``: conditions that join them with each other."""

    owners: frozenset[str]
    items: list[tuple[exp.Expr, exp.Join | None]] = field(default_factory=list)
    inside: list[exp.Expr] = field(default_factory=list)
    own: list[exp.Expr] = field(default_factory=list)  # conditions that leave rows out
    on: list[exp.Expr] = field(default_factory=list)  # of an outer link: which of the anchor's rows may match
    keys: list[tuple[exp.Expr, exp.Expr]] = field(default_factory=list)  # anchor's, own
    outer: bool = False

    @property
    def names(self) -> set[str]:
        """The names of its items, lower case."""
        return {item.alias_or_name.lower() for item, _ in self.items}

    @property
    def text(self) -> str:
        """Its items, as people read them."""
        return ", ".join(item.alias_or_name for item, _ in self.items)


def is_unique(catalog: Catalog, part: Part, keys: Sequence[exp.Expr]) -> bool:
    """Say whether it is known that no two rows of a part have equal ``keys``."""
    names = {key.name.lower() for key in keys if isinstance(key, exp.Column)}
    if len(part.items) != 1 or len(part.owners) != 1:
        return False
    item = part.items[0][0]
    if isinstance(item, exp.Subquery):
        select = item.this
        if not isinstance(select, exp.Select) or not select.args.get("group"):
            return False
        listed = {p.unalias().sql(): p.alias_or_name.lower() for p in select.expressions}
        return all(listed.get(key.sql()) in names for key in grouping(select))
    offer = next(o for o in catalog.tables(item.name) if o.party in part.owners)
    return offer.unit_unique and offer.privacy_unit is not None and offer.privacy_unit.lower() in names


def joined_rows(
    catalog: Catalog,
    work: exp.Select,
    bare: exp.Select,
    anchor: Part,
    links: Sequence[Part],
    where: Sequence[exp.Expr],
    anywhere: dict[str, exp.Expr],
) -> Rows:
    """Bind each part, and put them together."""
    parts = [anchor, *sorted(links, key=lambda part: min(part.owners))]
    used = [*work.expressions, *where]
    used += [e for part in parts for e in (*part.own, *part.on, *(k for pair in part.keys for k in pair))]
    names: dict[tuple[str, str], str] = {}
    bound = [_bind(catalog, part, used, names, anywhere) for part in parts]
    replaced = [[_renamed(e, names) for e in listed] for listed in ([*part.own] for part in parts)]
    made = []
    for part, rows, own in zip(parts[1:], bound[1:], replaced[1:], strict=True):
        keys = tuple((_renamed(a, names), _renamed(b, names)) for a, b in part.keys)
        on = _all([_renamed(e, names) for e in part.on])
        unique = is_unique(catalog, part, [key for _, key in part.keys])
        made.append(Link(rows, keys, not part.outer, _all(own), on, unique))
    rest = _all([_renamed(e, names) for e in where])
    join = Join(bound[0], tuple(made), _all(replaced[0]), rest)
    work.set("expressions", [_renamed(e, names) for e in work.expressions])
    return _together(bare, join)


def _renamed(expression: exp.Expr, names: dict[tuple[str, str], str]) -> exp.Expr:
    """Return an expression over the columns of the joined rows."""

    def name(node: exp.Expr) -> exp.Expr:
        if not isinstance(node, exp.Column):
            return node
        new = exp.column(names[node.table.lower(), node.name.lower()], table=ROWS, quoted=True)
        new.this.meta.update(node.this.meta)
        return new

    return expression.transform(name)


def _all(listed: Sequence[exp.Expr]) -> exp.Expr | None:
    return exp.and_(*listed, copy=False) if listed else None


def _bind(
    catalog: Catalog,
    part: Part,
    used: Sequence[exp.Expr],
    names: dict[tuple[str, str], str],
    anywhere: dict[str, exp.Expr],
) -> Rows:
    """Bind one part as rows that its parties compute alone; ``names`` comes to hold those of its columns."""
    (first, _), *rest = part.items
    query = exp.Select(expressions=[], from_=exp.From(this=first.copy()))
    for item, join in rest:
        if join is None or not join.side:
            query.append("joins", exp.Join(this=item.copy(), kind="CROSS"))
        else:
            query.append("joins", exp.Join(this=item.copy(), side=join.side, on=join.args["on"].copy()))
    columns = [column for expression in used for column in own_columns(expression)]
    for name, item in anywhere.items():
        if any(column.table.lower() == name for column in columns):
            query.append("joins", exp.Join(this=item.copy(), kind="CROSS"))
    if part.inside:
        query.set("where", exp.Where(this=exp.and_(*(e.copy() for e in part.inside))))
    below = Below(catalog, joined=True)
    env = below.block(query)
    taken = set(names.values())
    found: dict[tuple[str, str], RowColumn] = {}
    for column in columns:
        where = column.table.lower(), column.name.lower()
        if where[0] not in env or where in found:
            continue
        if where in names:  # of one row, which another part reads, too
            taken.discard(names[where])
        found[where] = row_column(column, below, env, taken)
        names[where] = found[where].name
    return rows_of(query, below, env, found.values())


def _together(query: exp.Select, join: Join) -> Rows:
    """Return the joined rows: what policy and types are decided by."""
    parts = [join.anchor, *(link.rows for link in join.links)]
    padded = [False, *(not link.inner for link in join.links)]
    starts = [sum(len(part.scans) for part in parts[:at]) for at in range(len(parts))]
    columns: dict[str, RowColumn] = {}
    uses: list[tuple[str, int, exp.Column]] = []
    for part, start, pad in zip(parts, starts, padded, strict=True):
        for column in part.columns:
            columns.setdefault(
                column.name,
                replace(
                    column,
                    reads=tuple((index + start, name) for index, name in column.reads),
                    bases=tuple((index + start, name) for index, name in column.bases),
                    conditional=column.conditional or pad,
                ),
            )
        uses += [(use, index + start, column) for use, index, column in part.uses]
    conditions = [join.condition, join.where, *(e for link in join.links for e in (link.condition, link.on))]
    listed = [("filter", each) for each in conditions if each is not None]
    listed += [("join", key) for link in join.links for pair in link.keys for key in pair]
    scans = tuple(scan for part in parts for scan in part.scans)
    for use, expression in listed:
        for node in find(expression, exp.Column):
            for index, name in columns[node.name].reads:
                base = exp.column(name, table=scans[index].alias, quoted=True)
                base.this.meta.update(node.this.meta)
                uses.append((use, index, base))
    return Rows(
        query=query,
        alias=ROWS,
        scans=scans,
        columns=tuple(columns.values()),
        units=join.anchor.units,
        one_unit=all(part.one_unit for part in parts),
        mixed=any(part.mixed for part in parts),
        spread=any(part.spread for part in parts),
        uses=tuple(dict.fromkeys(uses)),
        inputs=tuple(dict.fromkeys(name for part in parts for name in part.inputs)),
        publics=tuple(dict.fromkeys(name for part in parts for name in part.publics)),
        hazards=tuple(hazard for part in parts for hazard in part.hazards),
        join=join,
    )
