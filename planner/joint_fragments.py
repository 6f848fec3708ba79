"""The fragments of a private join: one SELECT for each party, which yields rows with the columns that are multiplied.

What they yield is described in `planner.joint`. Under noise no unit counts with more rows than its party's policy says: a
flag tells which ones, drawn by a keyed hash, and stands for the part's condition from there on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from sqlglot import exp

from fedsql.planner.fragments import SAMPLING_KEY, Typing
from fedsql.planner.joint_columns import Columns
from fedsql.planner.joint_sql import JointSql, holds, relation
from fedsql.planner.relations import Join, Link, Rows
from fedsql.planner.row_columns import ROWS
from fedsql.planner.rows_sql import RowsSql

KEPT = "_kept"  # the flag's column


class JointFragments:
    """Writes the fragments of one release over the joined rows ``leaf``. ``parts`` write the SQL of each part.

    ``join`` is the one whose conditions are safe; the attribute has the flags for conditions where rows are drawn.
    """

    def __init__(self, leaf: Rows, join: Join, typing: Typing, parts: Mapping[str, RowsSql], *, noisy: bool) -> None:
        self.leaf, self.typing, self.parts, self.noisy = leaf, typing, parts, noisy
        self.conditions = {"": join.condition} | {link.provider: link.condition for link in join.links}
        self.join = self._flagged(join)

    def anchor(self, party: str, places: Sequence[int], sql: JointSql, columns: Columns) -> str:
        """Return the fragment of an anchor's party; ``places`` are those of its grouping keys."""
        keys = sql.keys
        source = self._source("", party, keys[self.join.links[0].provider][0], self.conditions[""], self.join.anchor)
        listed = [f"{label} AS k{place}" for label, place in zip(sql.labels[""], places, strict=True)]
        listed.append(f"{holds(self.join.condition)} AS kept")
        for number, link in enumerate(self.join.links):
            key = keys[link.provider][0]
            key = key if link.on is None else f"CASE WHEN {holds(link.on)} THEN {key} END"
            listed.append(f"{key} AS key_{number}")
        listed += [f"{x} AS x{j}" for j, (x, _) in enumerate(columns.own)]
        return self.typing.checked(source, f"SELECT {', '.join(listed)} FROM {relation(source)}")

    def provider(self, link: Link, places: Sequence[int], sql: JointSql, columns: Columns) -> str:
        """Return the fragment of a provider; ``places`` are those of its grouping keys."""
        key, labels = sql.keys[link.provider][1], sql.labels.get(link.provider, [])
        source = self._source(link.provider, link.provider, key, self.conditions[link.provider], link.rows, link.unique)
        listed = [f"{label} AS k{place}" for label, place in zip(labels, places, strict=True)]
        listed += [f"{y} AS y{j}" for j, (y, _) in enumerate(columns.provided.get(link.provider, {}))]
        tested = key if link.condition is None else f"CASE WHEN {holds(link.condition)} THEN {key} END"
        found = f"SELECT {', '.join([f'{tested} AS key', 'false AS absent', *listed])} FROM {relation(source)}"
        if link.inner:
            return self.typing.checked(source, found)
        empty = ", ".join(
            f'CAST(NULL AS {c.type}) AS "{c.name}"' for c in self.leaf.columns if c.name in link.rows.schema
        )
        if link.condition is not None and self._most(link.rows) is not None:
            empty += f', false AS "{KEPT}"'
        nothing = f"SELECT {', '.join(['NULL AS key', 'true AS absent', *listed])} FROM {relation(f'SELECT {empty}')}"
        return self.typing.checked(source, f"{found} UNION ALL {nothing}")

    def _source(
        self, part: str, party: str, unit: str, condition: exp.Expr | None, rows: Rows, unique: bool = False
    ) -> str:
        """Return the relation of a part at ``party``.

        Under noise values are inside their bounds, and a flag tells which rows of each ``unit`` count: as many as may.
        """
        source = self.parts[part].at(party, clamp=self.noisy, unit=False, numbered=self.noisy)
        most = self._most(rows)
        if most is None or unique:
            return source
        return f'SELECT *, {_sampled(unit, holds(condition), most)} AS "{KEPT}" FROM {relation(source)}'

    def _most(self, rows: Rows) -> int | None:
        """Return how many rows of one unit are taken of a part; None where no unit has more."""
        offers = [offer for scan in rows.scans for offer in scan.offers]
        if not self.noisy or (rows.is_table and all(offer.unit_unique for offer in offers)):
            return None
        return max(offer.max_rows_per_unit for offer in offers)

    def _flagged(self, join: Join) -> Join:
        """Return the join with the flags of `_source` as conditions, where rows are drawn."""
        flag = exp.column(KEPT, table=ROWS, quoted=True)
        links = tuple(
            link if link.unique or self._most(link.rows) is None else replace(link, condition=flag)
            for link in join.links
        )
        condition = join.condition if self._most(join.anchor) is None else flag
        return replace(join, condition=condition, links=links)


def _sampled(unit: str, kept: str, most: int) -> str:
    """Return SQL that holds for so many rows of each unit, of those that are kept: the ones with the least keyed hashes."""
    order = f"sha256('{SAMPLING_KEY}' || CAST(_row AS VARCHAR))"
    return f"({kept}) AND row_number() OVER (PARTITION BY {unit}, ({kept}) ORDER BY {order}) <= {most}"
