"""What is counted and shown of joined rows: the builder of partials, with the tests of a private join.

Above min_group_size 1 a group is shown where enough units matched and enough did not, at the anchor and at each provider: or
its survival would tell an owner who is known to the other (DESIGN, section 7; `join_both_sides`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlglot import exp

from fedsql.crypto.circuit import Rest
from fedsql.errors import NotSupportedError
from fedsql.planner.builder import PAIRS, Builder
from fedsql.planner.cells import Render
from fedsql.planner.coding import ROW_CAP
from fedsql.planner.joint_sums import LEFT_OUT, MATCHED, PROVIDED, UNMATCHED, UNPROVIDED
from fedsql.planner.logical import Aggregate
from fedsql.planner.ordered import EXTREMES
from fedsql.planner.partials import filter_of
from fedsql.planner.positions import position
from fedsql.planner.quantiles import QUANTILES
from fedsql.planner.relations import Join, Rows
from fedsql.planner.sensitivity import Contribution
from fedsql.planner.summable import Argument


def check_functions(aggregates: Sequence[Aggregate], *, noisy: bool = False) -> None:
    """Raise NotSupportedError for what is no sum of products; and under noise, which is sized for one column, of two."""
    for aggregate in aggregates:
        name, where = aggregate.function.upper(), [position(argument) for argument in aggregate.arguments[:1]]
        if noisy and aggregate.function in PAIRS:
            raise NotSupportedError(
                f"{name} is not answered over a private join under noise, which a party here requires",
                hint="counts, sums, averages and variances are",
                position=where[0],
            )
        if aggregate.function in (*EXTREMES, *QUANTILES):
            raise NotSupportedError(
                f"{name} is not answered over a private join",
                hint="counts, sums, averages, variances, covariances and regressions are",
                position=where[0],
            )


def places_of(join: Join) -> int:
    """Return at how many anchors one of a provider's units may match: at one where the anchors declare that none is at two."""
    offers = [offer for scan in join.anchor.scans for offer in scan.offers]
    apart = _is_by_unit(join) and all(
        offer.privacy_unit is not None and offer.unit_scope == "global" for offer in offers
    )
    return 1 if apart else len(join.anchor.parties)


def _is_by_unit(join: Join) -> bool:
    """Say whether the key of every link is the anchor's privacy unit."""
    own = [[key for key, _ in link.keys] for link in join.links]
    anchor = join.anchor
    return all(_is_unit(anchor, keys) for keys in own)


def _is_unit(rows: Rows, keys: Sequence[exp.Expr]) -> bool:
    """Say whether a key is the privacy unit itself. A CAST of it is not, for it may make those of several units equal."""
    (key, *others) = keys
    return not others and isinstance(key, exp.Column) and key.name in rows.schema and rows.column(key.name).is_unit


def enough_at(places: int, k: int) -> int:
    """Return the least number of matches, counted at each of some anchors, that are of ``k`` of a provider's units.

    One of these may match at ``places`` of them, and nobody knows that it is the same.
    """
    return places * (k - 1) + 1


@dataclass
class JointBuilder(Builder):
    """A `Builder` for joined rows. ``keyed``: the provider that groups by keys of its own; ``both``: `join_both_sides`."""

    join: Join | None = None
    keyed: str = ""
    both: bool = True

    def groups(self, min_parties: int) -> tuple[int, ...]:
        """Add what decides whether a group is shown. All owners are in every group, so their number is known."""
        assert self.join is not None
        survive = [self.test(self.count_units(None), self.min_group_size)]
        if self.min_group_size == 1:
            return tuple(survive)
        links = self.join.links
        if self.both and (self.keyed or any(link.inner for link in links)):
            survive.append(self._enough(f"{LEFT_OUT}()"))
        for link in links:
            counted = [PROVIDED, UNPROVIDED] if self.both else [PROVIDED]
            if link.provider == self.keyed and not link.inner:  # rows that match nothing have a group of their own
                tests = tuple(self._enough(f"{each}('{link.provider}')") for each in counted)
                self.rests.append(Rest(self.test(f"{PROVIDED}('{link.provider}')", 1), tests))
                continue
            if not link.inner and self.keyed:
                continue  # nothing of it can be in a sum beside the keyed provider
            if not link.inner:
                counted = [MATCHED, *([UNMATCHED] if self.both else []), *counted]
            survive += [self._enough(f"{each}('{link.provider}')") for each in counted]
        return tuple(dict.fromkeys(survive))

    def nonzero(self, split: Argument, render: Render, monomials: Sequence[list[str]]) -> list[str]:
        """Return what says that a value is not zero: of several parties' columns nobody can tell but where each is.

        That is enough: no more is opened than the sums of its monomials, which have a test each.
        """
        assert self.join is not None
        if self.join.parts(split.value):
            return super().nonzero(split, render, monomials)
        return monomials[0] if len(monomials) == 1 else []

    def distinct(self, label: str, condition: str | None) -> str:
        """Add the number of distinct values of ``label``."""
        return self.partial((f"COUNT(DISTINCT {label}){filter_of(condition)}",), ROW_CAP)

    def _enough(self, sql: str) -> int:
        return self.test(sql, self.min_group_size)


