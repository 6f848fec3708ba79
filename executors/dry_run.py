"""What a party would do with a question, said to its owner: nothing is asked of others, run, charged or sent.

It plans as the running party would: against the party's own file as it is now, and the others' offers as the running
party last heard them (it keeps them in its state folder).
"""

from __future__ import annotations

import datetime
import os
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path

from fedsql.codec import decode, encode
from fedsql.config.loading import load_federation, load_party
from fedsql.errors import BudgetExhausted, Error, PrivacyError
from fedsql.executors.embedded import open_party
from fedsql.executors.live import LiveDirectory
from fedsql.executors.roles.directory import Directory
from fedsql.executors.roles.party import Party
from fedsql.executors.transport.node import Offered
from fedsql.planner.catalog import Catalog
from fedsql.planner.explain import Stages, explain
from fedsql.planner.plans import Plan
from fedsql.planner.question import Question, Settings

_FILE = "offers.cbor"


def keep_offers(state: Path, heard: Mapping[str, Offered]) -> None:
    """Keep what the coordinator passed on, for `dry_run`; the file appears whole or not at all."""
    draft = state / f".{_FILE}.{secrets.token_hex(8)}"  # of its own: others may be writing
    draft.write_bytes(encode([[name, each.since, each.connected, each.offer] for name, each in sorted(heard.items())]))
    os.replace(draft, state / _FILE)


def kept_offers(state: Path) -> dict[str, Offered]:
    """Return what `keep_offers` kept; nothing where there is nothing readable."""
    try:
        rows = decode((state / _FILE).read_bytes())
        return {name: Offered(since, connected, offer) for name, since, connected, offer in rows}
    except (OSError, ValueError, TypeError):
        return {}


def dry_run(file: Path, federation_file: Path, sql: str, analyst: str, settings: Settings) -> tuple[str, Error | None]:
    """Return what the party of ``file`` would do with ``sql`` asked by ``analyst``, and the error that it would answer.

    Raises ConfigError when the files are not right.
    """
    config, federation = load_party(file), load_federation(federation_file)
    party = open_party(config)
    try:
        live = LiveDirectory(federation, party.offer())
        if config.state_directory is not None:
            live.update(kept_offers(config.state_directory))
        known = live.newest
        unknown = known.catalog.unknown
        lines = [f"{party.name}, asked by {analyst}:"]
        if unknown:
            lines.append(
                f"  the offers of {', '.join(unknown)} are not known here, so this is planned without them"
                f" (a running party hears them from the coordinator)"
            )
            # What is not known can be neither counted in nor refused: planned as if they offered nothing.
            catalog = Catalog(known.catalog.federation, known.catalog.offers)
            known = Directory(catalog, known.coordinator, known.analysts, known.operators)
        if analyst not in federation.analysts:
            listed = ", ".join(federation.analysts) or "nobody"
            lines.append(f"  it would refuse: {analyst} is not among the analysts of the federation file ({listed})")
        now = datetime.datetime.now(datetime.UTC).replace(tzinfo=None).isoformat(sep=" ")
        try:
            question = Question(known.catalog.federation, analyst, sql, now, settings=settings)
            plan = known.plan(question)
        except Error as error:
            verb = "refuse" if isinstance(error, PrivacyError) else "not answer"
            return "\n".join([*lines, f"  it would {verb}: {error.message}"]), error
        lines += _told(party, plan, known.stages(question), analyst)
        refusal = _refusal(party, plan, analyst)
        return "\n".join(lines if refusal is None else [*lines, f"  it would refuse: {refusal.message}"]), refusal
    finally:
        party.close()


def _told(party: Party, plan: Plan, stages: Stages, analyst: str) -> Iterator[str]:
    mine = [release for release in plan.releases if party.name in release.contributors]
    if lent := [table.name for table in plan.lent if table.owner == party.name]:
        yield f"  it would send its public {', '.join(lent)} to whoever lacks it"
    if not mine:
        yield f"  it would {'run nothing' if lent else 'take no part: the question reads none of its tables'}"
        return
    for release in mine:
        yield "  it would run, in its own DuckDB:"
        yield from (f"    {line}" for line in release.fragments[party.name].splitlines())
    spent = party.spent(analyst)
    if plan.epsilon is None:
        yield f"  it would charge {len(mine)} of {spent.queries_left} queries that {analyst} has left"
    else:
        left = min(spent.epsilon_left, spent.total_left)
        yield f"  it would charge epsilon {plan.epsilon:g}; {analyst} has {left:.3g} left"
    yield from ("  " + line for line in explain(plan, stages).splitlines())


def _refusal(party: Party, plan: Plan, analyst: str) -> Error | None:
    spent = party.spent(analyst)
    mine = sum(party.name in release.contributors for release in plan.releases)
    if plan.epsilon is None and mine > spent.queries_left:
        return BudgetExhausted(f"{analyst} has {spent.queries_left} queries left and this takes {mine}")
    if plan.epsilon is not None and plan.epsilon > min(spent.epsilon_left, spent.total_left):
        return BudgetExhausted(f"{analyst} has epsilon {min(spent.epsilon_left, spent.total_left):.3g} left")
    return None
