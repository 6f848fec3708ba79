"""EXPLAIN: what each party runs and sends, who learns what, what it costs and how exact it is. Costs nothing itself."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence

from fedsql.errors import ProgrammingError
from fedsql.planner.describing import describe
from fedsql.planner.joint import JoinPlan
from fedsql.planner.margins import answer_names
from fedsql.planner.partials import Output
from fedsql.planner.plans import Plan, ReleasePlan
from fedsql.planner.relations import Filter, Rows
from fedsql.planner.sensitivity import Noise, off_by

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


def notices(plan: Plan) -> tuple[str, ...]:
    """Return what an answer says about itself. It follows from the query alone, never from the data."""
    found = []
    for release in plan.releases:
        terms = release.terms
        if release.missing:
            found.append(f"Without {', '.join(release.missing)}, which could not be reached (allow_missing).")
        if terms.noisy:
            found.append(
                f"Every value carries noise (epsilon {plan.epsilon:.4g} for this query, delta {plan.delta:g})."
            )
            if plan.accuracy is not None and _lone(plan):
                accuracy = f"{100 * plan.accuracy:.3g} %"
                found.append(f"The accuracy of {accuracy} is that of a group of all rows; small groups are less exact.")
            if release.noise_of_units is not None and release.circuit is not None:
                least = units(release, release.circuit.tests[0])
                found.append(f"Groups of fewer than about {least}, by a noisy count, if any, are not shown.")
            if not all(offer.unit_unique for offer in release.leaf.offers):
                rows = "1 row" if release.unit.rows == 1 else f"{release.unit.rows} rows"
                found.append(f"Of each unit at most {rows} at a party count, drawn at random (max_rows_per_unit).")
        elif terms.hides:
            what = "groups" if release.release.keys else "results"
            few = f"fewer than {units(release, terms.min_group_size)}" if terms.min_group_size > 1 else ""
            lone = f"from fewer than {terms.min_parties} parties" if terms.min_parties > 1 else ""
            if few and release.both_sides:
                few += f" (or of all but fewer than {terms.min_group_size})"
            text = f"{what.capitalize()} of {' or '.join(t for t in (few, lone) if t)}, if any, are not shown"
            if terms.min_group_size > 1 and release.circuit is not None and release.circuit.cells:
                text += f"; values that rest on fewer than {terms.min_group_size}, if any, are NULL"
            found.append(text + ".")
            if release.after:
                found.append("Totals from which hidden groups could be calculated, if any, are not shown either.")
    return tuple(dict.fromkeys(found))


def margins(release: ReleasePlan) -> dict[str, float | None]:
    """Return the half-width of the 95 % interval of each output of a noisy release, from public sizes alone.

    AVG and quantiles depend on the group's size: None when a condition leaves that open; else for a group without NULLs
    that has an even share of the rows, or, where keys are unknown, just as many units as it needs to be shown; quantiles
    where values are spread evenly between their bounds.
    """
    if release.noise is None:
        return {}
    by_name = dict(zip((p.name for p in release.partials), release.noise, strict=True))
    return {output.name: _margin(release, output, by_name) for output in release.outputs}


def _margin(release: ReleasePlan, output: Output, by_name: Mapping[str, Noise]) -> float | None:
    half = by_name[output.partials[-1]].error95
    if output.function == "count":
        return half
    half *= float(output.units[0])
    if output.function == "sum":
        return half
    if output.function != "avg" and output.ranges is None:
        return None
    # An average moves with its sum and with its count. Public sizes are powers of two above the true ones: half of each
    # is there for certain, unless a condition leaves rows out.
    rows = sum(offer.rows for offer in release.leaf.offers) / 2 / max(1, len(release.domain or ((),)))
    if release.noise_of_units is not None and release.circuit is not None:
        rows = release.circuit.tests[0]
    aggregate = next(a for a in release.release.aggregates if a.name == output.name)
    if isinstance(release.release.input, Filter | Rows) or aggregate.condition is not None or rows < 1:
        return None
    if output.ranges is not None:
        rank = off_by(output, by_name[output.partials[0]])
        return output.ranges.even_error(rank, rows) * abs(float(output.units[0]))
    widest = next(max(abs(p.low), abs(p.high)) for p in release.partials if p.name == output.partials[-1])
    counted = by_name[output.partials[0]].error95 * widest * float(output.units[0])
    return (half + counted) / rows


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
        yield from _indented(f"{cost}{_least(plan)}, at each of {', '.join(plan.parties)}", indent=2)
        if left:
            told = (f"{name} {'could not be asked' if e is None else f'{e:.4g}'}" for name, e in left.items())
            yield from _indented(f"epsilon left before it: {', '.join(told)}", indent=2)


def _lone(plan: Plan) -> str:
    """Say what an accuracy is of where nobody knows beforehand how many groups there are."""
    return " if all rows were one group" * any(r.domain is None and r.terms.noisy for r in plan.releases)


def _least(plan: Plan) -> str:
    """Say what accuracy an epsilon was derived from, and of what: nobody may look at the values beforehand."""
    if plan.accuracy is None:
        return ""
    outputs = (output for r in plan.releases if r.terms.noisy for output in r.outputs)
    middle = " where values are in the middle of their bounds" * any(o.function != "count" for o in outputs)
    return f" (the least for an accuracy of {100 * plan.accuracy:.3g} %{middle}{_lone(plan)})"


def units(release: ReleasePlan, count: int) -> str:
    """Say ``count`` of what a release protects: rows, or units by the name of their column."""
    names = {offer.privacy_unit for offer in release.leaf.offers}
    (name,) = names if len(names) == 1 else ("units",)
    if name is None or name == "units":
        return f"{count} {name or 'rows'}"
    return f"{count} units ({name.rpartition('.')[2]})"


def _indented(text: str, *, indent: int) -> Iterator[str]:
    for line in text.splitlines():
        pad = " " * (indent + len(line) - len(line.lstrip()))
        yield from textwrap.wrap(line.strip(), _WIDTH, initial_indent=pad, subsequent_indent=f"{pad}    ")


def _item(text: str, indent: int) -> list[str]:
    pad = " " * indent
    return textwrap.wrap(text, _WIDTH, initial_indent=f"{pad}- ", subsequent_indent=f"{pad}  ")
