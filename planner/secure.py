"""Blocks below the cut that cannot raise: `planner.safe` for all expressions of joins and nested queries.

TRY takes no aggregate, window or subquery, so an expression that holds one is made safe part by part. What could still
raise at such a place is refused, with the cast that helps.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass

from sqlglot import exp

from fedsql.errors import NotSupportedError
from fedsql.planner.aggregates import is_aggregate
from fedsql.planner.blocks import conjuncts, grouping, is_grouped, is_query, items, outer_nodes, own_nodes
from fedsql.planner.bounds import Known
from fedsql.planner.coding import ROW_CAP
from fedsql.planner.functions import WINDOW_FUNCTIONS
from fedsql.planner.positions import position, shown
from fedsql.planner.safe import TypeOf, asked_as, guard_zero, may_raise, safe, safe_condition, to_type
from fedsql.planner.trees import find, sql_of, walk
from fedsql.types import SqlType

_CLAUSES = ("where", "having", "qualify")
_NEUTRAL = (exp.Window, exp.Filter, exp.Exists, exp.Any, exp.All)


@dataclass(frozen=True)
class Secure:
    """Makes blocks safe; ``describe`` asks DuckDB for the types of a query's columns."""

    describe: Callable[[str], list[str]]
    render: Callable[[exp.Expr], str]  # SQL as the typer knows it
    known: Callable[[Sequence[exp.Select]], Known]  # of a block and those around it

    def block(self, select: exp.Select, outer: Sequence[exp.Select] = ()) -> None:
        """Rewrite ``select`` and all blocks in it, in place, innermost last."""
        rows = groups = self._typing(select, outer)
        if is_grouped(select) and (keys := grouping(select)):
            grouped = self._typing(select, outer, keys)

            def groups(node: exp.Expr) -> str:  # a part of a key is no key: but it has its type in every row
                return (grouped if any(is_aggregate(part) for part in walk(node)) else rows)(node)

        known = self.known([select, *outer])
        nested = [node for node in find(select, exp.Select) if node is not select and _holder(node) is select]
        for _, join in items(select):
            if join is not None and (on := join.args.get("on")) is not None:
                join.set("on", self._condition(on, rows, rows, known))
        for part in _CLAUSES:
            if (clause := select.args.get(part)) is not None:
                clause.set("this", self._condition(clause.this, rows, rows if part == "where" else groups, known))
        select.set("expressions", [self._projection(p, rows, groups, known) for p in select.expressions])
        if (group := select.args.get("group")) is not None:
            group.set("expressions", [self._expression(key, rows, rows, known) for key in group.expressions])
        for query in nested:
            self.block(query, outer if _is_derived(query) else [select, *outer])

    def _typing(self, select: exp.Select, outer: Sequence[exp.Select], keys: Sequence[exp.Expr] = ()) -> TypeOf:
        sources, seen = [], set[str]()
        for block in (select, *outer):
            for item, _ in items(block):
                if item.alias_or_name.lower() not in seen:
                    seen.add(item.alias_or_name.lower())
                    sources.append(self.render(item))
        from_ = f" FROM {', '.join(sources)}" if sources else ""
        by = f" GROUP BY {', '.join(sql_of(key) for key in keys)}" if keys else ""
        types: dict[Hashable, str] = {}

        def type_of(node: exp.Expr) -> str:
            key = asked_as(node)
            if key not in types:
                # Beside an aggregate no column can be asked for.
                also = [] if types or by or any(map(is_aggregate, walk(node))) else to_type(_own(select), seen)
                asked = {asked_as(each): each for each in (node, *also)}
                listed = ", ".join(f"{self.render(each)} AS c{i}" for i, each in enumerate(asked.values()))
                types.update(zip(asked, self.describe(f"SELECT {listed}{from_}{by}"), strict=True))
            return types[key]

        return type_of

    def _projection(self, projection: exp.Expr, rows: TypeOf, groups: TypeOf, known: Known) -> exp.Expr:
        if isinstance(projection, exp.Star):
            return projection
        value = self._expression(projection.unalias(), rows, groups, known)
        return exp.alias_(value, projection.alias_or_name, quoted=True)

    def _condition(self, condition: exp.Expr, rows: TypeOf, groups: TypeOf, known: Known) -> exp.Expr:
        """Return a condition made safe, conjunct by conjunct: under TRY as a whole it would be no key of a join."""
        parts = [
            self._expression(part, rows, groups, known) if _hard(part) else safe_condition(part, known, groups)
            for part in list(conjuncts(condition))
        ]
        return exp.and_(*parts, copy=False)

    def _expression(self, node: exp.Expr, rows: TypeOf, groups: TypeOf, known: Known) -> exp.Expr:
        """Return ``node`` made safe; ``rows`` types what stands inside of aggregates, ``groups`` what does not."""
        if not _hard(node):
            return node if isinstance(node, exp.Column | exp.Literal | exp.Star) else safe(node, known, groups)
        if is_query(node) or isinstance(node, exp.Subquery):
            return node  # a block of its own
        if isinstance(node, exp.Window) and isinstance(node.this, WINDOW_FUNCTIONS):
            for name, value in list(node.this.args.items()):
                if isinstance(value, exp.Expr):
                    node.this.set(name, self._part(value, rows, rows, known))
        widened = None
        parts = rows if is_aggregate(node) or isinstance(node, exp.Window | exp.Filter) else groups
        if is_aggregate(node):
            _check_sum(node, rows)
        elif not isinstance(node, _NEUTRAL):
            guard_zero(node, groups)
            if may_raise(node, known, groups) or _mixed(node, groups):
                widened = _widened(node, groups)
                if widened is None:
                    raise NotSupportedError(
                        f"{shown(node)} may fail for some rows, and a party may not say for which",
                        hint="cast one side: CAST(... AS DOUBLE)",
                        position=position(node),
                    )
        for name, value in list(node.args.items()):
            if isinstance(value, exp.Expr) and not isinstance(value, WINDOW_FUNCTIONS):
                node.set(name, self._part(value, rows, parts, known))
            elif isinstance(value, list):
                node.set(name, [self._part(v, rows, parts, known) if isinstance(v, exp.Expr) else v for v in value])
        if widened is not None:
            node = _computed_wide(node, widened)
        return exp.TryCast(this=node.this, to=node.to) if type(node) is exp.Cast else node

    def _part(self, node: exp.Expr, rows: TypeOf, groups: TypeOf, known: Known) -> exp.Expr:
        if isinstance(node, exp.Identifier | exp.DataType | exp.Var | exp.WindowSpec | exp.TableAlias | exp.Star):
            return node
        if isinstance(node, exp.Where | exp.Order | exp.Ordered | exp.Distinct | exp.Tuple):
            for name, value in list(node.args.items()):
                if isinstance(value, exp.Expr):
                    node.set(name, self._part(value, rows, groups, known))
                elif isinstance(value, list):
                    node.set(name, [self._part(v, rows, groups, known) for v in value])
            return node
        return self._expression(node, rows, groups, known)


