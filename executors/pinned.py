"""What a party or a coordinator checks of its files: its keys against the pinned ones, its address, its certificate."""

from __future__ import annotations

import datetime
import time
from pathlib import Path

from fedsql.config.models import FederationConfig, PartyConfig
from fedsql.config.problems import choices
from fedsql.crypto.certificates import expiry
from fedsql.crypto.keys import IdentityKey, format_public
from fedsql.errors import ConfigError
from fedsql.executors.transport.address import Address

_SOON = 30 * 86400  # seconds


def check_pinned(config: PartyConfig, federation: FederationConfig, identity: IdentityKey, file: Path) -> None:
    """Check that the shared ``file`` pins ``identity`` for the party of ``config``. Raises ConfigError."""
    if federation.coordinator is None:
        raise ConfigError(f"{file}: coordinator: missing; without one all parties run in one process (fedsql shell)")
    entry = federation.parties.get(config.name)
    if entry is None:
        raise ConfigError(
            f"{file}: parties: there is no {config.name}{choices(config.name, tuple(federation.parties))}"
        )
    own = format_public(identity.public)
    if entry.public_key != own:
        raise ConfigError(
            f"{file}: parties.{config.name}.public_key: is not the key of this party, which is {own}",
            hint="its private key is identity.pem in the party's state folder; everybody needs the same federation file",
        )


def check_same(old: FederationConfig, new: FederationConfig, file: Path, who: str) -> None:
    """Check that a shared file that was read again has the same coordinator: connections are made with its old entry.

    Raises ConfigError, for ``who`` must then be started anew.
    """
    if (old.name, old.coordinator, old.root_certificates) != (new.name, new.coordinator, new.root_certificates):
        raise ConfigError(f"{file}: name or coordinator have changed: start {who} anew")


def everywhere(address: str) -> str:
    """Return the address to listen at by default: a public name is often not one of this machine's own interfaces.

    What is reached on this machine alone listens to it alone.
    """
    where = Address.parse(address)
    return address if where.local else where._replace(host="::" if ":" in where.host else "0.0.0.0").location()


def tls_files(state: Path) -> tuple[bytes, bytes]:
    """Return the coordinator's certificate chain and its private key, both PEM. Raises ConfigError."""
    try:
        chain, key = (state / "tls.pem").read_bytes(), (state / "tls.key").read_bytes()
        expiry(chain)
        return chain, key
    except ValueError:
        raise ConfigError(f"{state / 'tls.pem'}: is no certificate (PEM)") from None
    except OSError as error:
        raise ConfigError(
            f"{error.filename}: cannot be read: {error.strerror}",
            hint="grpc+tls:// needs tls.pem (the certificate chain) and tls.key beside the coordinator's identity.pem",
        ) from None


def certificate_due(until: float, then: str) -> str | None:
    """Return that a certificate ends at ``until`` (unix seconds), and what to do ``then``; None while it is early."""
    now = time.time()
    if until - now > _SOON:
        return None
    ends = datetime.datetime.fromtimestamp(until, datetime.UTC)
    return f"the TLS certificate {'ended' if until <= now else 'ends'} at {ends:%Y-%m-%d %H:%M} UTC: {then}"
