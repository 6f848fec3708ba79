"""Where the shell writes: results to standard output (or a file), all else to standard error, never a traceback."""

from __future__ import annotations

import os
import shutil
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from fedsql.answer import Answer
from fedsql.errors import Error, InternalError, OperationalError
from fedsql.interrupts import execute
from fedsql.session import Session
from fedsql.shell.messages import error_text, footer
from fedsql.shell.progress import status
from fedsql.shell.render import render
from fedsql.shell.statements import Statement


def terminal_width() -> int:
    """Return the width of the terminal (or $COLUMNS); 80 where there is none."""
    return max(20, shutil.get_terminal_size((80, 24)).columns)


def debugging() -> bool:
    """Say whether FEDSQL_DEBUG is set: then tracebacks are shown."""
    return bool(os.environ.get("FEDSQL_DEBUG"))


def say(text: str) -> None:
    """Write to standard error, if there is one."""
    if sys.stderr is not None:
        sys.stderr.write(text)
        sys.stderr.flush()


@dataclass
class Screen:
    """How results are shown: ``format`` (render.FORMATS), ``timing``, ``expanded``, and the file of \\o, if any."""

    format: str = "table"
    timing: bool = False
    expanded: bool = False
    rows: bool = False
    file: Path | None = None

    def run(self, session: Session, statement: Statement, name: str = "") -> Error | None:
        """Run one statement and show its answer; return the error instead, shown, when it fails.

        ``name`` is the file that the statement stands in. KeyboardInterrupt passes.
        """
        start = time.perf_counter()
        try:
            with status(session) as on_wait:
                answer = execute(session, statement.sql, on_wait=on_wait)
            self.show(answer, time.perf_counter() - start)
        except BrokenPipeError:
            raise
        except Exception as error:
            found = as_ours(error)
            say(error_text(found, statement.sql, terminal_width(), file=name, line=statement.line))
            return found
        return None

    def show(self, answer: Answer, seconds: float) -> None:
        """Write an answer where results go, and what there is to say of it to standard error."""
        kind = {".csv": "csv", ".json": "json"}.get(self.file.suffix.lower() if self.file else "", self.format)
        text = render(answer, kind, terminal_width(), expanded=self.expanded)
        if self.file is None:
            write(text, sys.stdout)
        else:
            with self.file.open("a", encoding="utf-8", newline="") as file:
                file.write(text)
        say(footer(answer, seconds if self.timing else None, terminal_width(), rows=self.rows))


def write(text: str, stream: TextIO | None) -> None:
    """Write a result at once. Raises BrokenPipeError when nobody reads any more."""
    if stream is not None:
        stream.write(text)
        stream.flush()


def as_ours(error: Exception) -> Error:
    """Return an error as one of fedsql's; what is none of them is a bug, and its traceback is kept for FEDSQL_DEBUG."""
    if debugging():
        say("".join(traceback.format_exception(error)))
    if isinstance(error, Error):
        return error
    if isinstance(error, OSError):
        return OperationalError(f"{error.filename or 'output'}: {error.strerror or error}")
    return InternalError(
        f"internal error: {type(error).__name__}: {error}", hint="FEDSQL_DEBUG=1 shows where; please report it"
    )
