"""SQLAlchemy's suite for dialects."""

from sqlalchemy import Column, Integer, String, Table
from sqlalchemy.testing.suite import *  # noqa: F403
from sqlalchemy.testing.suite import ComponentReflectionTest as _ComponentReflectionTest
from sqlalchemy.testing.suite import CTETest as _CTETest


class ComponentReflectionTest(_ComponentReflectionTest):
    """With foreign keys in the order of DuckDB's names of them, which begin with their columns."""

    def exp_fks(self, *args, **kw):
        expected = super().exp_fks(*args, **kw)
        for keys in expected.values():
            keys.sort(key=lambda key: key["constrained_columns"])
        return expected


class CTETest(_CTETest):
    """Without the foreign key of a table to itself: DuckDB would not delete rows that are named by others of them."""

    @classmethod
    def define_tables(cls, metadata):
        for name in ("some_table", "some_other_table"):
            columns = (
                Column("id", Integer, primary_key=True),
                Column("data", String(50)),
                Column("parent_id", Integer),
            )
            Table(name, metadata, *columns)
