"""The public shape of a private join in one release: who joins whom, and how many columns of which size."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fedsql.crypto.permuting import MOST
from fedsql.errors import ProtocolError
from fedsql.executors.protocol.joining import Request, Setting, Shape
from fedsql.executors.protocol.wire import Message
from fedsql.planner.joint import JoinPlan, LinkPlan

ANCHOR, PROVIDER = "anchor", "provider"  # whose part of a label
_MOST_COLUMNS = 1 << 14  # columns or products of a link: more than anybody plans


@dataclass(frozen=True)
class LinkOutline:
    """One provider's part: whether rows count only where it matches, and what is summed."""

    provider: str
    inner: bool
    request: Request


@dataclass(frozen=True)
class JoinOutline:
    """All that the coordinator knows of a join.

    ``labelled``: the anchors have grouping keys. ``keyed``: the provider that has some, or "". ``aligned``: the anchors'
    labels are not public and they are several, so tags align them.
    """

    anchors: tuple[str, ...]
    links: tuple[LinkOutline, ...]
    labelled: bool = False
    keyed: str = ""
    aligned: bool = False

    @classmethod
    def planned(cls, plan: JoinPlan) -> JoinOutline:
        """Return the public shape of a planned join."""
        links = tuple(LinkOutline(link.provider, link.inner, _request(plan, link)) for link in plan.links)
        keyed = plan.keyed.provider if plan.keyed is not None else ""
        return cls(plan.anchors, links, bool(plan.keys), keyed, plan.labels is None and len(plan.anchors) > 1)

    @property
    def providers(self) -> tuple[str, ...]:
        """The providers, in the order of their links."""
        return tuple(link.provider for link in self.links)

    @property
    def parts(self) -> tuple[str, ...]:
        """Whose parts make up a label, in order."""
        return (*([ANCHOR] if self.labelled else []), *([PROVIDER] if self.keyed else []))

    def setting(self, release: int, anchor: str, most: int = MOST) -> Setting:
        """Return the setting of one anchor's join; ``most``: over how many slots this participant computes."""
        inner = frozenset(link.provider for link in self.links if link.inner)
        return Setting(release, anchor, {link.provider: link.request for link in self.links}, inner, most)

    def agreed(self, shapes: Iterable[Mapping[str, Shape]], slots: int | None) -> tuple[int, int]:
        """Return how many groups anchors have and how many group values the keyed provider, by each anchor's links.

        Raises ProtocolError when participants told different numbers, or they do not make the public ``slots``.
        """
        links = [(name, shape) for each in shapes for name, shape in each.items()]
        groups = {shape.slots for _, shape in links}
        values = {shape.values for name, shape in links if self.keyed in ("", name)}
        alone = all(shape.values == 1 for name, shape in links if name != self.keyed)
        if not (alone and len(groups) == len(values) == 1):
            raise ProtocolError("the parties disagree about the groups of a private join")
        (many,), (each_has,) = groups, values
        if not each_has or slots not in (None, many * each_has):
            raise ProtocolError("the groups of a private join are not those of its public values")
        return many, each_has

    def record(self) -> dict[str, Any]:
        """Return what the coordinator is sent."""
        return {
            "anchors": list(self.anchors),
            "links": [
                {
                    "provider": link.provider,
                    "inner": link.inner,
                    "own": list(link.request.own),
                    "provided": list(link.request.provided),
                    "products": [list(pair) for pair in link.request.products],
                }
                for link in self.links
            ],
            "labelled": self.labelled,
            "keyed": self.keyed,
            "aligned": self.aligned,
        }

    @classmethod
    def of(cls, record: object, message: Message, contributors: Sequence[str], slots: int | None) -> JoinOutline:
        """Read `record`, which ``message`` holds, of a release with these ``contributors`` and public ``slots``.

        Raises ProtocolError when it is malformed, larger than any plan, or does not fit them.
        """
        anchors, listed, labelled, keyed, aligned = message.values(
            record, anchors=list[str], links=list[dict[str, Any]], labelled=bool, keyed=str, aligned=bool
        )
        if len(listed) > len(contributors):
            raise message.malformed()
        links = tuple(_link(each, message) for each in listed)
        found = cls(tuple(anchors), links, labelled, keyed, aligned)
        if not (anchors and links and sorted([*anchors, *found.providers]) == sorted(contributors)):
            raise message.malformed()
        if keyed and keyed not in found.providers:
            raise message.malformed()
        if (slots is None and not found.parts) or (aligned and not (slots is None and labelled and len(anchors) > 1)):
            raise message.malformed()
        return found


def _request(plan: JoinPlan, link: LinkPlan) -> Request:
    """Return what is summed in a link: of its provider's columns those that are joined."""
    place = {y: at for at, y in enumerate(link.provided)}
    own, provided = (plan.own[x] for x in link.own), (link.limbs[y] for y in place)
    return Request(tuple(own), tuple(provided), tuple((x, place[y]) for x, y in link.products))


def _link(record: object, message: Message) -> LinkOutline:
    provider, inner, own, provided, products = message.values(
        record, provider=str, inner=bool, own=list[int], provided=list[int], products=list[tuple[int, int]]
    )
    pairs = tuple((x, y) for x, y in products)
    if max(len(own), len(provided), len(pairs)) > _MOST_COLUMNS or len(set(pairs)) != len(pairs):
        raise message.malformed()
    try:
        return LinkOutline(provider, inner, Request(tuple(own), tuple(provided), pairs))
    except ValueError:
        raise message.malformed() from None
