"""Only the whole sum opens: with the analyst's key, what fewer than all contributors sent is uniform noise."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pytest
from harness import Run, Watched, paillier, small
from scipy.stats import chisquare

from fedsql.codec import decode, encode
from fedsql.crypto.packing import Column, Layout, add_columns, from_ints, to_ints
from fedsql.crypto.paillier import add
from fedsql.errors import ProtocolError
from fedsql.executors.protocol import vector
from fedsql.executors.protocol.conversation import Conversation
from fedsql.executors.protocol.vector import check_words, open_vector

NAMES = ("north", "south", "west")
DOMAIN = [f"g{i:02}" for i in range(60)]
HELD = {"north": 5, "south": 7, "west": 11}
SQL = "SELECT g, count(*), sum(v) FROM t GROUP BY g"
ALPHA = 1e-6  # of one chi-square test; fewer than 20 of them are made here


@pytest.fixture(scope="module")
def world():
    made = Watched(
        small(
            {name: dict.fromkeys(DOMAIN, units) for name, units in HELD.items()},
            value=31_415_926,
            columns={"g": {"values": DOMAIN}},
        )
    )
    yield made
    made.close()


def vectors(run: Run) -> dict[str, list[int]]:
    return {m.sender: paillier().public.from_bytes(decode(m.body)["vector"]) for m in run.of("vector")}


def opened(run: Run, ciphertexts: Sequence[int]) -> tuple[list[Column], np.ndarray]:
    """Open a vector as a cheating analyst would: without minding the check words."""
    rows = run.outline.slots
    layout = Layout(run.outline.widths, rows, paillier().public.plaintext_bytes)
    return layout.unpack(paillier().decrypt(ciphertexts))


def subsets_look_uniform(world: Watched, runs: int = 2) -> None:
    """Assert that no strict subset of the contributors' vectors opens to anything but uniform bytes."""
    seen: dict[tuple[str, ...], list[bytes]] = {}
    for _ in range(runs):
        run = world.ask(SQL)
        sent = vectors(run)
        assert set(sent) == set(NAMES)
        for size in (1, 2):
            for names in combinations(NAMES, size):
                columns, words = opened(run, add(paillier().public, [sent[name] for name in names]))
                seen.setdefault(names, []).append(b"".join(c.tobytes() for c in columns) + words.tobytes())
                known = [check_words(run.context, 0, name, len(words)) for name in names]
                assert not (np.sum(known, axis=0, dtype=np.uint64) == words).any()
                whole = [sum(HELD[name] for name in names), 31_415_926 * sum(HELD[name] for name in names)]
                assert not any(value in to_ints(column) for column, value in zip(columns, whole, strict=True))
    for names, parts in seen.items():
        counts = np.bincount(np.frombuffer(b"".join(parts), np.uint8), minlength=256)
        assert chisquare(counts).pvalue > ALPHA, names


def test_a_strict_subset_of_the_vectors_is_uniform_noise(world):
    subsets_look_uniform(world)


def test_the_sum_of_all_opens(world):
    run = world.ask(SQL)
    columns, _ = opened(run, add(paillier().public, list(vectors(run).values())))
    units = sum(HELD.values())
    assert [set(to_ints(column)[: len(DOMAIN)]) for column in columns] == [{units}, {31_415_926 * units}]


def test_a_vector_left_out_or_counted_twice_fails_the_check(world):
    run = world.ask(SQL)
    sent = list(vectors(run).values())
    for chosen in (sent[:2], [*sent, sent[0]], [sent[0], sent[1], sent[1]]):
        total = paillier().public.to_bytes(add(paillier().public, chosen))
        with pytest.raises(ProtocolError, match="not the sum of the contributors"):
            open_vector(run.context, run.outline, run.outline.slots, total, paillier())


def unmasked(shared, me, widths, rows, checks):
    return [np.zeros((rows, width), np.uint8) for width in widths], np.zeros(checks, np.uint64)


