"""What fragments of a private join yielded, row by row, and how it is summed and placed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedsql.crypto.matching import Keys
from fedsql.crypto.permuting import Grouping
from fedsql.crypto.tags import shuffled
from fedsql.crypto.words import Words, add, multiply
from fedsql.errors import InternalError
from fedsql.executors.protocol.align import padded
from fedsql.executors.protocol.outline import Label
from fedsql.planner.joint import Labels

Numbers = NDArray[np.int64]
NO_LABEL: Label = ()  # what a slot is called that has none


@dataclass(frozen=True)
class AnchorTable:
    """What an anchor's fragment yielded.

    ``labels`` are the distinct ones of the rows that are kept; ``groups`` [rows] their numbers, -1 where a row is not kept;
    ``keys`` those for each link, in order; ``columns`` its own ones, words [limbs, rows].
    """

    labels: Sequence[Label]
    groups: Numbers
    keys: Sequence[Keys]
    columns: Sequence[Words]


@dataclass(frozen=True)
class ProviderTable:
    """What a provider's fragment yielded.

    ``keys`` [rows] are the distinct ones, then rows of none: as many as there are rows. ``places`` [rows] say at which of them each
    row's key is, -1 where it has none. ``labels`` are the distinct ones of the rows that have keys, and first, with an outer
    link, that of nothing; ``groups`` [rows] their numbers, -1 where none of them. ``columns``: words [limbs, rows].
    ``absent``: words [limbs, 1], what they are where nothing matches; none with an inner link.
    """

    keys: Keys
    places: Numbers
    labels: Sequence[Label]
    groups: Numbers
    columns: Sequence[Words]
    absent: Sequence[Words] = ()

    def by_value(self, where: Numbers, values: int, columns: Sequence[int]) -> list[list[Words]]:
        """Return some ``columns`` of each group value: sums over the rows of each key.

        ``where`` [rows] is the value of each row, -1 for none. At value 0 they are less what is there where nothing matches.
        """
        rows, known = len(self.keys), int(self.keys.known.sum())
        here = np.flatnonzero((self.places >= 0) & (where >= 0))
        at, grouping = where[here] * rows + self.places[here], None
        if (
            np.bincount(self.places[here]).max(initial=0) > 1
        ):  # else each key has one row, and there is nothing to add up
            at, numbers = np.unique(at, return_inverse=True)
            grouping = Grouping.of(numbers, len(at))
        found: list[list[Words]] = [[] for _ in range(values)]
        for y in columns:
            words = np.zeros((len(self.columns[y]), values * rows), np.uint64)
            given = self.columns[y].take(here, axis=1)
            words[:, at] = given if grouping is None else grouped(given, grouping)
            if self.absent:
                less = np.broadcast_to(times(self.absent[y], -1), (len(words), known))
                words[:, :known] = add(words[:, :known], less)
            for value, each in enumerate(found):
                each.append(words[:, value * rows : (value + 1) * rows])
        return found


def places(labels: Sequence[Label], public: Labels | None, *, first: bool) -> tuple[Numbers, int]:
    """Return the place of each label, and how many there are. ``first``: that of the first label is 0."""
    if public is not None:
        index = {label: i for i, label in enumerate(public)}
        if any(label not in index for label in labels) or (first and labels and index[labels[0]]):
            raise InternalError("a group key is not in the public list of values, or not where it must be")
        return np.array([index[label] for label in labels], np.int64), len(public)
    count = padded(len(labels))
    if not first:
        return shuffled(count)[: len(labels)].astype(np.int64), count
    rest = 1 + shuffled(count - 1)[: len(labels) - 1]
    return np.concatenate([np.zeros(1, np.int64), rest.astype(np.int64)]), count


def labels_at(
    labels: Sequence[Label], places: Numbers, count: int, public: Labels | None
) -> tuple[list[Label], NDArray[np.bool_]]:
    """Return the label at each place, and which places are free: nobody's. None is where labels are public."""
    if public is not None:
        return list(public), np.zeros(count, bool)
    found, free = [NO_LABEL] * count, np.ones(count, bool)
    for label, place in zip(labels, places.tolist(), strict=True):
        found[place], free[place] = label, False
    return found, free


def grouped(words: Words, grouping: Grouping) -> Words:
    """Return the sum of each group, of words [limbs, rows]."""
    zeros = np.zeros((len(words), len(grouping.ends)), np.uint64)
    return grouping.sums(np.concatenate([words, zeros], axis=1).take(grouping.order, axis=1))


def times(words: Words, factor: int) -> Words:
    """Return a whole multiple of words."""
    if factor == 1:
        return words
    limbs = [(factor >> 64 * limb) & (2**64 - 1) for limb in range(len(words))]
    shape = (len(words), *([1] * (words.ndim - 1)))
    return multiply(words, np.broadcast_to(np.array(limbs, np.uint64).reshape(shape), words.shape))
