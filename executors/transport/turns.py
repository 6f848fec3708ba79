"""Whose query is next at the hub, so that an analyst with many questions does not keep the others waiting."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence


def in_turn(waiting: Sequence[str], running: Mapping[str, int]) -> list[int]:
    """Return the positions of ``waiting`` queries, given by their analysts, in the order of their turns.

    Each analyst's own come as they came; among analysts, first whoever has the fewest that run or come before.
    """
    before = Counter(running)
    turns = []
    for position, analyst in enumerate(waiting):
        turns.append((before[analyst], position))
        before[analyst] += 1
    return [position for _, position in sorted(turns)]
