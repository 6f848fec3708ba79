"""The commands that run as processes of their own: `fedsql coordinator` and `fedsql party`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fedsql.cli_common import LogFormat, guarded

if TYPE_CHECKING:
    from fedsql.executors.services.coordinator import CoordinatorService
    from fedsql.executors.services.party import PartyService
    from fedsql.serving import Gateway

Operations = Annotated[
    str | None,
    typer.Option(
        "--operations",
        metavar="HOST:PORT",
        help="Serve /healthz and /metrics (Prometheus) there, in the clear; a port alone is this machine's.",
    ),
]
Log = Annotated[LogFormat, typer.Option("--log", help="How the log on standard error is written.")]


def coordinator(
    federation: Annotated[Path, typer.Argument(metavar="FEDERATION", help="The shared federation.toml.")] = Path(
        "federation.toml"
    ),
    state: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Its identity.pem, tls.pem, tls.key (default: coordinator/ beside the file)."),
    ] = None,
    listen: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Where to listen, such as grpc+tls://0.0.0.0:31337 (default: as pinned)."),
    ] = None,
    operations: Operations = None,
    log: Log = LogFormat.text,
) -> None:
    """Run the coordinator: the one process that listens. It sees no SQL and no data."""

    def work() -> int:
        from fedsql.executors.services.coordinator import CoordinatorService
        from fedsql.operation.logs import set_up
        from fedsql.serving import run

        with watched(operations) as watch:
            set_up(log.value)
            service = CoordinatorService(federation, state or federation.parent / "coordinator", listen)
            run(service, [federation], on_reload=watch(service))
        return 0

    guarded(work)


def party(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The party's own file, such as north.toml.")],
    federation: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The shared federation.toml (default: as the party file says, or near it)."),
    ] = None,
    operations: Operations = None,
    log: Log = LogFormat.text,
    dry_run: Annotated[
        str | None, typer.Option("--dry-run", metavar="SQL", help="Say what this party would do with this, and why.")
    ] = None,
    analyst: Annotated[str, typer.Option(metavar="NAME", help="With --dry-run: who would ask.")] = "analyst",
    epsilon: Annotated[
        float, typer.Option(metavar="E", help="With --dry-run: what would be spent where noise is required.")
    ] = 1.0,
) -> None:
    """Run a party beside its data. It dials the coordinator; nothing listens here."""

    def work() -> int:
        from fedsql.config.loading import federation_file, load_party

        shared = federation or federation_file(load_party(file))
        if dry_run is not None:
            return _dry_run(file, shared, dry_run, analyst, epsilon)
        from fedsql.executors.services.party import PartyService
        from fedsql.operation.logs import set_up
        from fedsql.serving import Ended, run

        with watched(operations) as watch:
            set_up(log.value)
            service = PartyService(file, shared)
            on_reload = watch(service)
            service.start()
            try:
                run(service, [file, shared], on_reload=on_reload)
            except Ended as ended:
                from fedsql.shell.messages import REPLACED, error_text
                from fedsql.shell.screen import say, terminal_width

                say(error_text(ended, width=terminal_width()))
                return REPLACED
        return 0

    guarded(work)


@contextmanager
def watched(
    where: str | None,
) -> Iterator[Callable[[PartyService | CoordinatorService | Gateway], Callable[[bool], None]]]:
    """Give what takes the service to watch; nobody watches it where no address is given."""
    if where is None:
        yield lambda service: lambda success: None
        return
    from fedsql.operation.endpoint import Endpoint

    with Endpoint(where) as endpoint:
        yield endpoint.watch


def _dry_run(file: Path, shared: Path, sql: str, analyst: str, epsilon: float) -> int:
    from fedsql.executors.dry_run import dry_run
    from fedsql.planner.question import Settings
    from fedsql.shell.messages import exit_code

    text, refusal = dry_run(file, shared, sql, analyst, Settings(epsilon=epsilon))
    print(text, flush=True)
    return 0 if refusal is None else exit_code(refusal)
