"""The columns of joined rows as they are collected: x of the anchor, y of each provider, and which of them are multiplied.

Equal columns are shared. A number of -1 stands for a column that is 1 in every row, of which none is made.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from fedsql.planner.joint import LinkPlan, Term
from fedsql.planner.relations import Link

ONES = "1"  # SQL of a column that is 1 in every row


@dataclass
class Columns:
    """Collects the columns of one release: their numbers by (SQL, limbs)."""

    own: dict[tuple[str, int], int] = field(default_factory=dict)
    provided: dict[str, dict[tuple[str, int], int]] = field(default_factory=dict)
    shared: dict[str, dict[int, None]] = field(default_factory=dict)  # own columns of a link
    products: dict[str, dict[tuple[int, int], None]] = field(default_factory=dict)

    def x(self, sql: str, limbs: int) -> int:
        """Return the number of a column of the anchor, adding it when new."""
        return self.own.setdefault((sql, limbs), len(self.own))

    def factor(self, sql: str, limbs: int) -> int:
        """Return the number of a column of the anchor that others may be multiplied by: -1 where it is 1 in every row."""
        return self.x(sql, limbs) if sql != ONES else -1

    def y(self, provider: str, sql: str, limbs: int) -> int:
        """Return the number of a column of a provider, adding it when new."""
        columns = self.provided.setdefault(provider, {})
        return columns.setdefault((sql, limbs), len(columns))

    def share(self, provider: str, own: int, y: int = -1) -> None:
        """Add a column of the anchor to those that are shared in a link; and its product with ``y`` of the provider."""
        if own >= 0:
            self.shared.setdefault(provider, {})[own] = None
        if own >= 0 and y >= 0:
            self.products.setdefault(provider, {})[own, y] = None

    def link(self, link: Link) -> LinkPlan:
        """Return what is planned of a link so far, but for its grouping keys."""
        own = tuple(self.shared.get(link.provider, {}))
        places = {x: at for at, x in enumerate(own)}
        return LinkPlan(
            link.provider,
            link.inner,
            own,
            tuple(limbs for _, limbs in self.provided.get(link.provider, {})),
            tuple((places[x], y) for x, y in self.products.get(link.provider, {})),
        )

    def alone(self, link: Link, sums: Iterable[tuple[Term, ...]]) -> frozenset[int]:
        """Return the columns of a link's provider that it adds up alone, in all of ``sums``."""
        joined = {t.provided for terms in sums for t in terms if t.provider == link.provider and not t.beside}
        return frozenset(range(len(self.provided.get(link.provider, {})))) - joined
