"""A party's tables inside DuckDB, and nothing else: what a fragment may touch.

Loading (`loading.py`) keeps a copy of the listed columns only, in memory. Then the database is locked: no file, no
network, no extension, no Python variable can be reached from it any more, and no setting changed.
Fragments are built from plans, never from a stranger's text; this lock is the second wall.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from fedsql.config.models import PartyConfig
from fedsql.errors import ConfigError, OperationalError
from fedsql.executors.engines import texts
from fedsql.executors.engines.copies import Copies, opened, packed
from fedsql.executors.engines.loading import load
from fedsql.executors.engines.offers import release_policy
from fedsql.executors.engines.runs import OnPlace, Runs
from fedsql.planner.catalog import PublicTable
from fedsql.planner.offer import Offer, TableOffer
from fedsql.planner.question import StageInput
from fedsql.types import quoted

_LOCK = (
    "SET autoinstall_known_extensions = false",
    "SET autoload_known_extensions = false",
    "SET allow_community_extensions = false",
    "SET enable_external_access = false",
    "SET lock_configuration = true",
)


class PartyStore:
    """The loaded, verified and locked tables of one party. Safe to use from several threads.

    ``secret`` keys the data versions, so that they tell outsiders nothing. The file's [limits] hold for each query; DuckDB
    never spills to disk. Raises ConfigError with a line for each mistake in all tables; with ``partial`` it keeps the
    tables that are right and lists the lines in ``problems``.
    """

    def __init__(self, config: PartyConfig, secret: bytes, *, partial: bool = False) -> None:
        self.config = config
        self.most_groups, self.most_rows = config.limits.groups, config.limits.rows
        self._runs = Runs(config.limits.queries, config.limits.time)
        limits = {"threads": config.limits.threads, "memory_limit": config.limits.memory}
        self._database = duckdb.connect(
            ":memory:",
            config={
                "python_enable_replacements": False,  # else a table's name can be a Python variable of this process
                "temp_directory": "",  # a folder to spill to would stay readable after the lock
                "disabled_optimizers": "common_subexpressions",  # it lifts shared parts out of TRY: a row could raise
                **{name: value for name, value in limits.items() if value is not None},
            },
        )
        try:
            self._database.execute("SET enable_progress_bar = false")  # else, where Python is interactive, on stdout
            self._database.execute("SET GLOBAL TimeZone = 'UTC'")
            self._offers, self.problems = load(self._database, config, secret)
            if self.problems and not partial:
                raise ConfigError(*self.problems)
            for statement in _LOCK:
                self._database.execute(statement)
            self._copies = Copies(self._database)
            for offer in self._offers:
                if offer.public:
                    self._copies.show(PublicTable.of(offer))
        except BaseException:
            self._database.close()
            raise

    def offers(self) -> tuple[TableOffer, ...]:
        """Return the offered tables, in the order of the file. A table that lists no column is not offered."""
        return self._offers

    def offer(self, identity_key: bytes = b"", seal_key: bytes = b"") -> Offer:
        """Return everything that the party tells the federation, with its two raw 32-byte public keys."""
        return Offer(self.config.name, self._offers, release_policy(self.config.release), identity_key, seal_key)

    def run(
        self,
        sql: str,
        key: Hashable = None,
        on_place: OnPlace | None = None,
        inputs: Sequence[StageInput] = (),
        joined: bool = False,
    ) -> pa.Table:
        """Run one query and return its rows. Raises duckdb.Error, whose message may hold data: never pass it on.

        ``key`` is what `interrupt` knows it by; ``on_place`` is told the place in the queue, where it has to wait, and 0 at its
        turn; ``inputs`` are relations that this query alone sees; ``joined``: it yields rows, for a private join. Raises OperationalError when it was cancelled or is over a
        limit, ValueError when ``sql`` is not exactly one query or an input has a table's name.
        """
        with self._runs.one(self._database, key, on_place) as cursor:
            if [statement.type for statement in cursor.extract_statements(sql)] != [duckdb.StatementType.SELECT]:
                raise ValueError("a fragment is exactly one query")
            for each in inputs:
                if each.name.lower() in map(str.lower, self.config.tables):
                    raise ValueError(f"{each.name} is a table, and cannot be an input")
                texts.create(cursor, f"TEMP TABLE {quoted(each.name)}", texts.of_input(each))
                for number, unique in enumerate(each.unique):
                    index, keys = quoted(f"{each.name}_{number}"), ", ".join(map(quoted, unique))
                    cursor.execute(f"CREATE UNIQUE INDEX {index} ON {quoted(each.name)} ({keys})")
            most, what = (self.most_rows, "rows") if joined else (self.most_groups, "groups")
            # Within the text: a limit on the relation would bind it twice.
            table = cursor.sql(f"SELECT * FROM (\n{sql}\n) LIMIT {most + 1}").to_arrow_table()
            if table.num_rows > most:
                raise OperationalError(f"a fragment has more than {most} {what}: [limits] {what} allows no more")
            if _listed(table) > most:
                raise OperationalError(f"a fragment lists more than {most} values: [limits] groups allows no more")
            return table

    def rows_of(self, name: str) -> bytes:
        """Return the rows of a public table as they are sent: its offer's ``content`` is their digest.

        Raises ValueError when there is no such public table.
        """
        if not any(table.public and table.name == name for table in self._offers):
            raise ValueError(f"{name} is no public table")
        with self._database.cursor() as cursor:
            return packed(cursor, name)

    def holds(self, relation: str) -> bool:
        """Say whether fragments can read `copies."<relation>"`: the party's own public table, or a copy of another's."""
        return self._copies.holds(relation)

    def keep(self, table: PublicTable, columns: texts.Columns, data: bytes) -> None:
        """Keep another party's public table: what its `rows_of` returned, with the columns of its offer.

        Raises ProtocolError, naming the owner, when it is anything else.
        """
        if not self.holds(table.relation):
            self._copies.keep(table, opened(table, columns, data))

    def interrupt(self, key: Hashable = None) -> None:
        """Stop the queries of ``key``, also those that have not begun; without a key all that run now."""
        self._runs.interrupt(key)

    def load(self) -> tuple[int, int]:
        """Return how many queries run, and how many wait for their turn."""
        return self._runs.load()

    def close(self) -> None:
        """Stop what runs and drop all rows."""
        self.interrupt()
        self._runs.wait()
        self._database.close()


def _listed(rows: pa.Table) -> int:
    """Return how many values the lists of a column hold, at most."""
    lists = (column for column in rows.columns if pa.types.is_list(column.type))
    return max((pc.sum(pc.list_value_length(column)).as_py() or 0 for column in lists), default=0)
