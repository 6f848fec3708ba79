"""From files (or Python mappings) to a `FederationConfig`, or to a list of every mistake in all of them.

`load_federation` reads `federation.toml` and the files of the parties that run in this process. `federation_from` takes
the same shape from Python, where a party may be a mapping and a source a table in memory.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from fedsql.config.models import FederationConfig, PartyConfig, TableConfig
from fedsql.config.problems import choices, key, near, translate
from fedsql.config.roots import private_key_line, tls_roots
from fedsql.errors import ConfigError

M = TypeVar("M", bound=BaseModel)
_SHARED = "federation.toml"


def load_federation(path: str | os.PathLike[str], text: str | None = None) -> FederationConfig:
    """Read a `federation.toml` and the party files that it names. Raises ConfigError with one line for each mistake.

    With ``text`` the file is taken to hold that, so that a change can be checked before it is made.
    """
    file = Path(path)
    if text is None:
        text = _text(file, str(file))
    if (number := private_key_line(text)) is not None:
        raise ConfigError(
            f"{file.name}: line {number}: a private key; this file is for everybody: take the key out",
            hint="whoever has seen it can pose as its owner: make a new one with fedsql keygen",
        )
    return _federation(parsed(text, file.name), file.parent, f"{file.name}: ", durable=True)


def load_party(path: str | os.PathLike[str]) -> PartyConfig:
    """Read one party's file. Raises ConfigError with one line for each mistake."""
    file = Path(path)
    problems: list[str] = []
    party = _party(_read(file, str(file)), file.parent, f"{file.name}: ", problems, durable=True)
    if problems or party is None:
        raise ConfigError(*problems)
    return party


def is_party_file(path: str | os.PathLike[str]) -> bool:
    """Say whether a file is one party's rather than a federation's. Raises ConfigError when it cannot be read."""
    file = Path(path)
    record = _read(file, str(file))
    own = PartyConfig.model_fields.keys() - {"name"}
    # A party that has no table yet has a name alone; of a shared file such a beginning is a mistake to be told of.
    return "parties" not in record and bool(own & record.keys() or (record.keys() <= {"name"} and file.name != _SHARED))


def federation_from(mapping: Mapping[str, Any], base: str | os.PathLike[str] = ".") -> FederationConfig:
    """Build a federation from the shape of `federation.toml`. Raises ConfigError with one line for each mistake.

    A party may be written as ``{"config": "north.toml"}``, as ``{"config": {"tables": ...}}``, or shorter as
    ``{"tables": ...}``: what would stand in its file. Its ``name`` may be left out, as may the federation's. Relative
    paths start from ``base``.
    """
    entries = mapping.get("parties", {})
    if isinstance(entries, Mapping):
        own = set(PartyConfig.model_fields)
        entries = {
            n: {"config": e} if isinstance(e, Mapping) and e and set(e) <= own else e for n, e in entries.items()
        }
    return _federation({"name": "federation", **mapping, "parties": entries}, Path(base), "federation: ", durable=False)


def _federation(record: Mapping[str, Any], base: Path, where: str, *, durable: bool) -> FederationConfig:
    problems: list[str] = []
    federation = validated(FederationConfig, record, where, problems)
    embedded: dict[str, PartyConfig] = {}
    for name, config in _configs(record):
        if isinstance(config, Mapping):
            at = f"{where}{key('parties', name)}."
            party = _party({"name": name, **config}, base, at, problems, durable=False)
        else:
            file = base / Path(config).expanduser()
            try:
                content = _read(file, f"{where}{key('parties', name, 'config')}: {file}", _label(file, base))
            except ConfigError as error:
                problems += error.problems
                continue
            party = _party(content, file.parent, f"{_label(file, base)}: ", problems, durable=durable)
        if party is not None and party.name != name:
            same = next((n for n, p in embedded.items() if p.name == party.name), None)
            also = f", and {same} has it already" if same else ""
            problems.append(
                party.line("name", f"{party.name!r} is [parties.{name}] in {where[:-2]}{also}; write one name in both")
            )
        if party is not None:
            embedded[name] = party
    if federation is not None:
        problems += (f"{where}{line}" for line in _missing(federation))
        federation._embedded = embedded
        if federation.coordinator is not None and federation.coordinator.ca is not None:
            try:
                federation._roots = tls_roots(federation.coordinator.ca, base)
            except ValueError as error:
                problems.append(f"{where}{key('coordinator', 'ca')}: {error}")
    if problems or federation is None:
        raise ConfigError(*problems)
    return federation


def federation_file(party: PartyConfig) -> Path:
    """Return where a party finds the shared file: as its own says, else beside it, else in the folder above.

    Raises ConfigError that names the places looked at.
    """
    if party.federation is not None:
        return party.base / Path(party.federation).expanduser()
    places = [party.base / _SHARED, party.base.absolute().parent / _SHARED]
    for place in places:
        if place.exists():
            return place
    listed = " nor ".join(str(place) for place in places)
    raise ConfigError(party.line("federation", f'there is neither {listed}; write federation = "path/to/{_SHARED}"'))


