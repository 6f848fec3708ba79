"""The view of a federation over the network: every party's newest offer, signed by it, as the coordinator passes them on.

The coordinator is not believed: an offer counts only under its party's pinned key, and a party knows its own offer
itself. What it can do is to hold back or to repeat an older offer, and then the party in question refuses the question,
which was planned against another one.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from threading import Condition
from time import monotonic

from fedsql.codec import decode, encode
from fedsql.config.models import FederationConfig
from fedsql.crypto.keys import IdentityKey, parse_public, verify
from fedsql.executors.engines.describer import Describer
from fedsql.executors.federation import Presence
from fedsql.executors.protocol.wire import COORDINATOR
from fedsql.executors.roles.directory import Directory
from fedsql.executors.transport.node import Offered
from fedsql.planner.catalog import Catalog, Digests
from fedsql.planner.offer import Offer

_log = logging.getLogger("fedsql.directory")
_PATIENCE = 2.0  # seconds: a new offer reaches everybody through the coordinator at about the same time


def signed_offer(offer: Offer, federation: str, identity: IdentityKey) -> bytes:
    """Return an offer as its party sends it to everybody."""
    text = offer.encode()
    return encode({"offer": text, "signature": identity.sign(_statement(federation, text))})


def read_offer(data: bytes, party: str, federation: str, pinned: bytes) -> Offer:
    """Return the offer of ``party``. Raises ValueError when it is malformed or not signed by its pinned key."""
    record = decode(data)
    if not isinstance(record, dict) or set(record) != {"offer", "signature"}:
        raise ValueError("not a signed offer")
    text, signature = record["offer"], record["signature"]
    if not isinstance(text, bytes) or not isinstance(signature, bytes):
        raise ValueError("not a signed offer")
    if not verify(pinned, signature, _statement(federation, text)):
        raise ValueError("not signed by the key that is pinned in the federation file")
    offer = Offer.decode(text)
    if offer.party != party or offer.identity_key != pinned:
        raise ValueError("the offer of another party, or with another key")
    return offer


def _statement(federation: str, text: bytes) -> bytes:
    return encode(["fedsql offer", federation, text])


class LiveDirectory:
    """The newest `Directory`, made again when an offer changes. ``own`` is a party's own offer; analysts have none.

    ``describer`` as for `Directory`.
    """

    def __init__(self, config: FederationConfig, own: Offer | None = None, describer: Describer | None = None) -> None:
        self._changed = Condition()  # guards what follows
        self._config = config
        self._own = own
        self._describer = describer
        self._heard: Mapping[str, Offered] | None = None
        self._read: dict[str, tuple[bytes, Offer]] = {}  # what was verified already, by party
        self._newest = self._made()

    @property
    def newest(self) -> Directory:
        """The newest view."""
        with self._changed:
            return self._newest

    def configure(self, config: FederationConfig) -> None:
        """Take another federation file: other parties, keys or analysts."""
        with self._changed:
            self._config = config
            self._read.clear()
            self._renew()

    def offer(self, own: Offer) -> None:
        """Take this party's own new offer."""
        with self._changed:
            self._own = own
            self._renew()

    def update(self, heard: Mapping[str, Offered]) -> None:
        """Take what the coordinator passes on."""
        with self._changed:
            self._heard = heard
            self._renew()

    def wait(self, timeout: float) -> bool:
        """Wait until the coordinator has passed on the first directory; return whether it has."""
        with self._changed:
            return self._changed.wait_for(lambda: self._heard is not None, timeout)

    def at(self, offers: Digests) -> Directory:
        """Return the view in which the offers have these digests; the newest one when it does not come soon."""
        until = monotonic() + _PATIENCE
        with self._changed:
            while offers and self._newest.catalog.digests != offers and (rest := until - monotonic()) > 0:
                self._changed.wait(rest)
            return self._newest

    def presence(self) -> list[Presence]:
        """Return for each party of the federation file whether the coordinator says that it is connected."""
        with self._changed:
            heard = self._heard or {}
            found = []
            for name in sorted(self._config.parties):
                each = heard.get(name)
                if each is None or name not in self._read:
                    found.append(Presence(name, "never seen"))
                else:
                    found.append(Presence(name, "connected" if each.connected else "away", each.since))
            return found

    def _renew(self) -> None:
        made = self._made()
        old = self._newest
        same = (made.catalog.digests, made.coordinator, made.analysts, made.operators)
        if same != (old.catalog.digests, old.coordinator, old.analysts, old.operators):
            self._newest = made
        self._changed.notify_all()

    def _made(self) -> Directory:
        config = self._config
        offers = []
        for name in config.parties:
            offer = self._own if self._own is not None and self._own.party == name else self._offer_of(name)
            if offer is not None:
                offers.append(offer)
        known = {offer.party for offer in offers}
        unknown = tuple(sorted(config.parties.keys() - known))
        catalog = Catalog(config.name, tuple(sorted(offers, key=lambda offer: offer.party)), unknown)
        assert config.coordinator is not None
        analysts = {name: parse_public(entry.public_key) for name, entry in config.analysts.items()}
        said = {name: entry.operator for name, entry in config.parties.items()}
        said |= {name: entry.operator for name, entry in config.analysts.items()}
        said[COORDINATOR] = config.coordinator.operator
        operators = {name: operator for name, operator in said.items() if operator is not None}
        return Directory(catalog, parse_public(config.coordinator.public_key), analysts, operators, self._describer)

    def _offer_of(self, name: str) -> Offer | None:
        pinned, heard = self._config.parties[name].public_key, (self._heard or {}).get(name)
        if pinned is None or heard is None:
            return None
        known = self._read.get(name)
        if known is None or known[0] != heard.offer:
            try:
                offer = read_offer(heard.offer, name, self._config.name, parse_public(pinned))
            except ValueError as error:
                self._read.pop(name, None)
                _log.warning("an offer that is said to be of %s is refused: %s", name, error)
                return None
            known = self._read[name] = heard.offer, offer
        return known[1]
