"""What the prompt offers to complete: keywords, functions, tables and their columns, each with what it is."""

from __future__ import annotations

import re
from collections.abc import Iterator

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from fedsql.planner.catalog import Catalog

_KEYWORDS = (
    "SELECT FROM WHERE GROUP BY HAVING ORDER LIMIT AS AND OR NOT IN IS NULL BETWEEN CASE WHEN THEN ELSE END DISTINCT"
    " WITH UNION ALL FILTER DESC ASC LIKE TRUE FALSE EXPLAIN DESCRIBE SHOW TABLES PARTIES BUDGET SETTINGS SET EPSILON"
)
_WORD = re.compile(r"[\w.]+")
_FUNCTIONS = ("COUNT", "SUM", "AVG", "STDDEV", "VARIANCE", "CORR", "COVAR_POP", "REGR_SLOPE", "ROUND")


class SqlCompleter(Completer):
    """Completes the word before the cursor; after ``name.`` only columns, or a party's tables."""

    def __init__(self, catalog: Catalog) -> None:
        self._tables = {
            table.name.lower(): {column.name: column.type for column in table.columns}
            for offer in catalog.offers
            for table in offer.tables
        }
        self._parties = {offer.party.lower(): [t.name.lower() for t in offer.tables] for offer in catalog.offers}

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterator[Completion]:
        """Yield completions of the word before the cursor."""
        dotted = document.get_word_before_cursor(pattern=_WORD)
        qualifier, _, word = dotted.rpartition(".")
        if not dotted or (not word and not qualifier):
            return
        for name, kind in self._candidates(qualifier.lower(), word):
            if name.lower().startswith(word.lower()):
                yield Completion(name, -len(word), display_meta=kind)

    def _candidates(self, qualifier: str, word: str) -> Iterator[tuple[str, str]]:
        if qualifier in self._parties:
            yield from ((table, f"table of {qualifier}") for table in self._parties[qualifier])
            return
        seen: set[str] = set()
        for table, columns in self._tables.items():
            for column, type_ in columns.items():
                if column.lower() not in seen:
                    seen.add(column.lower())
                    yield column, f"{table}, {type_}"
        if qualifier:
            return
        yield from ((table, "table") for table in self._tables)
        yield from ((party, "party") for party in self._parties)
        lower = word.islower()
        yield from ((name.lower() if lower else name, "function") for name in _FUNCTIONS)
        yield from ((name.lower() if lower else name, "") for name in _KEYWORDS.split())
