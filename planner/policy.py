"""The policy pass: may this release use these columns, by every contributing party's own rules.

Everything here follows from the question and the offers alone, so a refusal tells nothing about data. It names the
party, the column or setting, and the key of the party file that decides.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from sqlglot import exp

from fedsql.errors import NotSupportedError, PolicyDenied, ProgrammingError
from fedsql.planner.aggregates import POLICY_OF, TRUTHS
from fedsql.planner.catalog import Catalog
from fedsql.planner.logical import Aggregate, Release
from fedsql.planner.offer import TableOffer
from fedsql.planner.positions import position, shown
from fedsql.planner.relations import Filter, Hazard, Join, Leaf, Rows, Scan, leaf_of, scans_of
from fedsql.planner.schema import clash
from fedsql.planner.terms import Terms, terms_of
from fedsql.planner.trees import find

_PLACE = {
    "group": "in GROUP BY or DISTINCT",
    "filter": "in a condition",
    "aggregate": "inside an aggregate",
    "join": "as a join key",
    "lookup": "as a join key",
    "distinct": "in COUNT(DISTINCT ...)",
}

_ENOUGH = {"lookup": {"join", "filter"}, "distinct": {"join", "group"}}  # places with more than one use that is enough

_INSTEAD = dict.fromkeys(
    ("min", "max", "quantile", "mode"), "; a count per range works: GROUP BY an expression of the column"
)


def check_policy(
    release: Release, catalog: Catalog, analyst: str, inputs: Mapping[str, Mapping[str, str]] | None = None
) -> Terms:
    """Return the joint terms, or raise PolicyDenied. ``inputs`` are the types of the columns of stage inputs."""
    inputs = inputs or {}
    leaf = leaf_of(release.input)
    scans = scans_of(leaf)
    for scan in scans:
        for offer in scan.offers:
            _check_analyst(offer, analyst)
    for name in leaf.publics if isinstance(leaf, Rows) else ():
        for offer in catalog.tables(name):
            _check_analyst(offer, analyst)
    found = list(base_uses(release, leaf))
    for use, index, column in found:
        for offer in scans[index].offers:
            _check_use(offer, use, column)
    for index, name in sorted({(index, column.name.lower()) for _, index, column in found}):
        _check_types(scans[index], name)
    for aggregate in release.aggregates:
        _check_aggregate(aggregate, leaf, catalog)
    if release.most_frequent:
        _check_listed("mode", "mode", leaf, catalog)
    terms = terms_of(leaf, catalog)
    if isinstance(leaf, Rows) and leaf.join is not None:
        terms = _check_join(leaf, leaf.join, terms)
    if isinstance(leaf, Rows):
        _check_rows(release, leaf, terms, inputs)
    if terms.min_group_size > 1:
        _check_distinct(release, leaf)
    if terms.noisy:
        _check_bounded(release, leaf)
    return terms


def base_uses(release: Release, leaf: Leaf) -> Iterator[tuple[str, int, exp.Column]]:
    """Yield (use, index of scan, column) for every base column that a release reads, by position."""
    if isinstance(leaf, Rows):
        yield from leaf.uses
    for use, column in uses(release, leaf):
        if isinstance(leaf, Scan):
            yield use, 0, column
            continue
        for index, name in leaf.column(column.name).reads:
            base = exp.column(name, table=leaf.scans[index].alias, quoted=True)
            base.this.meta.update(column.this.meta)
            yield use, index, base


def uses(release: Release, leaf: Leaf) -> Iterator[tuple[str, exp.Column]]:
    """Yield (use, column) for every column of its relation that a release reads, by position."""
    for key in release.keys:
        yield from (("group", c) for c in find(key.expression, exp.Column))
    if isinstance(release.input, Filter):
        yield from (("filter", c) for c in find(release.input.condition, exp.Column))
    for aggregate in release.aggregates:
        if aggregate.condition is not None:
            yield from (("filter", c) for c in find(aggregate.condition, exp.Column))
        use = "distinct" if aggregate.distinct else "aggregate"
        for argument in aggregate.arguments if aggregate.counts != "units" else ():
            for column in find(argument, exp.Column):
                yield ("filter" if _in_condition(column, argument) else use), column


def _check_analyst(offer: TableOffer, analyst: str) -> None:
    if "*" not in offer.analysts and analyst not in offer.analysts:
        raise PolicyDenied(
            f"{offer.party} does not offer {offer.name.lower()} to {analyst}",
            hint=f"at {offer.party}: tables.{offer.name}.analysts lists who may ask",
        )


def hazards(release: Release, terms: Terms) -> tuple[Hazard, ...]:
    """Return the hazards that matter to a release: sums without noise above min_group_size 1."""
    leaf = leaf_of(release.input)
    exact = terms.min_group_size > 1 and not terms.noisy
    summed = any(aggregate.counts != "units" for aggregate in release.aggregates)
    return leaf.hazards if isinstance(leaf, Rows) and exact and summed else ()


def _check_rows(release: Release, rows: Rows, terms: Terms, inputs: Mapping[str, Mapping[str, str]]) -> None:
    """Refuse joins whose rows could carry weights, or whose privacy unit is not clear, where that matters."""
    if terms.min_group_size == 1 and not terms.noisy:
        return
    if not rows.one_unit:
        names = ", ".join(dict.fromkeys(scan.name for scan in rows.scans))
        raise NotSupportedError(
            f"rows of {names} are not of one privacy unit each, so it is not clear whom min_group_size protects",
            hint='the owner would declare for each table privacy_unit = "table.column", reached along references',
        )
    if (rows.mixed and (terms.noisy or rows.join is not None)) or rows.spread:
        reason = "under noise" if terms.noisy else "above min_group_size 1"
        raise NotSupportedError(
            f"{reason}, a subquery or window beside federated rows must be by their privacy unit",
            hint="link it by the privacy unit, so that adding one unit changes no other's rows",
        )
    for hazard in hazards(release, terms):
        if not hazard.is_avoided(inputs.get(hazard.input, {})):
            raise PolicyDenied(hazard.message, hint=hazard.hint, position=hazard.position)
    summed = [a for a in release.aggregates if a.function not in ("count", "regr_count", *TRUTHS)]
    for aggregate in summed if not terms.noisy else ():
        for column in (c for a in aggregate.arguments for c in find(a, exp.Column) if not _in_condition(c, a)):
            if not rows.column(column.name).plain:
                raise PolicyDenied(
                    f"without noise, {shown(column)} may not be summed: it is computed in a subquery",
                    hint="sum columns; or ask the owner to declare it as a column",
                    position=position(column),
                )


def _check_join(rows: Rows, join: Join, terms: Terms) -> Terms:
    """Return the terms of a private join, whose owners are in every group. Raises PolicyDenied where one may not join."""
    for link in join.links:
        for key, other in (pair for both in link.keys for pair in (both, both[::-1])):
            theirs = {name for part in join.parts(other) for name in ((part,) if part else join.anchor.parties)}
            for column in find(key, exp.Column):
                for index, base in rows.column(column.name).bases:
                    for offer in rows.scans[index].offers:
                        _check_join_with(offer, base, theirs - {offer.party}, column)
    return replace(terms, min_parties=1)


def _check_join_with(offer: TableOffer, name: str, others: set[str], column: exp.Column) -> None:
    found = offer.column(name)
    refused = sorted(others - set(found.join_with)) if found is not None and found.join_with is not None else []
    if found is not None and refused:
        raise PolicyDenied(
            f"{offer.party} does not let {offer.name}.{found.name} be joined with {', '.join(refused)}"
            f" (allowed: {', '.join(found.join_with or ()) or 'nobody'})",
            hint=f"the owner would add them to tables.{offer.name}.columns.{found.name}.join_with",
            position=position(column),
        )


def _check_distinct(release: Release, leaf: Leaf) -> None:
    """Refuse to count the distinct values of an expression: ``COUNT(DISTINCT name = 'x')`` says whether one x is there."""
    for aggregate in release.aggregates:
        if not aggregate.distinct or aggregate.counts:
            continue
        argument = aggregate.arguments[0].unnest()
        plain = isinstance(argument, exp.Column) and (isinstance(leaf, Scan) or leaf.column(argument.name).plain)
        if not plain:
            raise PolicyDenied(
                f"above min_group_size = 1, COUNT(DISTINCT {shown(argument)}) is not answered: only columns are counted",
                hint="count a column; or ask the owner to declare the expression as one",
                position=position(argument),
            )


def _in_condition(column: exp.Column, argument: exp.Expr) -> bool:
    """Say whether ``column`` only decides (a CASE condition, a comparison), rather than being summed."""
    node: exp.Expr = column
    while node is not argument and node.parent is not None:
        parent = node.parent
        if isinstance(parent, exp.Predicate | exp.Connector | exp.Not):
            return True
        if isinstance(parent, exp.If) and node.arg_key == "this":
            return True
        if isinstance(parent, exp.Case) and node.arg_key == "this":
            return True
        node = parent
    return isinstance(node, exp.Predicate | exp.Connector | exp.Not)


def _check_use(offer: TableOffer, use: str, column: exp.Column) -> None:
    name = column.name.lower()
    found = offer.column(name)
    if found is None:
        raise ProgrammingError(
            f"{offer.party} does not offer {offer.name}.{name}",
            hint=f"columns there: {', '.join(sorted(c.name for c in offer.columns)) or 'none'}",
            position=position(column),
        )
    wanted = _ENOUGH.get(use, {use})
    if not wanted & found.use:
        allowed = ", ".join(sorted(found.use)) or "nothing"
        raise PolicyDenied(
            f"{offer.party} does not allow {offer.name}.{found.name} {_PLACE[use]} (allowed: {allowed})",
            hint=f'the owner would add "{min(wanted, key=len)}" to tables.{offer.name}.columns.{found.name}.use',
            position=position(column),
        )


def _check_bounded(release: Release, leaf: Leaf) -> None:
    """Under noise every summed column needs declared bounds: a type's own range would drown the answer."""
    for aggregate in release.aggregates:
        if aggregate.function in ("count", "regr_count"):
            continue
        columns = [c for a in aggregate.arguments for c in find(a, exp.Column) if not _in_condition(c, a)]
        for column in columns:
            for offer in leaf.offers:
                found = offer.column(column.name)
                if found is not None and found.bounds is None and found.type != "BOOLEAN":
                    raise PolicyDenied(
                        f"under noise {offer.party}'s {offer.name}.{found.name} cannot be summed: it has no bounds",
                        hint=f"the owner would set tables.{offer.name}.columns.{found.name}.bounds = [low, high]",
                        position=position(column),
                    )


