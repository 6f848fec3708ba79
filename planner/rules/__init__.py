"""The rewrite rules of a qualified statement, one file and one function each, in the order of `RULES`.

They bring what reads federated rows into the form that the cut knows: one block that holds all that runs at the parties.
`decorrelate` and `restrict_keys` are applied by the cut itself, to what turns out to need rows of several parties.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp

from fedsql.planner.catalog import Catalog
from fedsql.planner.positions import shown
from fedsql.planner.rules.expand_ctes import expand_ctes
from fedsql.planner.rules.flatten import flatten

RULES: tuple[Callable[[exp.Query, Catalog], exp.Query], ...] = (expand_ctes, flatten)


def rewrite(tree: exp.Query, catalog: Catalog) -> tuple[exp.Query, list[tuple[str, str]]]:
    """Apply all rules. Also return each rule's name with the statement after it where it changed something."""
    trace = []
    before = tree.sql("duckdb")
    names = tree.named_selects
    for rule in RULES:
        tree = rule(tree, catalog)
        after = tree.sql("duckdb")
        if tree.named_selects != names:
            raise AssertionError(f"the rule {rule.__name__} changed the columns of a statement")
        if after != before:
            trace.append((rule.__name__, shown(tree, tables=True, pretty=True)))
        before = after
    return tree, trace
