"""The public shape of a joined release: what the coordinator takes, and what it refuses as malformed."""

from __future__ import annotations

from copy import deepcopy

import pytest

from fedsql.crypto.circuit import Circuit
from fedsql.errors import ProtocolError
from fedsql.executors.protocol.join_outline import JoinOutline, LinkOutline
from fedsql.executors.protocol.joining import Request, Shape
from fedsql.executors.protocol.outline import Outline
from fedsql.executors.protocol.wire import ANALYST, COORDINATOR, Message
from fedsql.planner.joint import JoinPlan, LinkPlan

ASK = Message("ask", ANALYST, COORDINATOR, b"")
NAMES = ("bank", "clinic", "depot", "east")
LINKS = (
    LinkOutline("clinic", True, Request((1, 2), (1, 2), ((0, 0), (1, 1)))),
    LinkOutline("depot", False, Request((), (2,), ())),
)
JOIN = JoinOutline(("bank", "east"), LINKS, labelled=True, keyed="clinic", aligned=True)
CIRCUIT = Circuit((3,), (0,), shared=True)
OUTLINE = Outline(0, NAMES, None, CIRCUIT, (8, 16), join=JOIN)


def test_what_is_sent_comes_back_as_it_was():
    assert Outline.of(OUTLINE.record(), ASK) == OUTLINE
    alone = Outline(
        0, NAMES, 6, None, (8,), join=JoinOutline(("bank",), (*LINKS, LinkOutline("east", True, Request())))
    )
    assert Outline.of(alone.record(), ASK) == alone


def changed(*path_and_value):
    *path, value = path_and_value
    record = deepcopy(OUTLINE.record())
    at = record
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    return record


@pytest.mark.parametrize(
    "record",
    [
        changed("join", "anchors", []),
        changed("join", "anchors", ["bank"]),
        changed("join", "anchors", ["bank", "east", "north"]),
        changed("join", "anchors", ["bank", "bank"]),
        changed("join", "anchors", ["bank", "clinic"]),
        changed("join", "links", []),
        changed("join", "links", 0, "provider", "depot"),
        changed("join", "links", 0, "provider", "bank"),
        changed("join", "links", 0, "own", [3, 1]),
        changed("join", "links", 0, "own", [True, 1]),
        changed("join", "links", 0, "provided", [1, 0]),
        changed("join", "links", 0, "provided", [1] * 20_000),
        changed("join", "links", 0, "products", [[0, 2]]),
        changed("join", "links", 0, "products", [[-1, 0]]),
        changed("join", "links", 0, "products", [[0, 0], [0, 0]]),
        changed("join", "links", 0, "inner", 1),
        changed("join", "links", [OUTLINE.record()["join"]["links"][0]] * 9),
        changed("join", "keyed", "bank"),
        changed("join", "labelled", False),
        changed("slots", 4),
        changed("widths", [8, 9]),
        changed("told", True),
        changed("tagged", [0]),
        changed("extremes", [[0, 3]]),
        changed("circuit", "shared", False),
        changed("contributors", ["bank", "clinic", "depot", "east", "north"]),
        changed("join", "more", 1),
        changed("join", {}),
    ],
)
def test_what_is_no_join_of_the_contributors_or_fits_no_plan_is_malformed(record):
    with pytest.raises(ProtocolError, match="malformed"):
        Outline.of(record, ASK)


def test_slots_without_public_labels_need_somebody_who_labels_them():
    record = changed("join", "aligned", False)
    record["join"] |= {"labelled": False, "keyed": ""}
    with pytest.raises(ProtocolError, match="malformed"):
        Outline.of(record, ASK)


def test_a_plan_has_the_shape_that_its_fragments_yield():
    links = (
        LinkPlan("clinic", True, (1, 0), (1, 2), ((0, 0), (1, 1)), (1,), None),
        LinkPlan("depot", False, (), (2,), ()),
    )
    assert JoinOutline.planned(JoinPlan(("bank", "east"), links, (2, 1), (), (), (0,), None)) == JOIN


def test_a_column_that_its_provider_adds_up_alone_is_in_no_request():
    link = LinkPlan("clinic", True, (0,), (1, 2, 1), ((0, 1), (0, 2)), alone=frozenset({0}))
    (found,) = JoinOutline.planned(JoinPlan(("bank",), (link,), (1,), (), ())).links
    assert found.request == Request((1,), (2, 1), ((0, 0), (0, 1)))


def shapes(*, groups=4, values=3, other=1):
    return {"clinic": Shape(Request(), 5, groups, values), "depot": Shape(Request(), 5, groups, other)}


def test_all_agree_about_groups_and_group_values():
    assert JOIN.agreed([shapes(), shapes()], None) == (4, 3)
    assert JOIN.agreed([shapes()], 12) == (4, 3)
    for told in ([shapes(), shapes(groups=5)], [shapes(), shapes(values=2)], [shapes(other=3)]):
        with pytest.raises(ProtocolError, match="disagree"):
            JOIN.agreed(told, None)
    for found, slots in ((shapes(values=0), None), (shapes(), 13)):
        with pytest.raises(ProtocolError, match="public values"):
            JOIN.agreed([found], slots)
