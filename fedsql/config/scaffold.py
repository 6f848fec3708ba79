"""The files that `fedsql init` writes: everything that could be allowed, commented out.

As written a party file loads and offers nothing: allowing is the owner's act, line by line. It shows names and types of
columns and never a value; where a bound is wanted there is a placeholder that does not load until it is thought about.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from fedsql.config.models import LimitsConfig, ReleaseConfig
from fedsql.config.problems import key
from fedsql.types import SqlType

_IDENTIFYING = re.compile(
    r"(.*_)?(id|nr|no|key|uuid|ssn)|(patient|person|subject|customer|client|member|user|account|household)(_?(id|nr|no))?"
)
_LOWEST, _HIGHEST = "low", "high"
_PRIVACY_UNIT = "whom the promises protect; without it one row is one unit"
_NOTES = {
    "noise": '"none" or "required" (differential privacy)',
    "noise_colluders": "how many other parties may be hostile",
    "min_group_size": "units (patients, customers) that a group must have",
    "min_parties": "parties that must have units in the group",
    "allow_alone": "may tables of this party be asked without the others?",
    "join_both_sides": "in a join the unmatched must be as many, too",
    "aggregates": "min, max, quantile and mode only when listed",
}
_EXAMPLE = """\
# An example. `fedsql init --from FILE` lists all columns of a file like this, in a party file of its own.
# [tables.patients]
# source = "patients.parquet"   # beside this file
# privacy_unit = "patient_id"   # whom the promises protect
#
# [tables.patients.columns]
# patient_id = { use = ["join"] }
# sex        = { use = ["group", "filter"], values = ["F", "M"] }
# age        = { use = ["filter", "aggregate"], bounds = [0, 120] }
"""


@dataclass(frozen=True)
class Listed:
    """One table to write down: its name, its source as the file shall name it, and (column, DuckDB type)s."""

    name: str
    source: str
    columns: Sequence[tuple[str, str]]


def party_text(party: str, tables: Sequence[Listed]) -> str:
    """Return the text of a party file that offers nothing yet."""
    return "\n".join([_head(party), *(_table_text(table) for table in tables), _release_text()])


def federation_text(party: str) -> str:
    """Return the text of a federation file with this party in it."""
    return (
        "# The parties that can be asked together. Each writes its own file; this one they share.\n"
        'name = "federation"\n\n'
        f'[parties.{party}]\nconfig = "{party}.toml"\n\n'
        '# [parties.other]\n# config = "other.toml"\n'
    )


def blank_party_text(party: str) -> str:
    """Return the text of a party file that has no table yet, but an example of one."""
    return "\n".join([_head(party), _EXAMPLE, _release_text()])


def _head(party: str) -> str:
    return (
        f"# What {party} lets others ask. Only {party} writes this file. What is not listed does not exist for others.\n"
        "# Take the # away from what you allow, write its bounds, then run `fedsql check`.\n"
        "#   use: group (GROUP BY), filter (WHERE), aggregate (SUM, AVG, ...), join (join keys)\n"
        "#   bounds = [low, high]: what a value can be, from knowledge and not from the data: they are public\n"
        '#   values = ["F", "M"]: all that a column can hold, public; makes grouping cheaper\n'
        f'name = "{party}"\n'
    )


def _table_text(table: Listed) -> str:
    lines = [f"[tables.{table.name}]", f"source = {_text(table.source)}"]
    candidates = [name for name, _ in table.columns if _IDENTIFYING.fullmatch(name.lower())]
    for name in candidates:
        lines.append(f"# privacy_unit = {_text(name)}   # {_PRIVACY_UNIT}")
    if not candidates:
        lines.append(f'# privacy_unit = "..."   # {_PRIVACY_UNIT}')
    lines += ["", f"[tables.{table.name}.columns]"]
    width = max((len(_key(name)) for name, _ in table.columns), default=0)
    lines += [_column_text(name, type_, width) for name, type_ in table.columns]
    return "\n".join([*lines, ""])


def _column_text(name: str, type_: str, width: int) -> str:
    shown = type_ if SqlType.parse(type_).family not in ("other", "text") else type_.split("(")[0]  # no ENUM's values
    if not name.isprintable() or '"' in name or not name.strip():
        return f"# {_key(name)}: rename this column in sql = ...   # {shown}"
    return f"# {_key(name):{width}} = {{ {_suggestion(name, type_)} }}   # {shown}"


def _suggestion(name: str, type_: str) -> str:
    family = SqlType.parse(type_).family
    if _IDENTIFYING.fullmatch(name.lower()) and family in ("integer", "text", "other"):
        return 'use = ["join"]'
    if family in ("integer", "decimal", "float"):
        return f'use = ["filter", "aggregate"], bounds = ["{_LOWEST}", "{_HIGHEST}"]'
    return {
        "text": 'use = ["group", "filter"]',
        "boolean": 'use = ["group", "filter"]',
        "temporal": 'use = ["filter"]',
    }.get(family, "use = []")


def _release_text() -> str:
    release, limits = ReleaseConfig(), LimitsConfig()
    lines = ["# [release]   # as written these are the defaults"]
    lines += [f"# {name} = {json.dumps(getattr(release, name))}   # {note}" for name, note in _NOTES.items()]
    lines += [
        "# [release.budget]   # with noise, for each analyst",
        f"# epsilon = {release.budget.epsilon}",
        f"# delta = {release.budget.delta}",
        f'# period = "{release.budget.period // 86400}d"',
        "# [release.quota]   # without noise",
        f"# queries = {release.quota.queries}",
        f'# period = "{release.quota.period // 86400}d"',
        "",
        "# [limits]   # what one query may take here; memory and threads as DuckDB decides unless written",
        '# memory = "4GB"',
        "# threads = 4",
        f'# time = "{limits.time // 60}m"',
        f"# groups = {limits.groups}",
        f"# rows = {limits.rows}   # of a private join's fragment",
        f"# queries = {limits.queries}   # so many at once, the others wait",
    ]
    return "\n".join([*lines, ""])


def _text(value: str) -> str:
    """Return ``value`` as a TOML string; JSON's escapes are TOML's."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _key(name: str) -> str:
    return name if key(name) == name else _text(name)
