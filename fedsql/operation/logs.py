"""The log of a coordinator or a party: one line for each event, as text for people or as JSON for machines.

What happens is logged below the logger "fedsql", with its fields beside the message (see `event` in executors/roles). It
is for the operator alone: the reasons of failed fragments may quote rows.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import TextIO


def set_up(format_: str, stream: TextIO | None = None, level: int = logging.INFO) -> None:
    """Write the log of fedsql to ``stream`` (standard error) as "text" or "json". Called again it replaces the first."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(_Json() if format_ == "json" else _Text())
    log = logging.getLogger("fedsql")
    for old in [each for each in log.handlers if isinstance(each.formatter, _Json | _Text)]:
        log.removeHandler(old)
    log.addHandler(handler)
    log.setLevel(level)
    log.propagate = False


class _Text(logging.Formatter):
    """As in ``2026-01-31 12:00:00.000Z WARNING party: refused analyst=ada reason='...'``."""

    def format(self, record: logging.LogRecord) -> str:
        name = record.name.removeprefix("fedsql.")
        fields = " ".join(f"{key}={_shown(value)}" for key, value in _fields(record).items())
        line = f"{_time(record, ' ')} {record.levelname} {name}: {record.getMessage()}"
        trace = f"\n{self.formatException(record.exc_info)}" if record.exc_info else ""
        return f"{line} {fields}".rstrip() + trace


class _Json(logging.Formatter):
    """One object a line: time, level, logger, message, event, and the event's fields."""

    def format(self, record: logging.LogRecord) -> str:
        told = {"time": _time(record, "T"), "level": record.levelname, "logger": record.name}
        told["message"] = record.getMessage()
        if (event := getattr(record, "event", None)) is not None:
            told["event"] = event
        if record.exc_info:
            told["exception"] = self.formatException(record.exc_info)
        return json.dumps(
            {**told, **{k: v for k, v in _fields(record).items() if k not in told}}, default=str, ensure_ascii=False
        )


def _fields(record: logging.LogRecord) -> dict[str, object]:
    fields = getattr(record, "fields", None)
    return fields if isinstance(fields, dict) else {}


def _time(record: logging.LogRecord, between: str) -> str:
    return datetime.fromtimestamp(record.created, UTC).strftime(f"%Y-%m-%d{between}%H:%M:%S.%f")[:-3] + "Z"


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return ",".join(f"{k}:{v:.3g}" if isinstance(v, float) else f"{k}:{v}" for k, v in value.items())
    return repr(value) if isinstance(value, str) and not value.isalnum() else str(value)
