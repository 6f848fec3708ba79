"""Build fedsql as a user gets it, install it into an empty place, and use it there.

The package is laid out with links (fedsql/planner -> ../planner and so on). A wheel holds no links, so this is where a
mistake would show: the source archive is built first, the wheel out of that archive alone, and the wheel must hold
every module and data file of the checkout as a real file. Then it goes into a virtual environment with nothing else in
it, and the demo answers a question from another folder, where the checkout cannot help.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
LINKED = ("planner", "executors", "connectors")
SHIPPED = {".py", ".toml", ".parquet", ".md", ".typed"}


def expected() -> set[str]:
    """Return what the wheel must hold: the package's files with the links followed, as paths in the wheel."""
    found = set()
    for top in ("fedsql", *(f"fedsql/{name}" for name in LINKED)):
        for folder, folders, names in os.walk(ROOT / top):
            folders[:] = [name for name in folders if not name.startswith((".", "__pycache__"))]
            found |= {Path(folder, name).relative_to(ROOT).as_posix() for name in names if Path(name).suffix in SHIPPED}
    return found


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command without any of the checkout's environment and return its output; stop the check if it fails."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "VIRTUAL_ENV"))}
    done = subprocess.run(command, cwd=cwd, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}\nexit status {done.returncode}")
    return done.stdout


def main() -> None:
    """Build, look inside, install, import, ask."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        run(sys.executable, "-m", "build", "--outdir", place, ROOT, cwd=place)
        (wheel,) = place.glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            missing = expected() - set(archive.namelist())
        if missing:
            sys.exit(f"{wheel.name} lacks {', '.join(sorted(missing))}")

        venv.create(place / "venv", with_pip=True)
        bin_folder = place / "venv" / ("Scripts" if os.name == "nt" else "bin")
        python = bin_folder / "python"
        run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", wheel, cwd=place)
        run(python, "-c", "import fedsql.planner, fedsql.executors, fedsql.connectors", cwd=place)
        answer = run(bin_folder / "fedsql", "demo", "-c", "SELECT COUNT(*) FROM patients", cwd=place)
        if "20190" not in answer.replace(",", ""):
            sys.exit(f"the demo counts other patients than its data hold:\n{answer}")
        print(f"{wheel.name}: complete, installs, imports and answers")


if __name__ == "__main__":
    main()
