"""Rows whose values, keys, labels, counts and sums are like nothing else, and the search for them in messages."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from fedsql.codec import decode

K = 5003
GROUPS = {  # units of each group at each party; the last two are hidden: too few units, too few parties
    "Quillwort-71": (3121, 4409, 2713),
    "Zebrawood-38": (7919, 6101, 5227),
    "Xylotomy-94": (1451, 1607, 1811),
    "Jabberwock-55": (8111, 0, 0),
}
HIDDEN = ("Xylotomy-94", "Jabberwock-55")
NAMES = ("north", "south", "west")
VALUES = ((43218765, 51907342, 68120953), (71350284, 80461937, 93572816), (24683571, 35794682, 46805719))
SQL = "SELECT g, count(*) AS zugzwang, sum(v), avg(v) FROM t WHERE v < 98765432 GROUP BY g"


def rows_of(at: int, groups: dict[str, tuple[int, ...]], values: tuple[int, ...]) -> pa.Table:
    labels = [label for label, counts in groups.items() for _ in range(counts[at])]
    ids = np.arange(len(labels), dtype=np.int64) * 7 + 10_000_019 * (at + 1)
    return pa.table({"id": ids, "g": labels, "v": np.resize(np.array(values), len(labels))})


class Needles:
    """What no message may hold, and the search for it."""

    def __init__(self) -> None:
        tables = [rows_of(at, GROUPS, VALUES[at]) for at in range(3)]
        self.ids = np.concatenate([table["id"].to_numpy() for table in tables]).astype("<u8")
        self.known_ids = set(self.ids.tolist())
        self.words = {*GROUPS, SQL, "zugzwang", "98765432"}
        self.numbers = {value for values in VALUES for value in values}
        sums: dict[str, list[int]] = {label: [0, 0] for label in GROUPS}
        for table in tables:
            grouped = table.group_by("g").aggregate([("v", "sum"), ("id", "count")]).to_pylist()
            for row in grouped:
                self.numbers |= {row["v_sum"], row["id_count"]}
                sums[row["g"]][0] += row["v_sum"]
                sums[row["g"]][1] += row["id_count"]
        self.numbers |= {number for both in sums.values() for number in both}

    @staticmethod
    def encodings(number: int) -> Iterator[bytes]:
        yield str(number).encode()
        for size in (4, 8, 16):
            if number < 1 << (8 * size - 1):
                yield number.to_bytes(size, "little")
                yield number.to_bytes(size, "big")

    def found(self, body: bytes) -> set[object]:
        """Return what ``body`` holds of it, as raw bytes or in decoded CBOR."""
        hits: set[object] = {word for word in self.words if word.encode() in body}
        hits |= {number for number in self.numbers if any(code in body for code in self.encodings(number))}
        hits |= {int(text) for text in re.findall(rb"\d{8}", body) if int(text) in self.known_ids}
        if len(body) >= 8:
            windows = np.lib.stride_tricks.sliding_window_view(np.frombuffer(body, np.uint8), 8).copy()
            whole = windows.view("<u8").ravel()
            hits |= set(whole[np.isin(whole, self.ids) | np.isin(whole.byteswap(), self.ids)].tolist())
        for item in _items(body):
            if isinstance(item, int) and (item in self.numbers or item in self.known_ids):
                hits.add(item)
        return hits


def _items(body: bytes) -> Iterator[object]:
    """Yield all that is inside a body that is CBOR, also in byte strings that are CBOR themselves."""
    try:
        stack = [decode(body)]
    except ValueError:
        return
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            stack += [*item.keys(), *item.values()]
        elif isinstance(item, list | tuple):
            stack += item
        elif isinstance(item, bytes):
            try:
                inner = decode(item)
            except ValueError:
                continue
            stack.append(inner if inner != item else None)
        else:
            yield item
