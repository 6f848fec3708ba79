"""Who may connect to the gateway: checks passwords and tokens against `gateway/users.toml` (fedsql/config/users.py).

A password costs one hash of Argon2id (RFC 9106), whether the name exists or not, and one is made at a time; one that was
right is then known again by a keyed hash, for some clients send it with every call. A token is 32 random bytes, of which
the file has the SHA-256: nothing needs to slow guesses of it down.
"""

from __future__ import annotations

import datetime
import hashlib
import hmac
import logging
import re
import secrets
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import BoundedSemaphore, Lock

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from fedsql.config.users import HINT, UserEntry, load_users
from fedsql.errors import ConfigError

_log = logging.getLogger("fedsql.gateway")
_PASSES, _LANES, _MEMORY = 3, 4, 65536  # the second recommendation of RFC 9106, section 4; memory in KiB
_PREFIX = "fedsql"
_WAITING = 64  # logins that may wait for their hash; more are refused at once
FAILURES, WINDOW, PAUSE = 5, 60.0, 60.0  # so many failures of one name in so many seconds close it for so many


@dataclass(frozen=True)
class User:
    """Somebody who has logged in, and the analyst as whom they ask.

    ``credential`` names by what (the salt of the password's hash, or a token's id): when that goes, so does the session.
    """

    name: str
    analyst: str
    credential: str = field(default="", compare=False, repr=False)


def hash_password(password: str) -> str:
    """Return the hash of a password with a new salt, in PHC's form."""
    kdf = Argon2id(salt=secrets.token_bytes(16), length=32, iterations=_PASSES, lanes=_LANES, memory_cost=_MEMORY)
    return kdf.derive_phc_encoded(_bytes(password))


def new_token() -> tuple[str, str, str]:
    """Return (id, SHA-256 in hexadecimal digits, token) of a new token."""
    token_id, secret = secrets.token_hex(5), secrets.token_bytes(32)
    return token_id, hashlib.sha256(secret).hexdigest(), f"{_PREFIX}_{token_id}_{secret.hex()}"