def one_stream(shared, me, widths, rows, checks):
    """Masks as if every pair shared one and the same key: two of three cancel."""
    stream = np.random.default_rng(1)
    columns = [stream.integers(0, 256, (rows, width), np.uint8) for width in widths]
    signs = {"north": 1, "south": -1, "west": 0}
    flipped = [add_columns(~c, from_ints([1] * rows, c.shape[1])) for c in columns]
    shown = {1: columns, -1: flipped, 0: [np.zeros_like(c) for c in columns]}
    return shown[signs[me]], np.zeros(checks, np.uint64)


@pytest.mark.parametrize("broken", [unmasked, one_stream])
def test_the_test_sees_missing_and_shared_masks(world, monkeypatch, broken):
    monkeypatch.setattr(vector, "mask_columns", broken)
    assert len(world.ask(SQL).rows) == len(DOMAIN)  # the sum itself is right all the same
    with pytest.raises(AssertionError):
        subsets_look_uniform(world, runs=1)


def test_two_runs_of_one_question_share_no_key_mask_tag_or_box(monkeypatch):
    world = Watched(small({name: {"aa": 20, "bb": 20, "cc": 2} for name in NAMES}))
    secrets: list[bytes] = []
    original = Conversation.secret

    def secret(talk, peer, *purpose):
        secrets.append(original(talk, peer, *purpose))
        return secrets[-1]

    monkeypatch.setattr(Conversation, "secret", secret)

    def strings(run: Run) -> set[bytes]:
        """All byte strings of 16 bytes or more in all messages and boxes: keys, tags, ciphertexts, salts, labels."""
        found: set[bytes] = set()
        stack = [m.body for m in run.messages] + [plain for _, _, _, plain in run.opened]
        while stack:
            item = stack.pop()
            if isinstance(item, dict):
                stack += item.values()
            elif isinstance(item, list):
                stack += item
            elif isinstance(item, bytes):
                try:
                    inner = decode(item)
                except ValueError:
                    inner = None
                if inner is not None and encode(inner) == item:
                    stack.append(inner)
                else:
                    found |= {item[i : i + 16] for i in range(0, len(item) - 15, 16)}
        return {text for text in found if len(set(text)) > 4}  # not runs of zeros

    one = world.ask("SELECT g, count(*), sum(v) FROM t GROUP BY g")
    middle = len(secrets)
    two = world.ask("SELECT g, count(*), sum(v) FROM t GROUP BY g")
    assert one.rows == two.rows
    assert len(secrets) == 2 * middle
    assert not set(secrets[:middle]) & set(secrets[middle:])
    n = paillier().public.n.to_bytes(256, "big")
    public = {n[i : i + 16] for i in range(0, 256, 16)}
    assert strings(one) & strings(two) <= public
    assert len(strings(one)) > 100
    world.close()


@pytest.mark.parametrize("options", [{}, {"columns": {"g": {"values": ["aa", "bb"]}}}], ids=["aligned", "public"])
def test_no_ciphertext_leaves_before_everybody_said_ready(options):
    world = Watched(small({name: {"aa": 20, "bb": 20} for name in NAMES}, **options))
    for first in range(3):  # whoever computes
        kinds = [m.kind for m in world.ask(SQL, first=first).messages]
        assert kinds.count("0/ready") == kinds.count("0/vector") == 3
        assert max(i for i, kind in enumerate(kinds) if kind == "0/ready") < kinds.index("0/vector")
        assert kinds.index("0/go") > max(i for i, kind in enumerate(kinds) if kind == "0/ready")
    several = "SELECT (SELECT count(*) FROM t), (SELECT sum(v) FROM t WHERE g = 'aa'), (SELECT sum(v) FROM t)"
    kinds = [m.kind for m in world.ask(several).messages]
    last = max(i for i, kind in enumerate(kinds) if kind.endswith("/ready"))
    assert last < min(i for i, kind in enumerate(kinds) if kind.endswith(("/go", "/vector")))
    world.close()
