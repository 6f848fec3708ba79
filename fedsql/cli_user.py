"""The commands for the users of the gateway: `fedsql user add`, `password`, `token`, `list` and `remove`.

A gateway that runs reads the file again by itself. Passwords are asked for without echo or come from standard input,
never from the command line, which others see.
"""

from __future__ import annotations

import datetime
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fedsql.cli_common import guarded, say

if TYPE_CHECKING:
    from fedsql.config.users import UserEntry, UsersConfig

_SHORTEST = 8  # characters of a password

app = typer.Typer(help="Say who may connect to the gateway.", no_args_is_help=True, rich_markup_mode=None)

Federation = Annotated[Path, typer.Argument(metavar="FEDERATION", help="The federation.toml that the gateway serves.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="The user's name.")]
File = Annotated[
    Path | None,
    typer.Option("--users", metavar="FILE", help="The file of users (default: gateway/users.toml beside FEDERATION)."),
]
PasswordStdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from the first line of standard input.")
]


@app.command()
def add(
    federation: Federation,
    name: Name,
    analyst: Annotated[
        str | None, typer.Option(metavar="NAME", help="The analyst as whom this user asks (default: of the same name).")
    ] = None,
    password_stdin: PasswordStdin = False,
    users: File = None,
) -> None:
    """Add a user; asks for a password."""

    def work() -> int:
        from fedsql.config.users import UserEntry, change_users, load_users, mistake_in_user_name
        from fedsql.errors import ConfigError
        from fedsql.flight.users import hash_password

        asking = name if analyst is None else analyst
        if mistake := mistake_in_user_name(name):
            raise ConfigError(f"NAME: {mistake}")
        _check_analyst(federation, asking)
        file = _file(federation, users)

        def others(config: UsersConfig) -> dict[str, UserEntry]:
            if (there := next((each for each in config.users if each.lower() == name.lower()), None)) is not None:
                raise ConfigError(
                    f"{file}: there is a user {there} already",
                    hint=f"fedsql user password {federation} {there} changes the password",
                )
            return dict(config.users)

        if file.exists():
            others(load_users(file))  # before anybody types a password
        entry = UserEntry(analyst=asking, password=hash_password(_password(name, password_stdin)))
        change_users(file, lambda config: others(config) | {name: entry})
        say(f"{name} may connect to the gateway and asks as the analyst {asking}; {file} says so.")
        return 0

    guarded(work)


@app.command()
def password(federation: Federation, name: Name, password_stdin: PasswordStdin = False, users: File = None) -> None:
    """Give a user another password."""

    def work() -> int:
        from fedsql.config.users import change_users, load_users
        from fedsql.flight.users import hash_password

        file = _file(federation, users)
        load_users(file).user(name, file)
        hashed = hash_password(_password(name, password_stdin))

        def changed(config: UsersConfig) -> dict[str, UserEntry]:
            return {**config.users, name: config.user(name, file).model_copy(update={"password": hashed})}

        change_users(file, changed)
        say(f"{name} has another password. Sessions that began with the old one end; tokens stay.")
        return 0

    guarded(work)


@app.command()
def token(
    federation: Federation,
    name: Name,
    days: Annotated[int, typer.Option(metavar="N", min=1, max=3650, help="When it expires.")] = 90,
    users: File = None,
) -> None:
    """Make a token, which a program gives instead of name and password; it is shown once."""

    def work() -> int:
        from fedsql.config.users import TokenEntry, change_users
        from fedsql.flight.users import new_token

        file = _file(federation, users)
        token_id, digest, text = new_token()
        now = datetime.datetime.now(datetime.UTC)
        entry = TokenEntry(sha256=digest, created=now, expires=now + datetime.timedelta(days=days))

        def changed(config: UsersConfig) -> dict[str, UserEntry]:
            user = config.user(name, file)
            return {**config.users, name: user.model_copy(update={"tokens": {**user.tokens, token_id: entry}})}

        change_users(file, changed)
        print(text, flush=True)
        say(
            f"The line above is {name}'s token {token_id}, until {entry.expires:%Y-%m-%d}. It is a secret, and nothing"
            " shows it again. Take it back with",
            f"  fedsql user remove {federation} {name} --token {token_id}",
        )
        return 0

    guarded(work)


@app.command("list")
def list_(federation: Federation, users: File = None) -> None:
    """Show who may connect, and their tokens."""

    def work() -> int:
        from fedsql.config.users import load_users

        found = load_users(_file(federation, users)).users
        now = datetime.datetime.now(datetime.UTC)
        for name, user in sorted(found.items()):
            print(f"{name}  analyst {user.analyst}")
            for token_id, entry in sorted(user.tokens.items(), key=lambda item: item[1].expires):
                ends = "expired" if entry.expires <= now else "expires"
                print(
                    f"  token {token_id}  created {entry.created:%Y-%m-%d}  {ends} {entry.expires:%Y-%m-%d %H:%M} UTC"
                )
        sys.stdout.flush()
        if not found:
            say("(no users)")
        return 0

    guarded(work)


@app.command()
def remove(
    federation: Federation,
    name: Name,
    token: Annotated[str | None, typer.Option(metavar="ID", help="Only this token; the user stays.")] = None,
    users: File = None,
) -> None:
    """Remove a user, or one token."""

    def work() -> int:
        from fedsql.config.problems import choices
        from fedsql.config.users import change_users
        from fedsql.errors import ConfigError

        file = _file(federation, users)

        def changed(config: UsersConfig) -> dict[str, UserEntry]:
            user = config.user(name, file)
            if token is None:
                return {each: entry for each, entry in config.users.items() if each != name}
            if token not in user.tokens:
                known = choices(token, tuple(user.tokens)) if user.tokens else "; there is none"
                raise ConfigError(f"{file}: {name} has no token {token}{known}")
            left = {each: entry for each, entry in user.tokens.items() if each != token}
            return {**config.users, name: user.model_copy(update={"tokens": left})}

        change_users(file, changed)
        gone = name if token is None else f"{name}'s token {token}"
        say(f"{gone} is no longer in {file}; sessions that it began end.")
        return 0

    guarded(work)


def _file(federation: Path, users: Path | None) -> Path:
    from fedsql.config.users import default_file

    return users or default_file(federation)


def _check_analyst(federation: Path, name: str) -> None:
    """Check that the federation knows the analyst, who in one process may have any name. Raises ConfigError."""
    from fedsql.config.loading import load_federation
    from fedsql.config.problems import choices
    from fedsql.config.values import mistake_in_name
    from fedsql.errors import ConfigError

    config = load_federation(federation)
    if mistake := mistake_in_name(name, party=False):
        raise ConfigError(f"--analyst: {mistake}")
    if config.remote and name not in config.analysts:
        known = choices(name, tuple(config.analysts)) if config.analysts else "; it lists nobody"
        raise ConfigError(
            f"--analyst: {federation} knows no analyst {name}{known}",
            hint=f"fedsql enroll {federation} --analyst {name}",
        )


def _password(name: str, from_stdin: bool) -> str:
    """Return a new password, asked for twice on a terminal. Raises ConfigError."""
    from fedsql.errors import ConfigError

    if from_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
    elif sys.stdin is None or not sys.stdin.isatty():
        raise ConfigError("there is no terminal to ask for the password", hint="give it with --password-stdin")
    else:
        import getpass

        password = getpass.getpass(f"Password of {name}: ")
        if len(password) >= _SHORTEST and getpass.getpass("Once more: ") != password:
            raise ConfigError("the passwords differ; nothing has changed")
    if len(password) < _SHORTEST:
        raise ConfigError(f"a password has at least {_SHORTEST} characters, this one has {len(password)}")
    return password
