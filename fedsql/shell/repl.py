"""The prompt: statements over several lines until a semicolon, history, completion, and commands that begin with \\."""

from __future__ import annotations

import os
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.lexers import PygmentsLexer
from pygments.lexers.sql import SqlLexer  # type: ignore[import-untyped]

from fedsql.errors import Error, OperationalError, ProgrammingError
from fedsql.session import Session
from fedsql.shell.completion import SqlCompleter
from fedsql.shell.messages import OK, error_text
from fedsql.shell.screen import Screen, say, terminal_width
from fedsql.shell.statements import Statement, complete, split

HELP = r"""A statement ends with ; and may run over several lines. These cost nothing:
SHOW PARTIES, SHOW TABLES, SHOW BUDGET, DESCRIBE t, EXPLAIN SELECT ..., and
SET epsilon = 0.5, which is what the next query with noise will spend.
  \d [table]          tables, or the columns of one: type, use, bounds, parties
  \x [on|off]         one line for each value, for wide rows
  \timing [on|off]    say how long each statement took
  \o [file]           results go to a file (.csv, .json or text); \o ends it
  \?                  this help
  \q                  leave (also Ctrl-D)
Ctrl-C stops a query, or drops what is typed. Tab completes.
"""


def repl(session: Session, screen: Screen) -> int:
    """Read and run statements until \\q or Ctrl-D; return the exit code 0."""
    screen.timing = screen.rows = True
    name = session.federation.directory.catalog.federation
    parties = ", ".join(p.party if p.reachable else f"{p.party} ({p.state})" for p in session.federation.presence())
    prompt: PromptSession[str] = PromptSession(
        history=_history(),
        lexer=PygmentsLexer(SqlLexer),
        completer=SqlCompleter(session.federation.directory.catalog),
        complete_while_typing=False,
        multiline=True,
        key_bindings=_bindings(),
        prompt_continuation=lambda width, line, wrapped: "...> ".rjust(width),
        enable_open_in_editor=False,
    )
    print(f"{name}: {parties}. End statements with ; - \\? helps, \\q leaves.", flush=True)
    while True:
        try:
            text = prompt.prompt(f"{name}> ")
        except KeyboardInterrupt:
            continue
        except EOFError:
            return OK
        if not handle(text, session, screen):
            return OK


def handle(text: str, session: Session, screen: Screen) -> bool:
    """Run one input, a command or statements; return False when it asks to leave. Errors are shown, not raised."""
    stripped = text.strip()
    if stripped.rstrip(";").strip().lower() in ("quit", "exit", r"\q"):
        return False
    try:
        if stripped.startswith("\\"):
            _command(stripped, session, screen)
            return True
        for statement in split(text):
            if screen.run(session, statement) is not None:
                break
    except KeyboardInterrupt:
        say("cancelled\n")
    except Error as error:
        say(error_text(error, width=terminal_width()))
    return True


def _command(text: str, session: Session, screen: Screen) -> None:
    word, _, argument = text.rstrip(";").partition(" ")
    argument = argument.strip()
    if word in (r"\d", r"\dt"):
        screen.run(session, Statement(f"DESCRIBE {argument}" if argument else "SHOW TABLES"))
    elif word == r"\x":
        screen.expanded = _switch(word, argument, screen.expanded)
        say(f"expanded is {'on' if screen.expanded else 'off'}\n")
    elif word == r"\timing":
        screen.timing = _switch(word, argument, screen.timing)
        say(f"timing is {'on' if screen.timing else 'off'}\n")
    elif word == r"\o":
        screen.file = _writable(argument) if argument else None
        say(f"results go to {screen.file or 'the screen'}\n")
    elif word in (r"\?", r"\h"):
        print(HELP, end="", flush=True)
    else:
        raise ProgrammingError(f"there is no command {word}", hint=r"\? lists them")


def _switch(word: str, argument: str, now: bool) -> bool:
    try:
        return {"": not now, "on": True, "off": False}[argument.lower()]
    except KeyError:
        raise ProgrammingError(f"{word} takes on or off, not {argument}") from None


def _writable(argument: str) -> Path:
    """Return the path of a new, empty file. Raises OperationalError."""
    path = Path(argument.strip("'\"")).expanduser()
    try:
        path.write_bytes(b"")
    except OSError as error:
        raise OperationalError(f"{path}: cannot be written: {error.strerror}") from None
    return path


def _history() -> History:
    """Return the history in XDG's state folder, readable by its owner alone; in memory where that cannot be."""
    base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    path = Path(base) / "fedsql" / "history"
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError:
        return InMemoryHistory()
    return FileHistory(path)


def _bindings() -> KeyBindings:
    """Return the keys: Enter runs what is complete and breaks the line otherwise."""
    bindings = KeyBindings()

    @bindings.add("enter")
    def _enter(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if ready(buffer.text):
            buffer.validate_and_handle()
        else:
            buffer.insert_text("\n")

    return bindings


def ready(text: str) -> bool:
    """Say whether Enter runs ``text``: a command, a word that leaves, nothing, or statements up to a semicolon."""
    stripped = text.strip()
    return not stripped or stripped.startswith("\\") or stripped.lower() in ("quit", "exit") or complete(text)
