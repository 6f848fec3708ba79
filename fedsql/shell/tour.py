"""`fedsql demo`: sets three hospitals up in a folder, asks the questions of `fedsql.demo.tour`, says what left whom."""

from __future__ import annotations

import tempfile
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fedsql import demo
from fedsql.demo.tour import INTRO, OFFERS, STEPS, Step
from fedsql.errors import ConfigError, Error
from fedsql.interrupts import execute
from fedsql.session import Session
from fedsql.shell.messages import count, error_text, footer
from fedsql.shell.render import render
from fedsql.shell.screen import terminal_width
from fedsql.shell.traffic import left


@contextmanager
def folder_for(into: Path | None, *, noise: bool) -> Iterator[Path]:
    """Write the demo federation and give its federation.toml; without ``into`` the folder is removed at the end."""
    if into is None:
        with tempfile.TemporaryDirectory(prefix="fedsql-demo-") as folder:
            yield demo.write(Path(folder), noise=noise)
        return
    try:
        path = demo.write(into, noise=noise)
    except FileExistsError as error:
        raise ConfigError(f"{error.filename}: is there already; choose another folder") from None
    except OSError as error:
        raise ConfigError(f"{error.filename}: cannot be written: {error.strerror}") from None
    yield path


def tour(path: Path, *, noise: bool) -> Session:
    """Print what there is and ask every question; return the session with the hospitals of ``path``, still open.

    ``noise`` says which variant these are; the questions for the other one go to hospitals of their own.
    """
    width = min(terminal_width(), 80)
    start = time.perf_counter()
    session = Session.open(path)
    _say(_welcome(session, time.perf_counter() - start, width))
    try:
        with tempfile.TemporaryDirectory(prefix="fedsql-demo-") as folder:
            other = Session.open(demo.write(Path(folder), noise=not noise))
            try:
                for number, step in enumerate(STEPS, start=1):
                    _say(f"\n{number}. {step.title}\n{_filled(step.why, width)}\n\n{_indented(step.sql)};\n")
                    _say(_outcome(session if step.noise == noise else other, step, width))
            finally:
                other.close()
    except BaseException:
        session.close()
        raise
    seconds = time.perf_counter() - start
    _say(f'\nThat was all, in {seconds:.1f} s. Ask your own: fedsql demo -c "SELECT ..."\n')
    return session


def _welcome(session: Session, seconds: float, width: int) -> str:
    catalog = session.federation.directory.catalog
    names = max(len(offer.party) for offer in catalog.offers)
    listed = "".join(
        f"  {offer.party:{names}}  {table.name}: {len(table.columns)} columns, at most {count(table.rows, 'row')}\n"
        for offer in catalog.offers
        for table in offer.tables
    )
    release = catalog.offers[0].release
    rule = f"A group is shown when it has {release.min_group_size} persons, from {release.min_parties} hospitals."
    return (
        f"{_filled(INTRO, width)}\n\n{listed}{_filled(OFFERS, width)}\n{_filled(rule, width)}\n"
        f"Set up in {seconds:.1f} s.\n"
    )


def _outcome(session: Session, step: Step, width: int) -> str:
    """Run one question; return its answer or refusal, the footer, and what left each hospital."""
    start = time.perf_counter()
    try:
        answer = execute(session, step.sql)
    except Error as error:
        if not step.refused:
            raise
        return f"\n{error_text(error, step.sql, width)}Nothing left any hospital.\n"
    said = footer(answer, time.perf_counter() - start, width)
    sent = "".join(f"{line}\n" for line in left(answer.sent, answer.parties, width))
    return f"\n{render(answer, 'table', width)}{said}" + (f"What left each hospital:\n{sent}" if sent else "")


def _filled(text: str, width: int) -> str:
    return textwrap.fill(text, width, break_on_hyphens=False)


def _indented(sql: str) -> str:
    return textwrap.indent(sql, "  ")


def _say(text: str) -> None:
    print(text, end="", flush=True)
