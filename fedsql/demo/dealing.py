"""The demo's patients dealt out to any number of parties, person by person: data to try a new federation on."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from importlib.resources import files

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fedsql import demo
from fedsql.demo.tour import STEPS

FEWEST, MOST = 2, 100  # a group is shown when two parties have units in it; with more, some would hold a few persons
SQL = STEPS[0].sql
_PATIENTS, _NOTICE = "data/patients.parquet", "data/NOTICE.md"


def deal(parties: Sequence[str]) -> Iterator[tuple[str, str, dict[str, bytes]]]:
    """Yield (party, text of its file, other files by their path beside it), for FEWEST to MOST parties.

    Every person of the demo is at exactly one party, with all rows. So each answer is that of the demo, but for `site`.
    """
    source = files(demo)
    whole = pa.concat_tables(
        pq.read_table(io.BytesIO(source.joinpath("data", f"{name}.parquet").read_bytes())) for name in demo.PARTIES
    )
    _, persons = np.unique(whole["person"].to_numpy(), return_inverse=True)
    text = source.joinpath("north.toml").read_text(encoding="utf-8")
    tables = text[text.index("[tables.") :].replace("data/north.parquet", _PATIENTS)
    notice = source.joinpath("data", "NOTICE.md").read_bytes()
    for place, party in enumerate(parties):
        head = (
            f"# What {party} lets others ask. Only {party} writes this file. The table is an example: see {_NOTICE}.\n"
            f'name = "{party}"\n\n'
        )
        buffer = io.BytesIO()
        pq.write_table(whole.filter(pa.array(persons % len(parties) == place)), buffer, compression="zstd")
        dealt = f"`patients.parquet` holds one person in {len(parties)} of the data that is described here.\n\n"
        yield party, head + tables, {_PATIENTS: buffer.getvalue(), _NOTICE: dealt.encode() + notice}
