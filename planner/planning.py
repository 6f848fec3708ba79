"""`plan()`: from a question and a catalog to what every party runs, sends and decides. Pure, deterministic, memoised.

The steps, each of which EXPLAIN (STAGE name) can print: parse -> resolve and qualify names -> cut -> rules -> policy ->
partials -> fragments (-> noise).
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from threading import Lock

from sqlglot import exp
from sqlglot.errors import OptimizeError
from sqlglot.optimizer.qualify import qualify

from fedsql.codec import digest
from fedsql.errors import ProgrammingError
from fedsql.planner.catalog import Catalog
from fedsql.planner.constants import bind_now, bind_parameters
from fedsql.planner.cut import Cut, cut
from fedsql.planner.describing import describe
from fedsql.planner.no_rows import asks_no_rows, no_rows
from fedsql.planner.noising import with_noise
from fedsql.planner.parse import parse, within_reach
from fedsql.planner.plans import Plan, digest_of
from fedsql.planner.positions import Trace, position, shown
from fedsql.planner.question import Question
from fedsql.planner.releasing import Planner
from fedsql.planner.rules import rewrite
from fedsql.planner.schema import Schema, any_as_in, check_aliases, list_nothing, name_values, resolve_tables
from fedsql.planner.trees import find, sql_of
from fedsql.planner.typer import Typer

_memo: OrderedDict[bytes, Plan] = OrderedDict()
_memo_lock = Lock()
_MEMO_SIZE = 1024  # up to two entries for each plan


def plan(question: Question, catalog: Catalog, typer: Typer, schema: Schema) -> Plan:
    """Plan ``question`` against ``catalog``; ``schema`` is the mirror that ``typer`` describes over.

    Raises ProgrammingError, NotSupportedError or PolicyDenied; never anything that depends on data.
    """
    whose = [
        question.analyst,
        question.settings.epsilon,
        question.settings.accuracy,
        [[n, list(map(list, c))] for n, c in question.local],
        list(question.missing),
        catalog.digest,
    ]
    asked = digest(["asked", question.sql, list(map(list, question.parameters)), *whose])
    if (known := _remembered(asked)) is not None:
        return known
    tree = bind_parameters(parse(question.sql), question.parameters)
    timeless = not bind_now(tree, question.now)
    text = sql_of(tree)
    meant = digest(["meant", text, *whose])
    with within_reach():
        made = _remembered(meant) or _plan(tree, text, question, catalog, typer, schema, Trace())
    with _memo_lock:
        _memo[meant] = made
        if timeless:  # it does not depend on the clock: the next one need not be parsed to be known
            _memo[asked] = made
        while len(_memo) > _MEMO_SIZE:
            _memo.popitem(last=False)
    return made


def stages(question: Question, catalog: Catalog, typer: Typer, schema: Schema) -> tuple[tuple[str, str], ...]:
    """Plan ``question`` as `plan` does, and return (name, text) of each stage, for EXPLAIN."""
    tree, trace = bind_parameters(parse(question.sql), question.parameters), Trace(wanted=True)
    bind_now(tree, question.now)
    with within_reach():
        _plan(tree, sql_of(tree), question, catalog, typer, schema, trace)
    return tuple(trace.stages)


def _remembered(key: bytes) -> Plan | None:
    with _memo_lock:
        if key in _memo:
            _memo.move_to_end(key)
        return _memo.get(key)


def _plan(
    tree: exp.Query, text: str, question: Question, catalog: Catalog, typer: Typer, schema: Schema, trace: Trace
) -> Plan:
    catalog = catalog.without(question.missing)
    trace.add("parse", lambda: text)
    resolve_tables(tree, schema)
    check_aliases(tree)
    list_nothing(tree)
    any_as_in(tree)
    name_values(tree)
    if asks_no_rows(tree):
        tree = no_rows(typer.describe(text))
    try:
        qualified = qualify(tree, dialect="duckdb", schema=_nested(schema), quote_identifiers=True)
    except OptimizeError as error:
        raise _unclear(tree, str(error)) from None
    assert isinstance(qualified, exp.Query)
    trace.add("qualify", partial(shown, qualified, tables=True, pretty=True))
    done = cut(rewrite(qualified, catalog, trace), catalog, trace)
    final = partial(shown, done.final, tables=True, pretty=True)
    trace.add("cut", lambda: "\n".join([final(), *_listed(done)]))
    planner = Planner(catalog, question.analyst, typer, schema)
    planned = planner.releases(done)
    copies = planner.copies(done)
    made = Plan(
        planned,
        planner.local_sql(done.final),
        digest([text, question.settings.epsilon, question.settings.accuracy, list(question.missing)]),
        b"",
        copies=copies,
        inputs=tuple(planner.inputs.values()),
    )
    made = with_noise(made, question.settings)
    made = replace(made, releases=tuple(map(planner.on_grids, made.releases)))
    for release in made.releases:
        trace.add(f"logical ({release.release.relation})", partial(describe, release.release))
    fragments = [f"-- {party}\n{sql}" for r in made.releases for party, sql in r.fragments.items()]
    trace.add("fragments", lambda: "\n".join(fragments))
    trace.add("final", final)
    return replace(made, digest=digest_of(made))


def _listed(done: Cut) -> Iterator[str]:
    yield from (f"{i.name}: {shown(i.query, tables=True)}" for i in done.inputs)
    yield from map(describe, done.releases)


def _unclear(tree: exp.Query, text: str) -> ProgrammingError:
    """Return the error of a name that DuckDB knows, and the planner cannot place; ``text`` may quote the name."""
    quoted_names = re.findall(r"'(\w+)'", text)
    found = [column for column in find(tree, exp.Column) if column.name in quoted_names]
    which = f"what {found[0].name} names" if found else "what a name in this statement stands for"
    return ProgrammingError(
        f"the planner cannot tell {which}",
        hint="write table.column, give each table in FROM an alias; DESCRIBE t tells the columns of t",
        position=position(found[0]) if found else None,
    )


def _nested(schema: Schema) -> dict[str, object]:
    """Return ``schema`` as sqlglot takes it: without types, of which it needs none, and without what holds no tables."""
    return {
        db: {table: dict.fromkeys(columns, "unknown") for table, columns in tables.items()}
        for db, tables in schema.items()
        if tables
    }
