"""Columns of integers as bytes, and many of them side by side in one Paillier plaintext.

A *column* is a uint8 array [rows, width]: little-endian two's-complement integers modulo 2^(8 * width), width 1 to 40
bytes. A `Layout` gives every value a slot of its width plus one carry byte, so that up to 255 packed vectors add up
slot by slot inside the plaintext: the carry is dropped afterwards, and what remains is the sum modulo 2^(8 * width).
Negative values and masks need nothing extra. Slots are whole bytes, so packing is copying, which numpy does at memory
speed. Every plaintext begins with a 64-bit check slot, so that no ciphertext can be lost, garbled or swapped unnoticed.

What a dropped carry shows: of masks uniform apart from their sum it depends on that sum alone, so it tells nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fedsql.errors import ProtocolError

Column = NDArray[np.uint8]
MAX_WIDTH = 40
MAX_VECTORS = 255  # what one carry byte holds: 255 * (256^w - 1) < 256^(w + 1)
_CARRY = 1
_CHECK = 8


def from_ints(values: Sequence[int], width: int) -> Column:
    """Return Python integers as a column [len(values), width]. Raises ValueError if one needs more bytes."""
    try:
        data = b"".join([value.to_bytes(width, "little", signed=True) for value in values])
    except OverflowError:  # wrapping silently would turn a wrong bound into a wrong answer
        raise ValueError(f"a value does not fit {width} bytes") from None
    return np.frombuffer(data, dtype=np.uint8).reshape(len(values), width)


def from_int64(values: NDArray[np.int64], width: int) -> Column:
    """Return an int64 array [rows] as a column [rows, width]. Raises ValueError if a value needs more bytes."""
    whole = np.ascontiguousarray(values, dtype="<i8").view(np.uint8).reshape(len(values), 8)
    return resize(whole, width)


def from_decimal128(buffer: bytes | memoryview, width: int) -> Column:
    """Return an Arrow decimal128 (or any 16-byte two's-complement) buffer as a column [rows, width].

    The buffer holds unscaled integers, as ``array.buffers()[1]`` does: mind the array's offset and nulls before.
    Raises ValueError if a value needs more bytes.
    """
    return resize(np.frombuffer(buffer, dtype=np.uint8).reshape(-1, 16), width)


def to_ints(column: Column, signed: bool = True) -> list[int]:
    """Return a column as Python integers, by default signed."""
    data, width = column.tobytes(), column.shape[1]
    return [int.from_bytes(data[i : i + width], "little", signed=signed) for i in range(0, len(data), width)]


def resize(column: Column, width: int) -> Column:
    """Sign-extend or narrow a column to [rows, width]. Raises ValueError if a value needs more bytes."""
    rows, old = column.shape
    sign = np.where(column[:, -1:] >= 0x80, np.uint8(0xFF), np.uint8(0))
    if width >= old:
        return np.concatenate((column, np.broadcast_to(sign, (rows, width - old))), axis=1)
    narrow = column[:, :width]
    same_sign = (narrow[:, -1:] >= 0x80) == (sign == 0xFF)
    if not (same_sign.all() and (column[:, width:] == sign).all()):
        raise ValueError(f"a value does not fit {width} bytes")
    return narrow


def add_columns(a: Column, b: Column) -> Column:
    """Return a + b modulo 2^(8 * width); both [rows, width]."""
    return _add(a, b, carry=0)


def subtract_columns(a: Column, b: Column) -> Column:
    """Return a - b modulo 2^(8 * width); both [rows, width]."""
    return _add(a, ~b, carry=1)  # -b = ~b + 1


def shift_left(column: Column, bits: int) -> Column:
    """Return the column times 2^bits modulo 2^(8 * width); ``bits`` is a multiple of 8."""
    count, rest = divmod(bits, 8)
    if rest or bits < 0:
        raise ValueError(f"columns shift by whole bytes, not by {bits} bits")
    shifted = np.zeros_like(column)
    if count < column.shape[1]:
        shifted[:, count:] = column[:, : column.shape[1] - count]
    return shifted


def _add(a: Column, b: Column, carry: int) -> Column:
    """Return a + b + carry (0 or 1), 32 bits at a time in uint64, so that the carries stay visible."""
    if a.shape != b.shape:
        raise ValueError(f"columns of shapes {a.shape} and {b.shape} do not add")
    total = _limbs(a) + _limbs(b)
    above = np.full(len(total), carry, dtype=np.uint64)
    for limb in total.T:
        limb += above
        above = limb >> np.uint64(32)
    return total.astype("<u4").view(np.uint8)[:, : a.shape[1]]


def _limbs(column: Column) -> NDArray[np.uint64]:
    rows, width = column.shape
    padded = np.zeros((rows, -(-width // 4) * 4), dtype=np.uint8)
    padded[:, :width] = column
    return padded.view("<u4").astype(np.uint64)


@dataclass(frozen=True, slots=True)
class _Block:
    """Rows first, first + 1, ... of one column in ``plaintexts`` neighbouring plaintexts, ``each`` per plaintext."""

    column: int
    first: int
    each: int
    plaintext: int
    plaintexts: int
    offset: int  # in bytes within each plaintext


@dataclass(frozen=True)
class Layout:
    """Where each value goes: a pure function of the columns' byte ``widths``, ``rows`` and ``plaintext_bytes``.

    Columns fill plaintexts one after the other, starting where the one before ended; no slot straddles two. There is
    always at least one ``plaintext``, so that even an answer without rows is checked. Raises ValueError when a width
    is not 1 to 40 or a plaintext cannot hold it.
    """

    widths: Sequence[int]
    rows: int
    plaintext_bytes: int
    plaintexts: int = field(init=False)
    _blocks: tuple[_Block, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "widths", tuple(self.widths))
        for width in self.widths:
            if not 1 <= width <= MAX_WIDTH or _CHECK + width + 2 * _CARRY > self.plaintext_bytes:
                raise ValueError(f"no slot of {width} bytes in plaintexts of {self.plaintext_bytes}")
        blocks = tuple(self._place())
        object.__setattr__(self, "_blocks", blocks)
        object.__setattr__(self, "plaintexts", max((b.plaintext + b.plaintexts for b in blocks), default=1))

    def _place(self) -> Iterator[_Block]:
        """Yield each column as at most three blocks: the rest of a plaintext, whole plaintexts, a beginning."""
        start = _CHECK + _CARRY
        plaintext, offset = 0, start
        for column, width in enumerate(self.widths):
            slot, row = width + _CARRY, 0
            while row < self.rows:
                each = min((self.plaintext_bytes - offset) // slot, self.rows - row)
                if not each:
                    plaintext, offset = plaintext + 1, start
                    continue
                count = (self.rows - row) // each if offset == start else 1
                yield _Block(column, row, each, plaintext, count, offset)
                row += each * count
                plaintext, offset = plaintext + count - 1, offset + each * slot

    def _slots(self, buffer: Column, block: _Block) -> Column:
        """Return the block's values within ``buffer`` [plaintexts, bytes]: a writable view [plaintexts, each, width]."""
        width = self.widths[block.column]
        rows = buffer[block.plaintext : block.plaintext + block.plaintexts]
        area = rows[:, block.offset : block.offset + block.each * (width + _CARRY)]
        strides = (area.strides[0], width + _CARRY, 1)
        return np.lib.stride_tricks.as_strided(area, (block.plaintexts, block.each, width), strides)

    def pack(self, columns: Sequence[Column], checks: NDArray[np.uint64]) -> list[int]:
        """Return ``columns`` (one [rows, width] for each width) and ``checks`` [plaintexts] as plaintext integers."""
        shapes = [column.shape for column in columns]
        if shapes != [(self.rows, width) for width in self.widths] or checks.shape != (self.plaintexts,):
            raise ValueError(f"columns {shapes} and checks {checks.shape} do not fit {self}")
        buffer = np.zeros((self.plaintexts, self.plaintext_bytes), dtype=np.uint8)
        buffer[:, :_CHECK] = np.ascontiguousarray(checks, dtype="<u8").view(np.uint8).reshape(-1, _CHECK)
        for block in self._blocks:
            rows = columns[block.column][block.first : block.first + block.each * block.plaintexts]
            self._slots(buffer, block)[...] = rows.reshape(block.plaintexts, block.each, -1)
        return [int.from_bytes(row.tobytes(), "little") for row in buffer]

    def unpack(self, plaintexts: Sequence[int]) -> tuple[list[Column], NDArray[np.uint64]]:
        """Return the columns and checks of a sum of at most 255 packed vectors, each modulo its own width.

        Raises ProtocolError when these plaintexts cannot be such a sum: another number of them, one that is too
        large, or one with something behind its last slot.
        """
        try:
            data = b"".join([plaintext.to_bytes(self.plaintext_bytes, "little") for plaintext in plaintexts])
        except OverflowError:
            raise ProtocolError("a decrypted vector is malformed") from None
        if len(plaintexts) != self.plaintexts:
            raise ProtocolError("a decrypted vector has the wrong length")
        buffer = np.frombuffer(data, dtype=np.uint8).reshape(self.plaintexts, self.plaintext_bytes)
        ends = np.full(self.plaintexts, _CHECK + _CARRY)
        columns = [np.empty((self.rows, width), dtype=np.uint8) for width in self.widths]
        for block in self._blocks:
            last = block.first + block.each * block.plaintexts
            columns[block.column][block.first : last] = self._slots(buffer, block).reshape(last - block.first, -1)
            ends[block.plaintext : block.plaintext + block.plaintexts] = block.offset + block.each * (
                self.widths[block.column] + _CARRY
            )
        if (buffer * (np.arange(self.plaintext_bytes) >= ends[:, None])).any():
            raise ProtocolError("a decrypted vector is malformed")
        checks = np.ascontiguousarray(buffer[:, :_CHECK]).view("<u8").reshape(-1).astype(np.uint64)
        return columns, checks
