"""docs/deploy.md and docs/gateway.md say what is true: the units are the files, the commands exist and run, numbers are ours."""

import inspect
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pyarrow.flight as flight
import pytest
import typer
from prometheus_client.parser import text_string_to_metric_families
from typer.testing import CliRunner

from fedsql import cli_user
from fedsql.cli import app
from fedsql.cli_gateway import serve
from fedsql.cli_user import token
from fedsql.config.models import LimitsConfig, PartyConfig
from fedsql.config.values import period
from fedsql.executors.setup import set_up
from fedsql.executors.transport.settings import Settings
from fedsql.flight import actions, clients, parameters, statements, users
from fedsql.flight.service import LIMITS
from fedsql.operation.metrics import Metrics
from fedsql.serving import GRACE
from fedsql.session import Session
from fedsql.shell.messages import REPLACED

ROOT = Path(__file__).parents[2]
DOC = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
UNITS = {path.name: path.read_text(encoding="utf-8") for path in sorted((ROOT / "examples" / "systemd").iterdir())}
GATEWAY_DOC = (ROOT / "docs" / "gateway.md").read_text(encoding="utf-8")
COORDINATOR, PARTY = UNITS["fedsql-coordinator.service"], UNITS["fedsql-party@.service"]
GATEWAY = UNITS["fedsql-gateway.service"]
POSIX = pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")


def blocks(kind: str | None, doc: str = DOC) -> list[str]:
    """Return the blocks of one kind, or all."""
    return [text for each, text in re.findall(r"```(\w*)\n(.*?)```", doc, re.S) if kind in (None, each)]


def inline(doc: str) -> list[str]:
    found: list[str] = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", doc, flags=re.S))
    return found


def value(unit: str, key: str) -> str:
    found = re.findall(rf"^{key}=(.*)$", unit, re.M)
    assert len(found) == 1, key
    text: str = found[0]
    return text


def test_the_units_in_the_text_are_the_files() -> None:
    assert sorted(blocks("ini") + blocks("ini", GATEWAY_DOC)) == sorted(UNITS.values())
    assert all(f"`{name}`" in DOC + GATEWAY_DOC for name in UNITS)


