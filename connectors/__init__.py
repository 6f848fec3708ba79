"""Where a party's rows come from: one file per kind of source. `open_source` picks the kind.

A `Source` can be read from DuckDB under a name, once, and has a version that changes whenever its rows may have changed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fedsql.config.values import expand
from fedsql.connectors import arrow, csv, memory, parquet
from fedsql.connectors.paths import resolve
from fedsql.connectors.source import Source
from fedsql.errors import ConfigError

OPENERS: dict[str, Callable[[Sequence[Path]], Source]] = {
    parquet.NAME: parquet.open_files,
    csv.NAME: csv.open_files,
    arrow.NAME: arrow.open_files,
}
ENDINGS = {ending: kind.NAME for kind in (parquet, csv, arrow) for ending in kind.ENDINGS}

__all__ = ["Source", "open_source"]


def open_source(source: Any, base: Path) -> Source:
    """Open what a party file calls ``source``: a path, a glob or a folder (from ``base``), or an object in memory.

    Raises ConfigError whose line says what is wrong and what would be valid; the caller puts file and key before it.
    """
    if not isinstance(source, str):
        return memory.open_object(source)
    if (uri := re.match(r"([A-Za-z][A-Za-z0-9+.-]+)://", source)) and uri[1] != "file":
        raise ConfigError(
            f"{uri[1]}:// sources are not available yet in this version; name a file, such as data.parquet"
        )
    try:
        text = expand(source)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    name, paths = resolve(text.removeprefix("file://"), base, ENDINGS)
    return OPENERS[name](paths)
