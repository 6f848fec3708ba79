"""Ctrl-C reaches a query that runs, and leaves the session as good as before."""

import os
import signal
import threading
from pathlib import Path

import pytest

from fedsql import demo
from fedsql.interrupts import execute
from fedsql.session import Session

ENDLESS = "SELECT count(*) FROM range(100000000) a, range(1000000) b WHERE a.range + b.range = -1"


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_ctrl_c_stops_what_runs(tmp_path: Path) -> None:
    assert threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
    session = Session.open(demo.write(tmp_path))
    over = threading.Event()

    def press() -> None:
        while session._queries.running is None and not over.wait(0.01):
            pass  # only once the query is at work in DuckDB
        if not over.is_set():
            os.kill(os.getpid(), signal.SIGINT)

    presser = threading.Thread(target=press)
    presser.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            execute(session, ENDLESS)
    finally:
        over.set()
        presser.join()
        signal.signal(signal.SIGINT, before)
    assert execute(session, "SELECT 1").table.num_rows == 1
    session.close()
