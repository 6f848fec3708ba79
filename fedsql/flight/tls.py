"""The gateway's TLS: an authority and a certificate of its own, made at the first start, or files of the operator's.

Passwords and answers cross the way to the clients, so there is no way in the clear but within one machine. Clients trust
ca.pem in the gateway's folder, which stays when the certificate is renewed: at a start, once it ends soon or lacks a host.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fedsql.config.placing import read_private, write_new
from fedsql.crypto.certificates import expiry, hosts_of, is_issued_by, issue, make_authority
from fedsql.errors import ConfigError
from fedsql.executors.certificate import authority_in, check_pair, next_certificate, read_file
from fedsql.executors.pinned import certificate_due
from fedsql.executors.setup import HERE

_log = logging.getLogger("fedsql.gateway")
_SUBJECT = "fedsql gateway"
_THEN = (
    "start the gateway anew, which renews one of its own authority (ca.key beside it); put the next one of another"
    " authority in its place before"
)


@dataclass(frozen=True)
class Tls:
    """What the gateway shows, both PEM. ``authority`` is the file that clients must trust; None: what they trust already."""

    chain: bytes
    key: bytes
    authority: Path | None


def due(until: float) -> str | None:
    """Return what to do about the gateway's certificate that ends at ``until`` (unix seconds); None while it is early."""
    return certificate_due(until, _THEN)


def given(certificate: Path, private_key: Path) -> Tls:
    """Return a certificate of the operator's own. Raises ConfigError."""
    chain, key = read_file(certificate), read_private(private_key)
    check_pair(chain, certificate, key, private_key)
    if expiry(chain) <= time.time():
        raise ConfigError(f"{certificate}: has ended; put the next one in its place")
    return Tls(chain, key, None)


def own(folder: Path, hosts: Sequence[str], name: str) -> Tls:
    """Return the certificate in ``folder``, made or renewed there if need be; ``name`` is what the authority is called.

    It is for ``hosts`` and this machine. Raises ConfigError.
    """
    root_file, root_key_file = folder / "ca.pem", folder / "ca.key"
    chain_file, key_file = folder / "tls.pem", folder / "tls.key"
    if not chain_file.exists() and not key_file.exists():
        if root_file.exists() or root_key_file.exists():
            _issue(folder, hosts)
        else:
            root, root_key = make_authority(name)
            try:
                chain, key = issue(root, root_key, [*hosts, *HERE], _SUBJECT)
            except ValueError as error:
                raise ConfigError(f"--host: {error}") from None
            private: dict[Path, str | bytes] = {root_key_file: root_key, key_file: key, chain_file: chain}
            write_new(private | {root_file: root}, private)
            _log.info(
                "a TLS certificate was made in %s; clients need %s, which is no secret, to trust it", folder, root_file
            )
    chain, key = read_file(chain_file), read_private(key_file)
    check_pair(chain, chain_file, key, key_file)
    lacking = [host for host in hosts if host not in hosts_of(chain)]
    ours = root_file.exists() and is_issued_by(chain, read_file(root_file))
    if lacking or due(expiry(chain)):
        if ours and root_key_file.exists():
            _issue(folder, hosts)
            chain = read_file(chain_file)
        elif lacking:
            raise ConfigError(
                f"--host: {chain_file} is not for {', '.join(lacking)}, and {root_key_file}, which could sign the next"
                " one, is not there or is not its authority's"
            )
    if expiry(chain) <= time.time():
        raise ConfigError(f"{chain_file}: has ended; put the next one in its place")
    return Tls(chain, key, root_file if ours else None)


def _issue(folder: Path, hosts: Sequence[str]) -> None:
    root, root_key = authority_in(
        folder, f"the authority of the gateway is in {folder}; move what is left to begin anew"
    )
    if expiry(root) <= time.time():
        raise ConfigError(
            f"{folder / 'ca.pem'}: has ended; move all but users.toml away from {folder}, and clients need the new one"
        )
    issued = next_certificate(root, root_key, folder, (), hosts, _SUBJECT)
    _log.info("the TLS certificate is new: %s, for %s", issued.written[0], ", ".join(issued.hosts))
