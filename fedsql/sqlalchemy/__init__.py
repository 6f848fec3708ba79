"""The SQLAlchemy dialect ``fedsql://``, for SQLAlchemy 1.4 and 2: one dialect, two drivers.

native.py      ``fedsql://`` and ``fedsql+native://``: `fedsql.connect`, in this process
flightsql.py   ``fedsql+flightsql://``: a gateway (`fedsql serve`), through ADBC's driver for Flight SQL
dialect.py     what both do: the flags of the dialect, and reflection by SHOW and DESCRIBE
compiler.py    SQL, DDL and names as DuckDB reads them
types.py       DuckDB's types to SQLAlchemy's and back
requirements.py what of SQLAlchemy's own test suite applies, and why the rest does not

Only native.py needs the engine, and only flightsql.py needs ADBC, each when it connects: a process that asks through a
gateway needs no more than SQLAlchemy and that driver.
"""
