"""The policy pass: may this release use these columns, by every contributing party's own rules.

Everything here follows from the question and the offers alone, so a refusal tells nothing about data. It names the
party, the column or setting, and the key of the party file that decides.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sqlglot import exp

from fedsql.errors import NotSupportedError, PolicyDenied, ProgrammingError
from fedsql.planner.catalog import Catalog, Offer, ReleasePolicy, TableOffer
from fedsql.planner.functions import POLICY_OF
from fedsql.planner.logical import Aggregate, Filter, Release, Scan, scan_of
from fedsql.planner.positions import position, shown
from fedsql.planner.schema import clash

_PLACE = {
    "group": "in GROUP BY or DISTINCT",
    "filter": "in a condition",
    "aggregate": "inside an aggregate",
    "join": "as a join key or in COUNT(DISTINCT ...)",
}


@dataclass(frozen=True)
class Terms:
    """What the contributing parties' policies make of one release, all together."""

    min_group_size: int
    min_parties: int
    noisy: bool
    noise_colluders: int
    epsilon: float
    delta: float


def check_policy(release: Release, catalog: Catalog, analyst: str) -> Terms:
    """Return the joint terms, or raise PolicyDenied."""
    scan = scan_of(release.input)
    for offer in scan.offers:
        if "*" not in offer.analysts and analyst not in offer.analysts:
            raise PolicyDenied(
                f"{offer.party} does not offer {scan.name} to {analyst}",
                hint=f"at {offer.party}: tables.{offer.name}.analysts lists who may ask",
            )
        if offer.privacy_unit and "." in offer.privacy_unit:
            raise NotSupportedError(
                f"{offer.party}.{offer.name}: a privacy unit along references ({offer.privacy_unit}) is not answered yet",
                hint="declare a column of the table itself as privacy_unit",
            )
    for use, column in uses(release, scan):
        for offer in scan.offers:
            _check_use(offer, use, column)
    for name in sorted({c.name.lower() for _, c in uses(release, scan)}):
        _check_types(scan, name)
    policies = [offer.release for offer in catalog.offers if offer.party in scan.parties]
    for aggregate in release.aggregates:
        _check_aggregate(aggregate, scan, catalog)
    terms = _terms(scan, catalog, policies)
    if terms.noisy:
        _check_bounded(release, scan)
    return terms


def uses(release: Release, scan: Scan) -> Iterator[tuple[str, exp.Column]]:
    """Yield (use, column) for every column that a merged release reads, by position."""
    for key in release.keys:
        yield from (("group", c) for c in key.expression.find_all(exp.Column))
    relation = release.input
    while isinstance(relation, Filter):
        yield from (("filter", c) for c in relation.condition.find_all(exp.Column))
        relation = relation.input
    for aggregate in release.aggregates:
        if aggregate.condition is not None:
            yield from (("filter", c) for c in aggregate.condition.find_all(exp.Column))
        for argument in aggregate.arguments:
            if aggregate.distinct:
                if not counts_units(aggregate, scan):
                    yield from (("join", c) for c in argument.find_all(exp.Column))
                continue
            for column in argument.find_all(exp.Column):
                yield ("filter" if _in_condition(column, argument) else "aggregate"), column


def counts_units(aggregate: Aggregate, scan: Scan) -> bool:
    """Say whether an aggregate is COUNT(DISTINCT privacy unit), which is always allowed."""
    (argument,) = aggregate.arguments if len(aggregate.arguments) == 1 else (None,)
    if not (aggregate.distinct and aggregate.function == "count" and isinstance(argument, exp.Column)):
        return False
    return all((o.privacy_unit or "").lower() == argument.name.lower() for o in scan.offers)


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
    if use not in found.use:
        allowed = ", ".join(sorted(found.use)) or "nothing"
        raise PolicyDenied(
            f"{offer.party} does not allow {offer.name}.{found.name} {_PLACE[use]} (allowed: {allowed})",
            hint=f'the owner would add "{use}" to tables.{offer.name}.columns.{found.name}.use',
            position=position(column),
        )


