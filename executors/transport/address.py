"""Where the hub listens: ``grpc://host:port`` on the loopback interface only, ``grpc+tls://host:port`` anywhere."""

from __future__ import annotations

import ipaddress
from typing import NamedTuple
from urllib.parse import urlsplit

from fedsql.errors import ConfigError


class Address(NamedTuple):
    """The parts of a hub's address; ``host`` is a name or an IP address without brackets."""

    host: str
    port: int
    tls: bool

    @classmethod
    def parse(cls, text: str) -> Address:
        """Parse an address. Raises ConfigError, also for one that would go over a network in the clear."""
        try:
            parts = urlsplit(text)
            host, port = parts.hostname, parts.port
        except ValueError:
            host, port = None, None
        if host is None or port is None or parts.scheme not in ("grpc", "grpc+tls") or parts.path not in ("", "/"):
            raise ConfigError(f"{text}: a coordinator's address is written grpc+tls://<host>:<port>")
        address = cls(host, port, parts.scheme == "grpc+tls")
        if not address.tls and not address.local:
            raise ConfigError(f"{text}: without TLS only this machine can be reached", hint="write grpc+tls://")
        return address

    @property
    def local(self) -> bool:
        """Whether it is reached from this machine alone."""
        return is_loopback(self.host)

    def location(self) -> str:
        """Return the address as Arrow Flight wants it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'grpc+tls' if self.tls else 'grpc'}://{host}:{self.port}"


def is_loopback(host: str) -> bool:
    """Say whether ``host`` is this machine itself, by name or number."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
