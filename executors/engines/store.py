"""A party's tables inside DuckDB, and nothing else: what a fragment may touch.

Loading reads each source, applies the owner's `sql`, and keeps a copy of the listed columns only, in memory. Then the
database is locked: no file, no network, no extension, no Python variable can be reached from it any more, and no setting
changed. Fragments are built from plans, never from a stranger's text; this lock is the second wall.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Collection, Hashable, Iterable, Iterator, Sequence
from dataclasses import replace

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from fedsql.codec import encode
from fedsql.config.loading import kept_columns
from fedsql.config.models import PartyConfig, TableConfig
from fedsql.config.problems import key, near
from fedsql.connectors import Source, open_source
from fedsql.connectors.source import detach
from fedsql.errors import ConfigError, OperationalError
from fedsql.executors.engines import texts
from fedsql.executors.engines.copies import Copies, opened, packed, too_large
from fedsql.executors.engines.offers import release_policy, verify
from fedsql.executors.engines.runs import OnPlace, Runs
from fedsql.planner.catalog import PublicTable
from fedsql.planner.offer import Offer, TableOffer
from fedsql.planner.question import StageInput
from fedsql.types import quoted

RAW = "source"  # what the owner's sql calls the rows of the source
_LOCK = (
    "USE memory",
    "DETACH loading",
    "SET autoinstall_known_extensions = false",
    "SET autoload_known_extensions = false",
    "SET allow_community_extensions = false",
    "SET enable_external_access = false",
    "SET lock_configuration = true",
)
_SHOWN = 20


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
            self._database.execute("ATTACH ':memory:' AS loading")
            self._database.execute("USE loading")  # so that one table's sql does not see another's rows
            loaded = [self._load(name, table, secret) for name, table in config.tables.items()]
            self._offers = tuple(offer for offer, _ in loaded if offer is not None)
            self.problems = tuple(line for _, lines in loaded for line in lines)
            if self.problems and not partial:
                raise ConfigError(*self.problems)
            self._drop_unoffered()
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

    def _drop_unoffered(self) -> None:
        offered = {table.name for table in self._offers}
        for name in self.config.tables.keys() - offered:
            self._database.execute(f"DROP TABLE IF EXISTS memory.main.{quoted(name)}")

    def _load(self, name: str, table: TableConfig, secret: bytes) -> tuple[TableOffer | None, list[str]]:
        """Load one table; return its offer, or the lines that say what is wrong with it."""

        def line(where: str, message: str) -> str:
            return self.config.line(f"{key('tables', name)}.{where}", message)

        try:
            source = open_source(table.source, self.config.base)
        except ConfigError as error:
            return None, [line("source", message) for message in error.problems]
        step = "source"
        try:
            source.attach(self._database, RAW)
            rows = RAW
            self._database.execute(f"DESCRIBE {rows}")
            if table.sql is not None:
                step, rows = "sql", "prepared"
                if [s.type for s in self._database.extract_statements(table.sql)] != [duckdb.StatementType.SELECT]:
                    return None, [line("sql", "write exactly one SELECT ... FROM source")]
                self._database.execute(f"CREATE VIEW prepared AS {table.sql}")
            types = {column: type_ for column, type_, *_ in self._database.execute(f"DESCRIBE {rows}").fetchall()}
            if missing := list(_missing(table, list(types))):
                return None, [line(where, message) for where, message in missing]
            if not table.columns:
                return None, []
            if nested := [n for n in _kept(table, types) if "ENUM(" in types[n] and not _is_enum(types[n])]:
                return None, [line(key("columns", n), "its type holds an ENUM; cast it in sql") for n in nested]
            told = [n for n in _kept(table, types) if _is_enum(types[n]) and self._are_told(table, n, types[n])]
            listed = _wanted(table, types, told)
            self._database.execute(f"CREATE TABLE memory.main.{quoted(name)} AS SELECT {listed} FROM {rows}")
            step = "columns"
            version = _data_version(secret, self.config, name, source)
            found = verify(self._database, self.config.name, name, table, version, _referred(self.config, name))
            if found.offer is not None and table.public:
                content = packed(self._database, name)
                if problem := too_large(content):
                    return None, [line("public", problem)]
                return replace(found.offer, content=hashlib.sha256(content).digest()), []
        except duckdb.Error as error:
            return None, [line(step, reason(error))]
        finally:
            self._database.execute("DROP VIEW IF EXISTS prepared")
            detach(self._database, RAW)
        return found.offer, [line(where, message) for where, message in found.problems]

    def _are_told(self, table: TableConfig, name: str, enum: str) -> bool:
        """Say whether the values that an ENUM names are just those that the file makes public."""
        values = next((c.values for n, c in table.columns.items() if n.lower() == name.lower()), None)
        if values is None:
            return False
        ((labels,),) = self._database.execute(f"SELECT enum_range(NULL::{enum})").fetchall()
        return set(labels) == set(values)


def _referred(config: PartyConfig, name: str) -> set[str]:
    """Return the columns of a table that references refer to, in lower case."""
    targets = (target.lower().split(".", 1) for table in config.tables.values() for target in table.references.values())
    return {column for table, column in targets if table == name.lower()}


def _listed(rows: pa.Table) -> int:
    """Return how many values the lists of a column hold, at most."""
    lists = (column for column in rows.columns if pa.types.is_list(column.type))
    return max((pc.sum(pc.list_value_length(column)).as_py() or 0 for column in lists), default=0)


def _missing(table: TableConfig, names: list[str]) -> Iterator[tuple[str, str]]:
    """Yield (rest of the key, message) for each column that the file names and the rows do not have."""
    known = {name.lower() for name in names}
    listed = {name.lower() for name in table.columns}
    shown = ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
    for lower, name in kept_columns(table).items():
        if lower in known:
            continue
        if lower in listed:
            where = key("columns", name)
        else:
            where = key("references", name) if name in table.references else "privacy_unit"
        yield (
            where,
            f"{name} is no column of {'sql' if table.sql else 'the source'}{near(name, names)}; its columns: {shown}",
        )


def _wanted(table: TableConfig, types: dict[str, str], told: Collection[str]) -> str:
    """Return the select list of the columns to keep, under the names that the rows give them.

    An ENUM becomes text unless its values are ``told``: its type names every one, and the federation learns the type.
    """
    texts = {n for n in _kept(table, types) if _is_enum(types[n]) and n not in told}
    return ", ".join(
        f"CAST({quoted(n)} AS VARCHAR) AS {quoted(n)}" if n in texts else quoted(n) for n in _kept(table, types)
    )


def _kept(table: TableConfig, names: Iterable[str]) -> list[str]:
    """Return the columns to keep as the rows name them."""
    known = {name.lower(): name for name in names}
    return [known[lower] for lower in kept_columns(table)]


def _is_enum(type_: str) -> bool:
    return type_.startswith("ENUM(") and type_.endswith(")")


def _data_version(secret: bytes, config: PartyConfig, name: str, source: Source) -> str:
    """Return the keyed digest of a table's source and configuration, in hexadecimal."""
    described = config.tables[name].model_dump(mode="json", exclude={"source"})
    return hmac.new(secret, encode([config.name, name, source.version, described]), hashlib.sha256).hexdigest()


def reason(error: duckdb.Error) -> str:
    """Return why DuckDB cannot load a table, leaving out messages that quote rows."""
    text = str(error)
    if isinstance(
        error, duckdb.BinderException | duckdb.CatalogException | duckdb.ParserException | duckdb.IOException
    ):
        first = " ".join(part.strip() for part in text.split("\n\nLINE")[0].splitlines() if part.strip())
        return re.sub(r"^(\w+ )+Error: ", "", first)
    place = re.search(r"CSV Error on Line: (\d+)", text)
    where = f" at line {place[1]} of the CSV file" if place else ""
    advice = "its message may quote rows and is left out here: read the source with DuckDB to see it"
    return f"DuckDB stops with {type(error).__name__}{where}; {advice}"