def _check_bounded(release: Release, scan: Scan) -> None:
    """Under noise every summed column needs declared bounds: a type's own range would drown the answer."""
    for aggregate in release.aggregates:
        if aggregate.function in ("count", "regr_count"):
            continue
        columns = [c for a in aggregate.arguments for c in a.find_all(exp.Column) if not _in_condition(c, a)]
        for column in columns:
            for offer in scan.offers:
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


def _check_aggregate(aggregate: Aggregate, scan: Scan, catalog: Catalog) -> None:
    distinct = aggregate.distinct and not counts_units(aggregate, scan)
    wanted = "count_distinct" if distinct else POLICY_OF[aggregate.function]
    for offer in catalog.offers:
        if offer.party in scan.parties and wanted not in offer.release.aggregates:
            raise PolicyDenied(
                f"{offer.party} does not release {aggregate.function} (allowed: {', '.join(offer.release.aggregates)})",
                hint=f'the owner would add "{wanted}" to [release] aggregates',
            )
    if distinct:
        raise NotSupportedError(
            f"COUNT(DISTINCT {shown(aggregate.arguments[0])}) is not answered yet",
            hint="COUNT(DISTINCT the privacy unit) is; or count the rows of SELECT DISTINCT in an outer query",
            position=position(aggregate.arguments[0]),
        )


def _check_missing(
    scan: Scan, catalog: Catalog, offering: list[Offer], min_parties: int, waived: bool, noisy: bool
) -> None:
    """Refuse an exact answer without parties that cannot be reached, unless the policies of all that offer it allow it."""
    if scan.party is not None:
        return
    absent = [offer.party for offer in offering if offer.party in catalog.missing]
    unseen = [party for party in catalog.unknown if party in catalog.missing]
    if noisy or not (unseen or (absent and min_parties > 1 and not waived)):
        return
    if unseen:
        reason = f"{', '.join(unseen)} has not been seen yet, so nobody knows whether it would allow that"
    else:
        reason = f"min_parties = {min_parties}"
    raise PolicyDenied(
        f"{scan.name} is not answered without {', '.join([*absent, *unseen])}: {reason}",
        hint="ask again when every party is there; an owner's allow_alone = true in [release], at every party that"
        " offers the table, would waive this",
    )


def _terms(scan: Scan, catalog: Catalog, policies: list[ReleasePolicy]) -> Terms:
    noisy = any(policy.noise == "required" for policy in policies)
    offering = [offer for offer in catalog.offers if offer.table(scan.name) is not None]
    min_parties = max(policy.min_parties for policy in policies)
    waived = all(offer.release.allow_alone for offer in offering)
    fewer = len(scan.parties) < len(offering)
    _check_missing(scan, catalog, offering, min_parties, waived, noisy)
    if waived and (fewer or len(scan.parties) < min_parties):
        min_parties = 1
    if not noisy and (len(scan.parties) < min_parties or (fewer and min_parties > 1)):
        named = ", ".join(scan.parties)
        raise PolicyDenied(
            f"{scan.name} of {named} alone is not answered: min_parties = {min_parties}",
            hint="ask over all parties that offer it; an owner's allow_alone = true in [release], at every party that"
            " offers the table, would waive this",
        )
    colluders = max(policy.noise_colluders for policy in policies)
    if noisy and 1 < len(scan.parties) <= colluders:
        raise PolicyDenied(
            f"noise against {colluders} colluding parties needs more than {len(scan.parties)} parties",
            hint="an owner would lower noise_colluders in [release]",
        )
    return Terms(
        min_group_size=max(policy.min_group_size for policy in policies),
        min_parties=min_parties,
        noisy=noisy,
        noise_colluders=colluders,
        epsilon=min(policy.epsilon for policy in policies),
        delta=min(policy.delta for policy in policies),
    )
