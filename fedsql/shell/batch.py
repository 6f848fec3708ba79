"""Statements that come from -c, from files or from a pipe: run in order, stop at the first error."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from fedsql.errors import ConfigError, ProgrammingError
from fedsql.session import Session
from fedsql.shell.messages import OK, error_text, exit_code
from fedsql.shell.screen import Screen, say, terminal_width
from fedsql.shell.statements import split

Texts = Iterable[tuple[str, str]]  # (name of the file or "", SQL text)


def run_texts(session: Session, texts: Texts, screen: Screen) -> int:
    """Run every statement of every text; return the exit code: that of the first error, which ends it."""
    for name, text in texts:
        statements = split(text)
        if not statements and not name:
            empty = ProgrammingError("-c: there is no statement")
            say(error_text(empty, width=terminal_width()))
            return exit_code(empty)
        for statement in statements:
            error = screen.run(session, statement, name)
            if error is not None:
                return exit_code(error)
    return OK


def texts_of(commands: Sequence[str], files: Sequence[str]) -> list[tuple[str, str]]:
    """Return (name, text) of -c texts, then of files ("-" is standard input). Raises ConfigError for an unreadable one."""
    return [
        *(("", command) for command in commands),
        *(("stdin" if name == "-" else name, _read(name)) for name in files),
    ]


def _read(name: str) -> str:
    if name == "-":
        return sys.stdin.read() if sys.stdin is not None else ""
    try:
        return Path(name).read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(f"{name}: there is no such file") from None
    except IsADirectoryError:
        raise ConfigError(f"{name}: is a folder; name a file in it") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{name}: is not UTF-8 text; save it as UTF-8") from None
    except OSError as error:
        raise ConfigError(f"{name}: cannot be read: {error.strerror}") from None
