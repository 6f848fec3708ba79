"""CommandGetSqlInfo: what this server can do, a value for every code there is.

Clients ask for what they want and fail over a code that is missing, so none is: empty lists and an empty map included.
The values are those of DuckDB's SQL as fedsql answers it; the numbers are those of FlightSql.proto.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pyarrow as pa

import fedsql

# The order of the children is part of the format: a client reads them by number.
_STRING, _BOOL, _BIGINT, _BITS, _STRINGS, _MAP = range(6)
_UNION = pa.dense_union(
    [
        pa.field("string_value", pa.utf8()),
        pa.field("bool_value", pa.bool_()),
        pa.field("bigint_value", pa.int64()),
        pa.field("int32_bitmask", pa.int32()),
        pa.field("string_list", pa.list_(pa.field("string_data", pa.utf8()))),
        pa.field(
            "int32_to_int32_list_map",
            pa.map_(pa.int32(), pa.list_(pa.field("$data$", pa.int32()))),
        ),
    ]
)
SQL_INFO = pa.schema([pa.field("info_name", pa.uint32(), nullable=False), pa.field("value", _UNION, nullable=False)])

_KEYWORDS = ("ANTI", "ASOF", "EXCLUDE", "FILTER", "ILIKE", "PIVOT", "QUALIFY", "SEMI", "UNPIVOT")
_NUMERIC = (
    "ABS ACOS ASIN ATAN ATAN2 CEILING COS COT DEGREES EXP FLOOR LOG LOG10 MOD PI POWER RADIANS ROUND SIGN SIN SQRT TAN"
)
_TEXT = "ASCII CHR CONCAT INSTR LCASE LEFT LENGTH LOWER LPAD LTRIM REPEAT REPLACE RIGHT RPAD RTRIM SUBSTRING TRIM UCASE UPPER"
_DATES = "CURRENT_DATE CURRENT_TIMESTAMP DATE_DIFF DATE_PART DATE_TRUNC DAY DAYNAME EXTRACT HOUR MINUTE MONTH MONTHNAME NOW QUARTER SECOND STRFTIME WEEK YEAR"
_NO_LIMIT = range(541, 562)
# What is neither 0, no nor unlimited. Bitmasks count their enumeration's values as bits, other numbers are its values.
_VALUES: dict[int, tuple[int, object]] = {
    0: (_STRING, "fedsql"),
    1: (_STRING, None),  # the version
    2: (_STRING, pa.__version__),
    3: (_BOOL, False),  # local tables can be written
    4: (_BOOL, True),
    5: (_BOOL, False),
    6: (_STRING, None),
    7: (_STRING, None),
    8: (_BITS, 1),  # transactions, which hold nothing back
    9: (_BOOL, True),
    10: (_BOOL, True),  # bulk ingestion, into local tables
    11: (_BOOL, False),
    100: (_BITS, 0),
    101: (_BITS, 0),
    500: (_BOOL, False),
    501: (_BOOL, False),
    502: (_BOOL, True),
    503: (_BITS, 1),  # names are not case sensitive
    504: (_STRING, '"'),
    505: (_BITS, 1),
    506: (_BOOL, True),
    507: (_BITS, 3),  # NULLs come last
    508: (_STRINGS, list(_KEYWORDS)),
    509: (_STRINGS, _NUMERIC.split()),
    510: (_STRINGS, _TEXT.split()),
    511: (_STRINGS, ["COALESCE", "IFNULL", "NULLIF"]),
    512: (_STRINGS, _DATES.split()),
    513: (_STRING, "\\"),
    514: (_STRING, ""),
    515: (_BOOL, True),
    516: (_BOOL, True),
    517: (_MAP, []),
    518: (_BOOL, True),
    519: (_BOOL, False),
    520: (_BOOL, True),
    521: (_BOOL, True),
    522: (_BITS, 0b11),
    523: (_BOOL, True),
    524: (_BOOL, True),
    525: (_BITS, 0b011),
    526: (_BITS, 0b001),
    527: (_BOOL, False),
    528: (_BITS, 2),  # all outer joins
    529: (_STRING, "schema"),
    530: (_STRING, "procedure"),
    531: (_STRING, "federation"),
    532: (_BOOL, True),
    533: (_BITS, 0),
    534: (_BITS, 0),
    535: (_BITS, 0),
    536: (_BOOL, False),
    537: (_BOOL, False),
    538: (_BITS, 0b1111),
    539: (_BOOL, True),
    540: (_BITS, 0b11),
    **dict.fromkeys(_NO_LIMIT, (_BIGINT, 0)),
    556: (_BOOL, True),
    562: (_BITS, 0),
    563: (_BOOL, False),
    564: (_BITS, 0),
    565: (_BOOL, False),
    566: (_BOOL, True),
    567: (_BITS, 0b010),
    568: (_BITS, 0),
    569: (_BITS, 0b010),
    570: (_BITS, 0),
    571: (_BITS, 0),
    572: (_BOOL, True),
    573: (_BOOL, False),
    574: (_BOOL, False),
    575: (_BOOL, False),
    576: (_BOOL, False),
}


def sql_info(codes: Iterable[int]) -> pa.Table:
    """Return the values of these codes, all where none is named; those that nobody knows are left out."""
    wanted = list(dict.fromkeys(codes)) or list(_VALUES)
    found = [(code, *_VALUES[code]) for code in wanted if code in _VALUES]
    children: list[list[Any]] = [[] for _ in range(_UNION.num_fields)]
    kinds, offsets = [], []
    for code, kind, value in found:
        kinds.append(kind)
        offsets.append(len(children[kind]))
        children[kind].append(fedsql.__version__ if code == 1 else value)
    union = pa.UnionArray.from_dense(
        pa.array(kinds, pa.int8()),
        pa.array(offsets, pa.int32()),
        [pa.array(values, _UNION.field(i).type) for i, values in enumerate(children)],
        [_UNION.field(i).name for i in range(_UNION.num_fields)],
    )
    return pa.table([pa.array([code for code, *_ in found], pa.uint32()), union], schema=SQL_INFO)
