"""Runs private joins in one process, for tests of several folders."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from conversations import conversations

from fedsql.crypto.packing import add_columns, from_ints, to_ints
from fedsql.crypto.words import Words, of_column
from fedsql.executors.protocol.anchor import AnchorRows, join_rows
from fedsql.executors.protocol.conversation import Conversation
from fedsql.executors.protocol.helper import help_join
from fedsql.executors.protocol.joining import GroupShares, Setting
from fedsql.executors.protocol.provider import ProviderRows, provide
from fedsql.executors.protocol.wire import COORDINATOR, Message
from fedsql.executors.transport.inprocess import run

Both = tuple[GroupShares, GroupShares]  # the anchor's and a provider's shares


def joined(
    setting: Setting,
    rows: AnchorRows,
    tables: Mapping[str, ProviderRows],
    record: Callable[[Message], None] | None = None,
    talks: Mapping[str, Conversation] | None = None,
) -> dict[str, Both]:
    """Run all roles; return both shares of each provider's link."""
    talks = talks or conversations((setting.anchor, *setting.providers))
    steps = {setting.anchor: join_rows(talks[setting.anchor], setting, rows)}
    steps |= {name: provide(talks[name], setting, table) for name, table in tables.items()}
    results = run({**steps, COORDINATOR: help_join(talks[COORDINATOR], setting)}, record)
    return {name: (results[setting.anchor][name], results[name]) for name in setting.providers}


def opened(both: Both, source: str, **which: int) -> list[int]:
    """Return the sums that both shares of a link make."""
    return to_ints(add_columns(*(shares.column(source, **which) for shares in both)))


def words(values: list[int | None], limbs: int) -> Words:
    """Return integers as words, NULL as 0."""
    return of_column(from_ints([value or 0 for value in values], 8 * limbs))