def test_the_units_say_what_a_service_needs() -> None:
    for unit in UNITS.values():
        assert float(value(unit, "TimeoutStopSec")) > GRACE
        assert value(unit, "ExecReload") == "/bin/kill -HUP $MAINPID"
        assert (value(unit, "Restart"), value(unit, "User")) == ("on-failure", "fedsql")
        assert (value(unit, "ProtectSystem"), value(unit, "NoNewPrivileges")) == ("strict", "yes")
    assert value(PARTY, "RestartPreventExitStatus") == str(REPLACED)
    written = [
        (value(unit, "StateDirectory"), re.findall(r"/var/lib/(\S+)", value(unit, "ExecStart")))
        for unit in (COORDINATOR, PARTY, GATEWAY)
    ]
    assert written == [
        ("fedsql/coordinator", ["fedsql/coordinator"]),
        ("fedsql/%i", []),
        ("fedsql/gateway", ["fedsql/gateway/users.toml", "fedsql/gateway"]),
    ]
    assert tomllib.loads(blocks("toml")[0])["state"] == "/var/lib/fedsql/north"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    program = Path(sys.executable).with_name("fedsql")
    files = []
    for name, unit in UNITS.items():
        files.append(tmp_path / name.replace("@", "@north"))
        files[-1].write_text(unit.replace("/opt/fedsql/bin/fedsql", str(program)))
    done = subprocess.run(["systemd-analyze", "verify", *map(str, files)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def command_lines(doc: str) -> Iterator[list[str]]:
    """Yield the words after `fedsql` wherever it is called."""
    for text in (*inline(doc), *(line for block in blocks(None, doc) for line in block.splitlines())):
        for found in re.finditer(r"(?<!-u )\bfedsql ([a-z]+\b.*)", text.partition(" #")[0]):
            yield shlex.split(found[1])


def options(command: Any) -> set[str]:
    return {name for each in command.params for name in (*each.opts, *each.secondary_opts)}


def leaves(command: Any) -> Iterator[Any]:
    """Yield the commands that are no groups."""
    if not hasattr(command, "commands"):
        yield command
        return
    for each in command.commands.values():
        yield from leaves(each)


def test_every_command_and_option_in_the_text_exists() -> None:
    root = typer.main.get_command(app)
    seen = set()
    for words in (*command_lines(DOC), *command_lines(GATEWAY_DOC)):
        command: Any = root
        rest = list(words)
        while hasattr(command, "commands") and rest:
            assert rest[0] in command.commands, words
            command = command.commands[rest.pop(0)]
        seen.add(command.name)
        assert {word for word in rest if word.startswith("-")} <= options(command), words
    assert seen >= {
        "init",
        "keygen",
        "enroll",
        "check",
        "coordinator",
        "party",
        "shell",
        "verify",
        "show",
        "certificate",
        "serve",
        "add",
        "password",
        "token",
        "list",
        "remove",
    }
    known = set().union(*(options(each) for each in leaves(root)))
    named = {
        word for text in inline(DOC) + inline(GATEWAY_DOC) for word in re.findall(r"(?<![\w-])--[a-z][a-z-]*", text)
    }
    assert {"--operations", "--listen", "--log", "--ca"} <= named <= known


def test_the_metrics_in_the_text_are_those_that_there_are(running) -> None:  # type: ignore[no-untyped-def]
    there: dict[str, set[str]] = {}
    samples: set[str] = set()
    for service in (running.coordinator, running.parties["north"]):
        for family in text_string_to_metric_families(Metrics(service).text().decode()):
            name = f"{family.name}_total" if family.type == "counter" else family.name
            if not name.startswith("process_") and not name.endswith("_created"):
                there.setdefault(name, set()).add(service.role)
            samples |= {name, *(sample.name for sample in family.samples)}
    rows = re.findall(r"^\| ((?:`fedsql_\w+`(?:, )?)+) \| (\w+) \|", DOC, re.M)
    of = {"both": {"coordinator", "party"}, "coordinator": {"coordinator"}, "party": {"party"}}
    assert {name: of[who] for names, who in rows for name in re.findall(r"\w+", names)} == there
    assert set(re.findall(r"\b(?:fedsql|process)_[a-z_]+\b", DOC)) <= samples


def test_the_numbers_in_the_text_are_the_defaults() -> None:
    s = Settings()
    for text in (
        f"speaks every {s.ping:g} seconds",
        f"dials again after {s.backoff:g} s, then twice as long each time, up to {s.longest_backoff:g} s",
        f"who is not heard for {s.silent:g} s",
        f"up to {s.room >> 20} MB for each connection",
        f"may take {s.deadline / 60:g} minutes at a party",
        f"{s.at_once} run at the coordinator at once; an analyst may have {s.open_queries} open",
        f"at most {s.at_once} run; the others wait",
        f"| connections | {s.connections:,} |",
        f"waits up to {GRACE:g} seconds for what runs",
    ):
        assert text in DOC, text
    (party,) = blocks("toml")
    file = tomllib.loads(party)
    assert file.keys() <= PartyConfig.model_fields.keys()
    assert file["limits"].keys() == LimitsConfig.model_fields.keys()
    limits, usual = LimitsConfig.model_validate(file["limits"]), LimitsConfig()
    assert (limits.time, limits.groups, limits.rows) == (usual.time, usual.groups, usual.rows)
    assert limits.queries == usual.queries


def test_the_numbers_of_the_gateway_are_its_own() -> None:
    (port, idle) = (inspect.signature(serve).parameters[name].default for name in ("port", "idle"))
    days = inspect.signature(token).parameters["days"].default
    analyst = Settings().open_queries
    for text in (
        f"at least {cli_user._SHORTEST} characters",
        f"(by default for {days} days)",
        f"After {users.FAILURES} wrong passwords for one name within {users.WINDOW:g} seconds",
        f"under that name for {users.PAUSE:g} seconds",
        f"with {users._MEMORY >> 10} MiB, one at a time: at most {users._WAITING}\nlogins wait",
        f"| {users.FAILURES} for one name in {users.WINDOW:g} seconds close it for {users.PAUSE:g} |",
        f"| logins that wait for their check | {users._WAITING} |",
        f"at port {port} (`--port`)",
        f"without a call for {period(idle) // 60} minutes",
        f"| {clients.MOST:,}; of one user {clients.MOST_OF_ONE} |",
        f"| {clients.AT_ONCE}, over all of the analyst's users; more wait. A coordinator takes {analyst} |",
        f"| {statements._KEPT}, of at most {statements._ROOM >> 20} MiB together",
        f"| {actions.MOST_PREPARED:,} each |",
        f"| {parameters.MOST:,}, of at most {parameters.ROOM >> 20} MiB together; whole tables",
        f"| a table that is loaded at once | {parameters.LOADED >> 30} GiB |",
        f"| a statement | {parameters.TEXT:,} characters |",
        f"| calls of one user that run or wait at once | {clients.CALLS} |",
        "| what a session computes by itself, and its local tables | 1 GiB, and 4 threads; nothing is written to disk |",
        f"| a result | {(LIMITS.result or 0) >> 20} MiB;",
        f"waits up to {GRACE:g} seconds for what runs",
    ):
        assert text in GATEWAY_DOC, text


class Deployed:
    """A federation whose files are where the text has them, below ``folder``, and the services that the units start."""

    def __init__(self, folder: Path) -> None:
        self.etc, self.var = folder / "etc", folder / "var"
        made = folder / "hospitals"
        set_up(made, ("north", "south"), port=free_port(), example=True)
        self.etc.mkdir()
        shutil.copy(made / "federation.toml", self.etc)
        shutil.copytree(made / "analyst", self.etc / "analyst")
        shutil.copytree(made / "coordinator", self.var / "coordinator")
        for name in ("north", "south"):
            shutil.copytree(made / name / ".fedsql" / name, self.var / name)
            text = (made / name / f"{name}.toml").read_text()
            text = text.replace(f'name = "{name}"', f'name = "{name}"\nstate = "{self.var / name}"')
            (self.etc / f"{name}.toml").write_text(text.replace("data/", f"{made / name / 'data'}/"))
        self.services: list[Service] = []

    def start(self, unit: str, instance: str = "") -> "Service":
        self.services.append(Service(value(unit, "ExecStart"), instance, self.etc, self.var))
        return self.services[-1]

    def close(self) -> None:
        for service in self.services:
            service.process.kill()
            service.process.wait()
            service.reader.join()


class Service:
    """What an ExecStart starts: its program, its folders and its port of health and metrics are the test's own."""

    def __init__(self, line: str, instance: str, etc: Path, var: Path) -> None:
        self.port = free_port()
        line = line.replace("%i", instance).replace("/etc/fedsql", str(etc)).replace("/var/lib/fedsql", str(var))
        line, ports = re.subn(r"127\.0\.0\.1:94\d\d", f"127.0.0.1:{self.port}", line)
        program, *arguments = line.split()
        assert (program, ports) == ("/opt/fedsql/bin/fedsql", 1)
        start = [sys.executable, "-c", "from fedsql.cli import main; main()", *arguments]
        self.process = subprocess.Popen(start, stderr=subprocess.PIPE, text=True)
        self.said: SimpleQueue[str] = SimpleQueue()
        self.reader = threading.Thread(target=self._read)
        self.reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as stream:
            for line in stream:
                self.said.put(line)
        self.said.put("")

    def wait_for(self, message: str) -> None:
        """Wait until the log says so, each line of which is JSON."""
        while message not in (line := self.said.get(timeout=60)):
            assert line, f"it ended before it said {message!r}"
            assert json.loads(line)["level"] in ("INFO", "WARNING")

    def rest(self) -> str:
        return "".join(iter(lambda: self.said.get(timeout=60), ""))

    def health(self) -> tuple[int, str]:
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=20)) as connection:
            connection.request("GET", "/healthz")
            response = connection.getresponse()
            return response.status, response.read().decode()


