"""The command line. Each command imports what it needs when it runs, so that --help and mistakes answer at once.

Results go to standard output, all else to standard error. Exit codes: 0 ok, 1 an SQL error, 2 wrong usage or a wrong
file, 3 refused by policy or budget, 4 a party whose place another process has taken, 130 interrupted. A traceback is
shown only where FEDSQL_DEBUG is set.
"""

from __future__ import annotations

import enum
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fedsql.cli_audit import app as audit
from fedsql.cli_common import guarded
from fedsql.cli_gateway import serve
from fedsql.cli_serve import coordinator, party
from fedsql.cli_setup import certificate, enroll, init, keygen
from fedsql.cli_user import app as user

if TYPE_CHECKING:
    from fedsql.session import Session
    from fedsql.shell.screen import Screen

_HELP = {"help_option_names": ["-h", "--help"], "max_content_width": 80}
app = typer.Typer(
    name="fedsql",
    help="Ask one SQL question of many organisations' data. No row leaves home.",
    epilog="Start with `fedsql demo`: three hospitals, real data, one process.",
    rich_markup_mode=None,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings=_HELP,
)


class Format(enum.StrEnum):
    """How results are written."""

    table = "table"
    csv = "csv"
    json = "json"


Commands = Annotated[
    list[str] | None,
    typer.Option("--command", "-c", metavar="SQL", help="Run this SQL and leave; may be given several times."),
]
Formats = Annotated[Format, typer.Option("--format", help="How results are written.")]
Timing = Annotated[bool | None, typer.Option("--timing/--no-timing", help="Say rows and time after each answer.")]


def _version(wanted: bool) -> None:
    if wanted:
        import fedsql

        print(f"fedsql {fedsql.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say the version.")
    ] = False,
) -> None:
    pass


@app.command()
def shell(
    federation: Annotated[
        str, typer.Argument(metavar="FEDERATION", help="The federation.toml to open, or fedsql://HOST:PORT.")
    ],
    command: Commands = None,
    file: Annotated[
        list[str] | None,
        typer.Option(
            "--file", "-f", metavar="FILE", help="Run the SQL of this file (-: standard input); after all -c."
        ),
    ] = None,
    format: Formats = Format.table,
    analyst: Annotated[str, typer.Option(metavar="NAME", help="Who asks.")] = "analyst",
    key: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The analyst's private key (default: NAME/identity.pem beside the file)."),
    ] = None,
    pinned: Annotated[
        Path | None,
        typer.Option("--federation", metavar="FILE", help="With fedsql://: the federation.toml (default: here)."),
    ] = None,
    timing: Timing = None,
) -> None:
    """Ask a federation: a prompt, or -c, -f or a pipe."""

    def work() -> int:
        from fedsql.session import Session
        from fedsql.shell.batch import texts_of

        texts = None if command is None and file is None else texts_of(command or (), file or ())
        session = Session.open(federation, analyst, key=key, federation=pinned)
        try:
            return _ask(session, texts, _screen(format, timing))
        finally:
            session.close()

    guarded(work)


@app.command()
def check(
    federation: Annotated[Path, typer.Argument(metavar="FILE", help="A federation.toml, or one party's file.")],
) -> None:
    """Check files and data: who offers what, and every mistake."""

    def work() -> int:
        from fedsql.errors import ConfigError
        from fedsql.executors.check import check, render

        report = check(federation)
        if not report.offers and not report.remote:
            raise ConfigError(*report.problems)
        print(render(report), end="", flush=True)
        return 2 if report.problems else 0

    guarded(work)


@app.command()
def demo(
    command: Commands = None,
    noise: Annotated[bool, typer.Option("--noise", help="Ask hospitals that add noise to every answer.")] = False,
    into: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Keep the demo's files there (else they go at the end).")
    ] = None,
    format: Formats = Format.table,
    timing: Timing = None,
) -> None:
    """Try fedsql: three hospitals with real data, and six questions."""

    def work() -> int:
        from fedsql.session import Session
        from fedsql.shell.batch import texts_of
        from fedsql.shell.tour import folder_for, tour

        screen = _screen(format, timing)
        with folder_for(into, noise=noise) as path:
            if command is not None:
                session = Session.open(path)
            else:
                session = tour(path, noise=noise)
            try:
                if command is None and not _interactive():
                    return 0
                return _ask(session, None if command is None else texts_of(command, ()), screen)
            finally:
                session.close()

    guarded(work)


app.command()(init)
app.command()(keygen)
app.command()(enroll)
app.command()(certificate)
app.command()(coordinator)
app.command()(party)
app.command()(serve)
app.add_typer(user, name="user")
app.add_typer(audit, name="audit")


def main() -> None:
    """Run the command line; the console script `fedsql`."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, ValueError):  # a stream that was closed, or that a host program replaced
            stream.reconfigure(newline="", errors="backslashreplace")  # type: ignore[union-attr]
    app()


def _interactive() -> bool:
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout))


def _screen(format_: Format, timing: bool | None) -> Screen:
    from fedsql.shell.screen import Screen

    return Screen(format_.value, bool(timing), rows=bool(timing))


def _ask(session: Session, texts: Sequence[tuple[str, str]] | None, screen: Screen) -> int:
    """Run ``texts``; without any, open the prompt on a terminal, else run what comes from standard input."""
    from fedsql.shell.batch import run_texts, texts_of

    if texts is None and _interactive():
        from fedsql.shell.repl import repl

        return repl(session, screen)
    return run_texts(session, texts_of((), ("-",)) if texts is None else texts, screen)
