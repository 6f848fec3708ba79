"""Write one file of a source archive: `python tools/unpack.py ARCHIVE.tar.gz tests/dbapi20.py INTO`.

tar cannot be asked for a file by the end of its name in the same way everywhere.
"""

from __future__ import annotations

import sys
import tarfile
from pathlib import Path


def unpack(archive: str, name: str, into: Path) -> None:
    """Write the one file of ``archive`` whose path ends with ``name``. Raises SystemExit when there is none."""
    with tarfile.open(archive) as opened:
        for member in opened:
            if member.isfile() and member.name.endswith(f"/{name}") and (found := opened.extractfile(member)):
                into.parent.mkdir(parents=True, exist_ok=True)
                into.write_bytes(found.read())
                return
    raise SystemExit(f"{archive} has no {name}")


if __name__ == "__main__":
    unpack(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
