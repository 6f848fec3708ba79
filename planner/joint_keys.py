"""The keys of joined rows: whose column each grouping key is, and join keys as texts that are equal where the keys are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import prod

from sqlglot import exp

from fedsql.errors import NotSupportedError, PolicyDenied
from fedsql.planner.bounds import Known
from fedsql.planner.factors import Factors
from fedsql.planner.fragments import Typing, label_sql
from fedsql.planner.joint import Labels
from fedsql.planner.logical import Key, Release
from fedsql.planner.positions import position, shown
from fedsql.planner.relations import Join, Link, Rows
from fedsql.planner.schema import clash
from fedsql.types import SqlType

MOST_PUBLIC = 4096  # public group values of one part; more are not public to the plan
_LINK_KEY = "a join key"
_WHOLE = {"integer", "decimal", "text"}  # a common type of two of these tells all their values apart


@dataclass(frozen=True)
class JointKeys:
    """Tells the keys of one release over joined rows; ``known`` are the bounds of its columns."""

    release: Release
    factors: Factors
    typing: Typing
    known: Known

    def grouping(self) -> dict[str, list[tuple[int, Key]]]:
        """Return the grouping keys of each part, with their places: of the anchor, and of one provider at most."""
        found: dict[str, list[tuple[int, Key]]] = {"": []}
        for place, key in enumerate(self.release.keys):
            part = self.factors.part(key.expression)
            if part is None:
                raise NotSupportedError(
                    f"GROUP BY {shown(key.expression)} takes columns of several parties together",
                    hint="group by the columns of each one: GROUP BY a.x, b.y",
                    position=position(key.expression),
                )
            found.setdefault(part, []).append((place, key))
        if len(found) > 2:
            last = max(listed[0][0] for part, listed in found.items() if part)
            raise NotSupportedError(
                f"GROUP BY takes columns of {' and '.join(sorted(part for part in found if part))}: of one joined table at a"
                f" time, beside those of {self.factors.join.anchor.name}",
                hint="ask in several queries",
                position=position(self.release.keys[last].expression),
            )
        self._check_keyed(next((part for part in found if part), ""))
        return found

    def label(self, key: Key) -> str:
        """Return SQL of the text of a grouping key."""
        return f"CAST({label_sql('GROUP BY', key.expression, key.type, self.known, self.typing)} AS VARCHAR)"

    def of_link(self, link: Link) -> tuple[str, str]:
        """Return SQL of a link's key at the anchor and at the provider, as texts that are equal where the keys are."""
        sides: tuple[list[str], list[str]] = ([], [])
        for pair in link.keys:
            types = self.typing.types_of(pair)
            if clash(types):
                raise PolicyDenied(
                    f"{shown(pair[0])} is {types[0]} and {shown(pair[1])} is {types[1]}: as join keys they do not go together",
                    hint="CAST one of them to the other's type",
                    position=position(pair[0]),
                )
            common = self.typing.type_of(exp.func("COALESCE", *(e.copy() for e in pair)))
            for listed, key in zip(sides, pair, strict=True):
                own = self.typing.type_of(key)
                cast = key.copy() if own == common else exp.cast(key.copy(), common, dialect="duckdb")
                listed.append(f"CAST({label_sql(_LINK_KEY, cast, common, self.known, self.typing)} AS VARCHAR)")
        if len(link.keys) == 1:
            return sides[0][0], sides[1][0]
        one, other = (" || ".join(f"strlen({text}) || ':' || {text}" for text in listed) for listed in sides)
        return one, other

    def _check_keyed(self, keyed: str) -> None:
        """Refuse keys of an outer provider beside inner ones."""
        if (
            keyed
            and not next(link for link in self.factors.join.links if link.provider == keyed).inner
            and any(link.inner for link in self.factors.join.links)
        ):
            raise NotSupportedError(
                f"GROUP BY columns of {keyed}, which a LEFT JOIN adds, is not answered beside other joined tables",
                hint="JOIN it, or ask without the others",
                position=position(next(k.expression for k in self.release.keys if self.factors.part(k.expression))),
            )


def with_types(join: Join, typing: Typing) -> Join:
    """Return the join with keys that are no longer unique where their common type may make several of them equal."""

    def stays(pair: tuple[exp.Expr, exp.Expr]) -> bool:
        common = typing.type_of(exp.func("COALESCE", *(e.copy() for e in pair)))
        own = typing.type_of(pair[1])
        return own == common or {SqlType.parse(own).family, SqlType.parse(common).family} <= _WHOLE

    links = tuple(replace(link, unique=link.unique and all(map(stays, link.keys))) for link in join.links)
    return replace(join, links=links)


def domain(keys: Sequence[Key], leaf: Rows) -> Labels | None:
    """Return the labels of a part's grouping keys where their values are public; NULL is one of each, and the first.

    For where nothing matches all keys are NULL, and what no provider is in has the first place.
    """
    values = []
    for key in keys:
        if not isinstance(key.expression, exp.Column):
            return None
        bases = leaf.column(key.expression.name).bases
        columns = [o.column(base) for index, base in bases for o in leaf.scans[index].offers]
        if not columns or any(column is None or column.values is None for column in columns):
            return None
        values.append((None, *dict.fromkeys(v for c in columns if c is not None for v in c.values or ())))
    if prod(len(v) for v in values) > MOST_PUBLIC:
        return None
    return tuple(product(*values))
