"""`gateway/users.toml`: who may connect to the gateway, as which analyst they ask, and by what they are known.

Made and changed by `fedsql user` alone, and for its owner's eyes: it holds no password and no token, but a password that
is easy to guess can be guessed from its hash. Times are UTC.
"""

from __future__ import annotations

import base64
import datetime
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Strict, model_validator

from fedsql.config.loading import parsed, validated
from fedsql.config.placing import alone, read_private, replace, write_new
from fedsql.config.problems import choices, key
from fedsql.config.values import Identifier, distinct
from fedsql.errors import ConfigError

HINT = "fedsql user add FEDERATION NAME adds one"
_HEAD = "# Who may connect to the gateway (fedsql serve). Written by `fedsql user`, which keeps no comments.\n"
_HASH = re.compile(r"\$argon2id\$v=19\$m=(\d{1,7}),t=(\d{1,3}),p=(\d{1,2})\$([^$]{22})\$([^$]{43})")


def default_file(federation: Path) -> Path:
    """Return where the users of the gateway of a federation file stand unless another file is named."""
    return federation.parent / "gateway" / "users.toml"


def _user_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.@-]{0,62}", name):
        raise ValueError(f"{name!r} is not a user's name: letters, digits and _ . @ - (at most 63)")
    return name


def _password_hash(text: str) -> str:
    match = _HASH.fullmatch(text)
    memory, passes, lanes = map(int, match.groups()[:3]) if match else (0, 0, 0)
    if not match or not passes or not lanes or memory < 8 * lanes or not all(map(_is_base64, match.groups()[3:])):
        raise ValueError("expected a hash of Argon2id as `fedsql user password` writes it")  # what is there is not told
    return text


def _is_base64(text: str) -> bool:
    padded = text + "=" * (-len(text) % 4)
    try:
        return base64.b64encode(base64.b64decode(padded, validate=True)).decode() == padded
    except ValueError:
        return False


def _sha256(text: str) -> str:
    if not re.fullmatch(r"[0-9a-f]{64}", text):
        raise ValueError("expected the SHA-256 of a token: 64 hexadecimal digits")
    return text


def _token_id(text: str) -> str:
    if not re.fullmatch(r"[0-9a-z]{4,16}", text):
        raise ValueError(f"{text!r} is not the id of a token: 4 to 16 digits and small letters")
    return text


UserName = Annotated[str, AfterValidator(_user_name)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TokenEntry(_Model):
    """[users.<name>.tokens.<id>]: ``sha256`` is that of the secret, in hexadecimal digits."""

    sha256: Annotated[str, AfterValidator(_sha256)]
    created: Annotated[AwareDatetime, Strict()]
    expires: Annotated[AwareDatetime, Strict()]


class UserEntry(_Model):
    """[users.<name>]: ``password`` is the hash of one, in PHC's form."""

    analyst: Identifier
    password: Annotated[str, AfterValidator(_password_hash)]
    tokens: dict[Annotated[str, AfterValidator(_token_id)], TokenEntry] = {}


class UsersConfig(_Model):
    """The whole file."""

    users: Annotated[dict[UserName, UserEntry], AfterValidator(distinct)] = {}

    @model_validator(mode="after")
    def _one_owner(self) -> UsersConfig:
        owners: dict[str, str] = {}
        for name, user in self.users.items():
            for token in user.tokens:
                if (other := owners.setdefault(token, name)) != name:
                    raise ValueError(f"the token {token} is {other}'s and {name}'s; each token is one user's")
        return self

    def user(self, name: str, path: Path) -> UserEntry:
        """Return the entry of a user. Raises ConfigError that names the users there are in ``path``."""
        if name not in self.users:
            known = choices(name, tuple(self.users)) if self.users else "; it has none yet"
            raise ConfigError(f"{path}: there is no user {name}{known}")
        return self.users[name]


def mistake_in_user_name(name: str) -> str | None:
    """Return what is wrong with the name of a user; None for a name that can be used."""
    try:
        _user_name(name)
    except ValueError as error:
        return str(error)
    return None


def load_users(path: Path) -> UsersConfig:
    """Read the file. Raises ConfigError with one line for each mistake, also when others may read it."""
    if not path.exists():
        raise ConfigError(f"{path}: there is no such file", hint=HINT)
    return _users(_read(path), path)


def change_users(path: Path, change: Callable[[UsersConfig], dict[str, UserEntry]]) -> UsersConfig:
    """Put what ``change`` makes of the users, none where there is no file yet, in their place; return them all.

    Who changes them at the same moment waits. Raises ConfigError, having changed nothing.
    """
    with alone(path.resolve().parent):
        before = _read(path) if path.exists() else None
        text = _text(change(UsersConfig() if before is None else _users(before, path)))
        after = _users(text, path)  # nothing is written that could not be read
        if before is None:
            write_new({path: text}, (path,))
        else:
            replace(path, text, before)
    return after


def _read(path: Path) -> str:
    try:
        return read_private(path, "the file").decode()
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: is not UTF-8 text") from None


def _users(text: str, path: Path) -> UsersConfig:
    problems: list[str] = []
    found = validated(UsersConfig, parsed(text, str(path)), f"{path}: ", problems)
    if found is None:
        raise ConfigError(*problems)
    return found


def _text(users: dict[str, UserEntry]) -> str:
    blocks = [_HEAD]
    for name, user in users.items():
        blocks.append(f'[{key("users", name)}]\nanalyst = "{user.analyst}"\npassword = "{user.password}"\n')
        for token, entry in user.tokens.items():
            blocks.append(
                f'[{key("users", name, "tokens", token)}]\nsha256 = "{entry.sha256}"\n'
                f"created = {_moment(entry.created)}\nexpires = {_moment(entry.expires)}\n"
            )
    return "\n".join(blocks)


def _moment(when: datetime.datetime) -> str:
    return f"{when.astimezone(datetime.UTC):%Y-%m-%dT%H:%M:%SZ}"