def _configs(record: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield (name, config) of each party that has a usable one, so that mistakes elsewhere do not hide theirs."""
    parties = record.get("parties")
    for name, entry in (parties if isinstance(parties, Mapping) else {}).items():
        config = entry.get("config") if isinstance(entry, Mapping) else None
        if config and isinstance(config, str | os.PathLike | Mapping):
            yield name, config


def _missing(federation: FederationConfig) -> Iterator[str]:
    if not federation.parties:
        yield 'parties: missing; write [parties.<name>] with config = "<name>.toml" for at least one party'
    if federation.remote and federation.coordinator is None:
        yield (
            f"coordinator: missing; {', '.join(federation.remote)} (public_key) can be reached only through one: write "
            'coordinator = { address = "grpc+tls://host:port", public_key = "ed25519:..." }'
        )


def _party(
    record: Mapping[str, Any], base: Path, where: str, problems: list[str], *, durable: bool
) -> PartyConfig | None:
    party = validated(PartyConfig, record, where, problems)
    if party is not None:
        party._base, party._where, party._durable = base, where, durable
        for name, table in party.tables.items():
            problems += (party.line(key("tables", name, *at), message) for at, message in _table(party, table))
    return party


def _table(party: PartyConfig, table: TableConfig) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield (rest of the key, message) for what can be wrong between the keys of one table, or between tables."""
    for name, column in table.columns.items():
        if column.use is None and not table.public:
            yield (
                ("columns", name, "use"),
                'missing; write use = [...] with some of "group", "filter", "aggregate", "join"',
            )
    for name in (name for names in table.unique for name in names):
        if name.lower() not in kept_columns(table):
            yield ("unique",), f"{name} is no listed column{near(name, table.columns)}"
    tables = {name.lower(): other for name, other in party.tables.items()}
    listed_columns = {name.lower() for name in table.columns}
    for column_name, target in table.references.items():
        if table.public and column_name.lower() not in listed_columns:
            yield (
                ("references", column_name),
                "public = true sends the columns that are kept; list this one too, or remove the reference",
            )
        other_name, other_column = target.split(".")
        if (other := tables.get(other_name.lower())) is None:
            yield (
                ("references", column_name),
                f"there is no table {other_name}{choices(other_name, tuple(party.tables))}",
            )
        elif other_column.lower() not in (known := kept_columns(other)):
            yield (
                ("references", column_name),
                f"tables.{other_name} lists no column {other_column} (list it, or name its privacy_unit){near(other_column, known)}",
            )
    unit = table.privacy_unit or ""
    if "." in unit and unit.lower() not in (reached := _reached(tables, table)):
        listed = (
            f"; reached are: {', '.join(sorted(reached))}"
            if reached
            else '; write references = { column = "table.column" }'
        )
        yield ("privacy_unit",), f"{unit} is not reached along references{listed}"


def kept_columns(table: TableConfig) -> dict[str, str]:
    """Return the columns that a party keeps of ``table``, lower case -> as written: listed ones, keys, privacy unit."""
    unit = [table.privacy_unit] if table.privacy_unit and "." not in table.privacy_unit else []
    return {name.lower(): name for name in (*unit, *table.references, *table.columns)}


def _reached(tables: Mapping[str, TableConfig], table: TableConfig) -> set[str]:
    """Return every "table.column" that is a column of a table reached along references, in lower case."""
    found: dict[str, TableConfig] = {}
    waiting = [table]
    while waiting:
        for target in waiting.pop().references.values():
            name = target.split(".")[0].lower()
            if name in tables and name not in found:
                found[name] = tables[name]
                waiting.append(tables[name])
    return {f"{name}.{column}" for name, other in found.items() for column in kept_columns(other)}


def validated(model: type[M], record: Mapping[str, Any], where: str, problems: list[str]) -> M | None:
    """Return what a file holds, or None with a line more in ``problems`` for each mistake, each beginning with ``where``."""
    try:
        return model.model_validate(record)
    except ValidationError as error:
        problems += (
            f"{where}{at}: {message}" if at else f"{where}{message}" for at, message in translate(error, model)
        )
        return None


def _read(file: Path, shown: str, label: str | None = None) -> dict[str, Any]:
    """Read a TOML file. Raises ConfigError; ``shown`` names a file that is not there, ``label`` one with mistakes."""
    return parsed(_text(file, shown), label or file.name)


def _text(file: Path, shown: str) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(f"{shown}: there is no such file{_neighbour(file)}") from None
    except IsADirectoryError:
        raise ConfigError(f"{shown}: is a folder; name a file in it") from None
    except OSError as error:
        raise ConfigError(f"{shown}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{shown}: is not UTF-8 text; save it as UTF-8") from None


def parsed(text: str, label: str) -> dict[str, Any]:
    """Return what a TOML text holds. Raises ConfigError that begins with ``label``."""
    try:
        return tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        message, _, place = str(error).removesuffix(")").rpartition(" (at ")
        raise ConfigError(f"{label}: {place}: not TOML: {message[:1].lower()}{message[1:]}") from None


def _neighbour(file: Path) -> str:
    try:
        names = sorted(path.name for path in file.parent.iterdir())
    except OSError:
        return f", nor the folder {file.parent}"
    return near(file.name, names)


def _label(file: Path, base: Path) -> str:
    """Return a party file's name as its line begins: relative to the federation's folder where it is below it."""
    try:
        return file.relative_to(base).as_posix()
    except ValueError:
        return str(file)
