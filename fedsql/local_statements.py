"""Reading the statements that write local tables, and what DuckDB says it has written.

One of CREATE, DROP, INSERT, UPDATE, DELETE, TRUNCATE, ALTER; as sqlglot's tree, to know what it names and reads. What runs
is the text as it was written.
"""

from __future__ import annotations

from collections.abc import Sequence

import duckdb
from sqlglot import exp
from sqlglot.errors import SqlglotError

from fedsql.answer import Answer
from fedsql.errors import NotSupportedError, ProgrammingError
from fedsql.executors.engines.typer import read_twice
from fedsql.planner.constants import check_count, native
from fedsql.planner.parameters import checked
from fedsql.planner.parse import number_marks, read_statements, unread
from fedsql.planner.table_functions import check_functions
from fedsql.workbench import taken

_BESIDE = ("SEQUENCE", "INDEX")  # what serves tables
_KINDS = (exp.Create, exp.Drop, exp.Insert, exp.Update, exp.Delete, exp.TruncateTable, exp.Alter)


def read_write(sql: str) -> exp.Expr:
    """Return the tree of one statement that writes. Raises NotSupportedError, ProgrammingError for others."""
    with read_twice(sql):
        try:
            text, tokens = number_marks(sql)
            statements = read_statements(text, tokens)
        except SqlglotError:
            raise unread() from None
    if len(statements) != 1:
        raise ProgrammingError("one statement at a time", hint="separate statements are run one after the other")
    (tree,) = statements
    creates = not isinstance(tree, exp.Create | exp.Drop) or kind_of(tree) in ("TABLE", "VIEW", *_BESIDE)
    if not isinstance(tree, _KINDS) or not creates:
        raise NotSupportedError(
            f"{' '.join(token.text.upper() for token in tokens[:2])} is not answered",
            hint="local tables and views: CREATE TABLE, CREATE VIEW, INSERT, UPDATE, DELETE, DROP",
        )
    check_functions(tree)
    if tree.find(exp.TemporaryProperty) is not None:
        raise NotSupportedError(
            "TEMP is not needed: local tables end with the session", hint="CREATE TABLE x AS SELECT ..."
        )
    return tree


def kind_of(tree: exp.Expr) -> str:
    """Return what CREATE or DROP is about: TABLE, VIEW, SEQUENCE, INDEX; empty for other statements."""
    return str(tree.args.get("kind") or "").upper() if isinstance(tree, exp.Create | exp.Drop) else ""


def serves_tables(tree: exp.Expr) -> bool:
    """Say whether a statement creates or drops a sequence or an index."""
    return kind_of(tree) in _BESIDE


def into(tree: exp.Expr) -> str:
    """Return the statement that a query's rows run into: ``{query}`` stands for them."""
    copy = tree.copy()
    mark = exp.Select(expressions=[exp.Star()]).from_(exp.to_table("_rows"))
    copy.set("expression", mark)
    return copy.sql("duckdb").replace(mark.sql("duckdb"), "{query}")


def values_of(wanted: int, parameters: object) -> list[object]:
    """Return the values of ``wanted`` parameters as DuckDB takes them. Raises ProgrammingError, DataError."""
    given = checked(parameters)
    check_count(wanted, len(given))
    return [native(value) for value in given]


def rows_each(tree: exp.Expr) -> int | None:
    """Return how many rows an INSERT writes whenever it runs; None where that depends on what there is."""
    plain = isinstance(tree, exp.Insert) and isinstance(tree.expression, exp.Values)
    if not plain or any(tree.args.get(key) for key in ("conflict", "alternative", "returning")):
        return None
    return len(tree.expression.expressions)


def run(
    tree: exp.Expr, cursor: duckdb.DuckDBPyConnection, sql: str, values: Sequence[object], most: int | None = None
) -> Answer:
    """Run a statement; return the rows of RETURNING, and how many rows were written where that is said."""
    if tree.args.get("returning"):
        relation = cursor.sql(sql, params=list(values))
        columns = tuple(zip(relation.columns, map(str, relation.types), strict=True))
        table = taken(relation, most)
        return Answer(table, columns, changed=table.num_rows)
    result = cursor.execute(sql, list(values)) if values else cursor.execute(sql)
    if isinstance(tree, exp.Create | exp.Drop | exp.Alter) and not isinstance(tree.expression, exp.Query):
        return Answer()
    rows = result.fetchall()
    return Answer(changed=rows[0][0] if rows and isinstance(rows[0][0], int) else None)
