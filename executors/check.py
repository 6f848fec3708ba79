"""`fedsql check`: who would offer what, and every mistake, before anybody asks anything.

It loads the tables of the parties that run here, as a session would, and writes nothing. It stands above the files'
own checks because only DuckDB knows types and rows.
"""

from __future__ import annotations

import os
import secrets
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fedsql.config.loading import is_party_file, load_federation, load_party
from fedsql.config.models import PartyConfig
from fedsql.errors import ConfigError
from fedsql.executors.engines.store import PartyStore
from fedsql.executors.engines.typer import DuckDBTyper
from fedsql.planner.catalog import Catalog
from fedsql.planner.offer import USES, ColumnOffer, Offer, ReleasePolicy, TableOffer
from fedsql.planner.schema import clash

WIDTH = 80


@dataclass(frozen=True)
class Report:
    """What `check` found. ``offers`` hold the tables that are right; ``silent`` the "party.table"s that list no column.

    ``remote`` names the parties that are reached through the coordinator, whose files are not here. ``problems`` has one
    line for each mistake; a federation without any is ready.
    """

    name: str
    offers: tuple[Offer, ...] = ()
    silent: tuple[str, ...] = ()
    remote: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


def check(path: str | os.PathLike[str]) -> Report:
    """Check a federation file with all party files that it names, or one party's file. Mistakes are reported, not raised."""
    name = str(path)
    remote: tuple[str, ...] = ()
    try:
        if is_party_file(path):
            parties: Sequence[PartyConfig] = [load_party(path)]
        else:
            federation = load_federation(path)
            name, remote, parties = federation.name, federation.remote, tuple(federation.embedded.values())
    except ConfigError as error:
        return Report(name, problems=error.problems)
    offers: list[Offer] = []
    problems: list[str] = []
    for party in parties:
        store = PartyStore(party, secrets.token_bytes(32), partial=True)
        offers.append(store.offer())
        problems += store.problems
        store.close()
    silent = tuple(f"{p.name}.{name}" for p in parties for name, table in p.tables.items() if not table.columns)
    problems += clashes(offers)
    return Report(name, tuple(offers), silent, remote, tuple(problems))


def clashes(offers: Sequence[Offer]) -> Iterator[str]:
    """Yield a line for each column that parties offer with types that have no meaningful common type."""
    for name, held in _differing(offers):
        if clash(type_ for _, type_ in held):
            yield f"{name}: no common type ({_at(held)}); cast it in a party's sql"


def render(report: Report) -> str:
    """Return the report as text of at most 80 columns (a single longer word stands alone)."""
    lines = [f"{report.name}: {_count(len(report.offers) + len(report.remote), 'party', 'parties')}"]
    for offer in report.offers:
        lines += ["", offer.party, *_wrap(_release(offer.release), "  ")]
        for table in offer.tables:
            lines += _table(table)
        for party, _, name in (silent.partition(".") for silent in report.silent):
            if party == offer.party:
                lines.append(f"  {name}: lists no column, so it is not offered")
        if not offer.tables:
            lines.append("  offers nothing")
    if report.remote:
        lines += ["", *_wrap(f"reached through the coordinator, not checked here: {', '.join(report.remote)}", "")]
    if unions := list(_unions(report.offers)):
        lines += ["", "columns whose types differ, and the type of their union"]
        lines += [line for union in unions for line in _wrap(union, "  ")]
    if report.problems:
        lines += ["", _count(len(report.problems), "problem", "problems")]
        lines += [line for problem in report.problems for line in _wrap(problem, "  ")]
    else:
        lines += ["", "no problems"]
    return "\n".join(lines) + "\n"


def _differing(offers: Sequence[Offer]) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Yield ("table.column", [(party, type)]) of each column that has several types."""
    catalog = Catalog("", tuple(sorted(offers, key=lambda offer: offer.party)))
    for name in catalog.names():
        columns: dict[str, list[tuple[str, str]]] = {}
        for table in catalog.tables(name):
            for column in table.columns:
                columns.setdefault(column.name.lower(), []).append((table.party, column.type))
        for column_name, held in columns.items():
            if len({type_ for _, type_ in held}) > 1:
                yield f"{name}.{column_name}", held


def _unions(offers: Sequence[Offer]) -> Iterator[str]:
    supertype = DuckDBTyper(Catalog("", ())).supertype
    for name, held in _differing(offers):
        if not clash(type_ for _, type_ in held):
            yield f"{name}: {supertype([type_ for _, type_ in held])} ({_at(held)})"


def _at(held: Sequence[tuple[str, str]]) -> str:
    return ", ".join(f"{type_} at {party}" for party, type_ in held)


def _release(release: ReleasePolicy) -> str:
    if release.noise == "none":
        rule = f"exact results; {release.queries} queries in {_period(release.quota_period)}"
    else:
        budget = f"epsilon {release.epsilon:g} an analyst, {release.total_epsilon:g} in all, delta {release.delta:g}"
        rule = f"noisy results; {budget}, in {_period(release.budget_period)}; {release.noise_colluders} may collude"
    size = f"groups of {release.min_group_size} units or more from {_count(release.min_parties, 'party', 'parties')} or more"
    alone = "; may answer alone" if release.allow_alone else ""
    return f"{rule}; {size}{alone}; {', '.join(release.aggregates)}"


def _table(table: TableOffer) -> Iterator[str]:
    rows = f"up to {_count(table.rows, 'row', 'rows')}"
    unit = "public" if table.public else f"protects {table.privacy_unit or 'each row'}"
    scope = "; none is at another party" if table.unit_scope == "global" else ""
    shared = "" if table.analysts == ("*",) else f"; for {', '.join(table.analysts)}"
    yield from _wrap(f"{table.name}: {rows}; {unit}{scope}{shared}", "  ")
    width = max(len(column.name) for column in table.columns)
    kinds = max(len(column.type) for column in table.columns)
    for column in table.columns:
        yield from _wrap(f"{column.name:{width}}  {column.type:{kinds}}  {_uses(column)}", "    ")


def _uses(column: ColumnOffer) -> str:
    parts = [", ".join(use for use in USES if use in column.use) or "no use"]
    if column.bounds_text is not None:
        parts.append(" to ".join(column.bounds_text))
    if column.scale is not None:
        parts.append(f"scale {column.scale}")
    if column.values is not None:
        parts.append(_count(len(column.values), "public value", "public values"))
    if column.required:
        parts.append("required")
    if column.join_with is not None:
        parts.append(f"joins {', '.join(column.join_with)}")
    return "; ".join(parts)


def _wrap(text: str, indent: str) -> list[str]:
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=indent,
        subsequent_indent=indent + "    ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def _period(seconds: int) -> str:
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"