def _own(select: exp.Select) -> Iterator[exp.Expr]:
    """Walk the expressions and join conditions of a block without entering nested queries."""
    for _, join in items(select):
        if join is not None and (on := join.args.get("on")) is not None:
            yield from outer_nodes(on)
    yield from own_nodes(select)


def _hard(node: exp.Expr) -> bool:
    """Say whether an expression holds what TRY does not take."""
    return any(is_query(n) or isinstance(n, exp.Window) or is_aggregate(n) for n in walk(node))


def _widened(node: exp.Expr, type_of: TypeOf) -> str | None:
    """Return the type of integer arithmetic that cannot fail when it is computed in 128 bits; None for all else."""
    if not isinstance(node, exp.Add | exp.Sub | exp.Mul | exp.Neg):
        return None
    result = type_of(node)
    operands = [node.this] if isinstance(node, exp.Neg) else [node.left, node.right]
    types = [SqlType.parse(type_of(operand)) for operand in operands]
    fits = all(type_.family == "integer" and type_.low >= -(1 << 63) and type_.high < 1 << 63 for type_ in types)
    return result if fits and SqlType.parse(result).family == "integer" else None


def _computed_wide(node: exp.Expr, type_: str) -> exp.Expr:
    """Compute integer arithmetic in HUGEINT; what does not fit its own type is NULL, where DuckDB would raise."""
    for name in ("this", "expression"):
        if (operand := node.args.get(name)) is not None:
            node.set(name, exp.cast(operand, "HUGEINT", dialect="duckdb"))
    return exp.TryCast(this=node, to=exp.DataType.build(type_, dialect="duckdb"))


def _mixed(node: exp.Expr, type_of: TypeOf) -> bool:
    """Say whether IN compares with a query's column of another family of types, which DuckDB would have to convert."""
    if not isinstance(node, exp.In) or node.args.get("query") is None or isinstance(node.this.unnest(), exp.Tuple):
        return False
    one, other = (SqlType.parse(type_of(part)).family for part in (node.this, node.args["query"]))
    numbers = {"integer", "decimal", "float"}
    return one != other and not {one, other} <= numbers


def _is_derived(query: exp.Expr) -> bool:
    """Say whether a block stands in FROM, perhaps as a side of a set operation."""
    while isinstance(query.parent, exp.SetOperation | exp.Subquery):
        query = query.parent
    return isinstance(query.parent, exp.From | exp.Join) and query.arg_key == "this"


def _holder(select: exp.Select) -> exp.Select | None:
    return select.find_ancestor(exp.Select)


def _check_sum(call: exp.Expr, type_of: TypeOf) -> None:
    """Raise where a sum may pass the limits of its type."""
    if not isinstance(call, exp.Sum):
        return
    argument = call.this.expressions[0] if isinstance(call.this, exp.Distinct) else call.this
    type_ = SqlType.parse(type_of(argument))
    limit = 10**38 if type_.family == "decimal" else 1 << 127
    if type_.family in ("integer", "decimal") and max(type_.high, -type_.low) * ROW_CAP >= limit:
        raise NotSupportedError(
            f"{shown(call)} may be too large for its type, and a party may not say so",
            hint=f"SUM(CAST({shown(argument)} AS DOUBLE))",
            position=position(call),
        )
