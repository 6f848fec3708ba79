"""EXPLAIN: what each party runs and sends, who learns what, what it costs and how exact it is. Costs nothing itself."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence

from fedsql.errors import ProgrammingError
from fedsql.planner.describing import describe
from fedsql.planner.joint import JoinPlan
from fedsql.planner.margins import answer_names, margins
from fedsql.planner.notices import least_epsilon, units
from fedsql.planner.plans import Plan, ReleasePlan
from fedsql.planner.sensitivity import off_by

_WIDTH = 80
Stages = Sequence[tuple[str, str]]  # (name, text), of `planning.stages`


def explain(
    plan: Plan, stages: Stages, stage: str | None = None, left: Mapping[str, float | None] | None = None
) -> str:
    """Return the text of EXPLAIN, or of one of the ``stages`` of planning. Raises ProgrammingError naming the stages.

    ``left`` is the epsilon that the analyst has left at each party of a noisy plan; None where it could not be asked.
    """
    if stage is not None:
        found = [text for name, text in stages if name.split(" (")[0] == stage]
        if not found:
            names = ", ".join(dict.fromkeys(name.split(" (")[0] for name, _ in stages))
            raise ProgrammingError(f"there is no stage {stage}", hint=f"stages of this statement: {names}")
        return "\n".join(found)
    if not plan.releases:
        return "This statement reads no federated table: it runs in your own session and sends nothing."
    return "\n".join(
        [
            *(line for stage in range(plan.last_stage + 1) for line in _stage(plan, stage)),
            *_end(plan, dict(stages)["final"], left or {}),
        ]
    )


def _stage(plan: Plan, stage: int) -> Iterator[str]:
    """Explain what is asked in one stage, and what is computed for it."""
    if plan.last_stage:
        yield f"Stage {stage + 1} of {plan.last_stage + 1}, a question of its own:"
    asked = plan.at(stage)
    for each in plan.inputs:
        if each.name in asked.reads:
            yield from _indented(f"{each.name} = {each.sql}", indent=0)
    answered = answer_names(plan) if plan.epsilon is not None else {}
    for release in asked.releases:
        yield from _release(release, answered)


def _release(release: ReleasePlan, answered: Mapping[tuple[str, str], str]) -> Iterator[str]:
    terms = release.terms
    yield from _indented(describe(release.release), indent=0)
    if release.inputs:
        yield from _item(f"{', '.join(release.inputs)}: computed by you first; the parties see these rows", 2)
    if release.copies:
        names = ", ".join(f"{copy.name} of {copy.owner}" for copy in release.copies)
        yield from _item(f"public: {names}; other parties get a copy, once for each version", 2)
    yield f"  Each party runs {'its own part of this' if release.join else 'this'} in its own DuckDB, and sends, sealed or encrypted:"
    yield from (_sent(release) if release.join is None else _sent_of_join(release, release.join))
    yield "  Who learns what:"
    yield from (_learns(release) if release.join is None else _learned_of_join(release, release.join))
    yield "  What is shown:"
    if terms.noisy and release.noise_of_units is not None and release.circuit is not None:
        (least,) = release.circuit.tests
        about = f"    - groups of {units(release, least)} or more, by a count that has noise itself; and noisy values"
        yield from _item(about.strip(" -"), 4)
    elif terms.noisy:
        yield "    - every group and value, each with noise"
    else:
        few = f" with at least {units(release, terms.min_group_size)}" if terms.min_group_size > 1 else ""
        lone = f" at {terms.min_parties} parties or more" if terms.min_parties > 1 else ""
        what = "groups" if release.release.keys else "the result if it rests on rows"
        every = "every group" if release.release.keys else "the result"
        yield from _item(f"{what}{few}{lone}" if few or lone else every, 4)
        if release.join is not None and few:
            yield from _item(f"only if enough match, at each party, {_unmatched(release)}", 4)
        if release.circuit is not None and release.circuit.cells and terms.min_group_size > 1:
            yield from _item(f"values in which at least {units(release, terms.min_group_size)} take part; else NULL", 4)
        if release.after:
            yield from _item("only if what the finer groups do not show of it is nothing, or as much", 4)
    if release.noise is not None:
        yield f"  Noise: {release.noise[0].mechanism.name}, a share of it from each party. Expected error, 95 %"
        yield f"  (tables of {sum(o.rows for o in release.leaf.offers):,} rows at most):"
        for name, margin in margins(release).items():
            output = next(o for o in release.outputs if o.name == name)
            shown = "depends on the data" if margin is None else f"+- {margin:.4g}"
            even = "in groups of even size" if release.domain is not None else "in the smallest groups that are shown"
            even = f" {even}" if output.function == "avg" and margin is not None and release.release.keys else ""
            if output.ranges is not None:
                even = "" if margin is None else " where values are spread evenly"
                first = next(i for i, p in enumerate(release.partials) if p.name == output.partials[0])
                rank = off_by(output, release.noise[first])
                even += f"; its rank +- {rank:.4g} rows, in {output.ranges.count:,} ranges of its bounds"
            column = answered.get((release.release.relation, name))
            yield from _item(f"{f'{column} = ' if column else ''}{name} = {output.function}: {shown}{even}", 4)
        if release.unit.parties > 1:
            yield from _item(
                f"a unit may be at {release.unit.parties} parties, and the noise covers that"
                ' (unit_scope = "global" would declare that none is)',
                4,
            )


def _sent(release: ReleasePlan) -> Iterator[str]:
    size = sum((p.width + 1) * p.columns for p in release.partials)
    if release.domain is None:
        yield from _item("keyed tags of its group keys, shuffled (16 bytes a group), to the coordinator", 4)
    if release.circuit is not None and len(release.contributors) > 1:
        tests = len(release.tests)
        yield from _item(f"{tests} count{'s' * (tests != 1)} a group as additive shares, to two computing parties", 4)
    shared = [partial for partial in release.partials if partial.order is not None]
    if len(release.contributors) > 1:
        if extremes := sum(partial.rank is None for partial in shared):
            what = "least or largest value" + "s" * (extremes != 1)
            yield from _item(f"{extremes} {what} a group as secret shares, to two computing parties", 4)
        if counts := sum(partial.rank.values for partial in shared if partial.rank is not None):
            yield from _item(f"{counts} counts a group, for quantiles, as secret shares, to two computing parties", 4)
    sums = sum(partial.columns for partial in release.partials)
    yield from _item(
        f"{sums} masked sum{'s' * (sums != 1)} a group ({size} bytes) in Paillier ciphertexts, to the coordinator", 4
    )
    if any(partial.tagged for partial in release.partials):
        yield from _item("keyed tags of the distinct values in shown cells, among dummies, to the coordinator", 4)
    if release.domain is None:
        yield from _item("labels of groups that are shown, sealed to you, one party for each", 4)


def _learns(release: ReleasePlan) -> Iterator[str]:
    made = "you: the groups shown and their values (and the sums and counts these are made of)"
    if any(output.fraction is not None and output.ranges is None for output in release.outputs):
        made += "; of each median and quantile_cont, the two values that it lies between, and how many values there are"
    if any(output.ranges is not None for output in release.outputs):
        made += "; of each quantile, noisy counts of the values in ranges between their bounds"
    if release.release.most_frequent:
        made += f"; so you see the distinct values under {release.release.values_of}, and how many rows have each one"
    elif release.release.values_of:
        made += f"; so you see every distinct value under {release.release.values_of}, which you compute of them"
    yield from _item(made, 4)
    if release.circuit is None:
        yield from _item("parties: the question, and what it charges; nothing of each other", 4)
    elif release.domain is None:
        yield from _item("parties: the question, about how many groups there are, and which of their own are shown", 4)
    else:
        yield from _item("parties: the question, and which of the public groups are shown", 4)
    known = "coordinator: who asks whom, sizes, which of the unlabelled groups are shown"
    if any(partial.tagged for partial in release.partials):
        known += (
            "; for each COUNT(DISTINCT) in them, how many tags each party has and shares with which others,"
            " blurred by a number of dummies that the parties alone know"
        )
    yield from _item(known, 4)


def _sent_of_join(release: ReleasePlan, join: JoinPlan) -> Iterator[str]:
    """Explain what is sent for a private join (docs/joins.md)."""
    providers = ", ".join(link.provider for link in join.links)
    anchors = ", ".join(join.anchors)
    yield from _item(
        f"{anchors} and {providers}: keyed tags of their join keys (16 bytes a row), to the coordinator", 4
    )
    columns = sum(len(link.provided) for link in join.links)
    if columns:
        values = " for each of its own groups" if join.keyed is not None else ""
        yield from _item(
            f"{providers}: {columns} column{'s' * (columns != 1)}{values}, each value under a one-time pad, to the coordinator",
            4,
        )
    yield from _item(f"{anchors}: its rows in a masked order, and masked factors, to the coordinator", 4)
    tests, sums = len(release.tests), len(release.partials)
    yield from _item(
        f"all: shares of {tests} count{'s' * (tests != 1)} and {sums} sum{'s' * (sums != 1)} a group: of the counts to two"
        " computing parties, of the sums masked and in Paillier ciphertexts to the coordinator",
        4,
    )
    if release.domain is None:
        yield from _item("labels of groups that are shown, sealed to you, by whose column they are of", 4)


def _learned_of_join(release: ReleasePlan, join: JoinPlan) -> Iterator[str]:
    yield from _item("you: the groups shown and their values (and the sums and counts these are made of)", 4)
    keyed = f", and into how many groups {join.keyed.provider} divides its rows" if join.keyed is not None else ""
    yield from _item(
        "parties: the question, how many rows the others have, how many groups there are and which are shown"
        f"{keyed}; not which rows matched",
        4,
    )
    stars = "; which of the anchor's rows match at which provider" if len(join.links) > 1 else ""
    yield from _item(
        "coordinator: who asks whom, how many rows each table has, how many match, how often each key repeats, by names of"
        f" this query alone{stars}; which of the unlabelled groups are shown. Not a key, a label or a value",
        4,
    )


def _unmatched(release: ReleasePlan) -> str:
    return "and enough do not (join_both_sides)" if release.both_sides else "(no party asks that as many do not)"


def _end(plan: Plan, final: str, left: Mapping[str, float | None]) -> Iterator[str]:
    yield "Then, in your own DuckDB:"
    yield from _indented(final, indent=2)
    yield "Privacy cost:"
    if plan.epsilon is None:
        count = len(plan.releases)
        asked = "one query" if count == 1 else f"{count} queries, one for each release,"
        yield from _indented(f"{asked} of the quota at each party (none if asked before on the same data)", indent=2)
    else:
        pure = not plan.delta_of_groups and all(n.mechanism.pure for r in plan.releases for n in r.all_noise)
        cost = f"epsilon {plan.epsilon:.4g}{' (pure)' if pure else ''} at delta {plan.delta:g}"
        yield from _indented(f"{cost}{least_epsilon(plan)}, at each of {', '.join(plan.parties)}", indent=2)
        if left:
            told = (f"{name} {'could not be asked' if e is None else f'{e:.4g}'}" for name, e in left.items())
            yield from _indented(f"epsilon left before it: {', '.join(told)}", indent=2)


def _indented(text: str, *, indent: int) -> Iterator[str]:
    for line in text.splitlines():
        pad = " " * (indent + len(line) - len(line.lstrip()))
        yield from textwrap.wrap(line.strip(), _WIDTH, initial_indent=pad, subsequent_indent=f"{pad}    ")


def _item(text: str, indent: int) -> list[str]:
    pad = " " * indent
    return textwrap.wrap(text, _WIDTH, initial_indent=f"{pad}- ", subsequent_indent=f"{pad}  ")
