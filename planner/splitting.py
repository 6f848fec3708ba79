"""Splitting a cut block: into a release, and the same block over the released relation.

The release holds the block's keys and aggregates over its FROM and WHERE. What is left are the block's upper parts, in which
columns of the release (k0, k1, ... and a0, a1, ...) stand in place of them. ROLLUP, CUBE and GROUPING SETS make one release
for each grouping set, and a call over listed values (`planner.above`) one of these values.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from sqlglot import exp

from fedsql.errors import NotSupportedError, PolicyDenied
from fedsql.planner.above import each_alone, is_mode, lists_values, over_values, put_together, united, values_of
from fedsql.planner.aggregates import GROUPING
from fedsql.planner.binder import bind_release
from fedsql.planner.blocks import (
    aggregate_calls,
    aliases,
    defines,
    grouping,
    grouping_sets,
    is_shadowed,
    is_windowed,
    own_nodes,
)
from fedsql.planner.catalog import Catalog
from fedsql.planner.inputs import Inputs
from fedsql.planner.logical import MARGIN, Release, Sibling, margin_of
from fedsql.planner.positions import position, shown
from fedsql.planner.trees import find, sql_of

_CONSTANTS = (exp.Literal, exp.Boolean, exp.Null)
_NO_KEY = (exp.Alias, exp.Identifier, exp.Literal, exp.Ordered)  # never a key or an aggregate themselves
UPPER = ("expressions", "having", "qualify", "order", "distinct", "windows", "limit", "offset")  # parts of a block


@dataclass
class Splitter:
    """Splits the blocks of one statement. ``releases`` are those found so far, in the order of their numbers."""

    catalog: Catalog
    inputs: Inputs
    releases: list[Release] = field(default_factory=list)

    def split(self, select: exp.Select) -> None:
        """Split ``select`` in place: bind its release, and let it read the released relation."""
        if sample := select.args.get("sample"):  # DuckDB samples what FROM yields, before it aggregates
            raise PolicyDenied(
                "SAMPLE over federated rows is refused",
                hint="aggregate in a subquery; SAMPLE works on the released groups",
                position=position(sample),
            )
        calls = aggregate_calls(select)
        sets = grouping_sets(select)
        keys = _keys(select, calls) if sets is None else _distinct(key for each in sets for key in each)
        if sets is not None:
            texts = [{sql_of(key) for key in each} for each in sets]
            sets = [[key for key in keys if sql_of(key) in each] for each in texts]
        several = {sql_of(call): parts for call in calls if (parts := each_alone(call))}
        listed = _distinct(call for call in calls if lists_values(call))
        single = [part for call in calls for part in several.get(sql_of(call), [call])]
        aggregates = _distinct(call for call in single if not lists_values(call))
        if listed and sets is not None:
            raise NotSupportedError(
                f"{shown(listed[0])} is not answered with ROLLUP, CUBE and GROUPING SETS",
                hint="write one GROUP BY query for each level",
                position=position(listed[0]),
            )
        if not aggregates and not listed and (not keys or sets is not None):  # something is to be released
            aggregates = [exp.Count(this=exp.Star())]
        names = {sql_of(key): f"k{i}" for i, key in enumerate(keys) if not isinstance(key, _CONSTANTS)}
        names |= {sql_of(call): f"a{i}" for i, call in enumerate(aggregates)}
        alias = f"_r{len(self.releases)}"
        relation: exp.Expr = _one(alias)
        if keys or aggregates:  # of listed values alone no more than these is released
            bound = self._bind(select, keys, aggregates)
            releases = [self._release(bound)] if sets is None else self._grouped(bound, keys, sets)
            alias = f"_r{releases[0].number}"
            relation = exp.alias_(exp.to_table(releases[0].relation), alias, table=True)
        if sets is not None:
            told = _distinct(node for node in own_nodes(select) if isinstance(node, GROUPING))
            names |= {sql_of(node): f"g{i}" for i, node in enumerate(told)}
            relation = united(alias, keys, sets, releases, len(aggregates), told)
        below = aliases(select)
        lifted: dict[str, exp.Expr] = {text: exp.column(name, table=alias, quoted=True) for text, name in names.items()}
        lifted |= {text: put_together([lifted[sql_of(part)] for part in parts]) for text, parts in several.items()}
        beside = len(listed) > 1 or bool(aggregates)
        lifted |= {sql_of(call): self._listed(select, keys, call, alias, beside) for call in listed}

        def lift(node: exp.Expr) -> exp.Expr:
            if (
                sets is None
                and _is_margin(node)
                and (name := names.get(sql_of(node.expressions[0]), "")).startswith("a")
            ):
                return exp.column(margin_of(name), table=alias, quoted=True)
            new = None if isinstance(node, _NO_KEY) else lifted.get(sql_of(node))
            return node if new is None or is_windowed(node) or is_shadowed(node) else new.copy()

        for part in UPPER:
            value = select.args.get(part)
            if isinstance(value, list):
                select.set(part, [item.transform(lift) for item in value])
            elif isinstance(value, exp.Expr):
                select.set(part, value.transform(lift))
        having = select.args.get("having")
        select.set("from_", exp.From(this=relation))
        select.set("joins", None)
        select.set("where", exp.Where(this=having.this) if having is not None else None)
        select.set("having", None)
        select.set("group", None)
        for column in find(select, exp.Column):
            if column.table.lower() in below and not defines(column, select):
                raise NotSupportedError(
                    f"{sql_of(column)} is used above the GROUP BY, where only keys and aggregates exist",
                    hint="add it to GROUP BY, or aggregate it",
                    position=position(column),
                )

    def _listed(self, select: exp.Select, keys: list[exp.Expr], call: exp.Expr, around: str, beside: bool) -> exp.Expr:
        """Release the distinct values under a call; return what reads them in place of it.

        ``beside``: the same rows are aggregated in other ways, too.
        """
        rows, value = values_of(select, call)
        counts: list[exp.Expr] = [exp.Count(this=exp.Star())] if is_mode(call) else []
        bound = self._bind(rows, [*keys, value], counts)
        release = self._release(replace(bound, is_beside=beside, values_of=shown(call), most_frequent=is_mode(call)))
        return over_values(call, release.relation, f"_v{release.number}", around, len(keys))

    def _bind(self, select: exp.Select, keys: list[exp.Expr], aggregates: list[exp.Expr]) -> Release:
        """Bind one release of a block."""
        return bind_release(len(self.releases), select, keys, aggregates, self.catalog, self.inputs)

    def _grouped(self, bound: Release, keys: list[exp.Expr], sets: list[list[exp.Expr]]) -> list[Release]:
        """Keep the release of each grouping set; ``bound`` is that of all ``keys`` together.

        It is the first one of all, also where it is not asked for: the finest groups tell which rows may be told apart.
        """
        places = {sql_of(key): place for place, key in enumerate(keys)}
        asked = [tuple(places[sql_of(key)] for key in each) for each in sets]
        made: dict[frozenset[int], Release] = {}
        for each in sorted([tuple(places.values()), *asked], key=len, reverse=True):
            if frozenset(each) in made:
                continue
            siblings = tuple(
                Sibling(release.number, release.keys, chosen >= frozenset(each)) for chosen, release in made.items()
            )
            listed = tuple(replace(bound.keys[place], name=f"k{i}") for i, place in enumerate(each))
            made[frozenset(each)] = self._release(
                replace(bound, number=len(self.releases), keys=listed, siblings=siblings)
            )
        return [made[frozenset(each)] for each in asked]

    def _release(self, release: Release) -> Release:
        """Keep a release, or return the equal one that is there: a statement may read one twice."""
        for known in self.releases:
            if replace(release, number=known.number) == known:
                return known
        self.releases.append(release)
        return release


def _is_margin(node: exp.Expr) -> bool:
    """Say whether a node is margin(...) of one argument."""
    return isinstance(node, exp.Anonymous) and node.name.lower() == MARGIN and len(node.expressions) == 1


def _keys(select: exp.Select, calls: list[exp.Expr]) -> list[exp.Expr]:
    """Return the grouping expressions, each once."""
    group = select.args.get("group")
    if group is None and calls:
        return []
    distinct = select.args.get("distinct")
    if group is None and distinct is not None and distinct.args.get("on"):
        raise PolicyDenied(
            "DISTINCT ON over federated rows is refused: it would show single rows",
            hint="GROUP BY the columns instead",
            position=position(select),
        )
    found = grouping(select)
    keys = {sql_of(key): key for key in found if not isinstance(key, _CONSTANTS)}
    # constants divide nothing; but unlike an ungrouped release, their one group is there only if a row is
    return list(keys.values()) or [exp.Literal.number(1) for _ in found[:1]]


def _one(alias: str) -> exp.Subquery:
    """Return a relation of one row, which says nothing."""
    row = exp.Select(expressions=[exp.alias_(exp.Literal.number(1), "nothing")])
    return exp.Subquery(this=row, alias=exp.TableAlias(this=exp.to_identifier(alias)))


def _distinct(nodes: Iterable[exp.Expr]) -> list[exp.Expr]:
    """Return nodes without those whose text was there before."""
    return list({sql_of(node): node for node in nodes}.values())
