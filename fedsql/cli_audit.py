"""The commands for a party's auditor: `fedsql audit verify` and `fedsql audit show`. They change nothing."""

from __future__ import annotations

import datetime
import enum
import json
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fedsql.cli_common import guarded

if TYPE_CHECKING:
    from fedsql.privacy.audit import Entry

_FIRST = {"sql": 0, "reason": 1}
_DIGEST = re.compile("[0-9a-f/]{32,}|null")
_INDENT = " " * 8

app = typer.Typer(help="Check and read a party's audit log.", no_args_is_help=True, rich_markup_mode=None)


class Format(enum.StrEnum):
    """How entries are written."""

    table = "table"
    json = "json"


def _hash(value: str | None) -> str | None:
    if value is not None and not re.fullmatch("[0-9a-fA-F]{64}", value):
        raise typer.BadParameter("a hash has 64 hexadecimal digits")
    return value and value.lower()


def _time(value: str) -> datetime.datetime:
    try:
        when = datetime.datetime.fromisoformat(value)
    except ValueError:
        raise typer.BadParameter("write a time such as 2026-01-31 or 2026-01-31T08:30:00Z") from None
    return when if when.tzinfo else when.replace(tzinfo=datetime.UTC)


Where = Annotated[Path, typer.Argument(metavar="PARTY", help="The party's file, or the folder of its state.")]


@app.command()
def verify(
    party: Where,
    expect: Annotated[
        str | None,
        typer.Option(metavar="HASH", callback=_hash, help="A hash noted earlier: the log must still hold that entry."),
    ] = None,
) -> None:
    """Check that no entry was altered, dropped, moved or added.

    A party writes the hash of each new entry into its operator's log. Without one of these (--expect), a log that was cut
    off at its end, or written anew from some entry on, looks sound.
    """

    def work() -> int:
        from fedsql.privacy.audit import verify as check

        found = check(_ledger(party), expect)
        print(f"entries {found.entries}\nhead    {found.head}", flush=True)
        return 0

    guarded(work)


@app.command()
def show(
    party: Where,
    since: Annotated[
        datetime.datetime | None,
        typer.Option(metavar="TIME", parser=_time, help="Only what came then or later (ISO 8601; UTC unless it says)."),
    ] = None,
    analyst: Annotated[str | None, typer.Option(metavar="NAME", help="Only what this analyst asked.")] = None,
    event: Annotated[
        str | None, typer.Option(metavar="EVENT", help="Only these, such as charged, answered, refused.")
    ] = None,
    query: Annotated[str | None, typer.Option(metavar="ID", help="Only this query id, or how it begins.")] = None,
    format: Annotated[Format, typer.Option("--format", help="How entries are written.")] = Format.table,
) -> None:
    """Show who asked what, what was released, refused and why; newest last."""

    def work() -> int:
        from fedsql.privacy.audit import entries
        from fedsql.shell.screen import say, terminal_width

        shown = 0
        moment = None if since is None else since.timestamp()
        for entry in entries(_ledger(party), since=moment, analyst=analyst, event=event, query=query):
            shown += 1
            if format is Format.json:
                own = {"seq": entry.seq, "time": entry.time, "event": entry.event}
                print(json.dumps({**own, **entry.details, "hash": entry.hash}))
            else:
                print("\n".join(_lines(entry, terminal_width())))
        sys.stdout.flush()
        if not shown:
            say("(no such entries)\n")
        return 0

    guarded(work)


def _ledger(place: Path) -> Path:
    """Return the ledger of a party's file or state folder. Raises ConfigError with one line for each mistake."""
    if place.is_dir():
        return place / "ledger.sqlite"
    from fedsql.config.loading import load_party

    state = load_party(place).state_directory
    assert state is not None  # what is read from a file keeps its state in a folder
    return state / "ledger.sqlite"


def _lines(entry: Entry, width: int) -> Iterator[str]:
    """Yield an entry as lines of at most ``width``: when, what, who and which query; then the details, indented.

    Lines of SQL stay lines: joined, a comment would seem to hide what follows it. Digests are left to --format json.
    """
    from fedsql.shell.render import clean

    details = dict(entry.details)
    first = [f"{entry.seq:>6}", entry.time[:19] + "Z", entry.event]
    if (analyst := details.pop("analyst", None)) is not None:
        first.append(str(analyst))
    if (query := details.pop("query_id", None)) is not None:
        first.append(f"{str(query)[:8]}/{details.pop('attempt', '?')}")
    yield from textwrap.wrap(clean("  ".join(first)), width, subsequent_indent=_INDENT)
    for name in sorted(details, key=lambda name: (_FIRST.get(name, 2), name)):
        text = _text(details[name])
        if text and not _DIGEST.fullmatch(text):
            for number, line in enumerate(f"{name}: {text}".split("\n")):
                indent = _INDENT + "  " * bool(number)
                yield from textwrap.wrap(
                    clean(line.expandtabs()), width, initial_indent=indent, subsequent_indent=_INDENT + "  "
                )


def _text(value: Any) -> str:
    """Return a detail for people: lists with commas, mappings as name=value, JSON only where they nest deeper.

    Of several mappings, such as what was released, each has a line.
    """
    if isinstance(value, dict):
        return ", ".join(f"{name}={_inner(inner)}" for name, inner in value.items())
    if isinstance(value, list) and value and all(isinstance(each, dict) for each in value):
        return "\n".join("; ".join(f"{name}={_text(inner)}" for name, inner in each.items()) for each in value)
    if isinstance(value, list):
        return ", ".join(map(_inner, value))
    return _inner(value)


def _inner(value: Any) -> str:
    if isinstance(value, str):
        return value
    return f"{value:.6g}" if isinstance(value, float) else json.dumps(value, ensure_ascii=False)
