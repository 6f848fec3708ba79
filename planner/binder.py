"""The binder: turns the row-wise part of a cut block (its FROM and WHERE) into logical nodes.

Row-wise derived tables and CTEs become `Project` and `Filter` nodes. What would need the rows' order, a sample, or rows
of several relations together is refused here, by name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlglot import exp

from fedsql.errors import NotSupportedError, OperationalError, PolicyDenied
from fedsql.planner.catalog import Catalog, TableOffer
from fedsql.planner.functions import aggregate_of, check_scalar, refuse_aggregate
from fedsql.planner.logical import Aggregate, Filter, Key, Project, Relation, Release, Scan, scan_of
from fedsql.planner.positions import position
from fedsql.planner.schema import UNION

RowBlocks = Mapping[str, exp.Query]  # CTEs in scope that are row-wise over federated tables


def bind_release(
    number: int,
    select: exp.Select,
    keys: list[exp.Expr],
    aggregates: list[exp.Expr],
    catalog: Catalog,
    blocks: RowBlocks,
) -> Release:
    """Bind a cut block: ``keys`` and ``aggregates`` are its grouping expressions and aggregate calls."""
    relation = _bind_rows(select, catalog, blocks)
    parties = scan_of(relation).parties
    policies = {o.party: o.release.aggregates for o in catalog.offers if o.party in parties}
    for key in keys:
        check_scalar(key)
    return Release(
        number,
        relation,
        tuple(Key(f"k{i}", key.copy()) for i, key in enumerate(keys)),
        tuple(_bind_aggregate(f"a{i}", call, policies) for i, call in enumerate(aggregates)),
    )


def _bind_rows(select: exp.Select, catalog: Catalog, blocks: RowBlocks) -> Relation:
    """Bind FROM and WHERE of a block that reads one federated relation."""
    if joins := select.args.get("joins"):
        raise NotSupportedError(
            "a join of federated rows is not answered yet",
            hint="aggregate each table in a subquery of its own and join the results",
            position=position(joins[0]),
        )
    for part, name in (("laterals", "LATERAL"), ("match", "MATCH_RECOGNIZE"), ("connect", "CONNECT BY")):
        if select.args.get(part):
            raise NotSupportedError(f"{name} over federated rows is not answered")
    source = select.args["from_"].this
    for part, name in (("pivots", "PIVOT"), ("sample", "SAMPLE"), ("joins", "a nested join")):
        if source.args.get(part):
            raise PolicyDenied(
                f"{name} over federated rows is refused",
                hint="aggregate with GROUP BY first",
                position=position(source),
            )
    relation = _bind_source(source, catalog, blocks)
    if where := select.args.get("where"):
        check_scalar(where.this)
        relation = Filter(relation, where.this.copy())
    return relation


def _bind_source(source: exp.Expr, catalog: Catalog, blocks: RowBlocks) -> Relation:
    alias = source.alias_or_name
    if isinstance(source, exp.Subquery):
        return _bind_block(source.this, alias, catalog, blocks)
    if not isinstance(source, exp.Table):
        raise NotSupportedError(
            f"{source.key} in FROM next to federated rows is not answered", position=position(source)
        )
    if not source.db:
        return _bind_block(blocks[source.name.lower()], alias, catalog, blocks)
    offers = catalog.tables(source.name)
    if any(offer.public for offer in offers):
        raise NotSupportedError(f"public tables ({source.name}) are not answered yet", position=position(source))
    if source.db.lower() == UNION:
        return Scan(source.name.lower(), alias, _reachable(source.name, offers, catalog))
    alone = tuple(o for o in offers if o.party.lower() == source.db.lower())
    if any(o.party in catalog.missing for o in alone):
        raise OperationalError(f"{alone[0].party} cannot be reached: its {source.name} cannot be asked")
    return Scan(source.name.lower(), alias, alone, party=alone[0].party)


def _reachable(name: str, offers: tuple[TableOffer, ...], catalog: Catalog) -> tuple[TableOffer, ...]:
    """Return the offers of a union that can be asked. A party that nobody knows anything of might offer the table too."""
    if unseen := [party for party in catalog.unknown if party not in catalog.missing]:
        raise OperationalError(
            f"{', '.join(unseen)} has not been seen yet, so nobody knows whether it offers {name}",
            hint="SHOW PARTIES tells who is there; SET allow_missing = true leaves it out where the policies allow that",
        )
    found = tuple(offer for offer in offers if offer.party not in catalog.missing)
    if not found:
        raise OperationalError(f"no party that offers {name} can be reached ({', '.join(o.party for o in offers)})")
    return found


def _bind_block(query: exp.Query, alias: str, catalog: Catalog, blocks: RowBlocks) -> Project:
    """Bind a row-wise SELECT as a projection."""
    if not isinstance(query, exp.Select):
        raise NotSupportedError(
            f"{query.key.upper()} of federated rows is not answered",
            hint="aggregate each side first: set operations of released results work",
            position=position(query),
        )
    for part, name in (
        ("limit", "LIMIT"),
        ("offset", "OFFSET"),
        ("order", "ORDER BY"),
        ("sample", "SAMPLE"),
        ("qualify", "QUALIFY"),
    ):
        if query.args.get(part):
            raise PolicyDenied(
                f"{name} over single rows is refused: which rows come first would show rows",
                hint="aggregate first; LIMIT and ORDER BY work on the released groups",
                position=position(query.args[part]),
            )
    relation = _bind_rows(query, catalog, blocks)
    columns = []
    for projection in query.expressions:
        check_scalar(projection.unalias())
        columns.append((projection.alias_or_name.lower(), projection.unalias().copy()))
    return Project(relation, tuple(columns), alias)


def _bind_aggregate(name: str, call: exp.Expr, policies: Mapping[str, Sequence[str]]) -> Aggregate:
    """Bind one aggregate call with its FILTER."""
    condition = None
    if isinstance(call, exp.Filter):
        condition, call = call.expression.this, call.this
    known = aggregate_of(call)
    if known is None:
        while isinstance(call, exp.Filter | exp.IgnoreNulls | exp.WithinGroup):
            call = call.this
        raise refuse_aggregate(call, policies)
    function, _ = known
    first = call.expressions[0] if isinstance(call, exp.Anonymous) else call.this
    distinct = isinstance(first, exp.Distinct)
    arguments = list(first.expressions) if isinstance(first, exp.Distinct) else [first]
    if second := call.args.get("expression"):
        arguments.append(second)
    if isinstance(call, exp.Count) and call.expressions:
        arguments.extend(call.expressions)
    if function == "count" and (first is None or isinstance(first, exp.Star)):
        arguments = []
    if function == "count_if":  # a sum of truth values; "= TRUE" makes a plain column the condition that it is
        arguments = [exp.EQ(this=exp.paren(arguments[0].copy()), expression=exp.true())]
    if function == "count" and len(arguments) > 1:
        raise NotSupportedError("COUNT over several columns is not answered; count one", position=position(call))
    if distinct and function != "count":
        raise NotSupportedError(f"{function}(DISTINCT ...) is not answered yet", position=position(call))
    for part in (*arguments, *([condition] if condition is not None else [])):
        check_scalar(part)
    return Aggregate(
        name,
        function,
        tuple(a.copy() for a in arguments),
        condition.copy() if condition is not None else None,
        distinct,
    )
