"""`fedsql init`: look at the columns of some sources and write a party file in which nothing is allowed yet.

The texts are made in `fedsql.config.scaffold`; here is what needs an engine: names and types of columns.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

import duckdb
from pydantic import ValidationError

from fedsql.config.models import PartyConfig
from fedsql.config.placing import write_new
from fedsql.config.problems import translate
from fedsql.config.scaffold import Listed, federation_text, party_text
from fedsql.connectors import open_source
from fedsql.errors import ConfigError
from fedsql.executors.engines.loading import RAW, reason


def scaffold(sources: Sequence[Path], directory: Path, party: str) -> list[Path]:
    """Write ``<party>.toml`` with one table for each source, and a federation.toml naming it; return their paths.

    In a folder beside a federation.toml the party file comes alone: it is that federation's.

    Raises ConfigError, having written nothing, when a file is there already, a source cannot be read, two sources give
    the same table name, or ``party`` is no name.
    """
    try:
        PartyConfig(name=party)
    except ValidationError as error:
        raise ConfigError(*(f"party: {message}" for _, message in translate(error, PartyConfig))) from None
    if not sources:
        raise ConfigError("--from: missing; name at least one file, such as patients.parquet")
    tables: list[Listed] = []
    problems: list[str] = []
    for source in sources:
        try:
            table = Listed(_table_name(source), _from(source, directory), _columns(source))
        except ConfigError as error:
            problems += (f"--from {source}: {line}" for line in error.problems)
            continue
        if any(other.name.lower() == table.name.lower() for other in tables):
            problems.append(f"--from {source}: there is a table {table.name} already; rename the file")
        tables.append(table)
    if problems:
        raise ConfigError(*problems)
    files: dict[Path, str | bytes] = {directory / f"{party}.toml": party_text(party, tables)}
    if not (directory.absolute().parent / "federation.toml").exists():
        files[directory / "federation.toml"] = federation_text(party)
    return write_new(files)


def _columns(source: Path) -> list[tuple[str, str]]:
    """Return (name, DuckDB type) of each column of a source."""
    opened = open_source(str(source), Path.cwd())
    with duckdb.connect(":memory:", config={"temp_directory": ""}) as database:
        try:
            opened.attach(database, RAW)
            return [(name, type_) for name, type_, *_ in database.execute(f"DESCRIBE {RAW}").fetchall()]
        except duckdb.Error as error:
            raise ConfigError(reason(error)) from None


def _table_name(source: Path) -> str:
    """Return the file's (or folder's) name up to its first dot as an SQL name."""
    stem = source.absolute().name.split(".")[0]
    name = re.sub(r"[^A-Za-z0-9_]+", "_", stem).strip("_")[:60] or "data"
    return f"t_{name}" if name[0].isdigit() else name


def _from(source: Path, directory: Path) -> str:
    """Return the path of a source as a file in ``directory`` names it."""
    return Path(os.path.relpath(source.expanduser().absolute(), directory.absolute())).as_posix()
