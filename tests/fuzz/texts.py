"""Random SQL over a `worlds.World`: every query is one that DuckDB answers on the pooled rows with one right answer.

What the pooled rows cannot say of party-scoped ids is left out: groups and windows of a NULL id, and NOT IN over ids
that may be NULL. So is what depends on the order of equal rows.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from worlds import DATA, Column, Draw, Table, World

NUMBERS = ("integer", "decimal", "double")
LITERALS = {
    "integer": ["1", "0", "2", "-1", "100", "NULL"],
    "decimal": ["1.5", "0.25", "-2.75", "0.00"],
    "double": ["1.5::DOUBLE", "0.25::DOUBLE", "-3.75::DOUBLE", "1e0"],
    "text": ["'a'", "'b'", "''", "'o''x'", "'Zz'"],
    "boolean": ["true", "false"],
    "date": ["DATE '2020-02-28'", "DATE '2020-03-01'"],
    "timestamp": ["TIMESTAMP '2020-02-29 00:00:00'", "TIMESTAMP '2020-02-28 23:00:00'"],
}
LIKES = ["'a%'", "'%b'", "'_'", "'%'"]
_MADE = re.compile("o[0-9]+|[eh]")  # names of columns that a derived table gives
COMPARISONS = ("=", "<>", "<", "<=", ">", ">=", "IS NOT DISTINCT FROM", "IS DISTINCT FROM")


@dataclass(frozen=True)
class Source:
    """A FROM item that is in scope: ``columns`` as ``alias`` offers them; ``federated``: its rows stay at parties.

    ``table`` is the table that it is, empty for a derived one; ``padded``: an outer join may have made its columns NULL.
    """

    alias: str
    columns: tuple[Column, ...]
    federated: bool
    table: str = ""
    padded: bool = False

    def ids(self) -> list[Column]:
        """The columns that hold party-scoped ids."""
        return [column for column in self.columns if column.domain is not None]


Scope = list[Source]


@dataclass
class Block:
    """FROM and WHERE of a query that is being written."""

    from_: str
    scope: Scope
    where: list[str] = field(default_factory=list)

    def text(self) -> str:
        """Return the SQL from FROM on."""
        return f"FROM {self.from_}" + (f" WHERE {' AND '.join(self.where)}" if self.where else "")


class Writer:
    """Writes queries over a world."""

    def __init__(self, draw: Draw, world: World) -> None:
        self.draw = draw
        self.world = world
        self._aliases = 0
        self._ctes: list[tuple[str, str, Source]] = []

    # what may stand at the top

    def statement(self) -> str:
        """Return one query."""
        self._aliases, self._ctes = 0, []
        kinds = (
            [self.released] * 12
            + [self.over_released] * 2
            + [self.set_operation, self.public_led, self.joined_releases]
        )
        text = self.draw.pick(kinds)() if self.world.exact else self.released()
        if not self._ctes:
            return text
        listed = ", ".join(f"{name} AS {body}" for name, body, _ in self._ctes)
        return f"WITH {listed}, {text[5:]}" if text.startswith("WITH ") else f"WITH {listed} {text}"

    def released(self) -> str:
        """Return a query that aggregates federated rows."""
        draw = self.draw
        block = self.block(2)
        keys = self.keys(block.scope)
        calls = [self.call(block.scope) for _ in range(draw.number(1, 4))]
        if keys and draw.chance(5):
            listed = ", ".join(f"{key} AS k{i}" for i, key in enumerate(keys))
            return f"SELECT DISTINCT {listed} {block.text()}"
        names = [f"{key} AS k{i}" for i, key in enumerate(keys)] + [f"{call} AS c{i}" for i, call in enumerate(calls)]
        text = f"SELECT {', '.join(names)} {block.text()}"
        if keys and draw.chance(6):
            listed = ", ".join(keys)
            sets = [f"ROLLUP ({listed})", f"CUBE ({listed})", f"GROUPING SETS (({listed}), {keys[0]}, ())"]
            told = (
                f"{keys[0]}) AS g" if self.world.exact else f"{listed}) AS kg"
            )  # which set, where rows are told by it
            return f"SELECT GROUPING({told}, {text[7:]} GROUP BY {draw.pick(sets)}"
        if keys:
            by = draw.pick([", ".join(keys), "ALL", ", ".join(str(i + 1) for i in range(len(keys)))])
            text += f" GROUP BY {by}"
        if not self.world.exact:
            return text
        if draw.chance(4):
            return f"{text} HAVING COUNT(*) * 4 > (SELECT COUNT(*) {self.block(0).text()})"
        if draw.chance(15):
            text += f" HAVING {self.call(block.scope, count=True)} {draw.pick(['>', '<>'])} {draw.number(0, 4)}"
        if draw.chance(15):
            text += " ORDER BY ALL" + (f" LIMIT {draw.number(1, 5)}" if draw.chance(40) else "")
        return text

    def over_released(self) -> str:
        """Return a query over a query that aggregates."""
        inner = self.released()
        while " AS k0" not in inner or " AS c0" not in inner or " LIMIT" in inner:
            inner = self.released()
        calls = "COUNT(*) AS n, COUNT(c0) AS m, COUNT(DISTINCT k0) AS o"
        return self.draw.pick(
            [
                f"SELECT {calls} FROM ({inner}) AS r",
                f"WITH r AS ({inner}) SELECT {calls} FROM r WHERE c0 IS NOT NULL",
                f"SELECT k0, COUNT(*) AS n, MAX(c0) AS m FROM ({inner}) AS r GROUP BY k0",
                f"SELECT k0, c0, COUNT(*) OVER (PARTITION BY k0) AS n FROM ({inner}) AS r",
                f"WITH r AS ({inner}) SELECT a.k0, b.c0 FROM r AS a JOIN r AS b ON a.k0 = b.k0 AND a.c0 IS NOT DISTINCT FROM b.c0",
            ]
        )

    def set_operation(self) -> str:
        """Return two queries under UNION or its like."""
        word = self.draw.pick(["UNION ALL", "UNION", "INTERSECT", "EXCEPT"])
        sides = []
        for _ in range(2):
            block = self.block(1)
            keys = [self.draw.pick(self.of_family(block.scope, "text") or ["'a'"])]
            sides.append(f"SELECT {keys[0]} AS k, COUNT(*) AS n {block.text()} GROUP BY ALL")
        return f" {word} ".join(sides)

    def joined_releases(self) -> str:
        """Return a join of two released relations."""
        sides = []
        for _ in range(2):
            block = self.block(1)
            key = self.draw.pick(self.of_family(block.scope, "text") or ["'a'"])
            sides.append(
                f"(SELECT {key} AS k, {self.call(block.scope)} AS c, COUNT(*) AS n {block.text()} GROUP BY ALL)"
            )
        kind = self.draw.pick(["JOIN", "LEFT JOIN", "FULL JOIN"])
        return f"SELECT x.k, x.c, y.n FROM {sides[0]} AS x {kind} {sides[1]} AS y ON x.k = y.k"

    def public_led(self) -> str:
        """Return a query over a public table that looks up federated rows."""
        source = self.scan(self.draw.pick(self.world.public))
        alias = source.alias
        conditions = [self.subquery_condition([source], depth=1)]
        if self.draw.chance(30):
            conditions.append(self.simple([source]))
        return f"SELECT {alias}.code AS k0, {alias}.rank AS k1 FROM {source.table} AS {alias} WHERE {' AND '.join(conditions)}"

    # blocks

    def block(self, depth: int, table: Table | None = None) -> Block:
        """Return FROM and WHERE over federated rows, perhaps joined."""
        draw = self.draw
        text, source = self.item(depth, table)
        block = Block(text, [source])
        for _ in range(draw.pick([0, 1, 1, 0, 2, 3]) if depth == 2 else draw.pick([0, 0, 1])):
            self.join(block, depth)
        for _ in range(draw.pick([0, 1, 0, 2, 1, 0])):
            block.where.append(self.condition(block.scope, depth))
        return block

    def item(self, depth: int, table: Table | None = None) -> tuple[str, Source]:
        """Return a federated FROM item and what it offers."""
        if table is None and self._ctes and self.draw.chance(15):
            name, _, source = self.draw.pick(self._ctes)
            alias = self.alias(name)
            return f"{name} AS {alias}", replace(source, alias=alias)
        if table is None and depth > 0 and self.draw.chance(30):
            return self.derived(depth - 1)
        table = table or self.draw.pick(self.world.federated)
        source = self.scan(table)
        return f"{source.table} AS {source.alias}", source

    def scan(self, table: Table) -> Source:
        """Return a table under a new alias: the union over all parties, or one party's."""
        name = f"{self.draw.pick(table.parties)}.{table.name}" if self.draw.chance(5) else table.name
        return Source(self.alias(table.name), table.columns, not table.public, name)

    def alias(self, table: str) -> str:
        """Return a new alias that starts with its table's name, or one that other blocks may have, too."""
        self._aliases += 1
        return table if self.draw.chance(6) else f"{table}_{self._aliases}"

    def join(self, block: Block, depth: int) -> None:
        """Add a join to a block."""
        draw = self.draw
        kind = draw.number(0, 99)
        if kind < 62 and self.linked_join(block, depth):
            return
        if kind < 97 or not self.world.exact:
            self.public_join(block)
        else:
            self.unlinked_join(block)

    def linked_join(self, block: Block, depth: int) -> bool:
        """Join another federated item by party-scoped ids; return whether there was one."""
        draw = self.draw
        here = [(s, c) for s in block.scope if s.federated for c in s.ids()]
        if not here:
            return False
        source, column = draw.pick(here)
        tables = [t for t in self.world.federated if any(c.domain == column.domain for c in t.columns)]
        text, other = self.item(0, draw.pick(tables))
        if depth and draw.chance(25):
            made = self.derived(depth - 1, column.domain)
            text, other = made if any(c.domain == column.domain for c in made[1].columns) else (text, other)
        key = draw.pick([c for c in other.columns if c.domain == column.domain])
        link = f"{source.alias}.{column.name} = {other.alias}.{key.name}"
        if draw.chance(10):
            block.from_ += f", {text}"
            block.where.append(link)
            block.scope.append(other)
            return True
        side = draw.pick(["JOIN", "LEFT JOIN", "JOIN", "RIGHT JOIN", "FULL JOIN", "SEMI JOIN", "ANTI JOIN"])
        single = len(block.scope) == 1
        if key.name == column.name and single and draw.chance(30):
            block.from_ += f" {side} {text} USING ({key.name})"
            hidden = replace(source, columns=tuple(c for c in source.columns if c.name != key.name))
            kept = Source(source.alias, source.columns if side in ("SEMI JOIN", "ANTI JOIN") else hidden.columns, True)
            block.scope[:] = [kept]
            other = replace(other, columns=tuple(c for c in other.columns if c.name != key.name))
        else:
            about = [source, other] if self.world.exact else [other]
            extra = f" AND {self.simple(about)}" if draw.chance(30) else ""
            block.from_ += f" {side} {text} ON {link}{extra}"
        self._after(block, side, other)
        return True

    def _after(self, block: Block, side: str, other: Source) -> None:
        """Note what a join made of the scope."""
        if side in ("RIGHT JOIN", "FULL JOIN"):
            block.scope[:] = [replace(s, padded=True) for s in block.scope]
        if side not in ("SEMI JOIN", "ANTI JOIN"):
            block.scope.append(replace(other, padded=side in ("LEFT JOIN", "FULL JOIN")))

    def public_join(self, block: Block) -> None:
        """Join a public table, or constants."""
        draw = self.draw
        if not self.world.exact and not self.of_family(block.scope, "text"):
            return
        if self.world.exact and draw.chance(15):
            alias = self.alias("v")
            text = draw.pick([f"l0 AS {alias}", f"(VALUES ('a', 1), ('b', 2), (NULL, 3)) AS {alias}(code, rank)"])
            other = Source(alias, (Column("code", "text"), Column("rank", "integer")), False)
        else:
            other = self.scan(draw.pick(self.world.public))
            text = f"{other.table} AS {other.alias}"
            if self.world.exact and draw.chance(20):
                text = f"(SELECT * FROM {text} WHERE {self.simple([other])}) AS {other.alias}"
        sides = ["JOIN", "LEFT JOIN", "JOIN", "SEMI JOIN", "ANTI JOIN", "CROSS JOIN"]
        side = draw.pick(sides if self.world.exact else sides[:-1])
        if side == "CROSS JOIN":
            block.from_ += f" CROSS JOIN {text}"
        else:
            block.from_ += f" {side} {text} ON {self.meeting(block.scope, other)}"
        self._after(block, side, other)

    def meeting(self, scope: Scope, other: Source) -> str:
        """Return a condition between a scope and another source: mostly an equality."""
        family = self.draw.pick(["text", "integer"]) if self.world.exact else "text"
        left, right = self.of_family(scope, family), self.of_family([other], family)
        if not left:
            return f"{other.alias}.rank > 0"
        if not self.world.exact:
            right = [f"{other.alias}.code"]  # unique: others could repeat rows, and so weigh them
        sign = self.draw.pick(["=", "=", "=", "<", "IS NOT DISTINCT FROM"]) if self.world.exact else "="
        text = f"{self.draw.pick(left)} {sign} {self.draw.pick(right)}"
        extra = [*scope, other] if self.world.exact else [other]
        return text + (f" AND {self.simple(extra)}" if self.draw.chance(25) else "")

    def unlinked_join(self, block: Block) -> None:
        """Join federated rows that may be at other parties: to be refused, unless one party has all."""
        text, other = self.item(0)
        block.from_ += f" JOIN {text} ON {self.simple([*block.scope, other])}"
        block.scope.append(other)

    def derived(self, depth: int, domain: str | None = None) -> tuple[str, Source]:
        """Return a derived table over federated rows."""
        kinds = [self.row_wise, self.row_wise, self.by_unit, self.by_unit, self.windowed]
        kinds += [self.united, self.elsewhere] if self.world.exact else [self.elsewhere]
        # What is released in a query of its own may lack groups, where there is a least size.
        kind = self.draw.pick(kinds if domain is None and self.world.exact else kinds[:-1])
        table = None
        if domain is not None:
            table = self.draw.pick([t for t in self.world.federated if any(c.domain == domain for c in t.columns)])
        text, source = kind(depth, table)
        if not text.endswith(f" AS {source.alias}") or not self.draw.chance(15):
            return text, source
        name = f"c{len(self._ctes)}"
        self._ctes.append((name, text.removesuffix(f" AS {source.alias}"), source))
        return f"{name} AS {source.alias}", source

    def row_wise(self, depth: int, table: Table | None) -> tuple[str, Source]:
        """Return rows, as they are or computed."""
        draw = self.draw
        block = self.block(depth, table)
        alias = self.alias("r")
        if len(block.scope) == 1 and draw.chance(20) and "USING" not in block.from_ and block.scope[0].alias[0] == "t":
            return f"(SELECT * {block.text()}) AS {alias}", replace(block.scope[0], alias=alias)
        listed, columns = self.projected(block.scope)
        return f"(SELECT {', '.join(listed)} {block.text()}) AS {alias}", Source(alias, columns, True)

    def projected(self, scope: Scope) -> tuple[list[str], tuple[Column, ...]]:
        """Return a select list of columns and values, and what it offers."""
        draw = self.draw
        federated = [(s, c) for s in scope if s.federated for c in s.ids()]
        chosen = federated[:3] + draw.some([(s, c) for s in scope for c in s.columns if c.domain is None], 1, 4)
        listed, columns = [], []
        for number, (source, column) in enumerate(chosen):
            own = draw.chance(50) or _MADE.fullmatch(column.name) or any(c.name == column.name for c in columns)
            name = f"o{number}" if own else column.name
            listed.append(f"{source.alias}.{column.name} AS {name}")
            columns.append(replace(column, name=name, nullable=column.nullable or source.padded))
        if federated and draw.chance(10):
            block, source, column, inner, key = self._linked(scope, 0)
            block.where.insert(0, f"{inner.alias}.{key.name} = {source.alias}.{column.name}")
            listed.append(f"(SELECT COUNT(*) {block.text()}) AS h")
            columns.append(Column("h", "integer"))
        if draw.chance(40):
            family = draw.pick(["integer", "text", "boolean"])
            listed.append(f"{self.value(scope, family)} AS e")
            columns.append(Column("e", family))
        return listed, tuple(columns)

    def by_unit(self, depth: int, table: Table | None) -> tuple[str, Source]:
        """Return groups by a party-scoped id: each party can make them alone."""
        draw = self.draw
        block = self.block(depth, table)
        ids = [(s, c) for s in block.scope if s.federated for c in s.ids()]
        if not ids:
            return self.row_wise(depth, table)
        source, column = draw.pick(ids)
        key = f"{source.alias}.{column.name}"
        if column.nullable or source.padded or "RIGHT" in block.from_ or "FULL" in block.from_:
            block.where.append(f"{key} IS NOT NULL")
        alias = self.alias("g")
        data = self.data(block.scope)
        second = draw.pick(data) if data and draw.chance(25) else None
        keys = [key, *([second[0]] if second else [])]
        columns = [Column("i", "integer", column.domain, nullable=False), *([Column("j", second[1])] if second else [])]
        if draw.chance(15):
            listed = ", ".join(f"{k} AS {c.name}" for k, c in zip(keys, columns, strict=True))
            return f"(SELECT DISTINCT {listed} {block.text()}) AS {alias}", Source(alias, tuple(columns), True)
        listed = [f"{k} AS {c.name}" for k, c in zip(keys, columns, strict=True)]
        for number in range(draw.number(1, 3)):
            call, family = self.inner_call(block.scope)
            listed.append(f"{call} AS a{number}")
            columns.append(Column(f"a{number}", family))
        having = f" HAVING COUNT(*) {draw.pick(['>', '<', '='])} {draw.number(1, 3)}" if draw.chance(25) else ""
        text = f"(SELECT {', '.join(listed)} {block.text()} GROUP BY {', '.join(keys)}{having}) AS {alias}"
        return text, Source(alias, tuple(columns), True)

    def windowed(self, depth: int, table: Table | None) -> tuple[str, Source]:
        """Return rows with windows by a party-scoped id."""
        draw = self.draw
        block = self.block(0, table or draw.pick(self.world.federated))
        source = block.scope[0]
        ids = source.ids() if source.federated and not source.padded else []
        if not ids or len(block.scope) > 1 or source.alias[0] != "t" or "JOIN" in block.from_:
            return self.row_wise(depth, table)
        column = draw.pick(ids)
        key = f"{source.alias}.{column.name}"
        if column.nullable:
            block.where.append(f"{key} IS NOT NULL")
        numbers = [c for c in source.columns if c.family in NUMBERS and c.domain is None and c.name != "id"]
        value = f"{source.alias}.{draw.pick(numbers).name}" if numbers else "1"
        over = f"PARTITION BY {key}"
        by = f"{over} ORDER BY {source.alias}.id"
        call, family = draw.pick([
            (f"row_number() OVER ({by})", "integer"), (f"COUNT(*) OVER ({over})", "integer"),
            (f"SUM({value}) OVER ({over})", "number"), (f"lag({value}) OVER ({by})", "number"),
            (f"MAX({value}) OVER ({by} ROWS UNBOUNDED PRECEDING)", "number"), (f"rank() OVER ({by})", "integer"),
        ])  # fmt: skip
        listed, columns = self.projected(block.scope)
        alias = self.alias("w")
        qualify = f" QUALIFY row_number() OVER ({by}) <= {draw.number(1, 2)}" if draw.chance(20) else ""
        text = f"(SELECT {', '.join(listed)}, {call} AS o9 {block.text()}{qualify}) AS {alias}"
        return text, Source(alias, (*columns, Column("o9", family)), True)

    def united(self, depth: int, table: Table | None) -> tuple[str, Source]:
        """Return the rows of two blocks that hold ids of one kind, side by side or compared."""
        draw = self.draw
        blocks = self.block(depth, table), self.block(0, table)
        ids = [[(s, c) for s in block.scope if s.federated for c in s.ids()] for block in blocks]
        pairs = [(one, other) for one in ids[0] for other in ids[1] if one[1].domain == other[1].domain][:2]
        if not pairs:
            return self.row_wise(depth, table)
        listed: tuple[list[str], list[str]] = ([], [])
        columns = []
        compared = draw.chance(30)
        for number, pair in enumerate(pairs):
            for (source, column), block, texts in zip(pair, blocks, listed, strict=True):
                texts.append(f"{source.alias}.{column.name} AS o{number}")
                if compared:
                    block.where.append(f"{source.alias}.{column.name} IS NOT NULL")
            nullable = not compared and any(column.nullable or source.padded for source, column in pair)
            columns.append(Column(f"o{number}", "integer", pair[0][1].domain, nullable))
        for number, (text, family) in enumerate(draw.some(self.data(blocks[0].scope), 1, 3)):
            among = self.of_family(blocks[1].scope, family)
            listed[0].append(f"{text} AS v{number}")
            listed[1].append(draw.pick(among or LITERALS[family]))
            columns.append(Column(f"v{number}", family))
        kinds = ["UNION", "INTERSECT", "EXCEPT", "EXCEPT ALL", "INTERSECT ALL"] if compared else ["UNION ALL"]
        sides = [f"SELECT {', '.join(texts)} {block.text()}" for texts, block in zip(listed, blocks, strict=True)]
        alias = self.alias("u")
        return f"({f' {draw.pick(kinds)} '.join(sides)}) AS {alias}", Source(alias, tuple(columns), True)

    def elsewhere(self, depth: int, table: Table | None) -> tuple[str, Source]:
        """Return groups that need rows of all parties: a release of its own. Joined to federated rows, it is an input."""
        block = self.block(0, table or self.draw.pick(self.world.federated))
        data = self.data([s for s in block.scope if s.federated])
        if not data:
            return self.row_wise(depth, table)
        key, family = self.draw.pick(data)
        alias = self.alias("e")
        text = f"(SELECT {key} AS j, COUNT(*) AS n {block.text()} GROUP BY {key}) AS {alias}"
        return text, Source(alias, (Column("j", family), Column("n", "integer")), False)

    # expressions

    def columns(self, scope: Scope) -> list[tuple[str, str]]:
        """Return (text, family) of all columns in scope."""
        return [(f"{s.alias}.{c.name}", c.family) for s in scope for c in s.columns]

    def data(self, scope: Scope) -> list[tuple[str, str]]:
        """Return (text, family) of the columns that hold no ids and may be grouped by."""
        return [
            (f"{s.alias}.{c.name}", c.family)
            for s in scope
            for c in s.columns
            if c.domain is None and c.family != "number" and not c.name.endswith("id")
        ]

    def of_family(self, scope: Scope, family: str) -> list[str]:
        """Return the columns of a family that hold no ids."""
        return [text for text, each in self.data(scope) if each == family]

    def value(self, scope: Scope, family: str) -> str:
        """Return an expression of a family."""
        draw = self.draw
        among = self.of_family(scope, family)
        first = draw.pick(among) if among else draw.pick(LITERALS[family])
        if draw.chance(60):
            return first
        second = draw.pick(among) if among and draw.chance(50) else draw.pick(LITERALS[family])
        if family in ("integer", "decimal"):
            return draw.pick([f"({first} + {second})", f"({first} * 2)", f"coalesce({first}, {second})", f"abs({first})",
                              f"CASE WHEN {self.simple(scope)} THEN {first} ELSE {second} END", f"-({first})"])  # fmt: skip
        if family == "double":
            return draw.pick([f"({first} + {second})", f"coalesce({first}, {second})", f"round({first})"])
        if family == "text":
            return draw.pick([f"upper({first})", f"({first} || '!')", f"coalesce({first}, 'a')", f"substr({first}, 1, 1)",
                              f"CASE WHEN {self.simple(scope)} THEN {first} END"])  # fmt: skip
        if family == "boolean":
            return draw.pick([f"(NOT {first})", f"({self.simple(scope)})", f"({first} IS NULL)"])
        return draw.pick([f"coalesce({first}, {second})", f"greatest({first}, {second})"])

    def keys(self, scope: Scope) -> list[str]:
        """Return grouping expressions."""
        draw = self.draw
        if draw.chance(25):
            return []
        data = self.data(scope)
        if not data:
            return []
        found = []
        for _ in range(draw.number(1, 2)):
            text, family = draw.pick(data)
            if family == "double" or draw.chance(70):
                found.append(text)
            elif family in ("date", "timestamp"):
                found.append(f"date_trunc('month', {text})")
            else:
                found.append(self.value(scope, family if family in LITERALS else "integer"))
        found = list(dict.fromkeys(key for key in found if key[0] not in "-0123456789'" and key != "NULL"))
        if draw.chance(4):
            ids = [f"{s.alias}.{c.name}" for s in scope if s.federated for c in s.ids()]
            found += [draw.pick(ids)] if ids else []
        return found

    def call(self, scope: Scope, *, count: bool = False) -> str:
        """Return an aggregate that parties release."""
        draw = self.draw
        kind = "count" if count else draw.pick(["count", "sum", "sum", "avg", "units", "moments", "pairs", "condition"])
        plain = [(t, f) for t, f in self.data(scope) if f in NUMBERS]
        if not self.world.exact:  # what is computed in a subquery may not be summed
            shown = {s.alias for s in scope if s.alias[0] == "t"}
            plain = [(t, f) for t, f in plain if t.split(".")[0] in shown and t.split(".")[1] in DATA]
        text = "COUNT(*)"
        if kind == "count" and draw.chance(60):
            text = f"COUNT({draw.pick(self.columns(scope))[0]})"
        elif kind in ("sum", "avg") and plain:
            value, family = draw.pick(plain)
            if draw.chance(40) and family != "double":
                value = self.value(scope, family) if self.world.exact else self.summable(scope, value)
            text = f"{kind.upper()}({value})"
        elif kind == "units":
            ids = [f"{s.alias}.{c.name}" for s in scope if s.federated for c in s.ids()]
            text = f"COUNT(DISTINCT {draw.pick(ids)})" if ids else text
        elif kind == "moments" and plain:
            text = f"{draw.pick(['STDDEV', 'VAR_POP', 'VAR_SAMP'])}({draw.pick(plain)[0]})"
        elif kind == "pairs" and plain:
            text = f"{draw.pick(['COVAR_POP', 'REGR_COUNT', 'REGR_SXY'])}({draw.pick(plain)[0]}, {draw.pick(plain)[0]})"
        elif kind == "condition":
            return f"COUNT_IF({self.simple(scope)})"
        if self.world.exact and draw.chance(8):
            return f"{text} FILTER (WHERE {self.subquery_condition(scope, 1)})"
        return text + (f" FILTER (WHERE {self.simple(scope)})" if draw.chance(20) else "")

    def summable(self, scope: Scope, value: str) -> str:
        """Return what may be summed above a least size of one."""
        if self.draw.chance(40):
            return f"2 * {value} + 1"
        part = self.draw.pick([value, f"coalesce({value}, 0)"])
        rest = self.draw.pick(["", " ELSE 0"])
        return part if self.draw.chance(40) else f"CASE WHEN {self.simple(scope)} THEN {part}{rest} END"

    def inner_call(self, scope: Scope) -> tuple[str, str]:
        """Return an aggregate below the cut, and its family."""
        draw = self.draw
        numbers = [(t, f) for t, f in self.data(scope) if f in NUMBERS]
        anything = self.columns(scope)
        if not numbers or draw.chance(40):
            text = draw.pick(anything)[0]
            return draw.pick(["COUNT(*)", f"COUNT({text})", f"COUNT(DISTINCT {text})"]), "integer"
        value, family = draw.pick(numbers)
        call, result = draw.pick([("SUM", "number"), ("MIN", family), ("MAX", family), ("AVG", "number")])
        when = f" FILTER (WHERE {self.simple(scope)})" if draw.chance(20) else ""
        return f"{call}({value}){when}", result

    def condition(self, scope: Scope, depth: int) -> str:
        """Return a condition that must hold: simple, or with a query in it."""
        if depth > 0 and self.draw.chance(35):
            return self.subquery_condition(scope, depth)
        return self.simple(scope, strict=False)

    def simple(self, scope: Scope, *, strict: bool = True) -> str:
        """Return a condition without queries in it."""
        draw = self.draw
        among = [(t, f) for t, f in self.columns(scope) if f != "number"]
        text, family = draw.pick(among) if among else ("1", "integer")
        same = [t for t, f in among if f == family]
        kinds = ["compare", "compare", "null", "in", "between", "like", "columns", "or", "not"]
        kind = draw.pick(kinds)
        if kind == "null":
            return f"{text} IS {draw.pick(['NOT NULL', 'NULL'])}"
        if kind == "in" and family in LITERALS:
            return f"{text} {draw.pick(['IN', 'NOT IN'])} ({', '.join(draw.some(LITERALS[family], 1, 3))})"
        if kind == "between" and family in NUMBERS:
            return f"{text} BETWEEN {draw.pick(['0', '-5'])} AND {draw.pick(['2', '50'])}"
        if kind == "like" and family == "text":
            return f"{text} {draw.pick(['LIKE', 'NOT LIKE', 'ILIKE'])} {draw.pick(LIKES)}"
        if kind == "columns" and len(same) > 1:
            return f"{text} {draw.pick(COMPARISONS)} {draw.pick(same)}"
        if kind == "or":
            return f"({self.simple(scope)} {draw.pick(['OR', 'AND'])} {self.simple(scope)})"
        if kind == "not":
            return f"NOT ({self.simple(scope)})"
        if family == "boolean":
            return draw.pick([text, f"{text} IS NOT TRUE", f"NOT {text}", f"{text} = true"])
        literals = LITERALS.get(family, ["1"])
        return f"{text} {draw.pick(COMPARISONS)} {draw.pick([x for x in literals if x != 'NULL'])}"

    def subquery_condition(self, scope: Scope, depth: int) -> str:
        """Return a condition with a query in it."""
        draw = self.draw
        here = [(s, c) for s in scope if s.federated for c in s.ids()]
        kinds = (
            [self.average, self.among, self.public_among, self.by_value] if self.world.exact else [self.public_among]
        )
        if here:
            kinds = [self.exists, self.member, self.exists, self.scalar, *kinds]
        kind = draw.pick(kinds)
        text = kind(scope, depth - 1)
        if kind == self.member or not draw.chance(15):  # NULL is not FALSE
            return text
        return draw.pick([f"({text} OR {self.simple(scope)})", f"NOT ({text})"])

    def _linked(self, scope: Scope, depth: int) -> tuple[Block, Source, Column, Source, Column]:
        here = [(s, c) for s in scope if s.federated for c in s.ids()]
        source, column = self.draw.pick(here)
        tables = [t for t in self.world.federated if any(c.domain == column.domain for c in t.columns)]
        block = (
            self.block(depth, self.draw.pick(tables)) if self.draw.chance(70) else self.block(0, self.draw.pick(tables))
        )
        inner = next((s for s in block.scope if any(c.domain == column.domain for c in s.columns)), None)
        if inner is None:  # USING has hidden it
            text, inner = self.item(0, self.draw.pick(tables))
            block = Block(text, [inner])
        key = self.draw.pick([c for c in inner.columns if c.domain == column.domain])
        return block, source, column, inner, key

    def exists(self, scope: Scope, depth: int) -> str:
        """Return [NOT] EXISTS, linked by an id."""
        block, source, column, inner, key = self._linked(scope, depth)
        block.where.insert(0, f"{inner.alias}.{key.name} = {source.alias}.{column.name}")
        if self.draw.chance(40):
            block.where.append(self.simple([*block.scope, source]))
        if depth > 0 and self.draw.chance(20):
            block.where.append(self.subquery_condition([*block.scope, source], depth))
        return f"{self.draw.pick(['EXISTS', 'NOT EXISTS'])} (SELECT {self.draw.pick(['1', '*'])} {block.text()})"

    def member(self, scope: Scope, depth: int) -> str:
        """Return [NOT] IN over ids."""
        block, source, column, inner, key = self._linked(scope, depth)
        outer, own = f"{source.alias}.{column.name}", f"{inner.alias}.{key.name}"
        if not self.draw.chance(40):
            return f"{outer} IN (SELECT {own} {block.text()})"
        block.where.append(f"{own} IS NOT NULL")
        return f"({outer} IS NOT NULL AND {outer} NOT IN (SELECT {own} {block.text()}))"

    def scalar(self, scope: Scope, depth: int) -> str:
        """Return a comparison with an aggregate of linked rows."""
        block, source, column, inner, key = self._linked(scope, depth)
        block.where.insert(0, f"{inner.alias}.{key.name} = {source.alias}.{column.name}")
        numbers = [t for t, f in self.data([inner]) if f in NUMBERS]
        call = self.draw.pick(
            ["COUNT(*)", *([f"SUM({numbers[0]})", f"MAX({numbers[-1]})", f"AVG({numbers[0]})"] if numbers else [])]
        )
        mine = [t for t, f in self.data(scope) if f in NUMBERS]
        other = self.draw.pick(mine) if mine and self.draw.chance(50) else self.draw.pick(["1", "0", "2"])
        return f"{other} {self.draw.pick(COMPARISONS[:6])} (SELECT {call} {block.text()})"

    def average(self, scope: Scope, depth: int) -> str:
        """Return a comparison with one value over all parties."""
        block = self.block(0)
        numbers = [t for t, f in self.data([s for s in block.scope if s.federated]) if f in NUMBERS]
        call = self.draw.pick(["COUNT(*)", *([f"AVG({numbers[0]})", f"SUM({numbers[-1]})"] if numbers else [])])
        mine = [t for t, f in self.data(scope) if f in NUMBERS] or ["1"]
        return f"{self.draw.pick(mine)} {self.draw.pick(['<', '>='])} (SELECT {call} {block.text()})"

    def among(self, scope: Scope, depth: int) -> str:
        """Return [NOT] IN over values of rows at all parties."""
        block = self.block(0)
        family = self.draw.pick(["text", "integer", "date"])
        mine = self.of_family(scope, family)
        own = self.of_family([s for s in block.scope if s.federated], family)
        if not mine or not own:
            return self.average(scope, depth)
        value = self.draw.pick(own)
        text = f"SELECT {value} {block.text()}"
        if self.draw.chance(40):
            order = self.draw.pick([value, f"COUNT(*) DESC, {value}"])
            text += f" GROUP BY {value} ORDER BY {order} LIMIT {self.draw.number(1, 3)}"
        return f"{self.draw.pick(mine)} {self.draw.pick(['IN', 'NOT IN'])} ({text})"

    def public_among(self, scope: Scope, depth: int) -> str:
        """Return a condition with a query over a public table."""
        other = self.scan(self.draw.pick(self.world.public))
        table = f"{other.table} AS {other.alias}"
        mine = self.of_family(scope, "text")
        if not mine:
            return f"(SELECT MAX({other.alias}.rank) FROM {table}) > 1"
        text = self.draw.pick(mine)
        where = f" WHERE {self.simple([other])}" if self.draw.chance(50) else ""
        return self.draw.pick([
            f"{text} IN (SELECT {other.alias}.code FROM {table}{where})",
            f"{text} NOT IN (SELECT {other.alias}.code FROM {table} WHERE {other.alias}.code IS NOT NULL)",
            f"EXISTS (SELECT 1 FROM {table} WHERE {other.alias}.code = {text})",
            f"(SELECT MAX({other.alias}.rank) FROM {table} WHERE {other.alias}.code = {text}) > 0",
            f"{text} = ANY (SELECT {other.alias}.code FROM {table}{where})",
        ])  # fmt: skip

    def by_value(self, scope: Scope, depth: int) -> str:
        """Return a condition with a query over rows of all parties that is linked by values."""
        block = self.block(0)
        inner = [s for s in block.scope if s.federated]
        family = self.draw.pick(["text", "integer", "date"])
        mine, own = self.of_family(scope, family), self.of_family(inner, family)
        if not mine or not own:
            return self.average(scope, depth)
        block.where.insert(0, f"{self.draw.pick(own)} = {self.draw.pick(mine)}")
        numbers = [t for t, f in self.data(inner) if f in NUMBERS]
        other = self.draw.pick([t for t, f in self.data(scope) if f in NUMBERS] or ["1"])
        call = self.draw.pick(["COUNT(*)", *([f"AVG({numbers[0]})", f"SUM({numbers[-1]})"] if numbers else [])])
        return self.draw.pick([
            f"{other} < (SELECT {call} {block.text()})",
            f"EXISTS (SELECT 1 {block.text()})",
            f"NOT EXISTS (SELECT 1 {block.text()})",
        ])  # fmt: skip
