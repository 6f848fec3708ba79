"""Put the query of a common table expression in place of its name, where federated rows are read.

WITH w AS (SELECT ward, stay FROM visits) SELECT AVG(stay) FROM w
-> SELECT AVG(stay) FROM (SELECT ward, stay FROM visits) AS w

Others stay: they run at the analyst as they are.
"""

from __future__ import annotations

from sqlglot import exp

from fedsql.planner.blocks import reads_federated
from fedsql.planner.catalog import Catalog
from fedsql.planner.trees import find


def expand_ctes(tree: exp.Query, catalog: Catalog) -> exp.Query:
    """Return ``tree`` without the CTEs that read federated rows, or that stand beside some."""
    for with_ in find(tree, exp.With):
        holder = with_.parent
        assert isinstance(holder, exp.Query)
        for cte in list(with_.expressions):
            if any(table.name.lower() == cte.alias.lower() for table in find(cte.this, exp.Table) if not table.db):
                continue  # recursive: it may read released relations, and runs at the analyst
            references = _references(holder, cte)
            if not reads_federated(cte.this, catalog) and not any(_beside(table, catalog) for table in references):
                continue
            for table in references:
                table.replace(exp.Subquery(this=cte.this.copy(), alias=exp.TableAlias(this=_alias(table))))
            cte.pop()
        if not with_.expressions:
            with_.pop()
    return tree


def _alias(table: exp.Table) -> exp.Identifier:
    name = table.alias_or_name
    found = exp.to_identifier(name, quoted=True)
    found.meta.update(table.this.meta)
    return found


def _references(holder: exp.Query, cte: exp.CTE) -> list[exp.Table]:
    """Return the tables in ``holder`` that name ``cte``."""
    name = cte.alias.lower()
    return [
        table
        for table in find(holder, exp.Table)
        if isinstance(table.this, exp.Identifier)
        and not table.db
        and table.name.lower() == name
        and not _shadowed(table, holder, cte)
    ]


def _shadowed(table: exp.Table, holder: exp.Query, cte: exp.CTE) -> bool:
    """Say whether another CTE of the name is nearer, or ``table`` stands in ``cte`` itself or before it."""
    node: exp.Expr = table
    while (parent := node.parent) is not None and parent is not holder:
        if isinstance(parent, exp.CTE) and parent.parent is cte.parent and (parent.index or 0) <= (cte.index or 0):
            return True
        if isinstance(parent, exp.Query) and any(other.alias.lower() == cte.alias.lower() for other in parent.ctes):
            return True
        node = parent
    return False


def _beside(table: exp.Table, catalog: Catalog) -> bool:
    """Say whether ``table`` stands in a block that reads federated rows."""
    block = table.find_ancestor(exp.Select)
    return block is not None and reads_federated(block, catalog)
