"""The star that the parts of a private join make: one *anchor*, and *providers*, each linked to it by equality of keys.

An equality of two providers' keys is one with the anchor's where the anchor's key is equal to either. The anchor is the
preserved side of LEFT and RIGHT; else the part that several parties have, or whose key is not known to be unique, or the
first in FROM.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from fedsql.errors import NotSupportedError
from fedsql.planner.catalog import Catalog
from fedsql.planner.positions import position
from fedsql.planner.private_parts import Part, is_unique

Pair = tuple[tuple[Part, exp.Expr], tuple[Part, exp.Expr]]  # two parts' expressions that a condition says are equal
_ADVICE = "aggregate each table in a query of its own, and join the results"


def anchor_of(parts: Sequence[Part], pairs: Sequence[Pair], catalog: Catalog) -> Part:
    """Choose the anchor, give every other part its keys, and check it. Raises NotSupportedError where there is no star."""
    outer = [part for part in parts if part.outer]
    several = [part for part in parts if len(part.owners) > 1]
    free = [part for part in parts if not part.outer]
    ranked = sorted(
        free,
        key=lambda part: (part not in several, not outer and is_unique(catalog, part, _keys_of(part, pairs))),
    )
    for part in [free[0]] if outer and free else ranked:
        if (found := _linked(part, parts, pairs)) is not None:
            for other, keys in found:
                other.keys = keys
                _check_link(other, parts)
            return part
    raise not_star(parts[-1].items[0][0], "give every table an equality with one and the same table: ON a.key = b.key")


def _keys_of(part: Part, pairs: Sequence[Pair]) -> list[exp.Expr]:
    return [mine for pair in pairs for (owner, mine) in pair if owner is part]


def _linked(
    anchor: Part, parts: Sequence[Part], pairs: Sequence[Pair]
) -> list[tuple[Part, list[tuple[exp.Expr, exp.Expr]]]] | None:
    """Return the keys of all other parts if each is linked with ``anchor``, directly or by an equal key."""
    found: dict[int, list[tuple[exp.Expr, exp.Expr]]] = {id(part): [] for part in parts}
    waiting = list(pairs)
    equal: list[tuple[Part, str, exp.Expr]] = []  # an inner provider's expression is equal to this of the anchor
    while waiting:
        left = []
        for pair in waiting:
            for (one, mine), (other, theirs) in (pair, pair[::-1]):
                own = mine if one is anchor else None
                own = own or next((e for p, text, e in equal if p is one and text == mine.sql()), None)
                if own is not None and other is not anchor:
                    found[id(other)].append((own, theirs))
                    if not other.outer:
                        equal.append((other, theirs.sql(), own))
                    break
            else:
                left.append(pair)
        if len(left) == len(waiting):
            return None
        waiting = left
    others = [(part, found[id(part)]) for part in parts if part is not anchor]
    return others if all(keys for _, keys in others) else None


def _check_link(part: Part, parts: Sequence[Part]) -> None:
    """Refuse a provider's part that several parties have, or that may match nothing at a party that has more of the join."""
    item = part.items[0][0]
    if len(part.owners) > 1:
        raise NotSupportedError(
            f"{part.text} is at {', '.join(sorted(part.owners))}: rows of several parties are joined with those of one"
            " party at a time",
            hint="name one party's table: party.table",
            position=position(item),
        )
    if part.outer and any(other is not part and part.owners & other.owners for other in parts):
        raise not_star(item, _ADVICE)


def not_star(item: exp.Expr, hint: str) -> NotSupportedError:
    """Return the error for an item of FROM that is no part of a star."""
    return NotSupportedError(
        f"{item.alias_or_name} is not joined as different parties' rows can be: to one table, each by equal keys",
        hint=hint,
        position=position(item),
    )
