"""A party's part of the private join of one release: from what its fragment yielded to its share of every slot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fedsql.crypto.shares import BARRED
from fedsql.crypto.words import to_column
from fedsql.executors.protocol.conversation import Conversation
from fedsql.executors.protocol.join_outline import ANCHOR, PROVIDER
from fedsql.executors.protocol.join_sides import Anchor, Provider, Shares
from fedsql.executors.protocol.join_tables import AnchorTable, ProviderTable
from fedsql.executors.protocol.labels import share_key
from fedsql.executors.protocol.outline import GroupPartials, Outline
from fedsql.executors.protocol.suppression import Slots
from fedsql.executors.protocol.wire import Steps, together
from fedsql.planner.joint import JoinPlan


def join(
    talk: Conversation,
    outline: Outline,
    plan: JoinPlan,
    table: AnchorTable | ProviderTable,
    cells: Sequence[Sequence[int | None]],
    most: int,
) -> Steps[tuple[GroupPartials, Slots]]:
    """Take part in the joins of a release: as an anchor, or as a provider in those of all anchors.

    ``cells``: see `GroupPartials`; ``most``: over how many slots this party computes. Raises OperationalError when there are
    more, ProtocolError when what others send does not fit.
    """
    if isinstance(table, AnchorTable):
        part, steps = ANCHOR, Anchor(talk, outline, plan, most, table).run()
    else:
        part, steps = PROVIDER, Provider(talk, outline, plan, most, table).run()
    both: list[Steps[Any]] = [steps]
    if outline.slots is None:
        both.append(share_key(talk, outline))
    made, *drawn = yield from together(both)
    count = len(made.labels)
    return _filled(outline, made, cells), Slots(range(count), count, drawn[0] if drawn else None, part)


def _filled(outline: Outline, made: Shares, cells: Sequence[Sequence[int | None]]) -> GroupPartials:
    """Return a party's shares as the counts and columns of its groups."""
    counts = np.zeros((len(made.labels), len(made.tests)), np.int64)
    for number, words in enumerate(made.tests):
        counts[:, number] = words[0].view(np.int64)
    if outline.circuit is not None:
        counts[made.dummies, 0] -= BARRED  # more than noise or a mistake could make up for
    return GroupPartials(made.labels, counts, [to_column(words) for words in made.partials], cells)
