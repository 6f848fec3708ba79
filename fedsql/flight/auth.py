"""Who calls: a user name and a password, or a token, in the header ``authorization`` of each call.

Basic credentials at the handshake are answered with a bearer token that stands for the session (and with a cookie, for
clients that keep those). An issued token (`fedsql user token`) goes the same way, or is given with every call.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from http.cookies import CookieError, SimpleCookie
from typing import Any

import pyarrow.flight as flight

from fedsql.errors import LoginFailed
from fedsql.flight.client import Client
from fedsql.flight.clients import Clients
from fedsql.flight.errors import told
from fedsql.flight.users import User, Users

COOKIE = "arrow_flight_session_id"
MIDDLEWARE = "fedsql"
_HOW = "give a user name and a password, or a token, as your client asks for them"


class Caller(flight.ServerMiddleware):  # type: ignore[misc]
    """What is known of one call: its client, and the headers that go back."""

    def __init__(self, client: Client, headers: Mapping[str, str]) -> None:
        self.client = client
        self._headers = dict(headers)

    def sending_headers(self) -> dict[str, str]:
        """Return the token and the cookie of a new session."""
        return self._headers


class Auth(flight.ServerMiddlewareFactory):  # type: ignore[misc]
    """Finds the client of each call, or refuses it."""

    def __init__(self, users: Users, clients: Clients) -> None:
        self._users, self._clients = users, clients
        super().__init__()

    def start_call(self, info: Any, headers: Mapping[str, Sequence[str]]) -> Caller:
        """Return what is known of the call. Raises FlightUnauthenticatedError."""
        with told():
            given = next(iter(headers.get("authorization", ())), None)
            if given is None:
                raise LoginFailed("no user name or token was given", hint=_HOW)
            kind, _, rest = given.strip().partition(" ")
            handshake = info.method == flight.FlightMethod.HANDSHAKE
            if kind.lower() == "basic":
                user = self._by_password(rest)
            elif kind.lower() == "bearer":
                if (client := self._clients.of(rest)) is not None:
                    return Caller(client, {})
                user = self._by_token(rest)
            else:
                raise LoginFailed("the gateway knows Basic and Bearer alone", hint=_HOW)
            if handshake:
                token, client = self._clients.login(user)
                cookie = f"{COOKIE}={token}; HttpOnly"
                return Caller(client, {"authorization": f"Bearer {token}", "set-cookie": cookie})
            kept = self._of_cookie(headers.get("cookie", ()), user)
            return Caller(kept or self._clients.of_user(user, given), {})

    def _by_password(self, encoded: str) -> User:
        try:
            padded = encoded + "=" * (-len(encoded) % 4)  # Arrow's Go client leaves the padding out
            name, colon, password = base64.b64decode(padded, validate=True).decode().partition(":")
        except (binascii.Error, ValueError):
            raise LoginFailed("the credentials are malformed") from None
        user = self._users.by_password(name, password) if colon else None
        if user is None:
            raise LoginFailed(
                "the user name or the password is wrong",
                hint="after several wrong ones wait a minute; whoever runs the gateway can set a new one",
            )
        return user

    def _by_token(self, token: str) -> User:
        user = self._users.by_token(token)
        if user is None:
            raise LoginFailed(
                "the token is not known, or it has expired, or the session has ended", hint="connect again"
            )
        return user

    def _of_cookie(self, headers: Sequence[str], user: User) -> Client | None:
        for header in headers:
            try:
                morsel = SimpleCookie(header).get(COOKIE)
            except CookieError:
                continue
            client = self._clients.of(morsel.value) if morsel is not None else None
            if client is not None and client.user == user:
                return client
        return None


class NoHandshake(flight.ServerAuthHandler):  # type: ignore[misc]
    """Lets handshakes through to the middleware: without it pyarrow refuses the call."""

    def authenticate(self, outgoing: Any, incoming: Any) -> None:
        """Do nothing: the headers were checked."""

    def is_valid(self, token: bytes) -> bytes:
        """Return nobody: who calls is known to the middleware."""
        return b""
