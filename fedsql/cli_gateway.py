"""`fedsql serve`: the gateway, by which BI tools and programs ask a federation over Arrow Flight SQL."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fedsql.cli_common import LogFormat, guarded
from fedsql.cli_serve import Log, Operations, watched

if TYPE_CHECKING:
    from fedsql.config.models import FederationConfig
    from fedsql.executors.transport.address import Address
    from fedsql.flight.tls import Tls

_log = logging.getLogger("fedsql.gateway")
_PORT = 31338


def serve(
    federation: Annotated[Path, typer.Argument(metavar="FEDERATION", help="The federation.toml to serve.")],
    port: Annotated[
        int, typer.Option(metavar="PORT", min=0, max=65535, help="Where to listen (0: a free one).")
    ] = _PORT,
    listen: Annotated[
        str | None,
        typer.Option(metavar="HOST", help="The interface (default: every one; with --no-tls this machine's own)."),
    ] = None,
    host: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="How clients reach this machine, for the certificate; repeatable."),
    ] = None,
    users: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Who may connect (default: gateway/users.toml beside FEDERATION); the certificate is kept beside it.",
        ),
    ] = None,
    no_tls: Annotated[bool, typer.Option("--no-tls", help="In the clear, for clients on this machine alone.")] = False,
    certificate: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A certificate chain of your own (default: one is made)."),
    ] = None,
    private_key: Annotated[Path | None, typer.Option(metavar="FILE", help="The private key of --certificate.")] = None,
    keys: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Analysts' NAME/identity.pem are here (default: beside FEDERATION)."),
    ] = None,
    idle: Annotated[str, typer.Option(metavar="TIME", help="Sessions without a call for so long end.")] = "30m",
    operations: Operations = None,
    log: Log = LogFormat.text,
) -> None:
    """Run the gateway: BI tools ask over Arrow Flight SQL."""

    def work() -> int:
        from fedsql.config.loading import load_federation
        from fedsql.config.users import default_file
        from fedsql.executors.transport.address import Address
        from fedsql.flight.service import GatewayService
        from fedsql.flight.users import Users
        from fedsql.operation.logs import set_up
        from fedsql.serving import run

        where = listen or ("127.0.0.1" if no_tls else "0.0.0.0")
        seconds = _checked(where, host or [], no_tls, certificate, private_key, idle)
        with watched(operations) as watch:
            set_up(log.value)
            config, file = load_federation(federation), users or default_file(federation)
            known = Users(file)
            _remind_of_keys(federation, config, known.analysts(), keys or federation.parent)
            tls = None if no_tls else _tls(file.parent, where, host or [], config.name, certificate, private_key)
            service = GatewayService(
                federation,
                known,
                host=where,
                port=port,
                tls=None if tls is None else (tls.chain, tls.key),
                keys=keys,
                idle=float(seconds),
            )
            try:
                on_reload = watch(service)
                service.start()
            except BaseException:
                service.close()
                raise
            at = Address(where, service.port, tls is not None)
            _log.info("listening at %s; %s", at.location(), _how_to_connect(at, tls, host or []))
            run(service, [federation, file], on_reload=on_reload)
        return 0

    guarded(work)


def _checked(
    where: str, hosts: list[str], no_tls: bool, certificate: Path | None, private_key: Path | None, idle: str
) -> int:
    """Check the options that must fit each other; return ``idle`` in seconds. Raises ConfigError for every mistake."""
    from fedsql.config.values import period
    from fedsql.errors import ConfigError
    from fedsql.executors.transport.address import is_loopback

    problems = []
    seconds = 0
    if no_tls and not is_loopback(where):
        problems.append(f"--no-tls, --listen {where}: passwords and answers would cross the network for all to read")
    if no_tls and (hosts or certificate or private_key):
        problems.append("--host, --certificate, --private-key: are for TLS; leave out --no-tls")
    if (certificate is None) != (private_key is None):
        problems.append("--certificate, --private-key: give both or neither")
    elif certificate and hosts:
        problems.append("--host: is for the certificate that the gateway makes, not for one of your own")
    try:
        seconds = period(idle)
    except ValueError as error:
        problems.append(f"--idle: {error}")
    if problems:
        raise ConfigError(*problems)
    return seconds


def _tls(
    folder: Path, where: str, hosts: list[str], name: str, certificate: Path | None, private_key: Path | None
) -> Tls:
    from fedsql.crypto.certificates import hosts_of
    from fedsql.executors.transport.address import is_loopback
    from fedsql.flight import tls

    if certificate is not None and private_key is not None:
        return tls.given(certificate, private_key)
    made = tls.own(folder, hosts, f"{name} gateway")
    if all(map(is_loopback, hosts_of(made.chain))) and not is_loopback(where):
        _log.warning("the certificate is for this machine alone: --host NAME makes one for clients on others")
    return made


def _remind_of_keys(federation: Path, config: FederationConfig, analysts: Mapping[str, str], keys: Path) -> None:
    """Log who could log in and not ask: over the network the gateway needs each analyst's private key."""
    from fedsql.executors.setup import IDENTITY

    for user, analyst in analysts.items() if config.remote else ():
        if analyst not in config.analysts:
            _log.warning("%s asks as %s, who is no analyst in %s", user, analyst, federation)
        elif not (place := keys / analyst / IDENTITY).exists():
            _log.warning("%s asks as %s, whose private key is not here: %s", user, analyst, place)


def _how_to_connect(at: Address, tls: Tls | None, hosts: list[str]) -> str:
    """Return what a client needs: the URI, by a name that is in the certificate, and the authority to trust."""
    from fedsql.crypto.certificates import hosts_of

    named = [*hosts, *(hosts_of(tls.chain) if tls is not None else [at.host])]
    trust = f", trusting {tls.authority}" if tls is not None and tls.authority is not None else ""
    return f"connect with ADBC at {at._replace(host=named[0] if named else at.host).location()}{trust}"
