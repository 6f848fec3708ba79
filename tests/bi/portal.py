"""Apache Superset in an environment of its own, as processes of this machine, and its REST API."""

from __future__ import annotations

import json
import os
import re
import secrets
import subprocess
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

_CONFIG = """
SECRET_KEY = {secret!r}
SQLALCHEMY_DATABASE_URI = "sqlite:///{folder}/superset.db"
CACHE_CONFIG = DATA_CACHE_CONFIG = {{"CACHE_TYPE": "FileSystemCache", "CACHE_DIR": "{folder}/cache"}}
WTF_CSRF_ENABLED = TALISMAN_ENABLED = False  # one client on one machine
FEATURE_FLAGS = {{"ESTIMATE_QUERY_COST": True}}
"""
ADMIN = "admin"
_LISTENING = re.compile(r"Running on (http://127\.0\.0\.1:\d+)")


class Superset:
    """Superset with an empty database of its own in ``folder``, from the environment ``venv``. It runs until `close`."""

    def __init__(self, venv: Path, folder: Path) -> None:
        folder.mkdir()
        self.venv = venv.absolute()
        self.password = secrets.token_hex(8)
        config = folder / "superset_config.py"
        config.write_text(_CONFIG.format(secret=secrets.token_hex(32), folder=folder))
        self._command = [str(self.venv / "bin" / "superset")]
        given = {"SUPERSET_CONFIG_PATH": config, "SUPERSET_HOME": folder, "FLASK_APP": "superset"}
        self._environment = os.environ | {name: str(value) for name, value in given.items()}
        self._environment.pop("PYTHONPATH", None)
        self._set_up("db", "upgrade")
        names = "--username", ADMIN, "--firstname", "Ada", "--lastname", "Admin", "--email", "ada@example.org"
        self._set_up("fab", "create-admin", *names, "--password", self.password)
        self._set_up("init")
        self.log: list[str] = []
        self._process = subprocess.Popen(
            [*self._command, "run", "--host", "127.0.0.1", "--port", "0", "--with-threads"],
            env=self._environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.address = self._listening()
        self._reader = threading.Thread(target=self._read_on, daemon=True)
        self._reader.start()
        self._open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open
        self._token: str | None = None
        login = {"username": ADMIN, "password": self.password, "provider": "db"}
        self._token = self.post("/api/v1/security/login", login)["access_token"]

    def close(self) -> None:
        self._process.terminate()
        self._process.wait()
        self._reader.join()

    def get(self, path: str) -> Any:
        """Return the answer; raises AssertionError when it is an error."""
        return self._answered("GET", path, None)

    def post(self, path: str, body: Any) -> Any:
        """Return the answer; raises AssertionError when it is an error."""
        return self._answered("POST", path, body)

    def put(self, path: str, body: Any) -> Any:
        """Return the answer; raises AssertionError when it is an error."""
        return self._answered("PUT", path, body)

    def call(self, method: str, path: str, body: Any) -> tuple[int, str]:
        """Return the status and the text of an answer."""
        headers = {"Content-Type": "application/json"}
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.address + path, data, headers, method=method)
        try:
            with self._open(request, timeout=120) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def _answered(self, method: str, path: str, body: Any) -> Any:
        status, text = self.call(method, path, body)
        assert status < 300, (status, text)
        return json.loads(text)

    def _set_up(self, *arguments: str) -> None:
        done = subprocess.run([*self._command, *arguments], env=self._environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-3000:]

    def _listening(self) -> str:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self.log.append(line)
            if found := _LISTENING.search(line):
                return found[1]
        raise AssertionError("".join(self.log)[-3000:])

    def _read_on(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr as lines:
            self.log.extend(lines)


def chart_query(dataset: int, columns: list[Any], metrics: list[Any], *, force: bool = False, **more: Any) -> Any:
    """Return what a chart asks /api/v1/chart/data."""
    query = {"columns": columns, "metrics": metrics, "row_limit": 1000, **more}
    source = {"id": dataset, "type": "table"}
    return {"datasource": source, "queries": [query], "result_format": "json", "result_type": "full", "force": force}


def metric(aggregate: str, column: str) -> dict[str, Any]:
    """Return an aggregate of a column, as a chart's author picks it."""
    named = {"expressionType": "SIMPLE", "column": {"column_name": column}, "aggregate": aggregate}
    return {**named, "label": f"{aggregate}({column})"}
