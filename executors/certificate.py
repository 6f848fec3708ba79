"""`fedsql certificate`: the coordinator's next TLS certificate, from the authority that `fedsql init --parties` made.

It is for the key of the present one, so one file alone changes, at one stroke, and no secret travels where the authority
is kept elsewhere. Where there is no certificate yet, there will be a new key with it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fedsql.config.loading import load_federation
from fedsql.config.placing import alone, read_private, replace, write_new
from fedsql.crypto.certificates import SUBJECT, expiry, hosts_of, is_among, is_key_of, issue, renew
from fedsql.errors import ConfigError
from fedsql.executors.setup import AUTHORITY, COORDINATOR, HERE
from fedsql.executors.transport.address import Address

_HINT = f"ca.pem and ca.key are in {AUTHORITY}/ beside the shared file, or in the folder that --ca names"


@dataclass(frozen=True)
class Issued:
    """``written`` is tls.pem, after it tls.key where that is new; ``until`` is when the certificate ends, unix seconds."""

    written: tuple[Path, ...]
    hosts: tuple[str, ...]
    until: float


def certificate(
    file: Path, *, hosts: Sequence[str] = (), authority: Path | None = None, state: Path | None = None
) -> Issued:
    """Issue the next certificate of the coordinator of the shared ``file`` into its folder ``state``.

    It is for ``hosts``, or those of the present one; always for the address that is dialled and this machine.
    ``authority`` is the folder of ca.pem and ca.key; both folders are by default those beside the file. Raises
    ConfigError, having changed nothing.
    """
    state, authority = state or file.parent / COORDINATOR, authority or file.parent / AUTHORITY
    dialled, roots = _pinned(file)
    root_file = authority / "ca.pem"
    root, root_key = authority_in(authority, _HINT)
    if not is_among(root, roots):
        raise ConfigError(
            f"{root_file}: is not what {file} pins as coordinator.ca: nobody would trust its certificates"
        )
    if expiry(root) <= time.time():
        raise ConfigError(f"{root_file}: has ended: everybody needs another coordinator.ca in {file}")
    return next_certificate(root, root_key, state, [dialled], hosts)


def authority_in(folder: Path, hint: str) -> tuple[bytes, bytes]:
    """Return (certificate, private key) of the authority in ``folder``: its ca.pem and ca.key. Raises ConfigError."""
    root_file, root_key_file = folder / "ca.pem", folder / "ca.key"
    root, root_key = read_file(root_file, hint), read_private(root_key_file, hint=hint)
    check_pair(root, root_file, root_key, root_key_file)
    return root, root_key


def next_certificate(
    root: bytes,
    root_key: bytes,
    state: Path,
    always: Sequence[str],
    hosts: Sequence[str],
    subject: str = SUBJECT,
) -> Issued:
    """Issue a certificate into ``state``: for the key of the one that is there, or else with a new key.

    It is for ``always``, ``hosts`` (or those of the present one) and this machine. Raises ConfigError.
    """
    chain_file, key_file = state / "tls.pem", state / "tls.key"
    with alone(state):
        chain = read_file(chain_file) if chain_file.exists() else None
        if chain is not None:
            key = read_private(key_file) if key_file.exists() else None  # it may be on another machine
            check_pair(chain, chain_file, key, key_file)
        try:
            if chain is None:
                made, new_key = issue(root, root_key, [*always, *hosts, *HERE], subject)
                written = write_new({chain_file: made, key_file: new_key}, (chain_file, key_file))
            else:
                made = renew(root, root_key, [*always, *(hosts or hosts_of(chain)), *HERE], chain, subject)
                replace(chain_file, made.decode(), chain.decode())
                written = [chain_file]
        except ValueError as error:
            raise ConfigError(f"--host: {error}") from None
    return Issued(tuple(written), tuple(hosts_of(made)), expiry(made))


def _pinned(file: Path) -> tuple[str, bytes]:
    """Return the host at which the coordinator is dialled, and the roots its certificate must hang on."""
    federation = load_federation(file)
    pinned = federation.coordinator
    if pinned is None:
        raise ConfigError(f"{file}: coordinator: missing; this federation has none")
    address = Address.parse(pinned.address)
    if not address.tls:
        raise ConfigError(f"{file}: coordinator.address: {pinned.address} is without TLS and needs no certificate")
    if federation.root_certificates is None:
        raise ConfigError(
            f"{file}: coordinator.ca: missing: its certificate is one of a public authority, which renews it"
        )
    return address.host, federation.root_certificates


def check_pair(chain: bytes, chain_file: Path, key: bytes | None, key_file: Path) -> None:
    """Check that the files are a certificate and, where it is given, its key. Raises ConfigError."""
    try:
        expiry(chain)
    except ValueError:
        raise ConfigError(f"{chain_file}: is no certificate (PEM)") from None
    try:
        fits = key is None or is_key_of(key, chain)
    except (ValueError, TypeError):  # whatever the library found wrong could quote the file
        raise ConfigError(f"{key_file}: is not an unencrypted private key in PEM form") from None
    if not fits:
        raise ConfigError(f"{key_file}: is not the key of {chain_file.name} beside it")


def read_file(path: Path, hint: str | None = None) -> bytes:
    """Return a file's content. Raises ConfigError."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}", hint=hint) from None
