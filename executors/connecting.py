"""From what a user names - a federation file, a mapping, a ``fedsql://`` address - to a federation that can be asked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fedsql.config.loading import federation_from, load_federation
from fedsql.config.models import FederationConfig
from fedsql.errors import ConfigError
from fedsql.executors.embedded import EmbeddedFederation
from fedsql.executors.engines.describer import Describer
from fedsql.executors.federation import Federation

SCHEME = "fedsql://"
DEFAULT_FILE = "federation.toml"
DEFAULT_PORT = 31337


def open_federation(
    source: str | Path | Mapping[str, Any] | FederationConfig,
    analyst: str = "analyst",
    *,
    key: str | Path | None = None,
    federation: str | Path | None = None,
    describer: Describer | None = None,
) -> Federation:
    """Open a federation. Its file decides whether its parties run in this process or are reached over the network.

    ``source`` may be ``fedsql://host:port``: where the coordinator is reached from here; ``federation`` is then the file
    with the pinned keys (by default federation.toml in the current folder). ``key`` is the analyst's private key, by
    default ``<analyst>/identity.pem`` beside the federation file. ``describer``: where statements are described, by default
    in this process; it stays the caller's. Raises ConfigError and OperationalError.
    """
    address, file = None, None
    if isinstance(source, str) and source.startswith(SCHEME):
        file = Path(federation or DEFAULT_FILE)
        config = load_federation(file)
        address = _address(source, config)
    elif federation is not None:
        raise ConfigError(f"federation = {federation}: goes with a fedsql:// address; {source} is a federation already")
    elif isinstance(source, FederationConfig):
        config = source
    elif isinstance(source, Mapping):
        config = federation_from(source)
    else:
        file = Path(source)
        config = load_federation(file)
    if config.embedded or not config.remote:
        if key is not None or address is not None:
            raise ConfigError(f"{config.name}: its parties run in this process: it takes neither a key nor an address")
        return EmbeddedFederation(config, describer)
    from fedsql.executors.remote import RemoteFederation  # Arrow Flight takes a while to load

    return RemoteFederation(config, analyst, key or _default_key(file, analyst), address=address, describer=describer)


def _default_key(file: Path | None, analyst: str) -> Path:
    path = (file.parent if file is not None else Path()) / analyst / "identity.pem"
    if not path.exists():
        raise ConfigError(
            f"{path}: there is no such file: it would be the private key of the analyst {analyst}",
            hint="name the analyst (--analyst) and, where it is elsewhere, the key (--key)",
        )
    return path


def _address(source: str, config: FederationConfig) -> str:
    """Return the Flight address of a fedsql:// one: TLS is as the federation file says."""
    try:
        parts = urlsplit(source)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or parts.path not in ("", "/") or parts.query or parts.username:
        raise ConfigError(f"{source}: an address is written {SCHEME}<host>:<port>")
    if config.coordinator is None:
        raise ConfigError(f"{config.name}: the federation file has no coordinator; open the file itself")
    scheme = config.coordinator.address.split("://")[0]
    shown = f"[{host}]" if ":" in host else host
    return f"{scheme}://{shown}:{port or DEFAULT_PORT}"