def contribution_of(join: Join, *, grouped: bool) -> Contribution:
    """Return how much one unit may contribute under noise, whose rows `unit_of` has found to have one key.

    Each of the anchor's rows meets each of the provider's. Where rows that match nothing are kept, a unit of the provider
    moves the anchor's rows from there: what it adds, and what it takes away.
    """
    rows = _rows(join.anchor)
    for link in join.links:
        rows *= (1 if link.unique else _rows(link.rows)) * (1 if link.inner else 2)
    return Contribution(rows, places_of(join), rows if grouped else 1, joined=True)


def _rows(rows: Rows) -> int:
    """Return how many rows of one unit a party takes: all that there are, where no unit has two."""
    offers = [offer for scan in rows.scans for offer in scan.offers]
    return max(1 if rows.is_table and offer.unit_unique else offer.max_rows_per_unit for offer in offers)


def unit_of(join: Join, *, hides: bool, noisy: bool = False) -> tuple[int | None, bool]:
    """Return by which link's key the anchor's units are counted (None: each row is one), and whether no unit has two rows.

    ``hides``: units must be counted exactly; ``noisy``: each key must be of one unit at either side. Raises
    NotSupportedError where keys do not tell them.
    """
    offers = [offer for scan in join.anchor.scans for offer in scan.offers]
    rows_are_units = join.anchor.is_table and all(offer.privacy_unit is None or offer.unit_unique for offer in offers)
    if not hides:
        return None, rows_are_units
    for link in join.links:
        _check_provider(link.rows, [key for _, key in link.keys], noisy=noisy)
    own = [[key for key, _ in link.keys] for link in join.links]
    if _is_by_unit(join):
        return (None if rows_are_units else 0), rows_are_units
    if noisy:
        raise NotSupportedError(
            f"under noise, which a party here requires, {join.anchor.name} must be joined on its privacy unit",
            hint="one row of another key could count for any number of units",
        )
    if not rows_are_units:
        raise NotSupportedError(
            f"above min_group_size 1, {join.anchor.name} has several rows of one privacy unit and must be joined on the unit",
            hint="join on the privacy unit; or aggregate its rows by it in a derived table",
        )
    if len({" ".join(key.sql() for key in keys) for keys in own}) > 1:
        raise NotSupportedError(
            f"above min_group_size 1, all tables are joined with {join.anchor.name} on one key, or on its privacy unit",
            hint="ask in several queries, one for each key",
        )
    return 0, rows_are_units  # several of the anchor's rows may match one of a provider's: whichever are fewer count


def _check_provider(rows: Rows, keys: Sequence[exp.Expr], *, noisy: bool) -> None:
    """Refuse a provider whose units cannot be counted by its keys: one may have several, also of a unit and something else."""
    offers = [offer for scan in rows.scans for offer in scan.offers]
    single = rows.is_table and all(offer.privacy_unit is None or offer.unit_unique for offer in offers)
    if not ((single and not noisy) or _is_unit(rows, keys)):
        raise NotSupportedError(
            f"{'under noise' if noisy else 'above min_group_size 1'}, {rows.name} must be joined on its privacy unit",
            hint="join on the privacy unit; or aggregate its rows by it in a derived table",
        )