def _check_types(scan: Scan, name: str) -> None:
    types = {offer.party: column.type for offer in scan.offers if (column := offer.column(name)) is not None}
    if clash(types.values()):
        listed = ", ".join(f"{party} has {type_}" for party, type_ in sorted(types.items()))
        raise PolicyDenied(
            f"{scan.name}.{name} has types that do not go together: {listed}",
            hint="the owner casts it in the table's sql =, or ask one party alone: party.table",
        )


def _check_aggregate(aggregate: Aggregate, leaf: Leaf, catalog: Catalog) -> None:
    distinct = aggregate.distinct and aggregate.counts != "units"
    _check_listed(aggregate.function, "count_distinct" if distinct else POLICY_OF[aggregate.function], leaf, catalog)


def _check_listed(function: str, wanted: str, leaf: Leaf, catalog: Catalog) -> None:
    """Raise PolicyDenied unless every party that is read lists what a function needs, the ``wanted``."""
    for offer in catalog.offers:
        if offer.party in leaf.parties and wanted not in offer.release.aggregates:
            raise PolicyDenied(
                f"{offer.party} does not release {function} (allowed: {', '.join(offer.release.aggregates)})",
                hint=f'the owner would add "{wanted}" to [release] aggregates' + _INSTEAD.get(wanted, ""),
            )
