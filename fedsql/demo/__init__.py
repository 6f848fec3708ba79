"""Three hospitals to try fedsql on, with real data: the RAND Health Insurance Experiment (see data/NOTICE.md).

The files beside this one are a whole federation: federation.toml, one party file and one Parquet file for each of the
hospitals north, south and west. They are read in place only by tests; who wants to run them takes a copy with `write`,
because a party keeps its keys, its ledger and its audit log beside its file, and the installed package is no place for
those. The copies are ordinary files: edit them, and see what the policy changes.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

PARTIES = ("north", "south", "west")


def write(folder: Path, *, noise: bool = False) -> Path:
    """Copy the federation into ``folder`` (made if need be) and return the path of its federation.toml.

    With ``noise`` the parties ask for differential privacy: the same files but for the one line `noise = "required"`.
    Raises FileExistsError rather than write over a file that is there.
    """
    source = files(__name__)
    (folder / "data").mkdir(parents=True, exist_ok=True)
    for name in ("federation.toml", *(f"{party}.toml" for party in PARTIES)):
        text = source.joinpath(name).read_text(encoding="utf-8")
        if noise:
            text = text.replace('noise = "none"', 'noise = "required"')
        with (folder / name).open("x", encoding="utf-8") as file:
            file.write(text)
    for name in ("NOTICE.md", *(f"{party}.parquet" for party in PARTIES)):
        with (folder / "data" / name).open("xb") as copy:
            copy.write(source.joinpath("data", name).read_bytes())
    return folder / "federation.toml"
