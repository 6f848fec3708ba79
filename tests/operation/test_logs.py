"""The operator's log: one line an event, for people or for machines."""

import io
import json
import logging

import pytest

from fedsql.operation.logs import set_up


@pytest.fixture
def log():
    logger = logging.getLogger("fedsql")
    before = list(logger.handlers), logger.level, logger.propagate
    yield logging.getLogger("fedsql.party")
    logger.handlers[:], logger.propagate = before[0], before[2]
    logger.setLevel(before[1])


EVENT = {"event": "refused", "fields": {"analyst": "ada", "attempt": 1, "reason": "a b", "seconds": {"plan": 0.12345}}}


def test_json_has_one_object_a_line_with_all_fields(log):
    stream = io.StringIO()
    set_up("json", stream)
    log.warning("refused", extra=EVENT)
    try:
        raise ValueError("two\nlines")
    except ValueError:
        log.exception("failed %s", "here")
    first, second = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert first.pop("time").endswith("Z")
    fields = {"analyst": "ada", "attempt": 1, "reason": "a b", "seconds": {"plan": 0.12345}}
    assert first == {"level": "WARNING", "logger": "fedsql.party", "message": "refused", "event": "refused", **fields}
    assert second["message"] == "failed here"
    assert "two\nlines" in second["exception"]


def test_text_says_the_fields_after_the_message(log):
    stream = io.StringIO()
    set_up("text", stream)
    log.warning("refused", extra=EVENT)
    log.info("plain")
    first, second = stream.getvalue().splitlines()
    assert first.endswith("Z WARNING party: refused analyst=ada attempt=1 reason='a b' seconds=plan:0.123")
    assert second.endswith("INFO party: plain")


def test_setting_up_again_replaces_the_first(log):
    first, second = io.StringIO(), io.StringIO()
    set_up("text", first)
    set_up("json", second)
    log.info("once")
    assert first.getvalue() == ""
    assert len(second.getvalue().splitlines()) == 1
