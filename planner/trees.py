"""Walking, copying and printing sqlglot's trees: as sqlglot does it, in a third of the time.

A plan walks a query's tree a hundred times and copies it a dozen. sqlglot's own `walk` goes through three generators for
each node, and its `copy` through `copy.deepcopy` for the place of each name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from sqlglot import exp
from sqlglot.dialects import DuckDB

T = TypeVar("T", bound=exp.Expr)
_DUCKDB = DuckDB()


def walk(tree: exp.Expr, prune: Callable[[exp.Expr], bool] | None = None) -> Iterator[exp.Expr]:
    """Yield ``tree`` and all below it, level by level; where ``prune`` says so, a node without what is below it."""
    found = [tree]
    for node in found:
        yield node
        if prune is None or not prune(node):
            for value in node.args.values():
                if isinstance(value, exp.Expr):
                    found.append(value)
                elif type(value) is list:
                    found += [each for each in value if isinstance(each, exp.Expr)]


def find(tree: exp.Expr, *kinds: type[T]) -> list[T]:
    """Return the nodes of some ``kinds`` in ``tree``, level by level."""
    return [node for node in walk(tree) if isinstance(node, kinds)]


def copied(tree: T) -> T:
    """Return a copy of ``tree`` with all that sqlglot's own copies have: places, types and comments."""
    root = _bare(tree)
    waiting: list[tuple[exp.Expr, exp.Expr]] = [(tree, root)]
    for node, copy in waiting:
        args: dict[str, Any] = copy.args
        for name, value in node.args.items():
            if isinstance(value, exp.Expr):
                args[name] = new = _bare(value)
                new.parent, new.arg_key = copy, name
                waiting.append((value, new))
            elif type(value) is list:
                args[name] = several = []
                for index, each in enumerate(value):
                    if isinstance(each, exp.Expr):
                        new = _bare(each)
                        new.parent, new.arg_key, new.index = copy, name, index
                        waiting.append((each, new))
                        several.append(new)
                    else:
                        several.append(each)
            else:
                args[name] = value
    return root


def _bare(node: T) -> T:
    new = type(node)()
    if node._meta is not None:
        new._meta = dict(node._meta)
    if node._type is not None:
        new._type = copied(node._type)
    if node.comments is not None:
        new.comments = list(node.comments)
    return new


def copied_rows(select: exp.Select) -> exp.Select:
    """Return a copy of FROM and WHERE of a block, in a block of their own."""
    bare = exp.Select(expressions=[])
    for part in ("from_", "joins", "where"):
        if given := select.args.get(part):
            bare.set(part, [copied(each) for each in given] if isinstance(given, list) else copied(given))
    return bare


def sql_of(node: exp.Expr) -> str:
    """Return the SQL of ``node`` in DuckDB's dialect."""
    sql: str = _DUCKDB.generate(copied(node), copy=False)
    return sql
