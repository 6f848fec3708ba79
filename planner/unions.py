"""Set operations below the cut: whether each party can compute its part alone, and what the rows are made of.

UNION ALL puts rows side by side: it needs no more than sides that each party can compute. The others compare rows, and are
right at each party where the rows hold party-scoped ids, for then equal rows are at one party.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sqlglot import exp

from fedsql.errors import NotSupportedError, PolicyDenied
from fedsql.planner.blocks import keeps_all, yields_groups
from fedsql.planner.positions import position
from fedsql.planner.relations import Hazard
from fedsql.planner.sources import Column, Env, NotLocal, Source

if TYPE_CHECKING:
    from fedsql.planner.below import Below

_HINT = "aggregate each side first: set operations of released results work"


def united(below: Below, query: exp.SetOperation, alias: str, outer: Sequence[Env] = ()) -> Source:
    """Analyse a set operation of federated rows; return it as a source of the block around it. Raises NotLocal."""
    check_parts(query)
    name = query.key.upper() + (" ALL" if not query.args.get("distinct") else "")
    if any(query.args.get(part) for part in ("by_name", "side", "kind", "on")):
        raise NotLocal(
            f"{name} BY NAME of federated rows is not answered",
            hint="list the columns of both sides in one order",
            position=position(query),
        )
    left, right = (below.derived(_bare(side), alias, outer) for side in (query.left, query.right))
    if not left.federated or not right.federated:
        raise NotLocal(
            f"{name} of federated rows and others is not answered: every party has the others, and would add them",
            hint=_HINT,
            position=position(query),
        )
    names = [projection.alias_or_name.lower() for projection in query.selects]
    if len(set(names)) < len(names):
        raise NotLocal(
            f"two columns of one name in a {name} of federated rows are not answered",
            hint="give each column a name of its own, with AS",
            position=position(query),
        )
    listed = tuple(_either(*pair) for pair in zip(left.listed, right.listed, strict=True))
    unit = left.unit if left.unit == right.unit else None
    one_unit = left.one_unit and right.one_unit and unit is not None
    if not keeps_all(query):
        one_unit &= _check_ids(below, query, name, listed)
        for known in listed:
            below.use_column("join" if known.domain is not None else "group", known, {})
    if isinstance(query, exp.Union):
        # A side may be the rows of another that meet a condition, many times over. And where each row is there once, a
        # side of one person may have values so large that the others are no more than the last digits of the sum.
        below.hazards.append(
            Hazard(
                f"without noise, {name} may repeat rows, and so weigh them",
                "aggregate each side first, and then the union: SELECT SUM(s) FROM (SELECT SUM(x) AS s FROM a UNION ALL"
                " SELECT SUM(y) FROM b) t",
                position(query),
            )
        )
    columns = dict(zip(names, listed, strict=True))
    return Source(alias, True, columns, (*left.scans, *right.scans), unit, one_unit, listed=listed)


def _bare(side: exp.Expr) -> exp.Query:
    """Return a side without its parentheses, which may choose rows of it."""
    while isinstance(side, exp.Subquery):
        check_parts(side)
        side = side.this
    assert isinstance(side, exp.Query)
    return side


def _either(one: Column, other: Column) -> Column:
    """Return what is known of a value that is of one of two columns."""
    return Column(
        one.reads | other.reads,
        one.bases + other.bases if one.bases and other.bases else (),
        one.public if one.public == other.public else None,
        one.domain if one.domain == other.domain else None,
        plain=one.plain and other.plain,
        padded=one.padded or other.padded,
        copied=one.copied and other.copied,
    )


def _check_ids(below: Below, query: exp.SetOperation, name: str, listed: Sequence[Column]) -> bool:
    """Check that equal rows are at one party; return whether they are of one privacy unit."""
    ids = [known for known in listed if known.key is not None]
    if not ids:
        raise NotLocal(
            f"{name} of federated rows compares rows of several parties",
            hint=f"select the privacy unit or a declared reference on both sides; or {_HINT}",
            position=position(query),
        )
    tells = any(below.tells_unit(known) for known in ids)
    below.mixed |= not tells
    return tells


def check_parts(query: exp.Query) -> None:
    """Refuse what would choose rows. Raises NotLocal where it chooses groups: that is done once they are released."""
    for part, name in (("limit", "LIMIT"), ("offset", "OFFSET"), ("sample", "SAMPLE")):
        if query.args.get(part):
            if part != "sample" and yields_groups(query):
                raise NotLocal(
                    f"{name} of groups takes those of all parties",
                    hint="aggregate in a query of its own; LIMIT works on the released groups",
                    position=position(query.args[part]),
                )
            raise PolicyDenied(
                f"{name} over single rows is refused: which rows come first would show rows",
                hint="aggregate first; LIMIT and ORDER BY work on the released groups",
                position=position(query.args[part]),
            )
    for part, name in (("laterals", "LATERAL"), ("match", "MATCH_RECOGNIZE"), ("connect", "CONNECT BY")):
        if query.args.get(part):
            raise NotSupportedError(f"{name} over federated rows is not answered", position=position(query))
    distinct = query.args.get("distinct")
    if isinstance(distinct, exp.Distinct) and distinct.args.get("on"):
        raise PolicyDenied(
            "DISTINCT ON over federated rows is refused: it would show single rows",
            hint="GROUP BY the columns instead",
            position=position(query),
        )
