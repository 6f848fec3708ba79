"""The joint terms of a release: what the policies of all contributing parties make together, and over which parties.

The strictest of each number holds. Without noise a table is answered over all parties that offer it, unless their owners
waive that (``allow_alone``): the difference of two answers would be one party's.
"""

from __future__ import annotations

from dataclasses import dataclass

from fedsql.errors import PolicyDenied
from fedsql.planner.catalog import Catalog
from fedsql.planner.offer import Offer
from fedsql.planner.relations import Leaf, Rows, scans_of


@dataclass(frozen=True)
class Terms:
    """What the contributing parties' policies make of one release, all together."""

    min_group_size: int
    min_parties: int
    noisy: bool
    noise_colluders: int
    epsilon: float
    delta: float

    @property
    def hides(self) -> bool:
        """Whether there may be groups that are not shown."""
        return not self.noisy and (self.min_group_size > 1 or self.min_parties > 1)


def terms_of(leaf: Leaf, catalog: Catalog) -> Terms:
    """Return what the policies of all that ``leaf`` reads make together: the strictest of each. Raises PolicyDenied."""
    policies = [offer.release for offer in catalog.offers if offer.party in leaf.parties]
    noisy = any(policy.noise == "required" for policy in policies)
    joined = isinstance(leaf, Rows) and leaf.join is not None
    names = [scan.name for scan in scans_of(leaf) if not joined or scan.party is None]
    offering = [offer for offer in catalog.offers if any(offer.table(name) is not None for name in names)]
    if joined:  # other parties' tables of these names are others than those that are named
        offering += [offer for offer in catalog.offers if offer.party in leaf.parties and offer not in offering]
    min_parties = max(policy.min_parties for policy in policies)
    waived = all(offer.release.allow_alone for offer in offering)
    fewer = len(leaf.parties) < len(offering) and not joined
    _check_missing(leaf, catalog, offering, min_parties, waived, noisy)
    if waived and (fewer or len(leaf.parties) < min_parties):
        min_parties = 1
    if not noisy and (len(leaf.parties) < min_parties or (fewer and min_parties > 1)):
        named = ", ".join(leaf.parties)
        raise PolicyDenied(
            f"{leaf.name} of {named} alone is not answered: min_parties = {min_parties}",
            hint="ask over all parties that offer it; an owner's allow_alone = true in [release], at every party that"
            " offers the table, would waive this",
        )
    colluders = max(policy.noise_colluders for policy in policies)
    if noisy and 1 < len(leaf.parties) <= colluders:
        raise PolicyDenied(
            f"noise against {colluders} colluding parties needs more than {len(leaf.parties)} parties",
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


def _check_missing(
    leaf: Leaf, catalog: Catalog, offering: list[Offer], min_parties: int, waived: bool, noisy: bool
) -> None:
    """Refuse an exact answer without parties that cannot be reached, unless the policies of all that offer it allow it."""
    if leaf.party is not None:
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
        f"{leaf.name} is not answered without {', '.join([*absent, *unseen])}: {reason}",
        hint="ask again when every party is there; an owner's allow_alone = true in [release], at every party that"
        " offers the table, would waive this",
    )
