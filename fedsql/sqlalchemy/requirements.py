"""What of SQLAlchemy's test suite applies to fedsql: the groups that are open beyond its default, and those closed here.

A group that stands in neither list is as SQLAlchemy has it, which for most is closed. docs/sqlalchemy.md repeats the
reasons.
"""

from __future__ import annotations

import sqlalchemy
from sqlalchemy.testing import exclusions
from sqlalchemy.testing.requirements import SuiteRequirements

OPEN = """
aggregate_order_by autoincrement_without_sequence boolean_col_expressions create_or_replace_view create_table_as ctes
ctes_with_values date_historic datetime_historic datetime_interval datetime_literals datetime_timezone
datetime_timezone_historic delete_from except_ expression_server_defaults fetch_expression fetch_first fetch_no_order_by
float_or_double_precision_behaves_generically index_ddl_if_exists indexes_check_column_order infinity_floats intersect
mod_operator_as_percent_sign nullsordering order_by_label_with_expression precision_numerics_enotation_small
precision_numerics_many_significant_digits precision_numerics_retains_significant_digits regexp_match regexp_replace
server_defaults supports_bitwise_and supports_bitwise_not supports_bitwise_or supports_bitwise_shift
supports_bitwise_xor supports_distinct_on table_ddl_if_exists table_value_constructor timestamp_microseconds tuple_in
tuple_in_w_empty unicode_ddl update_from uuid_data_type views window_functions
""".split()  # noqa: SIM905

_TRANSACTIONS = "local tables are written at once: there are no transactions"
_NAMES = "DuckDB names constraints itself, whatever name they were given"
_REFERENCES = "a foreign key of DuckDB has neither ON DELETE nor ON UPDATE, and refers to a table that is there"
_TEMPORARY = "every local table ends with its session: there are no others"
_PARTIES = "a schema is a party, and a party's tables are read-only"
_READ_ONCE = "not answered: WITH stands in SELECT, or after INSERT INTO"

CLOSED = {
    "array_type": "lists are reflected and read; SQLAlchemy's operators on them are not written",
    "check_constraint_reflection": "conditions of local tables are not told",
    "comment_reflection": "there are no comments",
    "computed_columns": "DuckDB tells a computed column as a column with a default",
    "ctes_on_dml": _READ_ONCE,
    "ctes_with_update_delete": _READ_ONCE,
    "cross_schema_fk_reflection": _PARTIES,
    "default_schema_name_switch": _PARTIES,
    "foreign_key_constraint_name_reflection": _NAMES,
    "foreign_key_constraint_option_reflection_ondelete": _REFERENCES,
    "foreign_key_constraint_option_reflection_onupdate": _REFERENCES,
    "has_temp_table": _TEMPORARY,
    "identity_columns": "DuckDB has none: an autoincrement key takes its numbers from a sequence",
    "implements_get_lastrowid": "without RETURNING there is no way to the number of a row",
    "independent_connections": "the connections of an engine share one session: its local tables are nobody else's",
    "indexes_with_ascdesc": "DuckDB forgets the direction of an index",
    "isolation_level": _TRANSACTIONS,
    "json_type": "JSON is reflected and read; SQLAlchemy's operators on it are not written",
    "materialized_views": "there are none: CREATE TABLE x AS SELECT ...",
    "named_constraints": _NAMES,
    "on_update_cascade": _REFERENCES,
    "recursive_fk_cascade": _REFERENCES,
    "reflect_indexes_with_ascdesc": "DuckDB forgets the direction of an index",
    "reflects_pk_names": _NAMES,
    "repeated_column_foreign_keys": _REFERENCES,
    "savepoints": _TRANSACTIONS,
    "schema_create_delete": _PARTIES,
    "schema_reflection": _PARTIES,
    "schemas": _PARTIES,
    "sequences": "sequences number keys; they are not listed, and queries do not read them",
    "temp_table_names": _TEMPORARY,
    "temp_table_reflection": _TEMPORARY,
    "temporary_tables": _TEMPORARY,
    "temporary_views": _TEMPORARY,
    "time_timezone": "TIME WITH TIME ZONE loses its zone in Arrow",
    "two_phase_transactions": _TRANSACTIONS,
    "unique_constraint_reflection": _NAMES,
    "window_range": "the tests take rows without ORDER BY in the order of a window",
    "window_range_numeric": "the tests take rows without ORDER BY in the order of a window",
}
if sqlalchemy.__version__ < "2":
    CLOSED["indexes_with_expressions"] = "SQLAlchemy 1.4 skips indexes of expressions with a warning"
else:
    OPEN += ["indexes_with_expressions", "reflect_indexes_with_expressions"]


class Requirements(SuiteRequirements):
    """SQLAlchemy's, with the two lists above."""

    def __getattribute__(self, name: str) -> object:
        if name in CLOSED:
            return exclusions.skip_if(lambda: True, CLOSED[name])  # type: ignore[no-untyped-call]
        if name in OPEN:
            return exclusions.open()  # type: ignore[no-untyped-call]
        return super().__getattribute__(name)
