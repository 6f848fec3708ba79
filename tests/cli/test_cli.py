"""The command line: what goes where, and with which exit code. Mostly in process; real processes where only they tell."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from fedsql import demo
from fedsql.cli import app

RUNNER = CliRunner(env={"COLUMNS": "80"})
COUNT = "SELECT COUNT(*) AS n FROM patients"
ENDLESS = "SELECT count(*) FROM range(100000000) a, range(1000000) b WHERE a.range + b.range = -1"


@pytest.fixture(scope="module")
def federation(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(demo.write(tmp_path_factory.mktemp("demo")))


def run(*arguments: str, stdin: str = "") -> Result:
    return RUNNER.invoke(app, arguments, input=stdin)


def shell(federation: str, *arguments: str, stdin: str = "") -> Result:
    return run("shell", federation, *arguments, stdin=stdin)


@pytest.mark.parametrize("arguments", [(), ("shell",), ("check",), ("init",), ("demo",)])
def test_help_fits_80_columns(arguments: tuple[str, ...]) -> None:
    result = run(*arguments, "--help")
    assert result.exit_code == 0
    assert result.stdout.startswith("Usage: fedsql")
    assert max(map(len, result.stdout.splitlines())) <= 80


def test_version() -> None:
    result = run("--version")
    assert (result.exit_code, result.stdout) == (0, "fedsql 0.1.0\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("shell",),
        ("shell", "f.toml", "--format", "xml"),
        ("init",),
        ("check", "--nonsense"),
        ("shell", "nowhere/federation.toml", "-c", "SELECT 1"),
        ("shell", ".", "-c", "SELECT 1"),
        ("check", "nowhere.toml"),
    ],
)
def test_wrong_usage_is_2(arguments: tuple[str, ...]) -> None:
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "error: " in result.stderr.lower()


def test_results_on_stdout_and_the_rest_on_stderr(federation: str) -> None:
    result = shell(federation, "-c", COUNT, "--timing")
    assert (result.exit_code, result.stdout) == (0, "    n\n-----\n20190\n")
    assert result.stderr.startswith("(1 row, ")
    assert "note: Results of fewer than 10" in result.stderr
    assert shell(federation, "-c", COUNT).stderr.startswith("note: ")


def test_formats(federation: str) -> None:
    assert shell(federation, "-c", COUNT, "--format", "csv").stdout_bytes == b"n\r\n20190\r\n"
    assert json.loads(shell(federation, "-c", COUNT, "--format", "json").stdout) == [{"n": 20190}]


@pytest.mark.parametrize(
    ("sql", "code", "message"),
    [
        ("SELECT nothing FROM patients", 1, "HINT: "),
        ("DROP TABLE patients", 1, "DROP"),
        ("SELECT 'x'::INTEGER", 1, "x"),
        ("", 1, "there is no statement"),
        ("-- only a comment", 1, "there is no statement"),
        ("SELECT * FROM patients", 3, "move rows"),
        ("SELECT COUNT(*) FROM patients WHERE medical > 1", 3, "does not allow patients.medical"),
    ],
)
def test_the_first_error_ends_it_with_its_code(federation: str, sql: str, code: int, message: str) -> None:
    result = shell(federation, "-c", "SELECT 1 AS a", "-c", sql, "-c", "SELECT 2 AS b")
    assert (result.exit_code, result.stdout) == (code, "a\n-\n1\n")
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert max(map(len, result.stderr.splitlines())) <= 80


def test_files_and_standard_input(federation: str, tmp_path: Path) -> None:
    script = tmp_path / "q.sql"
    script.write_text("SELECT 1 AS a;\n\nSELECT 2 AS b; -- the end\n")
    assert shell(federation, "-f", str(script), "-c", "SELECT 0 AS z").stdout == "z\n-\n0\na\n-\n1\nb\n-\n2\n"
    assert shell(federation, "-f", "-", stdin="SELECT 3 AS c").stdout == "c\n-\n3\n"
    assert shell(federation, stdin="SELECT 4 AS d;").stdout == "d\n-\n4\n"
    assert shell(federation).exit_code == 0
    script.write_text("SELECT 1 AS a;\n\nSELECT\n  nothing FROM patients;")
    result = shell(federation, "-f", str(script))
    assert result.exit_code == 1
    assert f"error: {script}: Referenced column" in result.stderr.replace("\n  ", " ")
    assert "LINE 4:   nothing FROM patients\n          ^" in result.stderr


@pytest.mark.parametrize("name", ["missing.sql", "."])
def test_a_file_that_cannot_be_read_stops_before_anything_ran(federation: str, name: str) -> None:
    result = shell(federation, "-c", "SELECT 1", "-f", name)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"error: {name}: ")


def test_every_problem_of_the_files_has_its_line(tmp_path: Path) -> None:
    path = demo.write(tmp_path)
    for name in ("north", "south"):
        file = tmp_path / f"{name}.toml"
        file.write_text(file.read_text().replace("noise = ", "noisy = "))
    result = shell(str(path), "-c", "SELECT 1")
    assert result.exit_code == 2
    assert [line.split(":")[:2] for line in result.stderr.splitlines()] == [
        ["error", " north.toml"],
        ["error", " south.toml"],
    ]


def test_check(federation: str, tmp_path: Path) -> None:
    result = run("check", federation)
    assert result.exit_code == 0
    assert "medical      DECIMAL(10,2)  aggregate; 0 to 40000" in result.stdout
    assert "no problems" in result.stdout
    path = demo.write(tmp_path)
    file = tmp_path / "west.toml"
    file.write_text(file.read_text().replace("bounds = [0, 40000]", "bounds = [0, 1]"))
    result = run("check", str(path))
    assert result.exit_code == 2
    assert "problems" in result.stdout


def test_init_then_check(federation: str, tmp_path: Path) -> None:
    source = Path(federation).parent / "data" / "north.parquet"
    result = run("init", "--from", str(source), "--party", "clinic", str(tmp_path / "new"))
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [str(tmp_path / "new" / name) for name in ("clinic.toml", "federation.toml")]
    assert "fedsql check" in result.stderr
    assert run("check", str(tmp_path / "new" / "federation.toml")).exit_code == 0
    again = run("init", "--from", str(source), "--party", "clinic", str(tmp_path / "new"))
    assert again.exit_code == 2
    assert "is there already" in again.stderr


def test_demo_runs_statements_and_nothing_else() -> None:
    result = run("demo", "-c", COUNT, "--format", "csv")
    assert (result.exit_code, result.stdout_bytes) == (0, b"n\r\n20190\r\n")
    noisy = run("demo", "--noise", "-c", COUNT)
    assert noisy.exit_code == 0
    assert "epsilon 1 at each of north, south, west" in noisy.stderr
    assert "95 % margins: n +- " in noisy.stderr
    assert run("demo", "-c", "SELECT * FROM patients").exit_code == 3


def test_a_bug_is_told_without_a_traceback(federation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fedsql.session.Session.execute", lambda *_: 1 // 0)
    monkeypatch.delenv("FEDSQL_DEBUG", raising=False)
    result = shell(federation, "-c", "SELECT 1")
    assert result.exit_code == 1
    assert "internal error: ZeroDivisionError" in result.stderr
    assert "Traceback" not in result.stderr
    monkeypatch.setenv("FEDSQL_DEBUG", "1")
    assert "Traceback" in shell(federation, "-c", "SELECT 1").stderr


@pytest.fixture
def process(federation: str) -> Iterator[subprocess.Popen[bytes]]:
    """A real `fedsql shell` that reads statements from its standard input."""
    command = [sys.executable, "-c", "from fedsql.cli import main; main()", "shell", federation, "--format", "csv"]
    with subprocess.Popen(
        [*command, "-c", "SELECT 1 AS started", "-c", ENDLESS], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as started:
        yield started
        started.kill()


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_ctrl_c_stops_a_query_with_130(process: subprocess.Popen[bytes]) -> None:
    import signal

    assert process.stdout is not None
    assert process.stdout.readline() == b"started\r\n"
    assert process.stdout.readline() == b"1\r\n"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, b"", b"interrupted\n")


@pytest.mark.skipif(os.name == "nt", reason="a POSIX shell")
def test_a_reader_that_leaves_ends_it_quietly(federation: str) -> None:
    fedsql = f"{sys.executable} -c 'from fedsql.cli import main; main()' shell {federation} --format csv"
    script = f"{fedsql} -c 'SELECT * FROM range(300000)' -c 'SELECT 1' | head -n 1; echo ${{PIPESTATUS[0]}}"
    run = subprocess.run(["bash", "-c", script], capture_output=True, check=True)
    assert (run.stdout, run.stderr) == (b"range\r\n0\n", b"")
