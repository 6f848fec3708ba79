"""`fedsql serve` as a user runs it: a process, its own certificate, ADBC over TLS, a change of users, the end."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import adbc_driver_flightsql.dbapi
import adbc_driver_manager
import pytest

from tests.flight.accounts import PASSWORD
from tests.flight.world import federation, pooled

FEDSQL = str(Path(sys.executable).with_name("fedsql"))


def run(*arguments: str, given: str = "") -> str:
    done = subprocess.run([FEDSQL, *arguments], input=given, text=True, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


class Served:
    def __init__(self, file: Path, *options: str) -> None:
        self.process = subprocess.Popen(
            [FEDSQL, "serve", str(file), "--port", "0", *options], stderr=subprocess.PIPE, text=True
        )
        self.said = ""
        self.port = 0
        assert self.process.stderr is not None
        while not self.port and (line := self.process.stderr.readline()):
            self.said += line
            if found := re.search(r"listening at grpc(?:\+tls)?://[\w.]+:(\d+)", line):
                self.port = int(found[1])
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.said += line

    def end(self) -> str:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)
        self._reader.join(30)
        assert self.process.stderr is not None
        self.process.stderr.close()
        return self.said


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = federation(tmp_path / "f")
    run("user", "add", str(made), "ada", "--password-stdin", given=PASSWORD)
    return made


@pytest.fixture
def served(file: Path) -> Iterator[Served]:
    running = Served(file)
    yield running
    running.end()


def connect(served: Served, file: Path, **options: str) -> Any:
    trusted = (file.parent / "gateway" / "ca.pem").read_text()
    given = {"adbc.flight.sql.client_option.tls_root_certs": trusted, **options}
    return adbc_driver_flightsql.dbapi.connect(f"grpc+tls://localhost:{served.port}", db_kwargs=given, autocommit=True)


SQL = "SELECT k, COUNT(*) AS n, SUM(v) AS s FROM t GROUP BY k ORDER BY k"


def until_known(cursor: Any) -> None:
    """Run the query; a token is known once the file was read again."""
    for _ in range(100):
        try:
            cursor.execute(SQL)
            return
        except adbc_driver_manager.Error as error:
            if "token is not known" not in str(error):
                raise
            threading.Event().wait(0.1)
    raise AssertionError("the token never became known")


def test_over_tls_with_a_password_and_with_a_token(file: Path, served: Served) -> None:
    token = run("user", "token", str(file), "ada")
    with pooled() as con:
        expected = con.sql(SQL).fetchall()
    for options in (
        {"username": "ada", "password": PASSWORD},
        {"adbc.flight.sql.authorization_header": f"Bearer {token}"},
    ):
        with connect(served, file, **options) as connection, connection.cursor() as cursor:
            until_known(cursor)
            assert cursor.fetchall() == expected
    said = served.end()
    assert served.process.returncode == 0
    assert "answered user=ada analyst=ada query_id=" in said
    assert PASSWORD not in said
    assert token not in said
    assert "Traceback" not in said


def test_who_does_not_trust_it_does_not_connect(file: Path, served: Served) -> None:
    with pytest.raises(adbc_driver_manager.Error, match="certificate"):
        adbc_driver_flightsql.dbapi.connect(
            f"grpc+tls://localhost:{served.port}", db_kwargs={"username": "ada", "password": PASSWORD}, autocommit=True
        )


def test_a_port_in_use_is_one_clear_error(file: Path) -> None:
    first = Served(file, "--no-tls")
    second = subprocess.run(
        [FEDSQL, "serve", str(file), "--no-tls", "--port", str(first.port)], text=True, capture_output=True, timeout=120
    )
    first.end()
    assert second.returncode == 2
    assert "cannot listen here" in second.stderr
    assert "Traceback" not in second.stderr
