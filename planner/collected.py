"""The partials of one release as they are collected: each once, with SQL of what a party computes and a slot that holds it.

Which of them an aggregate takes, and how they become its value, is for `planner.builder`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from fedsql.planner.cells import Cells, all_of
from fedsql.planner.coding import ROW_CAP, Coded, needs_halves, slot_width
from fedsql.planner.ordered import Order
from fedsql.planner.partials import Partial, counted, filter_of, summed
from fedsql.planner.quantiles import Rank
from fedsql.planner.ranges import Ranges


@dataclass
class Collected(Cells):
    """Collects the partials of one release, with the tests and cells of `Cells`; equal ones are shared."""

    partials: list[Partial] = field(default_factory=list)
    rows: int = ROW_CAP  # of one party in one group, at most

    def partial(
        self,
        sql: tuple[str, ...],
        limit: int,
        low: int = 0,
        high: int = 1,
        *,
        counts_units: bool = False,
        tagged: bool = False,
        once: bool = False,
    ) -> str:
        """Return the name of the partial with this SQL, adding it when new. ``limit`` bounds one party's sum.

        A count of units is no other count, even where its SQL is the same: it is not at every party.
        """
        for known in self.partials:
            if (known.sql, known.counts_units) == (sql, counts_units):
                return known.name
        name, width = f"p{len(self.partials)}", slot_width(limit, self.parties)
        self.partials.append(Partial(name, sql, limit, width, low, high, counts_units, tagged, once=once))
        return name

    def count(self, condition: str | None, *coded: Coded) -> str:
        """Add the partial COUNT of the rows under ``condition``; ``coded`` is what is then summed over them."""
        value = coded[0].value if len(coded) == 1 and _beyond(condition, *coded) is None else None
        return self.partial((counted(condition) if value is None else f"COUNT({value})",), self.rows)

    def distinct(self, label: str, condition: str | None) -> str:
        """Add the number of distinct values of ``label``, whose texts are equal where the values are."""
        where = filter_of(condition)
        if self.parties == 1:
            return self.partial((f"COUNT(DISTINCT {label}){where}",), self.rows)
        return self.partial((f"list(DISTINCT CAST({label} AS VARCHAR)){where}",), ROW_CAP, tagged=True)

    def shared(self, sql: str, order: Order, rank: Rank | None = None) -> tuple[str, str]:
        """Add the code of a value over all parties: two shares."""
        for at, known in enumerate(self.partials):
            if (known.sql, known.order, known.rank) == ((sql,), order, rank):
                return known.name, self.partials[at + 1].name
        names, width = (f"p{len(self.partials)}", f"p{len(self.partials) + 1}"), -(-order.bits // 8)
        self.partials.append(Partial(names[0], (sql,), 1 << order.bits, width, order=order, rank=rank))
        self.partials.append(Partial(names[1], (), 1 << order.bits, width))
        return names

    def histogram(self, sql: str, ranges: Ranges) -> str:
        """Add the counts of all levels of ``ranges``, of which ``sql`` is a histogram."""
        for known in self.partials:
            if (known.sql, known.ranges) == ((sql,), ranges):
                return known.name
        name = f"p{len(self.partials)}"
        self.partials.append(Partial(name, (sql,), ROW_CAP, slot_width(ROW_CAP, self.parties), ranges=ranges))
        return name

    def sum(self, coded: Coded, condition: str | None) -> str:
        """Add the partial SUM of a coded value."""
        where = _beyond(condition, coded)
        if coded.sum_as_is is not None:
            return self.partial((summed(coded.sum_as_is, where),), coded.limit * self.rows, coded.low, coded.high)
        return self._sum(coded.sql, coded.limit, where, coded.low, coded.high)

    def product(self, a: Coded, b: Coded, condition: str | None) -> str:
        """Add the partial SUM of the product of two coded values."""
        limit = a.limit * b.limit
        wide = "BIGINT" if limit < 1 << 62 else "HUGEINT"
        sql = f"CAST({a.sql} AS {wide}) * CAST({b.sql} AS {wide})"
        return self._sum(f"({sql})", limit, _beyond(condition, a, b), -limit, limit)

    def _sum(self, sql: str, limit: int, condition: str | None, low: int, high: int) -> str:
        if not needs_halves(limit):
            return self.partial((summed(sql, condition),), limit * self.rows, low, high)
        wide = f"CAST({sql} AS HUGEINT)"
        halves = (summed(f"{wide} >> 64", condition), summed(f"{wide} & 18446744073709551615::HUGEINT", condition))
        return self.partial(halves, limit * self.rows, low, high)


def _beyond(condition: str | None, *coded: Coded) -> str | None:
    """Return a condition, unless it only says that the values are there: a sum leaves out what is not."""
    return None if condition == all_of(*(each.present for each in coded)) else condition
