"""`fedsql enroll`: a party or an analyst joins a federation over the network, in its shared file and with a key.

What stands in the file stays byte for byte; the new entry comes at its end. Nothing is changed unless all of it can be.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fedsql.config.loading import load_federation
from fedsql.config.models import FederationConfig
from fedsql.config.placing import alone, placed, replace
from fedsql.config.scaffold import blank_party_text
from fedsql.config.setup_texts import ANALYSTS, PARTIES, entry_text
from fedsql.crypto.keys import IdentityKey, format_public, parse_public
from fedsql.errors import ConfigError
from fedsql.executors.setup import IDENTITY, mistake_in_participant, party_key

_MARK = "\ufeff"  # of UTF-8, as some editors write it


@dataclass(frozen=True)
class Enrolled:
    """What `enroll` did. ``written`` lists the files that are new, ``federation`` is the shared one as it now is.

    ``key`` is where the private key is; None where only the public one is known here.
    """

    name: str
    public_key: str
    written: tuple[Path, ...]
    key: Path | None
    federation: FederationConfig


def enroll(file: Path, name: str, *, party: bool, public_key: str | None = None, key: Path | None = None) -> Enrolled:
    """Add ``name`` to the shared file ``file`` as a party, or else as an analyst.

    ``public_key`` is theirs, or ``key`` the file of their private one. With neither it is where it is looked for, or
    made there: ``<name>/.fedsql/<name>/identity.pem`` beside the shared file, together with a party file to begin with,
    or ``<name>/identity.pem`` of an analyst. Who is enrolled at the same moment waits. Raises ConfigError, having changed
    nothing.
    """
    with alone(file.resolve().parent):
        return _enroll(file, name, party, public_key, key)


def _enroll(file: Path, name: str, party: bool, public_key: str | None, key: Path | None) -> Enrolled:
    federation = load_federation(file)
    problems = [*_mistakes(file, federation, name, party)]
    if public_key is not None and key is not None:
        problems.append("--public-key, --key: give one of them")
    if problems:
        raise ConfigError(*problems)
    files: dict[Path, str | bytes] = {}
    place = None
    if public_key is None:
        place = key or (party_key(file.parent, name) if party else file.parent / name / IDENTITY)
        if key is not None or place.exists():
            identity = IdentityKey.from_file(place)
        else:
            identity = IdentityKey.generate()
            files[place] = identity.to_pem()
        public_key = format_public(identity.public)
        template = file.parent / name / f"{name}.toml"
        if party and key is None and not template.exists():
            files[template] = blank_party_text(name)
    else:
        try:
            parse_public(public_key)
        except ValueError as error:
            raise ConfigError(f"--public-key: {error}") from None
    if owner := _owner(federation, public_key):
        raise ConfigError(f"the key {public_key} is that of {owner} already; everybody has a key of their own")
    with file.open(encoding="utf-8", newline="") as stream:  # line ends stay as they are
        before = stream.read()
    text = _with_entry(before, file.name, PARTIES if party else ANALYSTS, name, public_key)
    changed = load_federation(file, text.removeprefix(_MARK))
    with placed(files, files):
        replace(file, text, before)
    return Enrolled(name, public_key, tuple(files), place, changed)


def _mistakes(file: Path, federation: FederationConfig, name: str, party: bool) -> Iterator[str]:
    option = "--party" if party else "--analyst"
    if mistake := mistake_in_participant(name, party=party):
        yield f"{option}: {mistake}"
    there = {each.lower(): each for each in (federation.parties if party else federation.analysts)}
    if name.lower() in there:
        yield f"{option}: {file} has {there[name.lower()]} already; choose another name"
    if federation.coordinator is None or federation.embedded:
        yield (
            f"{file}: its parties run in one process: nobody dials it, so nobody can join; fedsql init DIR --parties"
            " writes a federation over the network"
        )


def _owner(federation: FederationConfig, public_key: str) -> str | None:
    """Return who has this key already."""
    if federation.coordinator is not None and federation.coordinator.public_key == public_key:
        return "the coordinator"
    keys = [(name, entry.public_key) for name, entry in federation.parties.items()]
    keys += [(name, entry.public_key) for name, entry in federation.analysts.items()]
    return next((name for name, key in keys if key == public_key), None)


def _with_entry(text: str, file: str, kind: str, name: str, public_key: str) -> str:
    """Return the text of the shared file with a new entry at its end. Raises ConfigError when none can stand there."""
    end = "\r\n" if "\r\n" in text else "\n"
    entry = end + entry_text(kind, name, public_key).replace("\n", end)
    text += entry if text.endswith("\n") else end + entry
    try:
        tomllib.loads(text.removeprefix(_MARK))
    except tomllib.TOMLDecodeError:
        raise ConfigError(
            f"{file}: {kind}: is written on one line, to which nothing can be added here",
            hint=f'write {name} = {{ public_key = "{public_key}" }} there yourself, or begin [{kind}.<name>] for each',
        ) from None
    return text
