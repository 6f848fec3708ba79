"""The prompt, driven by keys, over the real demo hospitals."""

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from fedsql import demo
from fedsql.session import Session
from fedsql.shell.completion import SqlCompleter
from fedsql.shell.repl import HELP, handle, ready, repl
from fedsql.shell.screen import Screen


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    opened = Session.open(demo.write(tmp_path_factory.mktemp("demo")))
    yield opened
    opened.close()


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("COLUMNS", "80")


def typed(keys: str, session: Session) -> int:
    with create_pipe_input() as pipe, create_app_session(input=pipe, output=DummyOutput()):
        pipe.send_text(keys)
        return repl(session, Screen())


def test_a_session_at_the_prompt(session: Session, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    keys = "SELECT sex,\rCOUNT(*) AS n\rFROM patients GROUP BY sex ORDER BY n;\rSELECT nothing FROM patients;\r\x04"
    assert typed(keys, session) == 0
    out, err = capfd.readouterr()
    assert out.splitlines()[1:] == ["sex      n", "---  -----", "M     9751", "F    10439"]
    assert err.startswith("(2 rows, ")
    assert "note: Groups of fewer than 10" in err
    assert 'error: Referenced column "nothing" not found' in err
    history = tmp_path / "state" / "fedsql" / "history"
    assert "+COUNT(*) AS n" in history.read_text()
    assert stat.S_IMODE(history.stat().st_mode) == 0o600


def test_ctrl_c_drops_what_is_typed_and_q_leaves(session: Session, capfd: pytest.CaptureFixture[str]) -> None:
    assert typed("SELECT 'open\r\x03SELECT 1 AS one;\r\\q\rSELECT 2 AS two;\r", session) == 0
    out, _ = capfd.readouterr()
    assert "one" in out
    assert "two" not in out
    assert "open" not in out


def test_a_state_folder_that_cannot_be_is_no_obstacle(session: Session, tmp_path: Path) -> None:
    (tmp_path / "state").write_text("in the way")
    assert typed("\x04", session) == 0


@pytest.mark.parametrize("text", ["", "  ", r"\d", "exit", "SELECT 1;", r"\o it's"])
def test_enter_runs(text: str) -> None:
    assert ready(text)


@pytest.mark.parametrize("text", ["SELECT 1", "SELECT ';", "exits"])
def test_enter_breaks_the_line(text: str) -> None:
    assert not ready(text)


def test_commands(session: Session, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    screen = Screen()

    def out(text: str) -> str:
        assert handle(text, session, screen)
        return capfd.readouterr().out

    assert out(r"\d").splitlines()[2].split() == ["patients", "north", "20", "8192", "person"]
    assert "DECIMAL(10,2)" in out(r"\d patients")
    assert max(map(len, out(r"\d patients").splitlines())) <= 80
    assert out(r"\?") == HELP
    out(r"\x on")
    assert out("SELECT 1 AS a;").splitlines()[1] == "a  1"
    out(r"\x")
    assert out("SELECT 1 AS a;") == "a\n-\n1\n"
    out(r"\timing on")
    assert screen.timing
    out(r"\timing")
    assert not screen.timing
    target = tmp_path / "out.csv"
    target.write_text("old")
    out(rf"\o {target}")
    assert out("SELECT 1 AS a;") == out("SELECT 2 AS a;") == ""
    out(r"\o")
    assert target.read_bytes() == b"a\r\n1\r\na\r\n2\r\n"
    assert out("SELECT 3 AS a; SELECT 4 AS a;") == "a\n-\n3\na\n-\n4\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (r"\foo", r"there is no command \foo"),
        (r"\x maybe", "takes on or off"),
        (r"\o /nowhere/at/all", "cannot be written"),
        (r"\d nothing", "nothing"),
        ("SELECT 1 AS a; SELEC 1; SELECT 2 AS b;", "syntax error"),
    ],
)
def test_mistakes_keep_the_prompt(session: Session, text: str, message: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert handle(text, session, Screen())
    out, err = capfd.readouterr()
    assert message in err
    assert "b\n" not in out


@pytest.mark.parametrize("text", [r"\q", "quit;", " EXIT "])
def test_leaving(session: Session, text: str) -> None:
    assert not handle(text, session, Screen())


def test_help_fits_80_columns() -> None:
    assert max(map(len, HELP.splitlines())) <= 80


@pytest.mark.parametrize(
    ("text", "expected", "never"),
    [
        ("SELECT medi", {"medical": "patients, DECIMAL(10,2)"}, "MEDIAN"),
        ("SELECT count(*) FROM pat", {"patients": "table"}, "age"),
        ("SELECT count(*) FROM north.", {"patients": "table of north"}, "age"),
        ("SELECT p.ag", {"age": "patients, INTEGER"}, "AGE"),
        ("sel", {"select": ""}, "SELECT"),
        ("SEL", {"SELECT": ""}, "select"),
        ("SELECT ", {}, "age"),
    ],
)
def test_completion(session: Session, text: str, expected: dict[str, str], never: str) -> None:
    completer = SqlCompleter(session.federation.directory.catalog)
    found = {c.text: c.display_meta_text for c in completer.get_completions(Document(text), CompleteEvent())}
    assert expected.items() <= found.items()
    assert never not in found
