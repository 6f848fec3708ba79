"""SHOW and DESCRIBE: what there is, from the offers and the parties' ledgers. They ask nobody for data and cost nothing."""

from __future__ import annotations

from datetime import UTC, datetime

from fedsql.answer import Answer, listing
from fedsql.executors.federation import Federation
from fedsql.executors.roles.analyst import Analyst
from fedsql.executors.roles.directory import Directory
from fedsql.local import LocalTables
from fedsql.planner.parse import parse
from fedsql.planner.question import Settings
from fedsql.planner.schema import UNION, resolve_tables
from fedsql.planner.statements import Describe, Show
from fedsql.types import quoted


def show(statement: Show, federation: Federation, analyst: Analyst, settings: Settings, local: LocalTables) -> Answer:
    """Answer SHOW PARTIES, TABLES, BUDGET, SETTINGS, VIEWS or KEYS."""
    offers = federation.directory.catalog.offers
    if statement.what == "settings":
        allow_missing = str(settings.allow_missing).lower()
        accuracy = "off" if settings.accuracy is None else f"{settings.accuracy:.6%}".rstrip("0%").rstrip(".") + "%"
        rows = [("epsilon", f"{settings.epsilon:g}"), ("accuracy", accuracy), ("allow_missing", allow_missing)]
        return listing(("setting", "value"), rows)
    if statement.what == "budget":
        return _budget(federation, analyst)
    if statement.what == "parties":
        return _parties(federation)
    if statement.what == "views":
        return listing(("view", "query"), local.views.queries())
    if statement.what == "keys":
        names = ("table", "name", "kind", "column", "referenced_table", "referenced_column")
        return listing(names, local.keys())
    tables = sorted((t.name, t.party, len(t.columns), t.rows, t.privacy_unit or "") for o in offers for t in o.tables)
    shown: list[tuple[object, ...]] = [(*row, unit or None) for *row, unit in tables]
    shown += [(name, None, columns, None, None) for name, columns in local.listed()]
    shown += [(name, None, None, None, None) for name, _ in local.views.queries()]
    return listing(("table", "party", "columns", "rows_at_most", "privacy_unit"), shown)


def describe(statement: Describe, directory: Directory, local: LocalTables) -> Answer:
    """Answer DESCRIBE table or party.table: columns, and how they may be used at every party that offers them.

    Of a local table it tells which columns take NULL and what they hold when nothing is given.
    """
    party, name = statement.schema, statement.table
    if party in ("", UNION) and (columns := local.columns(name)):
        return listing(("column", "type", "nullable", "default"), columns)
    typer = directory.typer(())
    written = quoted(name) if not party else f"{quoted(party)}.{quoted(name)}"
    resolve_tables(parse(f"SELECT 1 FROM {written}"), typer.tables)  # says which tables there are
    offers = [o for o in directory.catalog.tables(name) if party in ("", UNION, o.party.lower())]
    rows = []
    for column, type_ in typer.tables[party or UNION][name].items():
        held = {o.party: found for o in offers if (found := o.column(column)) is not None}
        uses = sorted(frozenset.intersection(*(found.use for found in held.values())))
        bounds = {found.bounds_text for found in held.values()}
        bound = bounds.pop() if len(bounds) == 1 else None
        shown = f"[{bound[0]}, {bound[1]}]" if bound else None
        rows.append((column, type_, ", ".join(uses), shown, ", ".join(sorted(held))))
    return listing(("column", "type", "use", "bounds", "parties"), rows)


def _parties(federation: Federation) -> Answer:
    offers = {offer.party: offer for offer in federation.directory.catalog.offers}
    rows = []
    for each in federation.presence():
        since = None if each.since is None else datetime.fromtimestamp(each.since, UTC).strftime("%m-%d %H:%M")
        offer = offers.get(each.party)
        told: tuple[object, ...] = (None,) * 4
        if offer is not None:
            r = offer.release
            told = (", ".join(t.name for t in offer.tables), r.min_group_size, r.min_parties, r.noise)
        rows.append((each.party, each.state, since, *told))
    return listing(("party", "state", "since_utc", "tables", "min_group_size", "min_parties", "noise"), rows)


def _budget(federation: Federation, analyst: Analyst) -> Answer:
    rows: list[tuple[object, ...]] = []
    for name, spent in federation.budgets(analyst).items():
        if spent is None:
            rows.append((name, None, None, None, None))
            continue
        epsilon = (round(each, 4) for each in (spent.epsilon_spent, spent.left))
        rows.append((name, spent.queries_used, spent.queries_left, *epsilon))
    return listing(("party", "queries_used", "queries_left", "epsilon_spent", "epsilon_left"), rows)
