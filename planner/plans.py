"""What planning yields: for every release what each party runs, sends and decides; stage inputs; and the whole plan."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import accumulate

from fedsql.codec import digest
from fedsql.crypto.circuit import Circuit
from fedsql.planner.catalog import PublicTable
from fedsql.planner.joint import JoinPlan
from fedsql.planner.logical import Release
from fedsql.planner.partials import Output, Partial, Test
from fedsql.planner.relations import Leaf, leaf_of, scans_of
from fedsql.planner.sensitivity import Contribution, Noise, curve
from fedsql.planner.terms import Terms


@dataclass(frozen=True)
class ReleasePlan:
    """One release, ready to run. ``fragments`` maps each contributor to its SQL.

    ``domain``: the labels of all slots when they are public (one empty label when ungrouped), else None: aligned by tags.
    ``missing``: parties that offer the table, or might, and are left out. ``stage`` is when it is asked; ``inputs`` are
    the released relations of earlier stages that its fragments read, ``copies`` the public tables. ``circuit``: test 0 is the number of units, test 1 (where there is one) the number of parties; None under noise.
    ``after``: the releases of the same rows that are decided before it, of which each party must know what is shown;
    ``told``: another release comes after this one. ``join``: its rows are those of a private join; ``both_sides``:
    then as many units must not match as must (join_both_sides).
    """

    release: Release
    contributors: tuple[str, ...]
    terms: Terms
    fragments: dict[str, str]
    tests: tuple[Test, ...]
    circuit: Circuit | None
    partials: tuple[Partial, ...]
    outputs: tuple[Output, ...]
    domain: tuple[tuple[str | None, ...], ...] | None
    unit: Contribution
    noise: tuple[Noise, ...] | None = None
    noise_of_units: Noise | None = None
    missing: tuple[str, ...] = ()
    stage: int = 0
    inputs: tuple[str, ...] = ()
    copies: tuple[PublicTable, ...] = ()
    after: tuple[int, ...] = ()
    told: bool = False
    join: JoinPlan | None = None
    both_sides: bool = False

    @property
    def all_noise(self) -> tuple[Noise, ...]:
        """The noise of everything that depends on the data: what is charged."""
        return (*(self.noise or ()), *([self.noise_of_units] if self.noise_of_units is not None else []))

    @property
    def starts(self) -> tuple[int, ...]:
        """Where each partial begins among the columns that are sent: most are one, counts in ranges are many."""
        ends = accumulate((partial.columns for partial in self.partials), initial=0)
        return tuple(ends)[: len(self.partials)]

    @property
    def number(self) -> int:
        """The release's number in its statement."""
        return self.release.number

    @property
    def shown_by(self) -> dict[str, list[int | None]]:
        """The cells that show each partial; None among them: it is shown with its group."""
        return {p.name: [o.cell for o in self.outputs if p.name in o.partials] for p in self.partials}

    def tables(self, party: str) -> tuple[str, ...]:
        """The tables of ``party`` that this release reads."""
        return tuple(o.name for scan in scans_of(self.leaf) for o in scan.offers if o.party == party)

    @property
    def leaf(self) -> Leaf:
        """What the release reads, as if it were one table."""
        return leaf_of(self.release.input)


@dataclass(frozen=True)
class PlannedInput:
    """A stage input: ``sql`` for the analyst's own DuckDB, its ``columns`` (name, type), and what it reads.

    It can be computed once every stage before ``stage`` has been answered. ``single``: it has exactly one row;
    ``unique``: columns of which no two rows have equal values, all together: parties hold the analyst to both.
    """

    name: str
    sql: str
    columns: tuple[tuple[str, str], ...]
    stage: int
    single: bool = False
    unique: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class Plan:
    """A planned statement. ``final`` is the SQL over released relations that the analyst's own DuckDB runs.

    ``meaning`` is a digest of the normalised statement (equal questions share it); ``digest`` one of all that parties
    do; ``rdp`` the Renyi curve that is charged (None: an exact query).
    ``copies`` are the public tables that ``final`` and ``inputs`` read; the latter are what the analyst computes before the
    stages that read them.
    """

    releases: tuple[ReleasePlan, ...]
    final: str
    meaning: bytes
    digest: bytes
    epsilon: float | None = None
    delta: float | None = None
    rdp: tuple[float, ...] | None = None
    accuracy: float | None = None
    delta_of_groups: float = 0.0
    copies: tuple[PublicTable, ...] = ()
    inputs: tuple[PlannedInput, ...] = ()

    @property
    def last_stage(self) -> int:
        """The number of the last stage; the first one is 0."""
        return max((release.stage for release in self.releases), default=0)

    def at(self, stage: int) -> Plan:
        """Return the part of the plan that is asked in one stage, and what that costs."""
        releases = tuple(r for r in self.releases if r.stage == stage)
        noise = [n for r in releases for n in r.all_noise]
        unknown = sum(r.noise_of_units is not None for r in releases)
        delta = self.delta_of_groups * unknown / max(1, sum(r.noise_of_units is not None for r in self.releases))
        return replace(self, releases=releases, rdp=curve(noise) if noise else None, delta_of_groups=delta)

    @property
    def reads(self) -> tuple[str, ...]:
        """The names of the inputs that its releases read."""
        return tuple(dict.fromkeys(name for release in self.releases for name in release.inputs))

    @property
    def contributors(self) -> tuple[tuple[str, ...], ...]:
        """The contributors of each release."""
        return tuple(release.contributors for release in self.releases)

    @property
    def parties(self) -> tuple[str, ...]:
        """Everyone who contributes to any release, sorted."""
        return tuple(sorted({party for release in self.releases for party in release.contributors}))

    @property
    def lent(self) -> tuple[PublicTable, ...]:
        """The public tables that fragments read as copies, each once. Among parties its place here is a table's number."""
        return tuple(dict.fromkeys(table for release in self.releases for table in release.copies))

    @property
    def owners(self) -> tuple[str, ...]:
        """Who sends these tables to the contributors that lack them, sorted."""
        return tuple(sorted({table.owner for table in self.lent}))

    @property
    def participants(self) -> tuple[str, ...]:
        """All who take part: contributors, and owners of public tables, who need not contribute. Sorted."""
        return tuple(sorted({*self.parties, *self.owners}))


def digest_of(made: Plan) -> bytes:
    """Return a digest of everything that parties do for ``made``; equal plans everywhere have equal digests."""
    return digest(
        [
            [
                r.number,
                list(r.contributors),
                [[party, sql] for party, sql in sorted(r.fragments.items())],
                [[t.name, t.threshold] for t in r.tests],
                repr(r.circuit),
                [
                    [p.name, p.width, str(p.limit), p.tagged, repr(p.order), repr(p.rank), repr(p.ranges)]
                    for p in r.partials
                ],
                None if r.domain is None else [list(label) for label in r.domain],
                repr(r.noise),
                repr(r.noise_of_units),
                r.stage,
                list(r.after),
                list(r.inputs),
                [[c.owner, c.relation] for c in r.copies],
                repr(r.join),
            ]
            for r in made.releases
        ]
        + [
            [i.name, i.sql, [list(c) for c in i.columns], i.stage, i.single, [list(c) for c in i.unique]]
            for i in made.inputs
        ]
    )
