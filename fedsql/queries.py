"""A session's queries: signed and asked stage by stage, once more without a party that was lost, and then answered.

The released relations come to the session's own database, where what is above the cut reads them (`workbench.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import partial

import duckdb
import pyarrow as pa

from fedsql.answer import Answer, Sent
from fedsql.errors import Error, PartyUnreachable
from fedsql.executors.engines.copies import Copies
from fedsql.executors.engines.typer import as_sql_error
from fedsql.executors.federation import Federation, OnProgress
from fedsql.executors.protocol.wire import ANALYST, Message
from fedsql.executors.roles.analyst import Analyst
from fedsql.executors.stopwatch import Stopwatch
from fedsql.planner.catalog import PublicTable
from fedsql.planner.margins import answer_margins
from fedsql.planner.notices import notices
from fedsql.planner.plans import Plan
from fedsql.planner.question import Question
from fedsql.workbench import Workbench

Columns = tuple[tuple[str, str], ...]  # (name, DuckDB type)
Planned = tuple[Plan, Question, Columns]  # with the unsigned question, and what the answer's columns are

_REPEATED = "The same question was answered before, on the same data: this is that answer, and nothing was charged."
_HERE = "All owners and the coordinator of this private join ran in one process: nothing was hidden between them."


class Queries:
    """Answers the queries of one session, in its locked ``database``.

    ``check_cancelled`` raises when what runs was cancelled; ``running`` is the cursor that then is to be interrupted.
    ``most``: bytes of an answer.
    """

    def __init__(
        self,
        federation: Federation,
        analyst: Analyst,
        database: duckdb.DuckDBPyConnection,
        check_cancelled: Callable[[], None],
        most: int | None,
    ) -> None:
        self._federation = federation
        self._analyst = analyst
        self._database = database
        self._check_cancelled = check_cancelled
        self._most = most
        self._copies = Copies(database)
        self.running: duckdb.DuckDBPyConnection | None = None

    def answer(
        self,
        plan_without: Callable[[Collection[str]], Planned],
        on_progress: OnProgress | None,
        into: str | None = None,
    ) -> Answer:
        """Answer a query; with ``into``, a statement that writes its rows to a local table, return no rows.

        ``plan_without`` plans it, for each attempt anew, given the parties that were lost.
        """
        watch = Stopwatch(on_progress and partial(on_progress, ANALYST))
        sent: list[Sent] = []

        def record(message: Message) -> None:
            self._check_cancelled()
            sent.append(Sent(message.kind, message.sender, message.recipient, len(message.body), message.sealed))

        def ask(signed: Question, plan: Plan) -> list[pa.Table]:
            try:
                return self._federation.ask(self._analyst, signed, plan, watch, record, on_progress)
            except Error:
                self._check_cancelled()  # a fragment that was interrupted fails with the constant error
                raise

        lost: set[str] = set()
        asked: list[Question] = []  # by stage
        while True:
            with watch("plan"):
                plan, question, columns = plan_without(lost)
            try:
                table, changed, bench = self._run(plan, question, columns, asked, ask, watch, into)
                break
            except PartyUnreachable as error:
                # Once more without it, from fresh keys and noise, as a new attempt; each time there are fewer to lose.
                if not question.settings.allow_missing or error.party not in plan.parties:
                    raise
                lost.add(error.party)
            except Error as error:
                error.query_id = error.query_id or (asked[-1].query_id.hex() if asked else None)
                raise
        repeated = plan.epsilon is not None and not bench.charged
        return Answer(
            table=table,
            columns=columns if into is None else (),
            notices=self._notices(plan, repeated),
            seconds=watch.seconds,
            sent=tuple(sent),
            query_id=asked[-1].query_id.hex() if asked else None,
            epsilon=0.0 if repeated else plan.epsilon,
            delta=plan.delta,
            margins=answer_margins(plan, [name for name, _ in columns], bench.margins),
            parties=plan.parties,
            changed=changed,
        )

    def _run(
        self,
        plan: Plan,
        question: Question,
        columns: Sequence[tuple[str, str]],
        before: list[Question],
        ask: Callable[[Question, Plan], list[pa.Table]],
        watch: Stopwatch,
        into: str | None,
    ) -> tuple[pa.Table | None, int | None, Workbench]:
        """Ask stage by stage, then run what is above the cut; return its rows, or how many were written; and the bench.

        ``before`` holds what was asked, for the next attempt.
        """
        cursor = self.running = self._database.cursor()
        try:
            bench = Workbench(cursor, self._check_cancelled, self._most)
            self._bring(plan.copies)
            for stage in range(plan.last_stage + 1) if plan.releases else ():
                asking = plan.at(stage)
                staged = replace(question, stage=stage)
                if asking.reads:
                    with watch("finalize"):
                        inputs = [bench.input(each) for each in plan.inputs if each.name in asking.reads]
                        staged = replace(staged, inputs=tuple(inputs))
                with watch("key"):
                    after = before[stage] if stage < len(before) else None
                    signed = self._analyst.sign(staged, asking, self._federation.directory, after=after)
                before[stage : stage + 1] = [signed]
                for release, table in zip(asking.releases, ask(signed, asking), strict=True):
                    bench.keep(release, table)
            with watch("finalize"):
                if into is not None:
                    return None, bench.save(plan.final, columns, into), bench
                return bench.answer(plan.final, columns), None, bench
        finally:
            self.running = None
            cursor.close()

    def _bring(self, tables: Sequence[PublicTable]) -> None:
        """Make public tables readable as `copies."<relation>"`."""
        lacking = [table for table in tables if not self._copies.holds(table.relation)]
        rows = self._federation.fetch(self._analyst, lacking) if lacking else {}
        try:
            for table in lacking:
                self._copies.keep(table, rows[table.relation])
        except duckdb.Error as error:  # there is no room for it
            raise as_sql_error(error) from None

    def _notices(self, plan: Plan, repeated: bool) -> tuple[str, ...]:
        """Return what an answer says about itself."""
        here = self._federation.directory.operators is None and any(release.join for release in plan.releases)
        return (*notices(plan), *([_HERE] if here else []), *([_REPEATED] if repeated else []))
