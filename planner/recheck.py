"""The cost of a noisy plan, derived a second time: from what its fragments do, not from how its noise was calibrated.

Each party compares it with what it is about to charge, before anything that depends on data leaves it. The arithmetic is
in exact fractions and shares no code with `sensitivity`, so one mistake would have to be made twice.
"""

from __future__ import annotations

import math
from fractions import Fraction

from fedsql.errors import InternalError
from fedsql.planner.joint import JoinPlan
from fedsql.planner.partials import Partial
from fedsql.planner.plans import Plan, ReleasePlan
from fedsql.planner.relations import Rows
from fedsql.planner.sensitivity import Noise
from fedsql.privacy.tree import BRANCHES


def recheck(plan: Plan) -> None:
    """Raise InternalError unless the noise of every released number covers what one unit can do, and all is charged."""
    curves = []
    for release in (each for each in plan.releases if each.terms.noisy):
        if release.noise is None or len(release.noise) != len(release.partials):
            raise InternalError("a noisy release has values without noise")
        if (release.domain is None) != (release.noise_of_units is not None):
            raise InternalError("the groups of a noisy release are shown without a decision under noise")
        for partial, noise in zip(release.partials, release.noise, strict=True):
            largest = 1 if partial.once else max(abs(partial.low), abs(partial.high)) * _rows(release)
            curves.append(_curve(release, noise, largest, partial))
        if release.noise_of_units is not None:
            curves.append(_curve(release, release.noise_of_units, 1, None))
    if not curves:
        return
    total = [math.fsum(values) for values in zip(*curves, strict=True)]
    if plan.rdp is None or any(cost > charged * (1 + 1e-9) for cost, charged in zip(total, plan.rdp, strict=True)):
        raise InternalError("a question would cost more than is charged for it")


def _curve_of_join(
    release: ReleasePlan, join: JoinPlan, noise: Noise, largest: int, partial: Partial | None
) -> list[float]:
    """Return what one number over joined rows costs: each of the anchor's rows of a unit is in it, and may be rounded up."""
    leaf, rows = release.leaf, _rows(release)
    assert isinstance(leaf, Rows)
    assert leaf.join is not None
    held = [offer for scan in leaf.join.anchor.scans for offer in scan.offers]
    apart = all(offer.privacy_unit is not None and offer.unit_scope == "global" for offer in held)
    places = 1 if apart else len(join.anchors)
    needed = Fraction(largest * places, noise.grid)
    if noise.grid > 1:
        needed += rows * places
    within = rows if release.release.keys else 1
    if noise.moved.most < needed or noise.moved.groups < (1 if partial is not None and not partial.once else within):
        raise InternalError("the noise of a value is sized for less than one unit can do")
    honest = len(release.contributors) - min(release.terms.noise_colluders, len(release.contributors) - 1)
    if not 1 <= noise.honest <= honest or noise.parties != len(release.contributors):
        raise InternalError("noise shares are sized for other parties than contribute")
    return [float(value) for value in noise.mechanism.curve(noise.moved)]


def _rows(release: ReleasePlan) -> int:
    """Return with how many rows a unit counts at one party; over joined rows, of those."""
    leaf = release.leaf
    if isinstance(leaf, Rows) and leaf.join is not None:
        of = [leaf.join.anchor, *(link.rows for link in leaf.join.links if not link.unique)]
        taken = [
            max(
                1 if len(each.scans) == 1 and not each.publics and o.unit_unique else o.max_rows_per_unit
                for s in each.scans
                for o in s.offers
            )
            for each in of
        ]
        most: int = math.prod(taken) * 2 ** sum(not link.inner for link in leaf.join.links)
        return most
    return max(1 if offer.unit_unique else offer.max_rows_per_unit for offer in release.leaf.offers)


def _curve(release: ReleasePlan, noise: Noise, largest: int, partial: Partial | None) -> list[float]:
    """Return what one number costs in each group; ``largest`` is how far a unit moves it at one party."""
    if release.join is not None:
        return _curve_of_join(release, release.join, noise, largest, partial)
    offers = release.leaf.offers
    linked = all(offer.privacy_unit is None or offer.unit_scope == "global" for offer in offers)
    places = 1 if linked else len(offers)
    within = _rows(release) if release.release.keys else 1  # groups that a unit is in
    if release.noise_of_units is not None:
        within = min(within, max(offer.max_groups_per_unit for offer in offers))
    once = partial is None or partial.once
    groups = within if once else 1  # a count of units moves by one in each group that the unit is in
    needed = Fraction(largest * places, noise.grid)
    if noise.grid > 1:  # each sum that a unit is in may be rounded to the other side
        needed += places if once else places * within
    if partial is not None and partial.ranges is not None:  # a row is counted once, and again in each coarser level
        while partial.ranges.count > BRANCHES**groups:
            groups += 1
        if noise.grid != 1:
            raise InternalError("counts in ranges are not sent as they are")
    honest = len(release.contributors) - min(release.terms.noise_colluders, len(release.contributors) - 1)
    if noise.moved.most < needed or noise.moved.groups < groups:
        raise InternalError("the noise of a value is sized for less than one unit can do")
    if not 1 <= noise.honest <= honest or noise.parties != len(release.contributors):
        raise InternalError("noise shares are sized for other parties than contribute")
    return [float(value) for value in noise.mechanism.curve(noise.moved)]
