"""What Apache Superset asks of a database's engine: fedsql's, found by its entry point.

It needs nothing but Superset: fedsql is installed there without what the engine needs (docs/bi.md).
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from sqlalchemy import types
from sqlglot.dialects.dialect import Dialects
from superset.constants import TimeGrain
from superset.db_engine_specs.base import BaseEngineSpec
from superset.errors import SupersetErrorType
from superset.sql.parse import SQLGLOT_DIALECTS

SQLGLOT_DIALECTS.setdefault("fedsql", Dialects.DUCKDB)  # Superset reads statements, and writes them anew

_GRAINS = {"SECOND": "second", "MINUTE": "minute", "HOUR": "hour", "DAY": "day", "WEEK": "week", "MONTH": "month"}
_GRAINS |= {"QUARTER": "quarter", "YEAR": "year"}
# What ADBC puts around the gateway's words: [FlightSQL] ... (PermissionDenied; Prepare)
_TOLD = re.compile(r"\[FlightSQL\] (.*?) \([A-Z][A-Za-z]+; \w+\)", re.DOTALL)
_Errors = dict[re.Pattern[str], tuple[str, SupersetErrorType, dict[str, Any]]]
_COST = "Privacy cost:"


class FedsqlEngineSpec(BaseEngineSpec):  # type: ignore[misc]
    """fedsql in Superset."""

    engine = "fedsql"
    engine_name = "fedsql"
    drivers = {"flightsql": "through a gateway", "native": "in this process"}  # noqa: RUF012
    default_driver = "flightsql"
    sqlalchemy_uri_placeholder = "fedsql+flightsql://user:password@gateway:31338/?tls=/path/to/ca.pem"
    supports_file_upload = False
    disable_ssh_tunneling = True  # the gateway's certificate is for its own name
    _time_grain_expressions = {  # noqa: RUF012
        None: "{col}",
        **{TimeGrain[name]: f"DATE_TRUNC('{unit}', {{col}})" for name, unit in _GRAINS.items()},
    }
    custom_errors: _Errors = {  # noqa: RUF012  # no text: the gateway's own is shown
        re.compile("^the user name or the password is wrong"): (
            "",
            SupersetErrorType.CONNECTION_ACCESS_DENIED_ERROR,
            {"invalid": ["username", "password"]},
        ),
        re.compile("^connection error"): ("", SupersetErrorType.CONNECTION_HOST_DOWN_ERROR, {"invalid": ["host"]}),
        re.compile("^Referenced column"): ("", SupersetErrorType.COLUMN_DOES_NOT_EXIST_ERROR, {}),
        re.compile("^there is no table"): ("", SupersetErrorType.TABLE_DOES_NOT_EXIST_ERROR, {}),
    }

    @classmethod
    def epoch_to_dttm(cls) -> str:
        """Return how seconds since 1970 become a timestamp."""
        return "to_timestamp({col})"

    @classmethod
    def convert_dttm(cls, target_type: str, dttm: datetime, db_extra: dict[str, Any] | None = None) -> str | None:
        """Return a literal of a date or a timestamp, for a column of type ``target_type``."""
        type_ = cls.get_sqla_column_type(target_type)
        if isinstance(type_, types.Date):
            return f"DATE '{dttm.date().isoformat()}'"
        if isinstance(type_, types.DateTime):
            return f"TIMESTAMP '{dttm.isoformat(sep=' ', timespec='microseconds')}'"
        return None

    @classmethod
    def get_extra_params(cls, database: Any, source: Any = None) -> dict[str, Any]:
        """Let the authority that was pasted into the form ("Root certificate") be trusted."""
        extra: dict[str, Any] = super().get_extra_params(database, source)
        if database.server_cert:
            engine = extra.setdefault("engine_params", {})
            engine.setdefault("connect_args", {})["authority"] = database.server_cert
        return extra

    @classmethod
    def _extract_error_message(cls, ex: Exception) -> str:
        """Return the gateway's words, and its hint, without those of the drivers between."""
        text: str = super()._extract_error_message(ex)
        told = _TOLD.search(text)
        return told[1] if told else text

    @classmethod
    def get_allow_cost_estimate(cls, extra: dict[str, Any]) -> bool:
        """Say yes: EXPLAIN costs nothing."""
        return True

    @classmethod
    def estimate_statement_cost(cls, database: Any, statement: str, cursor: Any) -> dict[str, Any]:
        """Return what EXPLAIN says of the privacy cost and of the error to expect."""
        cursor.execute(f"EXPLAIN {statement}")
        lines = [row[0] for row in cursor.fetchall()]
        after = lines[lines.index(_COST) + 1 :] if _COST in lines else []
        return {_COST.rstrip(":"): " ".join(line.strip() for line in after) or "none"}

    @classmethod
    def query_cost_formatter(cls, raw_cost: list[dict[str, Any]]) -> list[dict[str, str]]:
        """Return the estimates as they are."""
        return [{name: str(value) for name, value in each.items()} for each in raw_cost]
