"""What the parties offer together: the only knowledge of data that planning has.

A `Catalog` is all offers of a federation (`planner.offer`); its digest is part of every signed question, so that everyone
plans against the same one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

from fedsql.codec import digest
from fedsql.errors import ProgrammingError, ProtocolError
from fedsql.planner.offer import Offer, TableOffer


@dataclass(frozen=True)
class PublicTable:
    """A public table as a plan reads it: who offers it, and which rows it has (`TableOffer.content`)."""

    owner: str
    name: str
    content: bytes

    @property
    def relation(self) -> str:
        """The name of its copy in a database of another party, or of the analyst: the rows are part of it."""
        return f"{self.name}@{self.content.hex()[:16]}"

    @classmethod
    def of(cls, offer: TableOffer) -> PublicTable:
        """Return the table that is offered as public."""
        return cls(offer.party, offer.name, offer.content)


Digests = tuple[tuple[str, bytes], ...]  # (party, digest of its offer), sorted by party


@dataclass(frozen=True)
class Catalog:
    """All offers of one federation, sorted by party.

    ``unknown`` are the parties of the federation whose offers nobody has seen yet; ``missing`` those that a question
    leaves out (its `Question.missing`): their offers still count where a policy asks who offers a table.
    """

    federation: str
    offers: tuple[Offer, ...]
    unknown: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()

    @cached_property
    def digests(self) -> Digests:
        """The digest of each party's offer (SHA-256, 32 bytes); empty where it is unknown."""
        known = [(offer.party, offer.digest) for offer in self.offers]
        return tuple(sorted([*known, *((party, b"") for party in self.unknown)]))

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 over the federation's name and all offers' digests: 32 bytes."""
        return digest([self.federation, [list(pair) for pair in self.digests]])

    def without(self, missing: tuple[str, ...]) -> Catalog:
        """Return this catalog for a question that leaves out the parties ``missing``."""
        return replace(self, missing=missing)

    def offer(self, party: str) -> Offer | None:
        """Return the offer of ``party`` (any case), or None."""
        return next((o for o in self.offers if o.party.lower() == party.lower()), None)

    def tables(self, name: str) -> tuple[TableOffer, ...]:
        """Return every party's table called ``name``, in the order of the parties' names."""
        return tuple(t for o in self.offers if (t := o.table(name)) is not None)

    def names(self) -> tuple[str, ...]:
        """Return the names of all tables, each once, sorted."""
        return tuple(sorted({t.name.lower() for o in self.offers for t in o.tables}))

    def public(self, name: str, party: str | None = None) -> PublicTable | None:
        """Return the public table called ``name`` (any case), that of ``party`` or the federation's; None if it is none.

        Where several parties offer the same rows they are one table, and the first who is not missing is its owner.
        Raises ProgrammingError where the name alone does not say which rows are meant.
        """
        offers = [t for t in self.tables(name) if party is None or t.party.lower() == party.lower()]
        public = [t for t in offers if t.public]
        if not public:
            return None
        first, held = public[0], " and ".join(t.party for t in public)
        if others := " and ".join(t.party for t in offers if not t.public):
            raise ProgrammingError(
                f"{first.name} is public at {held} and not at {others}",
                hint=f"{first.party}.{first.name} is the public table of {first.party}",
            )
        if len({t.content for t in public}) > 1:
            raise ProgrammingError(
                f"the public tables {first.name} of {held} do not hold the same rows in the same order",
                hint=f"{first.party}.{first.name} is that of {first.party}",
            )
        return PublicTable.of(next((t for t in public if t.party not in self.missing), first))

    def columns(self, table: PublicTable) -> tuple[tuple[str, str], ...]:
        """Return (name, type) of each column of a public table. Raises ProtocolError when it is not offered any more."""
        offer = self.offer(table.owner)
        found = None if offer is None else offer.table(table.name)
        if found is None or not found.public or found.content != table.content:
            raise ProtocolError(
                f"what {table.owner} offers has changed since the question was planned", hint="ask again"
            )
        return tuple((column.name, column.type) for column in found.columns)
