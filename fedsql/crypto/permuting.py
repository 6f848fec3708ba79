"""Sums of another party's words by one's own groups: permute-and-share with a dealer, twice.

The *owner* knows how rows are grouped, the *holder* has their words; neither may learn the other's, nor the holder how large
a group is. A dealer, who sees neither, deals each time a random permutation rho and, where the owner wants words [N] in an
order, masks a and b (Chase, Ghosh, Poburinnaya, ASIACRYPT 2020, with their correlation dealt):

    owner: rho, b - a[rho]              holder: a, b
           sigma, with sigma[rho] = order  -->
                                           <--  words[sigma] + a
           words[order] + b                  shares: the owner's, and -b

The first time ``order`` puts the rows group by group, so that a group's sum is a difference of running sums. Of those of its
own share the owner takes any; of -b, which the holder has, it needs those at its secret ends of groups. So the second time
the words are the running sums of -b, and ``order`` puts the ends first. Every group has one row of zeros more, so ends
differ even where groups are empty. What is left at the holder is known to the dealer too: it is the dealer's share.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CTR
from numpy.typing import NDArray

from fedsql.crypto.tags import shuffled
from fedsql.crypto.words import Words, add, derived, differences, drawn, negative, running, subtract

Order = NDArray[np.uint32]
MOST = (1 << 32) - 1  # rows and groups together


@dataclass(frozen=True)
class Grouping:
    """How N = rows + groups rows are ordered by group: ``order`` [N], those of no group last, ``ends`` [groups]."""

    order: Order
    ends: NDArray[np.int64]

    @classmethod
    def of(cls, slots: NDArray[np.int64], groups: int) -> Grouping:
        """Order rows by their ``slots``, -1 for none. Raises ValueError for a slot that there is not."""
        if len(slots) + groups > MOST:
            raise ValueError(f"{len(slots)} rows and {groups} groups are more than {MOST}")
        if len(slots) and not -1 <= int(slots.min()) <= int(slots.max()) < groups:
            raise ValueError("a slot is not one of the groups")
        placed = np.concatenate([np.where(slots < 0, groups, slots), np.arange(groups)])
        narrow = np.uint16 if groups < 1 << 16 else np.uint32  # numpy sorts 16 bits by radix
        order = np.argsort(placed.astype(narrow), kind="stable").astype(np.uint32)
        return cls(order, np.cumsum(np.bincount(placed, minlength=groups + 1)[:groups]) - 1)

    def ends_first(self) -> Order:
        """Return an order [N] that begins with the ends."""
        rest = np.ones(len(self.order), bool)
        rest[self.ends] = False
        return np.concatenate([self.ends, np.flatnonzero(rest)]).astype(np.uint32)

    def sums(self, ordered: Words) -> Words:
        """Return the sum of each group, of words [limbs, N] in this order."""
        return differences(running(ordered)[:, self.ends])


def dealt_order(seed: bytes, purpose: bytes, count: int) -> NDArray[np.intp]:
    """Return rho, a uniform permutation, from ``seed`` (32 bytes), which dealer and owner share."""
    stream = Cipher(AES256(derived(seed, purpose)), CTR(bytes(16))).encryptor()
    return shuffled(count, lambda size: stream.update(bytes(size)))


def asked(order: Order, rho: NDArray[np.intp]) -> Order:
    """Return sigma, which the owner sends: uniform, whatever ``order`` is."""
    sigma = np.empty_like(order)
    sigma[rho] = order
    return sigma


@dataclass(frozen=True)
class Masks:
    """The holder's masks of column ``number``: a, b of all N rows, then ``ends_a`` [N] and ``ends_b`` [groups]."""

    a: Words
    b: Words
    ends_a: Words
    ends_b: Words

    @classmethod
    def of(cls, seed: bytes, number: int, limbs: int, rows: int, groups: int) -> Masks:
        """Draw them from the seed that dealer and holder share; there are N = ``rows`` + ``groups`` rows."""
        name, every = number.to_bytes(8, "little"), rows + groups
        a, b, ends_a = (drawn(seed, purpose + name, limbs, every) for purpose in (b"a", b"b", b"ends a"))
        return cls(a, b, ends_a, drawn(seed, b"ends b" + name, limbs, groups))

    def permuted(self, words: Words, sigma: Order) -> Words:
        """Return what the holder of ``words`` [limbs, rows] answers to the first sigma."""
        every = np.zeros_like(self.a)
        every[:, : words.shape[1]] = words
        return add(every.take(sigma, axis=1), self.a)

    def ends(self, sigma: Order) -> Words:
        """Return what the holder answers to the second sigma."""
        return add(running(negative(self.b)).take(sigma, axis=1), self.ends_a)

    def shifts(self, rho: NDArray[np.intp], ends_rho: NDArray[np.intp]) -> tuple[Words, Words]:
        """Return what the dealer sends the owner, for both times."""
        used = ends_rho[: self.ends_b.shape[1]]
        return (
            subtract(self.b, self.a.take(rho, axis=1)),
            subtract(self.ends_b, self.ends_a.take(used, axis=1)),
        )

    def share(self) -> Words:
        """Return the dealer's share [limbs, groups] of the sums."""
        return negative(differences(self.ends_b))


def owner_share(
    grouping: Grouping,
    rhos: tuple[NDArray[np.intp], NDArray[np.intp]],
    shifts: tuple[Words, Words],
    answers: tuple[Words, Words],
    own: Words,
) -> Words:
    """Return the owner's share [limbs, groups] of the sums, to which it adds its ``own`` words [limbs, rows]."""
    (rho, ends_rho), (shift, ends_shift), (permuted, ends) = rhos, shifts, answers
    every = np.zeros_like(permuted)
    every[:, : own.shape[1]] = own
    ordered = add(every.take(grouping.order, axis=1), add(permuted.take(rho, axis=1), shift))
    chosen = add(ends.take(ends_rho[: len(grouping.ends)], axis=1), ends_shift)
    return add(grouping.sums(ordered), differences(chosen))
