"""The users ada and bob in the file of a gateway, with one password and a token each."""

from __future__ import annotations

import datetime
from pathlib import Path

from fedsql.config.users import TokenEntry, UserEntry, change_users
from fedsql.flight import users
from fedsql.flight.users import Users

PASSWORD = "correct horse"
_DAY = datetime.timedelta(days=1)


def accounts(folder: Path, *names: str) -> tuple[Users, dict[str, str]]:
    """Write the users ``names`` (ada and bob) into ``folder``; return them, and each one's token."""
    file, tokens = folder / "gateway" / "users.toml", {}
    now = datetime.datetime.now(datetime.UTC)
    memory, users._MEMORY = users._MEMORY, 64  # cheap hashes: what a guess costs is not what is tested here
    try:
        for name in names or ("ada", "bob"):
            token_id, digest, token = users.new_token()
            tokens[name] = token
            entry = TokenEntry(sha256=digest, created=now, expires=now + _DAY)
            made = UserEntry(analyst=name, password=users.hash_password(PASSWORD), tokens={token_id: entry})
            change_users(file, lambda found, name=name, made=made: {**found.users, name: made})
    finally:
        users._MEMORY = memory
    return Users(file), tokens
