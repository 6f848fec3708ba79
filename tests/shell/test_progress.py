"""The status line: what it says, that it fits, and that nothing of it is left."""

import io
import os
import signal
import sys
from collections.abc import Iterator
from threading import Event

import pytest

from fedsql import demo
from fedsql.executors.protocol.wire import ANALYST, COORDINATOR
from fedsql.executors.roles.releases import Releases
from fedsql.session import Session
from fedsql.shell import progress
from fedsql.shell.progress import StatusLine
from fedsql.shell.repl import handle
from fedsql.shell.screen import Screen

SQL = "SELECT sex, COUNT(*) AS n FROM patients GROUP BY sex ORDER BY n"
BELOW = "note: Groups of fewer than 10 units"
STAGES = ["plan", "handshake", "charge", "noise", "fragment", "align", "threshold", "encrypt"]


class Terminal(io.StringIO):
    """A terminal that knows the carriage return; ``seen`` is set once ``awaited`` is written."""

    def __init__(self, awaited: str = "running fragment") -> None:
        super().__init__()
        self.awaited = awaited
        self.seen = Event()

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        written = super().write(text)
        if self.awaited in text:
            self.seen.set()
        return written

    @property
    def lines(self) -> list[str]:
        """What stands on it, without blanks at the ends of lines."""
        return self.before("\0")

    def before(self, text: str) -> list[str]:
        """What stood on it before ``text`` was written."""
        found = [""]
        column = 0
        for character in self.getvalue().partition(text)[0]:
            if character == "\n":
                found.append("")
                column = 0
            elif character == "\r":
                column = 0
            else:
                found[-1] = found[-1][:column].ljust(column) + character + found[-1][column + 1 :]
                column += 1
        return [line.rstrip() for line in found]


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def terminal() -> Terminal:
    return Terminal()


@pytest.fixture
def line(terminal: Terminal, clock: Clock) -> StatusLine:
    made = StatusLine(terminal, clock)
    clock.now += 1
    return made


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    opened = Session.open(demo.write(tmp_path_factory.mktemp("demo")))
    yield opened
    opened.close()


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        (
            [("west", "encrypt", None), ("south", "queued", 3), ("north", "fragment", None)],
            "north: running fragment  south: waiting (3rd in queue)  west: encrypting",
        ),
        (
            [("north", "fragment", None), ("south", "threshold", None), ("west", "fragment", None)],
            "north, west: running fragment  south: checking group sizes",
        ),
        ([("north", "queued", 21), ("north", "queued", 11)], "north: waiting (11th in queue)"),
        ([(COORDINATOR, "queued", 2)], "coordinator: waiting (2nd in queue)"),
        ([(COORDINATOR, "queued", 1), ("north", "handshake", None)], "north: exchanging keys"),
        ([(ANALYST, "plan", None), (ANALYST, "key", None)], "analyst: making a key"),
        ([("north", "encrypt", None), ("south", "encrypt", None), (ANALYST, "open", None)], "analyst: decrypting"),
        ([("north", "align", None), ("north", "keep", None), ("north", "", None)], "north: aligning groups"),
        ([("north\x1b[2J", "charge", None)], r"north\x1b[2J: charging"),
    ],
)
def test_what_the_line_says(line: StatusLine, terminal: Terminal, told: list, shown: str) -> None:
    for each in told:
        line.tell(*each)
    line.draw()
    assert terminal.lines == [shown]


def test_it_comes_after_half_a_second_and_only_when_it_changes(terminal: Terminal, clock: Clock) -> None:
    line = StatusLine(terminal, clock)
    line.tell("north", "fragment", None)
    clock.now += 0.4
    line.draw()
    line.erase()
    assert terminal.getvalue() == ""
    clock.now += 0.1
    line.draw()
    once = terminal.getvalue()
    assert once == "\rnorth: running fragment\r"
    line.draw()
    assert terminal.getvalue() == once


def test_nothing_of_a_longer_line_is_left(line: StatusLine, terminal: Terminal) -> None:
    line.tell("a_party_with_a_long_name", "queued", 1)
    line.draw()
    line.tell(ANALYST, "open", None)
    line.draw()
    assert terminal.lines == ["analyst: decrypting"]
    line.erase()
    assert terminal.lines == [""]
    assert terminal.getvalue().endswith("\r")


def test_it_fits_80_columns(line: StatusLine, terminal: Terminal) -> None:
    for number in range(30):
        line.tell(f"party_{number:02}", "fragment" if number % 2 else "queued", None)
    line.draw()
    (shown,) = terminal.lines
    assert len(shown) == 79
    assert shown.startswith("party_01, party_03, ")
    assert shown.endswith("...")


def slow(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a fragment end only when the terminal has shown that it runs."""
    original = Releases.run

    def run(releases: Releases, release: object) -> object:
        assert terminal.seen.wait(60)
        return original(releases, release)

    monkeypatch.setattr(Releases, "run", run)
    monkeypatch.setattr(progress, "_PATIENCE", 0.0)
    monkeypatch.setattr(sys, "stderr", terminal)


def test_a_slow_query_is_followed_and_leaves_no_trace(
    session: Session, terminal: Terminal, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    slow(terminal, monkeypatch)
    assert handle(f"{SQL};", session, Screen())
    assert terminal.before("note: ") == [""]
    assert terminal.lines[0].startswith(BELOW)
    assert not [text for text in terminal.lines if "running" in text]
    assert "F    10439" in capsys.readouterr().out
    assert session.on_progress is None


def test_an_error_stands_on_a_clean_line(session: Session, terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    slow(terminal, monkeypatch)
    monkeypatch.setattr(Releases, "run", lambda releases, release: terminal.seen.wait(60) and 1 / 0)
    assert handle(f"{SQL};", session, Screen())
    assert terminal.before("error: ") == [""]
    assert terminal.lines[0].startswith("error: ")
    assert "running fragment" in terminal.getvalue()


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize("drawn", [True, False])
def test_ctrl_c_leaves_a_clean_screen(
    session: Session, terminal: Terminal, monkeypatch: pytest.MonkeyPatch, drawn: bool
) -> None:
    slow(terminal, monkeypatch)

    def press(line: StatusLine) -> None:
        if drawn:
            draw(line)
        if terminal.seen.is_set() or not drawn:
            terminal.write("^C")
            terminal.seen.set()
            signal.raise_signal(signal.SIGINT)

    draw = StatusLine.draw
    monkeypatch.setattr(StatusLine, "draw", press)
    assert handle(f"{SQL};", session, Screen())
    assert terminal.lines == ["cancelled", ""]
    assert session.on_progress is None


def test_without_a_terminal_nothing_is_said(
    session: Session, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "_PATIENCE", 0.0)
    assert handle(f"{SQL};", session, Screen())
    _, err = capsys.readouterr()
    assert err.startswith(BELOW)
    assert "\r" not in err


def test_what_a_session_tells(session: Session) -> None:
    told: list[tuple[str, str, int | None]] = []
    session.on_progress = lambda *each: told.append(each)
    try:
        session.execute(SQL)
    finally:
        session.on_progress = None
    own = {name: [stage for each, stage, _ in told if each == name] for name in (ANALYST, "north", "south", "west")}
    assert own[ANALYST] == ["plan", "key", "open", "finalize"]
    for name in ("north", "south", "west"):
        # Over a network the newest takes the place of one that still waits, so some may be missing.
        stages = [stage for stage in dict.fromkeys(own[name]) if stage in STAGES]
        assert stages == sorted(stages, key=STAGES.index)
        assert stages[-1] == "encrypt"
