"""The analyst's views: queries under a name, put in its place wherever it stands, and asked anew each time.

They are kept as texts and never reach DuckDB's catalog: a view may read federated tables, which are not there.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection
from dataclasses import dataclass

from sqlglot import exp

from fedsql.answer import Answer
from fedsql.errors import ProgrammingError
from fedsql.planner.parse import parse
from fedsql.planner.schema import UNION, is_cte_reference
from fedsql.planner.trees import find

_DEEPEST = 16


@dataclass(frozen=True)
class Saved:
    """A view: its name as it was written, its query, and the names of its columns where they were given."""

    name: str
    sql: str
    columns: tuple[str, ...] = ()


class Views:
    """The views of one session."""

    def __init__(self) -> None:
        self._views: dict[str, Saved] = {}  # by the name in lower case

    def __contains__(self, name: str) -> bool:
        return name in self._views

    def names(self) -> tuple[str, ...]:
        """Return the names of the views, in lower case."""
        return tuple(sorted(self._views))

    def queries(self) -> list[tuple[str, str]]:
        """Return the name of each view, as it was written, and its query."""
        return [(saved.name, saved.sql) for _, saved in sorted(self._views.items())]

    def create(self, tree: exp.Create, name: str, tables: Collection[str], check: Callable[[str], object]) -> Answer:
        """Run CREATE VIEW ``name``. ``tables`` are the local tables, whose names are taken; ``check`` binds a query."""
        if name in self._views and not tree.args.get("replace"):
            if tree.args.get("exists"):
                return Answer()
            raise ProgrammingError(
                f"there is a view {name} already", hint="CREATE OR REPLACE VIEW replaces it", sqlstate="42P07"
            )
        if name in tables:
            raise ProgrammingError(f"{name} is a local table", hint=f"DROP TABLE {name} first, or choose another name")
        if not isinstance(tree.expression, exp.Query):
            raise ProgrammingError("a view is a query", hint="CREATE VIEW v AS SELECT ...")
        holder = tree.this
        columns = tuple(each.name for each in holder.expressions) if isinstance(holder, exp.Schema) else ()
        if any(table.name.lower() == name for table in find(tree.expression, exp.Table)):
            raise ProgrammingError(f"the view {name} names itself")
        text = tree.expression.sql("duckdb")
        check(text)
        self._views[name] = Saved((holder.this if isinstance(holder, exp.Schema) else holder).name, text, columns)
        return Answer()

    def drop(self, tree: exp.Drop) -> Answer:
        """Run DROP VIEW."""
        table = tree.find(exp.Table)
        name = table.name.lower() if table is not None else ""
        if name not in self._views:
            if tree.args.get("exists"):
                return Answer()
            near = difflib.get_close_matches(name, self._views, n=1)
            hint = f"did you mean {near[0]}?" if near else f"views: {', '.join(self.names()) or 'none'}"
            raise ProgrammingError(f"there is no view {name}", hint=hint, sqlstate="42P01")
        del self._views[name]
        return Answer()

    def expanded(self, tree: exp.Query) -> bool:
        """Put the views that ``tree`` names in their places; return whether there was any."""
        changed = False
        for _ in range(_DEEPEST):
            found = [t for t in find(tree, exp.Table) if self._view(t) is not None and not is_cte_reference(t)]
            if not found:
                return changed
            for table in found:
                view = self._view(table)
                assert view is not None
                columns = [exp.to_identifier(name, quoted=True) for name in view.columns] or None
                alias = exp.TableAlias(this=exp.to_identifier(table.alias_or_name, quoted=True), columns=columns)
                table.replace(exp.Subquery(this=parse(view.sql), alias=alias))
            changed = True
        raise ProgrammingError("views stand in each other too deeply")

    def _view(self, table: exp.Table) -> Saved | None:
        if table.db.lower() not in ("", UNION) or not isinstance(table.this, exp.Identifier):
            return None
        return self._views.get(table.name.lower())