class Throttle:
    """Closes a name for a while after some failed logins. ``clock`` tells seconds. Not for several threads at once."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._failed: dict[str, list[float]] = {}
        self._closed: dict[str, float] = {}  # until when

    def closed(self, name: str) -> bool:
        """Whether nobody is let in under this name now."""
        return self._closed.get(name, -float("inf")) > self._clock()

    def fail(self, name: str) -> None:
        """Count a failed login."""
        now = self._clock()
        self._failed = {
            each: recent for each, times in self._failed.items() if (recent := [t for t in times if now - t < WINDOW])
        }
        self._closed = {each: until for each, until in self._closed.items() if until > now}
        times = self._failed.setdefault(name, [])
        times.append(now)
        if len(times) >= FAILURES:
            del self._failed[name]
            self._closed[name] = now + PAUSE
            _log.warning("%d failed logins as %r: nobody is let in under this name for %g s", FAILURES, name, PAUSE)

    def succeed(self, name: str) -> None:
        """Forget the failures of a name."""
        self._failed.pop(name, None)


class Users:
    """The users of the file ``path``. Threads may share it.

    ``clock`` tells the seconds of the throttle, ``now`` the time (unix seconds) by which tokens expire. Raises
    ConfigError, also when there is no user.
    """

    def __init__(
        self, path: Path, *, clock: Callable[[], float] = time.monotonic, now: Callable[[], float] = time.time
    ) -> None:
        self._path, self._now = path, now
        self._entries: Mapping[str, UserEntry] = load_users(path).users
        if not self._entries:
            raise ConfigError(f"{path}: there are no users", hint=HINT)
        self._nobody = hash_password(secrets.token_hex())  # what an unknown name's password is compared with
        self._key = secrets.token_bytes(32)
        self._guard = Lock()  # of the two below
        self._throttle = Throttle(clock)
        self._known: dict[str, tuple[str, bytes]] = {}  # name -> the hash that was verified, the keyed hash
        self._one = Lock()  # a hash takes 64 MiB and a moment of all processors
        self._line = BoundedSemaphore(_WAITING)

    def reload(self) -> None:
        """Read the file again. ConfigError leaves the old users."""
        self._entries = load_users(self._path).users
        with self._guard:
            hashes = {name: entry.password for name, entry in self._entries.items()}
            self._known = {name: known for name, known in self._known.items() if hashes.get(name) == known[0]}

    def analysts(self) -> dict[str, str]:
        """Return each user's analyst."""
        return {name: entry.analyst for name, entry in self._entries.items()}

    def by_password(self, name: str, password: str) -> User | None:
        """Return the user with this name and password; None where there is none, or the name is closed for a while."""
        name = name[:64]  # nobody's is as long; what is sent may be, and is kept and logged
        entry = self._entries.get(name)
        with self._guard:
            if self._throttle.closed(name):
                return None
            recalled = self._recall(name, entry, password)
            if recalled and entry is not None:
                return self._let_in(name, entry, password)
            if recalled is False:  # counted before its turn: else guesses beside one another would not be
                self._throttle.fail(name)
        if not self._line.acquire(blocking=False):
            _log.warning("more than %d logins wait for their turn: one as %r is refused", _WAITING, name)
            return None
        try:
            with self._one:
                return self._verify(name, entry, password, counted=recalled is False)
        finally:
            self._line.release()

    def by_token(self, token: str) -> User | None:
        """Return the user whose token this is; None when it is nobody's or has expired."""
        match = re.fullmatch(rf"{_PREFIX}_([0-9a-z]+)_([0-9a-f]{{64}})", token)
        if match is None:
            return None
        given = hashlib.sha256(bytes.fromhex(match[2])).hexdigest()
        for name, entry in self._entries.items():
            known = entry.tokens.get(match[1])
            if known is not None and hmac.compare_digest(given, known.sha256) and not self._expired(known.expires):
                return User(name, entry.analyst, match[1])
        return None

    def current(self, user: User) -> bool:
        """Whether a user is still there, with the same analyst and what they logged in by."""
        entry = self._entries.get(user.name)
        if entry is None or entry.analyst != user.analyst:
            return False
        token = entry.tokens.get(user.credential)
        if token is not None:
            return not self._expired(token.expires)
        return user.credential in ("", _salt(entry.password))

    def _verify(self, name: str, entry: UserEntry | None, password: str, *, counted: bool) -> User | None:
        """Make one hash and compare it; a wrong password that is ``counted`` as a failure already takes as long."""
        with self._guard:
            if not counted and self._throttle.closed(name):  # since this began to wait
                return None
            if entry is not None and self._recall(name, entry, password):
                return self._let_in(name, entry, password)
        right = _is_password(self._nobody if entry is None else entry.password, password)
        with self._guard:
            if right and entry is not None:
                return self._let_in(name, entry, password)
            if not counted:
                self._throttle.fail(name)
        return None

    def _let_in(self, name: str, entry: UserEntry, password: str) -> User:
        self._throttle.succeed(name)
        self._known[name] = entry.password, self._keyed(name, password)
        return User(name, entry.analyst, _salt(entry.password))

    def _recall(self, name: str, entry: UserEntry | None, password: str) -> bool | None:
        """Whether this password is the one that was verified; None where none was, or the hash has changed since."""
        known = self._known.get(name)
        if known is None or entry is None or known[0] != entry.password:
            return None
        return hmac.compare_digest(known[1], self._keyed(name, password))

    def _keyed(self, name: str, password: str) -> bytes:
        named = _bytes(name)
        return hmac.digest(self._key, len(named).to_bytes(8) + named + _bytes(password), "sha256")

    def _expired(self, when: datetime.datetime) -> bool:
        return when.timestamp() <= self._now()


def _is_password(stored: str, password: str) -> bool:
    with suppress(InvalidKey):
        Argon2id.verify_phc_encoded(_bytes(password), stored)
        return True
    return False


def _salt(stored: str) -> str:
    return stored.split("$")[4]


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")  # a client may send anything
