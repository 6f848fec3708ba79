"""The commands that write keys, certificates and files: `fedsql init`, `keygen`, `enroll` and `certificate`."""

from __future__ import annotations

import datetime
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fedsql.cli_common import guarded, say

if TYPE_CHECKING:
    from fedsql.executors.enrolment import Enrolled


def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to write; made if need be.")] = Path(),
    parties: Annotated[
        str | None,
        typer.Option(metavar="NAMES", help="A federation over the network of these, such as north,south,west."),
    ] = None,
    host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="How others reach the coordinator's machine (default: localhost); repeatable, the first is dialled.",
        ),
    ] = None,
    port: Annotated[
        int | None, typer.Option(metavar="PORT", min=1, max=65535, help="Where it listens (default: 31337).")
    ] = None,
    analyst: Annotated[str | None, typer.Option(metavar="NAME", help="Who may ask (default: analyst).")] = None,
    example: Annotated[bool, typer.Option("--example", help="Give each party a real table that can be asked.")] = False,
    sources: Annotated[
        list[Path] | None,
        typer.Option("--from", metavar="FILE", help="Instead: a party file for this Parquet or CSV file; repeatable."),
    ] = None,
    party: Annotated[
        str | None, typer.Option(metavar="NAME", help="With --from: what your organisation is called (default: mine).")
    ] = None,
) -> None:
    """Write a federation over the network, or one party's file."""

    def work() -> int:
        from fedsql.errors import ConfigError

        networked = {"--host": host, "--port": port, "--analyst": analyst, "--example": example or None}
        if parties is None and sources is None:
            raise ConfigError(
                "--parties or --from: missing",
                hint="--parties north,south writes a federation over the network, --from FILE one party's file for that data",
            )
        if parties is not None and sources is not None:
            raise ConfigError("--parties, --from: give one of them; they write different things")
        if parties is None and (given := [option for option, value in networked.items() if value is not None]):
            raise ConfigError(f"{', '.join(given)}: goes with --parties")
        if parties is not None and party is not None:
            raise ConfigError("--party: goes with --from; --parties has all names")
        if parties is not None:
            return _federation(folder, parties, host or [], port, analyst, example)
        return _party_file(sources or [], folder, party or "mine")

    guarded(work)


def keygen(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write the private key; nothing is replaced.")],
) -> None:
    """Make a private key in FILE; print the public one."""

    def work() -> int:
        from fedsql.crypto.keys import IdentityKey, format_public
        from fedsql.errors import ConfigError

        if file.is_dir():
            raise ConfigError(f"{file}: is a folder; name a file in it")
        identity = IdentityKey.generate()
        try:
            identity.to_file(file)
        except OSError as error:
            raise ConfigError(f"{file}: cannot be written: {error.strerror}") from None
        print(format_public(identity.public), flush=True)
        say(
            "Send the line above, the KEY, to whoever keeps federation.toml. They pin it with",
            "  fedsql enroll federation.toml --party NAME --public-key KEY",
            "(--analyst NAME for who only asks). The private key never leaves you; it is in",
            f"  {file}",
            "It is looked for beside federation.toml, at",
            "  NAME/.fedsql/NAME/identity.pem    of a party",
            "  NAME/identity.pem                 of an analyst",
        )
        return 0

    guarded(work)


def enroll(
    federation: Annotated[Path, typer.Argument(metavar="FEDERATION", help="The shared federation.toml.")],
    party: Annotated[str | None, typer.Option(metavar="NAME", help="A party of this name joins.")] = None,
    analyst: Annotated[str | None, typer.Option(metavar="NAME", help="An analyst of this name joins.")] = None,
    public_key: Annotated[
        str | None, typer.Option(metavar="KEY", help="Their public key, ed25519:... (default: a key is made here).")
    ] = None,
    key: Annotated[Path | None, typer.Option(metavar="FILE", help="Their private key, where it is here.")] = None,
) -> None:
    """Add a party or an analyst to a federation over the network."""

    def work() -> int:
        from fedsql.errors import ConfigError
        from fedsql.executors.enrolment import enroll

        if (party is None) == (analyst is None):
            raise ConfigError("--party NAME or --analyst NAME: give one of them: who joins?")
        name = party if party is not None else analyst or ""
        done = enroll(federation, name, party=party is not None, public_key=public_key, key=key)
        for path in (federation, *done.written):
            print(path, flush=True)
        say(*_after_enrolment(federation, done, party is not None))
        return 0

    guarded(work)


