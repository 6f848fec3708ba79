"""The rewrite rules of a qualified statement, one file and one function each, in the order of `RULES`.

They bring what reads federated rows into the form that the cut knows: one block that holds all that runs at the parties.
`decorrelate` and `restrict_keys` are applied by the cut itself, to what turns out to need rows of several parties.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from sqlglot import exp

from fedsql.planner.catalog import Catalog
from fedsql.planner.positions import Trace, shown
from fedsql.planner.rules.compute_first import compute_first
from fedsql.planner.rules.expand_ctes import expand_ctes
from fedsql.planner.rules.flatten import flatten
from fedsql.planner.trees import sql_of

RULES: tuple[Callable[[exp.Query, Catalog], exp.Query], ...] = (expand_ctes, flatten, compute_first)


def rewrite(tree: exp.Query, catalog: Catalog, trace: Trace) -> exp.Query:
    """Apply all rules. Into the ``trace`` goes the statement after each one that changed something."""
    names = tree.named_selects
    for rule in RULES:
        before = sql_of(tree) if trace.wanted else ""
        tree = rule(tree, catalog)
        if tree.named_selects != names:
            raise AssertionError(f"the rule {rule.__name__} changed the columns of a statement")
        if trace.wanted and sql_of(tree) != before:
            trace.add(rule.__name__, partial(shown, tree, tables=True, pretty=True))
    return tree
