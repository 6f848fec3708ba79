"""The DB-API of asyncio: the same rows and errors, one statement at a time, and a cancelled task stops its statement."""

import asyncio

import pytest

import fedsql
from fedsql import aio
from tests.dbapi.conftest import FEDERATION

ENDLESS = "SELECT count(*) FROM range(100000000) a, range(1000000) b WHERE a.range + b.range = -1"


def test_statements_are_awaited() -> None:
    async def ask() -> None:
        async with await aio.connect(FEDERATION, analyst="ada") as connection:
            async with connection.cursor() as cursor:
                await cursor.execute("SELECT g, SUM(x) FROM t WHERE x < :most GROUP BY g ORDER BY g", {"most": 10})
                assert [column[0] for column in cursor.description] == ["g", "sum(x)"]
                assert await cursor.fetchall() == [("a", 40), ("b", 50)]
                assert cursor.privacy.parties == ("north", "south")
                await cursor.execute("CREATE TABLE kept (a INTEGER)")
                await cursor.executemany("INSERT INTO kept VALUES (?)", [(n,) for n in range(5)])
                assert cursor.rowcount == 5
                await cursor.execute("SELECT * FROM kept ORDER BY a")
                assert await cursor.fetchone() == (0,)
                cursor.arraysize = 2
                assert await cursor.fetchmany() == [(1,), (2,)]
                assert cursor.rownumber == 3
                assert [row async for row in cursor] == [(3,), (4,)]
            with pytest.raises(fedsql.InterfaceError):
                await cursor.execute("SELECT 1")
            with pytest.raises(fedsql.ProgrammingError):
                await connection.execute("SELECT nothing FROM t")
            with pytest.raises(AttributeError):
                _ = cursor.nothing
            assert (await (await connection.execute("SELECT 7 AS a")).fetch_df())["a"].tolist() == [7]
            assert (await (await connection.execute("SELECT 7 AS a")).fetch_polars())["a"].to_list() == [7]
            assert (await (await connection.execute("SELECT 7 AS a")).fetch_arrow_table()).num_rows == 1
            assert "Who learns what" in await connection.explain("SELECT COUNT(*) FROM t")
            await connection.commit()
            await connection.rollback()
        with pytest.raises(fedsql.InterfaceError):
            connection.cursor()

    asyncio.run(ask())


def test_statements_of_one_connection_wait_for_each_other() -> None:
    async def ask() -> None:
        async with await aio.connect(FEDERATION) as connection:
            await connection.execute("CREATE TABLE kept (a INTEGER)")
            await asyncio.gather(*(connection.execute("INSERT INTO kept VALUES (?)", (n,)) for n in range(20)))
            rows = await (await connection.execute("SELECT COUNT(*), SUM(a) FROM kept")).fetchall()
            assert rows == [(20, 190)]

    asyncio.run(ask())


@pytest.mark.parametrize("begun", [False, True])
def test_a_cancelled_task_stops_its_statement(begun: bool) -> None:
    async def ask() -> None:
        async with await aio.connect(FEDERATION) as connection:
            task = asyncio.create_task(connection.execute(ENDLESS))
            await asyncio.sleep(0)
            while begun and connection.sync.session._queries.running is None:
                await asyncio.sleep(0.001)
            task.cancel()
            await asyncio.sleep(0)
            task.cancel()  # once more, while it waits for the statement to stop
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await (await connection.execute("SELECT 1")).fetchone() == (1,)

    asyncio.run(ask())


def test_a_time_out_stops_its_statement() -> None:
    async def ask() -> None:
        async with await aio.connect(FEDERATION) as connection:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(connection.execute(ENDLESS), 0.2)
            assert await (await connection.execute("SELECT 1")).fetchone() == (1,)

    asyncio.run(ask())
