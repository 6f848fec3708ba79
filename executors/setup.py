"""`fedsql init --parties`: the files of a federation over the network, from the keys to a README of the next steps.

Whoever runs it makes everybody's keys and hands them out, so that a federation stands within minutes; the README says
how a party makes its own. Who joins later is `fedsql.executors.enrolment`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from pathlib import Path

from fedsql.config.loading import load_federation
from fedsql.config.placing import write_new
from fedsql.config.scaffold import blank_party_text
from fedsql.config.setup_texts import readme_text, shared_text
from fedsql.config.values import mistake_in_name
from fedsql.crypto.certificates import issue, make_authority
from fedsql.crypto.keys import IdentityKey, format_public
from fedsql.errors import ConfigError

SHARED = "federation.toml"
IDENTITY = "identity.pem"
COORDINATOR, AUTHORITY = "coordinator", "ca"  # folders, so neither can be a participant's
PORT = 31337
HERE = ("localhost", "127.0.0.1", "::1")  # always in the certificate, so that every federation can be tried


def set_up(
    folder: Path,
    parties: Sequence[str],
    *,
    hosts: Sequence[str] = (),
    port: int = PORT,
    analyst: str = "analyst",
    example: bool = False,
) -> list[Path]:
    """Write a federation of ``parties`` and one ``analyst`` into ``folder``, after whose name it is called.

    Its coordinator is dialled at the first of ``hosts`` (names or IP addresses; localhost without any); its certificate
    is for all of them. With ``example`` every party has a table that can be asked at once, else none offers anything.
    Returns what was written: files, and the folders to hand out. Raises ConfigError, having written nothing.
    """
    problems = [*_party_mistakes(parties)]
    if mistake := mistake_in_participant(analyst, party=False):
        problems.append(f"--analyst: {mistake}")
    if problems:
        raise ConfigError(*problems)
    if (folder / SHARED).exists():
        raise ConfigError(
            f"{folder / SHARED}: is there already; choose another folder",
            hint="fedsql enroll adds a party or an analyst to a federation",
        )
    name = folder.absolute().resolve().name
    name = name if name and name.isprintable() else "federation"
    certificate, authority_key = make_authority(name)
    try:
        chain, tls_key = issue(certificate, authority_key, [*hosts, *HERE])
    except ValueError as error:
        raise ConfigError(f"--host: {error}") from None

    identities = {each: IdentityKey.generate() for each in (COORDINATOR, *parties)}
    asking = IdentityKey.generate()
    public = {each: format_public(identity.public) for each, identity in identities.items()}
    address = _address(hosts[0] if hosts else HERE[0], port)
    private: dict[Path, str | bytes] = {
        folder / AUTHORITY / "ca.pem": certificate,
        folder / AUTHORITY / "ca.key": authority_key,
        folder / COORDINATOR / IDENTITY: identities[COORDINATOR].to_pem(),
        folder / COORDINATOR / "tls.pem": chain,
        folder / COORDINATOR / "tls.key": tls_key,
        folder / analyst / IDENTITY: asking.to_pem(),
    }
    for party in parties:
        private[folder / party / f"{party}.toml"] = blank_party_text(party)
        private[party_key(folder, party)] = identities[party].to_pem()
    sql = None
    if example:
        from fedsql.demo.dealing import FEWEST, MOST, SQL, deal  # Arrow takes a while to load

        if not FEWEST <= len(parties) <= MOST:
            raise ConfigError(f"--example: is for {FEWEST} to {MOST} parties, not for {len(parties)}")
        sql = SQL
        for party, text, others in deal(parties):
            private[folder / party / f"{party}.toml"] = text
            private |= {folder / party / path: content for path, content in others.items()}
    coordinator = public.pop(COORDINATOR)
    shared = shared_text(
        name, address, coordinator, certificate.decode(), public, {analyst: format_public(asking.public)}
    )
    load_federation(folder / SHARED, shared)  # nothing is written that could not be read
    readme = readme_text(name, address, parties, analyst, local=is_local(hosts), sql=sql)
    open_to_all: dict[Path, str | bytes] = {folder / "README.md": readme, folder / SHARED: shared}
    write_new(open_to_all | private, private)
    return [*open_to_all, *(folder / each for each in dict.fromkeys((AUTHORITY, COORDINATOR, *parties, analyst)))]


def is_local(hosts: Sequence[str]) -> bool:
    """Say whether the first of ``hosts``, by which the coordinator is dialled, is how a machine calls itself."""
    try:
        return not hosts or ipaddress.ip_address(hosts[0]).is_loopback
    except ValueError:
        return hosts[0] == "localhost"


def party_key(folder: Path, party: str) -> Path:
    """Return where the private key of ``party`` is, whose folder stands in ``folder``."""
    return folder / party / ".fedsql" / party / IDENTITY


def mistake_in_participant(name: str, *, party: bool) -> str | None:
    """Return what is wrong with a name that also becomes a folder's; None for one that can be used."""
    if name.lower() in (COORDINATOR, AUTHORITY):
        return f"{name!r} is the name of a folder of this federation; choose another"
    return mistake_in_name(name, party=party)


def _party_mistakes(parties: Sequence[str]) -> list[str]:
    if not parties:
        return ["--parties: missing; name them all, such as north,south,west"]
    if "" in parties:
        return [f"--parties: a name is missing in {','.join(parties)!r}"]
    problems = [f"--parties: {m}" for name in parties if (m := mistake_in_participant(name, party=True))]
    seen: dict[str, str] = {}
    for name in parties:
        if name.lower() in seen:
            problems.append(f"--parties: {seen[name.lower()]} and {name} are one name; give each party its own")
        seen.setdefault(name.lower(), name)
    return problems


def _address(host: str, port: int) -> str:
    return f"grpc+tls://{f'[{host}]' if ':' in host else host}:{port}"
