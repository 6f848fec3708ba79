"""Products of one party's words with another's, as shares of both: oblivious linear evaluation with a dealer.

One party, the *giver*, holds words x; the other, the *taker*, holds words y. A dealer, who sees neither, gives them random
r and q and shares of r * q (Beaver, CRYPTO 1991, for words that nobody shares yet). The giver sends x - r, the taker sends
y - q, both uniform; each then computes a share of x * y alone. Where y is 0 or 1 that is 1-of-2 oblivious transfer of 0 or x
from a dealt correlation (Beaver, CRYPTO 1995), in one word where the textbook's form sends two. One y serves many x: q is
dealt, and y - q sent, once. The dealer must collude with neither party.

    giver: r, share <- seed             taker: q <- seed           dealer: both seeds; correction = r * q - share
           x - r   -->                         <--  y - q
           x * (y - q) + share                 (x - r) * q + correction                 sum: x * y
"""

from __future__ import annotations

from dataclasses import dataclass

from fedsql.crypto.words import Words, add, drawn, multiply, subtract


@dataclass(frozen=True)
class Giver:
    """What the giver of one column draws: ``r`` masks its words, ``share`` is its share of r * q."""

    r: Words
    share: Words

    @classmethod
    def of(cls, seed: bytes, number: int, limbs: int, rows: int) -> Giver:
        """Draw it from the giver's seed, for product ``number``."""
        name = number.to_bytes(8, "little")
        return cls(drawn(seed, b"mask" + name, limbs, rows), drawn(seed, b"share" + name, limbs, rows))

    def masked(self, x: Words) -> Words:
        """Return what the giver sends."""
        return subtract(x, self.r)

    def product(self, x: Words, opened: Words) -> Words:
        """Return the giver's share of x * y; ``opened`` is what the taker sent."""
        return add(multiply(x, opened), self.share)

    def correction(self, q: Words) -> Words:
        """Return what the dealer sends the taker."""
        return subtract(multiply(self.r, q), self.share)


def taken(seed: bytes, number: int, limbs: int, rows: int) -> Words:
    """Return q for the taker's words ``number``, from the taker's seed."""
    return drawn(seed, b"taken" + number.to_bytes(8, "little"), limbs, rows)


def taker_product(masked: Words, q: Words, correction: Words) -> Words:
    """Return the taker's share of x * y; ``masked`` is what the giver sent."""
    return add(multiply(masked, q), correction)
