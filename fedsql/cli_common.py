"""What the commands share: every error becomes a message and an exit code (see `fedsql.cli`)."""

from __future__ import annotations

import enum
import os
import shutil
import sys
import textwrap
from collections.abc import Callable

import typer


class LogFormat(enum.StrEnum):
    """How a process writes its log."""

    text = "text"
    json = "json"


def guarded(work: Callable[[], int]) -> None:
    """Run a command and leave with its exit code; every error becomes a message."""
    try:
        code = work()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        code = 130
    except BrokenPipeError:
        # Whoever read has enough. Python flushes standard output once more at exit: give it somewhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        code = 0
    except Exception as error:
        from fedsql.shell.messages import error_text, exit_code
        from fedsql.shell.screen import as_ours, say, terminal_width

        found = as_ours(error)
        say(error_text(found, width=terminal_width()))
        code = exit_code(found)
    raise typer.Exit(code)


def say(*lines: str) -> None:
    """Write to standard error: text wrapped to the terminal's width, a line that begins with spaces as it is."""
    width = max(20, shutil.get_terminal_size((80, 24)).columns)
    for line in lines:
        shown = (
            line if line.startswith(" ") else textwrap.fill(line, width, break_long_words=False, break_on_hyphens=False)
        )
        print(shown, file=sys.stderr, flush=True)
