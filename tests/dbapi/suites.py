"""PEP 249's conformance suites that others wrote, over any driver: `make test` fetches them into .venv/dbapi20.

Two descendants of Stuart Bishop's dbapi20.py: the one that psycopg keeps, and PyPI's dbapi-compliance. Both have tests that a
driver must write itself, because what they ask for is optional or differs: here these ask what PEP 249 does.
"""

from __future__ import annotations

import importlib.util
import unittest
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

SUITES = ("psycopg", "compliance")
FOLDER = Path(__file__).parents[2] / ".venv" / "dbapi20"
_LONG = "Pripps Blå" * 1000


def conformance(
    suite: str,
    driver: Any,
    connect: Callable[[], Any],
    exceptions: Mapping[str, str] | None = None,
    **hooks: Any,
) -> type[unittest.TestCase]:
    """Return the tests of ``suite`` over ``driver``, the module, whose connections ``connect`` opens.

    ``exceptions`` are the tests that must fail, each with its reason: one that passes is a failure. ``hooks`` are
    attributes of the suite, such as ddl1, xddl1, table_prefix, lower_func, insert, tearDown. Where the suite was not
    fetched there is one test, which is skipped and says how to fetch it.
    """
    path = FOLDER / suite / "dbapi20.py"
    if not path.exists():
        return _absent(path)
    spec = importlib.util.spec_from_file_location(f"dbapi20_{suite}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    tests: dict[str, Any] = {
        "driver": driver,
        "_connect": _connecting(connect),
        "failUnless": unittest.TestCase.assertTrue,  # Python 3.12 has no such name any more
        "test_nextset": _nextset,
        "test_setoutputsize": _setoutputsize,
        **hooks,
    }
    found = type(f"Test_{suite}", (module.DatabaseAPI20Test,), tests)
    for name in exceptions or {}:
        setattr(found, name, unittest.expectedFailure(_of(getattr(found, name))))
    return found


def _absent(path: Path) -> type[unittest.TestCase]:
    @unittest.skip(f"{path} was not fetched: make .venv/dbapi20/.ready")
    class Absent(unittest.TestCase):
        def test_suite(self) -> None: ...

    return Absent


def _connecting(connect: Callable[[], Any]) -> Callable[[Any], Any]:
    def _connect(self: Any) -> Any:
        """Open a connection; some tests forget to close theirs."""
        opened = connect()
        self.addCleanup(opened.close)
        return opened

    return _connect


def _of(test: Callable[[Any], None]) -> Callable[[Any], None]:
    """Return a test of the class alone: `expectedFailure` marks the function that it is given."""

    def run(self: Any) -> None:
        test(self)

    return run


def _nextset(self: Any) -> None:
    """It is optional: a driver without it has no such name, or raises NotSupportedError."""
    cursor = self._connect().cursor()
    cursor.execute("select 1")
    if hasattr(cursor, "nextset"):
        with pytest.raises(self.driver.NotSupportedError):
            cursor.nextset()


def _setoutputsize(self: Any) -> None:
    """It is a hint: a value that is longer comes whole all the same."""
    cursor = self._connect().cursor()
    cursor.setoutputsize(10)
    cursor.execute(f"select '{_LONG}'")
    assert cursor.fetchone()[0] == _LONG