def certificate(
    federation: Annotated[Path, typer.Argument(metavar="FEDERATION", help="The shared federation.toml.")] = Path(
        "federation.toml"
    ),
    host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="How others reach the coordinator's machine (default: as in the present one); repeatable.",
        ),
    ] = None,
    ca: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where ca.pem and ca.key are (default: ca/ beside the file).")
    ] = None,
    state: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="The coordinator's tls.pem is here (default: coordinator/ beside the file)."),
    ] = None,
) -> None:
    """Issue the coordinator's next TLS certificate."""

    def work() -> int:
        from fedsql.executors.certificate import certificate

        issued = certificate(federation, hosts=host or (), authority=ca, state=state)
        for path in issued.written:
            print(path, flush=True)
        until = datetime.datetime.fromtimestamp(issued.until, datetime.UTC)
        names = " and ".join(path.name for path in issued.written)
        say(
            f"It is for {', '.join(issued.hosts)} and ends on {until:%Y-%m-%d}.",
            f"The coordinator needs {names} in its folder, and shows the new certificate once it is started anew;"
            " parties come back by themselves.",
        )
        return 0

    guarded(work)


def _federation(
    folder: Path, names: str, hosts: list[str], port: int | None, analyst: str | None, example: bool
) -> int:
    from fedsql.executors.setup import PORT, SHARED, is_local, set_up

    parties, analyst = [name.strip() for name in names.split(",")], analyst or "analyst"
    written = set_up(
        folder, parties if names.strip() else [], hosts=hosts, port=port or PORT, analyst=analyst, example=example
    )
    for path in written:
        print(path, flush=True)
    here = is_local(hosts)
    say(
        "To start it, each in a terminal of its own:" if here else "To start it, each on its own machine:",
        *([f"  cd {folder}"] if folder != Path() and here else []),
        f"  fedsql coordinator {SHARED}",
        *(f"  fedsql party {party}/{party}.toml" for party in parties),
        f"  fedsql shell {SHARED} --analyst {analyst}",
        f"{written[0]} says who gets which folder, what must stay secret, and what to {'ask' if example else 'do'} first.",
    )
    return 0


def _party_file(sources: list[Path], folder: Path, party: str) -> int:
    from fedsql.executors.scaffold import scaffold

    written = scaffold(sources, folder, party)
    for path in written:
        print(path, flush=True)
    print(f"Allow columns in {written[0]}, then: fedsql check {written[-1]}", file=sys.stderr)
    return 0


def _after_enrolment(file: Path, done: Enrolled, party: bool) -> list[str]:
    """Return what to say: what goes to whom, and how the newcomer begins."""
    folder = file.parent / done.name
    known = dict.fromkeys((*done.federation.parties, *done.federation.analysts))
    others = [name for name in known if name != done.name]
    lines = [
        f"{done.name} is known by {done.public_key}",
        f"Everybody needs the new {file.name}: the coordinator, {', '.join(others)}, and {done.name}. It holds no secret."
        " Who runs already reads it again by itself.",
    ]
    here = done.key is not None and folder in done.key.parents
    if here:
        lines.append(
            f"{folder} is for {done.name} alone: the private key is in it. Where {done.name} is on another machine, move"
            " it there in a safe way and leave no copy."
        )
    elif party:
        lines.append(f"{done.name} keeps the private key, beside {file.name}, at")
        lines.append(f"  {done.name}/.fedsql/{done.name}/identity.pem")
    if party:
        first = "" if here else f" (fedsql init {done.name} --from DATA --party {done.name} writes one)"
        lines.append(f"{done.name} says in its own file{first} what others may ask, then runs")
        own = (folder if here else Path(done.name)) / f"{done.name}.toml"
        lines += [f"  fedsql {command} {own}" for command in ("check", "party")]
    else:
        key = "" if here else f" --key {done.key or 'FILE'}"
        lines += [
            f"{done.name} asks with",
            f"  fedsql shell {file if done.key else file.name} --analyst {done.name}{key}",
        ]
    return lines