def free_port() -> int:
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@pytest.fixture
def deployed(tmp_path: Path) -> Iterator[Deployed]:
    made = Deployed(tmp_path)
    yield made
    made.close()


@POSIX
def test_what_the_units_start_answers_reloads_and_ends(deployed: Deployed) -> None:
    coordinator = deployed.start(COORDINATOR)
    parties = {name: deployed.start(PARTY, name) for name in ("north", "south")}
    for service in parties.values():
        service.wait_for(": connected")
    with closing(Session.open(deployed.etc / "federation.toml")) as session:
        table = session.execute("SELECT COUNT(*) AS n FROM patients").table
    assert table is not None
    assert table.to_pylist() == [{"n": 20190}]
    for service in (coordinator, *parties.values()):
        assert service.health() == (200, "ok\n")
        service.process.send_signal(signal.SIGHUP)
        service.wait_for("the files were read again")
    second = deployed.start(PARTY, "north")
    second.wait_for(": connected")
    assert parties["north"].process.wait(60) == REPLACED
    assert "north has logged in from elsewhere" in parties["north"].rest()
    for service in (second, parties["south"], coordinator):
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(60) == 0


@POSIX
def test_what_the_unit_of_the_gateway_starts_lets_users_in_and_ends(deployed: Deployed) -> None:
    pytest.importorskip("fedsql.flight.service")
    folder = deployed.var / "gateway"
    shutil.copytree(deployed.etc / "analyst", folder / "analyst")
    folder.chmod(0o700)
    adding = ["user", "add", str(deployed.etc / "federation.toml"), "ada", "--analyst", "analyst", "--password-stdin"]
    added = CliRunner().invoke(app, [*adding, "--users", str(folder / "users.toml")], input="correct horse")
    assert added.exit_code == 0, added.output
    coordinator = deployed.start(COORDINATOR)
    unit = GATEWAY.replace("%H", "gateway.example").replace("--host", f"--port {(port := free_port())} --host")
    gateway = deployed.start(unit)
    gateway.wait_for("connect with ADBC at grpc+tls://gateway.example:")
    assert gateway.health() == (200, "ok\n")
    roots = (folder / "ca.pem").read_bytes()
    with flight.FlightClient(f"grpc+tls://127.0.0.1:{port}", tls_root_certs=roots) as client:
        name, token = client.authenticate_basic_token("ada", "correct horse")
        assert name == b"authorization"
        assert token.startswith(b"Bearer ")
        with pytest.raises(flight.FlightUnauthenticatedError):
            client.authenticate_basic_token("ada", "correct house")
    unreachable = (flight.FlightInternalError, flight.FlightUnavailableError)
    with flight.FlightClient(f"grpc+tls://127.0.0.1:{port}") as client, pytest.raises(unreachable):
        client.authenticate_basic_token("ada", "correct horse")  # who does not know its authority says nothing
    gateway.process.send_signal(signal.SIGHUP)
    gateway.wait_for("the files were read again")
    for service in (gateway, coordinator):
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(60) == 0
