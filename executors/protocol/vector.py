"""The encrypted vector of one release: place, noise, mask, pack, encrypt at a party; open and check at the analyst.

Pairwise zero-sum masks lie inside the plaintexts, so the analyst's key opens the sum over all contributors and nothing
less. Every plaintext carries a check word: its low byte counts contributors, the rest adds up hashes of who they are and
what was asked. A vector that is not exactly the sum of the contributors' does not pass.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fedsql.crypto.circuit import Bits
from fedsql.crypto.masks import keystream, mask_columns
from fedsql.crypto.packing import MAX_VECTORS, Column, Layout, add_columns, from_int64, from_ints, to_ints
from fedsql.crypto.paillier import PublicKey, SecretKey
from fedsql.errors import ProtocolError
from fedsql.executors.protocol.conversation import Context, Conversation
from fedsql.executors.protocol.outline import GroupPartials, NoiseDraws, Outline


def check_words(context: Context, release: int, party: str, count: int) -> NDArray[np.uint64]:
    """Return a contributor's check words: hash * 256 + 1 modulo 2^64 for each of ``count`` plaintexts."""
    key = hashlib.sha256(context.bind("check", release, party)).digest()
    words = np.frombuffer(keystream(key, 8 * count), "<u8").astype(np.uint64)
    return (words << np.uint64(8)) | np.uint64(1)


def place(outline: Outline, part: GroupPartials, shown: Bits, positions: Sequence[int], rows: int) -> list[Column]:
    """Return a column [rows, width] for each partial: a group's value at its position where it is shown, else zero."""
    at = np.asarray(positions, np.intp)
    columns = []
    for partial, (column, width) in enumerate(zip(part.columns, outline.widths, strict=True)):
        here = visible(part, partial, shown)
        placed: Column = np.zeros((rows, width), np.uint8)
        placed[at[here]] = column[here]
        columns.append(placed)
    return columns


def visible(part: GroupPartials, partial: int, shown: Bits) -> NDArray[np.bool_]:
    """Say for each group whether a partial is shown, as part of any released value: bool [groups]."""
    cells = part.cells[partial]
    if None in cells:
        return shown.survive
    return shown.survive & (np.any([shown.cells[:, cell] for cell in cells], axis=0) if cells else False)


def add_noise(columns: Sequence[Column], noise: NoiseDraws) -> list[Column]:
    """Return columns in multiples of their grids, rounded, plus the party's noise share. The grid is public."""
    noised = []
    for column, draws, grid in zip(columns, noise.draws, noise.grids, strict=True):
        width = column.shape[1]
        if grid > 1:
            column = from_ints([(2 * v + grid) // (2 * grid) for v in to_ints(column)], width)
        noised.append(add_columns(column, from_int64(draws, width)))
    return noised


def encrypt(talk: Conversation, outline: Outline, columns: Sequence[Column], rows: int, public: PublicKey) -> bytes:
    """Mask, pack and encrypt ``columns``; return the ciphertexts as bytes."""
    most = MAX_VECTORS - bool(outline.tagged)  # the coordinator adds a vector of its own
    if len(outline.contributors) > most:
        raise ProtocolError(f"at most {most} parties can contribute to one release")
    layout = Layout(outline.widths, rows, public.plaintext_bytes)
    peers = [name for name in outline.contributors if name != talk.me]
    shared = {name: talk.secret(name, "mask", outline.number) for name in peers}
    masks, words = mask_columns(shared, talk.me, outline.widths, rows, layout.plaintexts)
    masked = [add_columns(column, mask) for column, mask in zip(columns, masks, strict=True)]
    checks = check_words(talk.context, outline.number, talk.me, layout.plaintexts) + words
    plaintexts = layout.pack(masked, checks)
    return public.to_bytes(public.encryptor(len(plaintexts)).encrypt(plaintexts))


def open_vector(context: Context, outline: Outline, rows: int, vector: bytes, secret: SecretKey) -> list[Column]:
    """Decrypt the sum of all contributors' vectors and verify it.

    Returns a column [rows, width] for each partial. Raises ProtocolError when the check words do not add up.
    """
    public = secret.public
    layout = Layout(outline.widths, rows, public.plaintext_bytes)
    columns, found = layout.unpack(secret.decrypt(public.from_bytes(vector)))
    words = [check_words(context, outline.number, name, layout.plaintexts) for name in outline.contributors]
    if not np.array_equal(found, np.sum(words, axis=0, dtype=np.uint64)):
        raise ProtocolError(
            "the answer failed its check: it is not the sum of the contributors' vectors",
            hint="nothing was released; ask again, and tell the coordinator's operator if it happens again",
        )
    return columns
