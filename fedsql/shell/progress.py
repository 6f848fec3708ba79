"""What the parties do while a query runs: one line on a terminal, gone before anything else is printed.

Needs no more of a terminal than the carriage return, and leaves the cursor at the line's begin, so that what is typed
meanwhile, a ^C say, stands on the line and goes with it.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Lock
from typing import TextIO

from fedsql.session import Session
from fedsql.shell.render import clean, cut, display_width

_PATIENCE = 0.5  # seconds: quick queries leave the screen as it is
_GAP = "  "
_WORDS = {
    "plan": "planning",
    "key": "making a key",
    "handshake": "exchanging keys",
    "charge": "charging",
    "noise": "drawing noise",
    "fragment": "running fragment",
    "align": "aligning groups",
    "join": "joining",
    "threshold": "checking group sizes",
    "encrypt": "encrypting",
    "open": "decrypting",
    "finalize": "finishing",
}


@contextmanager
def status(session: Session) -> Iterator[Callable[[], None]]:
    """Give what shows the line, to be called again and again while ``session`` runs one statement.

    Where standard error is no terminal nothing is ever written.
    """
    stream = sys.stderr
    if stream is None or not stream.isatty():
        yield lambda: None
        return
    line = StatusLine(stream)
    session.on_progress = line.tell
    try:
        yield line.draw
    except KeyboardInterrupt:
        line.erase("^C")  # the terminal has echoed it, also where no line is shown
        raise
    finally:
        session.on_progress = None
        line.erase()


class StatusLine:
    """The line of one statement on ``stream``. Told what happens by any thread, drawn by one."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._begun = clock()
        self._guard = Lock()  # of what was told
        self._told: dict[str, str] = {}
        self._shown = ""

    def tell(self, name: str, stage: str, place: int | None) -> None:
        """Take what ``name`` begins to do; an `OnProgress`."""
        words = f"waiting ({_ordinal(place)} in queue)" if place is not None else _WORDS.get(stage)
        if words is None:
            return
        # Only parties are busy side by side. A question waits for its turn at the coordinator, and the analyst works,
        # before any of them begins or when all have done their part.
        alone = name.startswith("@")
        with self._guard:
            others = {} if alone else {each: told for each, told in self._told.items() if not each.startswith("@")}
            self._told = others | {name: words}

    def draw(self) -> None:
        """Show what was told last, once the statement takes its time."""
        if self._clock() - self._begun < _PATIENCE:
            return
        text = cut(self.text(), _columns(self._stream) - 1)  # some terminals begin a new line after the last column
        if text != self._shown:
            self._write(text)

    def erase(self, echoed: str = "") -> None:
        """Take the line away, and what the terminal has ``echoed`` on it."""
        if len(self._shown) < len(echoed):
            self._shown = echoed
        if self._shown:
            self._write("")

    def text(self) -> str:
        """Return the whole line: each party by name, those that do the same together."""
        with self._guard:
            told = sorted(self._told.items())
        doing: dict[str, list[str]] = {}
        for name, words in told:
            doing.setdefault(words, []).append(clean(name.removeprefix("@")))
        return _GAP.join(f"{', '.join(names)}: {words}" for words, names in doing.items())

    def _write(self, text: str) -> None:
        rest = display_width(self._shown) - display_width(text)
        self._shown = max(text, self._shown, key=display_width)  # until it is written: Ctrl-C may come any time
        with suppress(OSError):  # a terminal that is gone is no reason to stop the query
            self._stream.write(f"\r{text}{' ' * rest}\r")
            self._stream.flush()
        self._shown = text


def _columns(stream: TextIO) -> int:
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except (OSError, ValueError):
        return 80


def _ordinal(number: int) -> str:
    last = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{last}"
