"""The sibling rule: what a release may show beside other releases of the same rows (ROLLUP, CUBE, GROUPING SETS).

A total less the groups shown in it opens the rest of it. So the grouping sets of a block are decided one after the other,
finest first, and each party is told which of its groups and cells are shown before it counts for the next set. A group is
shown only if the rows in it that no finer group shows are none, or enough to be shown as a group of their own; so is a
cell, by the units that take part in it. Sets that do not nest could be combined in more ways: a group with rows that a group
*across* shows, and no finer one, is not shown. Hence what an answer shows of an aggregate is sums over disjoint sets of
rows, each of them none or large enough, and whatever is calculated from these holds one of them at least.

A fragment knows by flags on its rows: `_in_N` (the row's group of release N is shown) and `_in_N_C` (its cell C, too).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fedsql.planner.logical import Sibling
from fedsql.types import quoted

TOLD = "_told_"  # the relation of a party's own groups that are shown: their keys k0, ..., shown, and cells c0, ...


@dataclass(frozen=True)
class Beside:
    """The releases that one is decided beside. ``cells``: for each of them, by number, the cells that show each partial.

    None among them: it is shown with its group.
    """

    siblings: tuple[Sibling, ...]
    cells: Mapping[int, Mapping[str, Sequence[int | None]]]

    def finer(self, partial: str | None = None) -> str:
        """Return SQL: a finer group shows the row, or what it adds to ``partial``."""
        return self._shown(partial, finer=True)

    def across(self, partial: str | None = None) -> str | None:
        """Return SQL: a group that is not finer shows the same; None where all siblings are finer."""
        return self._shown(partial, finer=False) or None

    def _shown(self, partial: str | None, *, finer: bool) -> str:
        numbers = [sibling.number for sibling in self.siblings if sibling.finer == finer]
        flags = [_flag(n, cell) for n in numbers for cell in (self.cells[n][partial] if partial else (None,))]
        return " OR ".join(dict.fromkeys(flags))

    def flagged(self, relation: str, alias: str, labels: Mapping[int, Sequence[str]]) -> str:
        """Return ``relation`` with the flags of its rows; ``labels`` are the SQL of each sibling's keys over ``alias``."""
        listed, joins = [f"{quoted(alias)}.*"], ""
        for number, keys in labels.items():
            told = quoted(f"{TOLD}{number}")
            cells = sorted({cell for each in self.cells[number].values() for cell in each if cell is not None})
            listed += [f"coalesce({told}.shown, false) AS {_flag(number, None)}"]
            listed += [f"coalesce({told}.c{cell}, false) AS {_flag(number, cell)}" for cell in cells]
            on = [f"CAST({key} AS VARCHAR) IS NOT DISTINCT FROM {told}.k{i}" for i, key in enumerate(keys)]
            joins += f" LEFT JOIN {told} ON {' AND '.join(on)}"
        return f"SELECT {', '.join(listed)} FROM ({relation}) AS {quoted(alias)}{joins}"


def told_columns(keys: int, cells: int) -> tuple[tuple[str, str], ...]:
    """Return the columns (name, type) of the relation that tells a release's groups."""
    return (
        *((f"k{i}", "VARCHAR") for i in range(keys)),
        ("shown", "BOOLEAN"),
        *((f"c{i}", "BOOLEAN") for i in range(cells)),
    )


def _flag(number: int, cell: int | None) -> str:
    return quoted(f"_in_{number}" if cell is None else f"_in_{number}_{cell}")
