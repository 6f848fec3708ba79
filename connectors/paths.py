"""From the text of a source to files: one file, a glob, or a folder, all of one kind.

The kind is told by how a name ends. Files whose names begin with "." or "_" in a folder are bookkeeping and left out.
"""

from __future__ import annotations

import glob
from collections.abc import Mapping
from pathlib import Path

from fedsql.config.problems import near
from fedsql.errors import ConfigError


def resolve(text: str, base: Path, endings: Mapping[str, str]) -> tuple[str, list[Path]]:
    """Return (kind, sorted absolute paths) of what ``text`` names from ``base``; ``endings``: file ending -> kind.

    Raises ConfigError when nothing is there, when the kinds are mixed, or when a kind is unknown.
    """
    path = base / Path(text).expanduser()
    if path.is_dir():
        inside = (p for p in path.rglob("*") if not any(part[0] in "._" for part in p.relative_to(path).parts))
        found = [p for p in inside if p.is_file() and kind_of(p, endings)]
        if not found:
            raise ConfigError(f"the folder {path} holds no file ending in {_listed(endings)}")
    elif path.exists():
        found = [path]
    elif glob.has_magic(text):
        found = [Path(p) for p in glob.glob(str(path), recursive=True) if Path(p).is_file()]
        if not found:
            raise ConfigError(f"no file matches {path}")
    else:
        raise ConfigError(_not_there(path))
    kinds = {kind_of(p, endings) for p in found}
    if None in kinds:
        other = min(p.name for p in found if kind_of(p, endings) is None)
        raise ConfigError(f"{other} is of no known kind; valid endings: {_listed(endings)}")
    if len(kinds) > 1:
        raise ConfigError(
            f"{path} holds files of several kinds ({', '.join(sorted(filter(None, kinds)))}); write a glob, such as *.parquet"
        )
    return str(kinds.pop()), sorted(p.resolve() for p in found)


def kind_of(path: Path, endings: Mapping[str, str]) -> str | None:
    """Return the kind of file that the name tells, or None."""
    return next((kind for ending, kind in endings.items() if path.name.lower().endswith(ending)), None)


def _not_there(path: Path) -> str:
    folder = path.parent
    if not folder.is_dir():
        return f"there is no file {path}, nor the folder {folder}"
    return f"there is no file {path}{near(path.name, sorted(p.name for p in folder.iterdir()))}"


def _listed(endings: Mapping[str, str]) -> str:
    return ", ".join(endings)
