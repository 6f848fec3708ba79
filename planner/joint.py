"""A private join as it is run: what each owner's fragment yields row by row, and of which sums each number is made.

The *anchors* have the rows that are grouped; each *link* adds the columns of one provider by equality of keys. Every test and
every partial of the release is a sum of `Term`s: over the anchor's rows, of an own column times a column of one provider.

A fragment yields rows, not groups. An anchor's: ``k{i}`` (texts of its grouping keys, by their places in the release),
``kept`` (false: the row is in no group), ``key_{n}`` (text of the key for link n, NULL: it matches nothing), ``x{j}`` (own
columns, NULL is 0). A provider's: ``key``, ``k{i}``, ``y{j}``, and ``absent``: true in the one more row that an outer link
has, which holds what the columns and keys are where nothing matches.
"""

from __future__ import annotations

from dataclasses import dataclass

Labels = tuple[tuple[str | None, ...], ...]


@dataclass(frozen=True)
class Term:
    """``factor`` times a sum of ``own`` times ``provided``, each the number of a column; -1 stands for 1.

    With ``provider``: over the rows that match there (with an inner link: at every inner one). Without: over all kept rows
    of the group, which an anchor has alone. ``beside``: over the provider's own rows in its group value, whatever matches:
    it has that alone, and it is the same in all groups of anchors. ``everywhere``: of the rows of the anchor's group, whatever
    matches, in each group value of the provider; without it a sum that no provider is in is, beside an outer link with keys,
    of the group value of what matches nothing (the first one).
    """

    factor: int
    provider: str = ""
    own: int = -1
    provided: int = -1
    beside: bool = False
    everywhere: bool = False


@dataclass(frozen=True)
class LinkPlan:
    """One provider's part. ``own`` lists the anchor's columns (numbers of x) that are shared in it.

    ``limbs`` are those of its own columns y (1: modulo 2^64, 2: modulo 2^128); ``products`` pairs a place in ``own`` with a y.
    ``inner``: rows count only where it matches. ``labels``: the public values of its grouping keys, None where they are not
    public; one empty label where it has no keys. ``alone``: the columns y that only it adds up (see `Term.beside`).
    """

    provider: str
    inner: bool
    own: tuple[int, ...]
    limbs: tuple[int, ...]
    products: tuple[tuple[int, int], ...]
    keys: tuple[int, ...] = ()
    labels: Labels | None = ((),)
    alone: frozenset[int] = frozenset()

    @property
    def provided(self) -> tuple[int, ...]:
        """The columns y that are joined."""
        return tuple(y for y in range(len(self.limbs)) if y not in self.alone)


@dataclass(frozen=True)
class JoinPlan:
    """The private join of one release.

    ``own`` are the limbs of the anchor's columns x. ``tests`` and ``partials``: the terms of each test and partial of the
    release; a partial's width is 8 or 16 bytes, and none of its terms has fewer limbs. ``keys`` are the places of the
    anchor's grouping keys in the release, ``labels`` their public values (see `LinkPlan.labels`). At most one link has keys.
    """

    anchors: tuple[str, ...]
    links: tuple[LinkPlan, ...]
    own: tuple[int, ...]
    tests: tuple[tuple[Term, ...], ...]
    partials: tuple[tuple[Term, ...], ...]
    keys: tuple[int, ...] = ()
    labels: Labels | None = ((),)

    @property
    def keyed(self) -> LinkPlan | None:
        """The link whose provider groups by keys of its own."""
        return next((link for link in self.links if link.keys), None)

    def domain(self, keys: int) -> Labels | None:
        """Return the labels of all slots, each with ``keys`` keys, where all of them are public: slot s * V + v."""
        theirs = self.keyed.labels if self.keyed is not None else ((),)
        if self.labels is None or theirs is None:
            return None
        places = (*self.keys, *(self.keyed.keys if self.keyed is not None else ()))
        order = [places.index(key) for key in range(keys)]
        return tuple(tuple((*own, *other)[at] for at in order) for own in self.labels for other in theirs)

    def link(self, provider: str) -> LinkPlan:
        """Return the link of ``provider``."""
        return next(link for link in self.links if link.provider == provider)
