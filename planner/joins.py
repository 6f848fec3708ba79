"""The joins of a block below the cut: whether its rows meet at each party alone.

Federated sources must hang together by equalities of party-scoped ids, an outer join may pad only rows that are at one
party, and no copied relation may be kept by an outer join: every party would pad the rows that match at others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from sqlglot import exp

from fedsql.planner.blocks import conjuncts, is_outer, items, kept_items
from fedsql.planner.positions import position
from fedsql.planner.relations import Hazard
from fedsql.planner.sources import Env, NotLocal, Source
from fedsql.planner.trees import find

if TYPE_CHECKING:
    from fedsql.planner.below import Below


def check_joins(below: Below, env: Env, select: exp.Select) -> None:
    """Check that the federated sources of a block hang together by links, so that rows meet at one party only."""
    federated = {name: source for name, source in env.items() if source.federated}
    inner, apart = list(conjuncts(select.args.get("where"))), []
    for item, join in items(select):
        if join is None:
            continue
        _check_padding(below, env, item, join)
        found = list(conjuncts(join.args.get("on")))
        if is_outer(join):
            apart.append((item.alias_or_name.lower(), found))
        else:
            inner += found
    outer = dict(apart)
    _check_weights(
        below, env, [(item, [*inner, *outer.get(item.alias_or_name.lower(), ())]) for item in kept_items(select)]
    )
    if len(federated) < 2:
        return
    together = {name: {name} for name in federated}  # at one party
    of_one_unit = {name: {name} for name in federated}
    for own, found in [("", inner), *apart]:
        for conjunct in found:
            link = below.link(conjunct, [env])
            names = {column.table.lower() for column in link} if link else set()
            if len(names) == 2 and names <= federated.keys() and (not own or own in names):
                decides = below.tells_unit(*(below.column(column, [env]) for column in link or ()))
                for groups in (together, of_one_unit) if decides else (together,):
                    joined = set().union(*(groups[name] for name in names))
                    groups |= dict.fromkeys(joined, joined)
    first = next(iter(federated))
    apart_from_it = federated.keys() - of_one_unit[first]
    kept = {item.alias_or_name.lower() for item in kept_items(select)}
    if apart_from_it & kept:
        federated[first].one_unit = False
    below.mixed |= bool(apart_from_it)
    for name, source in () if below.alone else federated.items():
        if together[name] is not together[first]:
            raise NotLocal(
                f"rows of {below.names(federated[first])} and {below.names(source)} would meet across parties: nothing"
                " says that those joined here are at the same one",
                hint="join them on the privacy unit, or on a column with a declared reference",
                position=position(select),
            )
        _check_same_parties(below, federated[first], source, select)


def _check_same_parties(below: Below, first: Source, second: Source, select: exp.Select) -> None:
    """Refuse a join of tables that no party has both of."""
    one, other = (
        sorted({party for index in source.scans for party in below.scans[index].parties}) for source in (first, second)
    )
    if not set(one) & set(other):
        names = [", ".join(dict.fromkeys(below.scans[index].name for index in each.scans)) for each in (first, second)]
        raise NotLocal(
            f"{names[0]} is at {', '.join(one)}, {names[1]} at {', '.join(other)}: joining rows of"
            " different parties is not answered yet",
            hint="aggregate each table in a query of its own, and join the results",
            position=position(select),
        )


def _check_weights(below: Below, env: Env, waiting: list[tuple[exp.Expr, list[exp.Expr]]]) -> None:
    """A copied relation may repeat rows: without noise that would be a weight, unless at most one row of it fits.

    ``waiting``: each item with the conditions that hold for its rows. One after the other is found to be fixed by federated
    rows, and by what these fix: two relations that fix each other alone may still repeat all rows.
    """
    while waiting:
        left = [each for each in waiting if not _fits_once(below, env, *each)]
        if len(left) == len(waiting):
            break
        waiting = left
    for item, _ in waiting:
        below.hazards.append(_repeating(env[item.alias_or_name.lower()], item))


def _fits_once(below: Below, env: Env, item: exp.Expr, known: Sequence[exp.Expr]) -> bool:
    """Say whether at most one row of a source fits rows of those that are federated, or known to be single."""
    source = env[item.alias_or_name.lower()]
    if source.federated or source.single:
        return True
    own, keys = source.alias.lower(), []
    for conjunct in known:
        sides = (conjunct.this, conjunct.expression) if isinstance(conjunct, exp.EQ) else ()
        for key, other in (sides, sides[::-1]) if sides else ():
            if not isinstance(key, exp.Column) or key.table.lower() != own:
                continue
            others = [env.get(column.table.lower()) for column in find(other, exp.Column)]
            if all(each is None or each.federated or each.single for each in others):  # None: of a block around
                keys.append((key.name.lower(), _types(below, env, other)))
    offers = below.catalog.tables(source.public or "")
    source.single = bool(source.public) and all(o.holds_once({name for name, _ in keys}) for o in offers if o.public)
    typed = tuple(key for key in keys if source.input and key[1])
    if typed:
        source.single = True
        below.hazards.append(replace(_repeating(source, item), input=source.input, keys=typed))
    return source.single


def _repeating(source: Source, item: exp.Expr) -> Hazard:
    return Hazard(
        f"without noise, a join with {source.alias} may repeat rows, and so weigh them",
        "use it in IN (SELECT ...) or EXISTS, or join it to the released result in an outer query",
        position(item),
    )


def _types(below: Below, env: Env, expression: exp.Expr) -> tuple[str, ...]:
    """Return the types of a plain column at its parties; nothing of other expressions."""
    bare = expression.unnest()
    known = below.column(bare, [env]) if isinstance(bare, exp.Column) else None
    columns = [
        offer.column(name) for index, name in (known.bases if known else ()) for offer in below.scans[index].offers
    ]
    return tuple(sorted({column.type for column in columns if column is not None}))


def _check_padding(below: Below, env: Env, item: exp.Expr, join: exp.Join) -> None:
    """Refuse joins that keep rows which every party has: each would pad those that match at others."""
    if join.method or join.kind not in ("", "INNER", "OUTER", "CROSS", "SEMI", "ANTI"):
        kind = " ".join(part for part in (join.method, join.side, join.kind) if part)
        raise NotLocal(
            f"{kind} JOIN of federated rows is not answered", hint="write JOIN ... ON", position=position(join)
        )
    own = env[item.alias_or_name.lower()]
    before = list(env.values())[: list(env.values()).index(own)]
    kept_left = join.side in ("LEFT", "FULL") or join.kind in ("SEMI", "ANTI")
    kept_right = join.side in ("RIGHT", "FULL")
    left_lacks = kept_left and own.federated and not any(source.federated for source in before)
    right_lacks = kept_right and not own.federated and any(source.federated for source in before)
    if (left_lacks or right_lacks) and not below.alone:
        names = ", ".join(source.alias for source in before) if left_lacks else own.alias
        raise NotLocal(
            f"this join keeps the rows of {names} that match nothing, and every party has these rows: none knows what"
            " matches at the others",
            hint="aggregate the federated table in a subquery, and join the result",
            position=position(join),
        )
