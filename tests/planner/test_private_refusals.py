"""What is refused of joins of different owners' rows: in which words, at which place, with which way out."""

import pyarrow as pa
import pytest

from fedsql.config.values import AGGREGATES, UNLISTED_AGGREGATES
from fedsql.errors import NotSupportedError, PolicyDenied
from fedsql.session import Session

USES = ["group", "filter", "aggregate", "join"]
COLUMNS = {
    "loans": {"cid": [1, 2], "n": [1, 2], "kind": ["a", "b"]},
    "users": {"cid": [1, 2], "age": [1, 2], "seg": ["x", "y"]},
    "meters": {"cid": [1, 2], "kwh": [1, 2], "area": ["p", "q"]},
    "calls": {"cid": [1, 2], "mins": [1, 2]},
    "visits": {"cid": [1, 2], "days": [1, 2]},
    "orders": {"cid": [1, 2], "price": [1, 2]},
}
OWNERS = {
    "bank": ["loans"],
    "telco": ["users"],
    "grid": ["meters"],
    "phone": ["calls"],
    "north": ["visits"],
    "south": ["visits", "orders"],
}
UNIQUE = {"users", "meters"}


def table(name):
    rows = COLUMNS[name]
    found = {"source": pa.table(rows), "columns": {column: {"use": USES} for column in rows}}
    return {**found, "privacy_unit": "cid"} if name in UNIQUE else found


@pytest.fixture(scope="module")
def session():
    parties = {
        owner: {
            "tables": {name: table(name) for name in names},
            "release": {"min_group_size": 1, "min_parties": 1, "aggregates": [*AGGREGATES, *UNLISTED_AGGREGATES]},
        }
        for owner, names in OWNERS.items()
    }
    made = Session.open({"parties": parties})
    yield made
    assert set(made.execute("SHOW BUDGET").table["queries_used"].to_pylist()) == {0}, "a refused query was sent"
    made.close()


# message; hint; SQL, in which ^ stands before the place that is told
LU = "bank.loans l JOIN telco.users u ON l.cid = u.cid"
STAR = f"{LU} JOIN grid.meters m ON m.cid = l.cid"
CASES = f"""
l.cid < u.cid compares columns of different parties; join on key = key; COUNT(*) FROM bank.loans l JOIN telco.users u ON ^l.cid < u.cid
l.n < u.age compares columns of different parties; join on key = key; COUNT(*) FROM {LU} AND ^l.n < u.age
l.n < u.age compares columns of different parties; join on key = key; COUNT(*) FROM bank.loans l LEFT JOIN telco.users u ON l.cid = u.cid AND ^l.n < u.age
l.cid IS NOT DISTINCT FROM u.cid compares; join on key = key; COUNT(*) FROM bank.loans l JOIN telco.users u ON ^l.cid IS NOT DISTINCT FROM u.cid
l.cid = u.cid OR l.n = u.age compares; join on key = key; COUNT(*) FROM bank.loans l JOIN telco.users u ON ^l.cid = u.cid OR l.n = u.age
l.cid = u.age + l.n compares columns; join on key = key; COUNT(*) FROM bank.loans l JOIN telco.users u ON ^l.cid = u.age + l.n
l.n < u.age takes columns of bank and telco together; products of columns, AND, OR and CASE; COUNT(*) FROM {LU} WHERE l.^n < u.age
l.n = u.age takes columns of bank and telco together; products of columns; COUNT(*) FROM bank.loans l LEFT JOIN telco.users u ON l.cid = u.cid WHERE l.^n = u.age
l.kind || u.seg = 'ax' takes columns of bank and telco; products of columns; COUNT(*) FROM {LU} WHERE u.age > 3 AND l.^kind || u.seg = 'ax'
l.n + u.age > 3 takes columns of bank and telco; products of columns; SUM(age), COUNT(*) FILTER (WHERE l.^n + u.age > 3) FROM {LU}
u is not joined as different parties' rows can be; give every table an equality; COUNT(*) FROM bank.loans l, telco.^users u
u is not joined as different parties' rows can be; give every table an equality; COUNT(*) FROM bank.loans l CROSS JOIN telco.^users u WHERE l.n > 3
u is not joined as different parties' rows can be; give every table an equality; COUNT(*) FROM bank.loans l JOIN telco.^users u ON true
FULL JOIN of different parties' rows; INNER, LEFT and RIGHT JOIN are; COUNT(*) FROM bank.loans l FULL JOIN telco.^users u ON l.cid = u.cid
SEMI JOIN of different parties' rows; INNER, LEFT and RIGHT JOIN are; COUNT(*) FROM bank.loans l SEMI JOIN telco.^users u ON l.cid = u.cid
ANTI JOIN of different parties' rows; INNER, LEFT and RIGHT JOIN are; COUNT(*) FROM bank.loans l ANTI JOIN telco.^users u ON l.cid = u.cid
ASOF JOIN of different parties' rows; INNER, LEFT and RIGHT JOIN are; COUNT(*) FROM bank.loans l ASOF JOIN telco.^users u ON l.cid = u.cid AND l.n >= u.age
POSITIONAL JOIN of different parties' rows; INNER, LEFT and RIGHT JOIN are; COUNT(*) FROM bank.loans l POSITIONAL JOIN telco.^users u
LATERAL beside a join of different parties'; join the tables; COUNT(*) FROM bank.loans l, LATERAL (SELECT * FROM telco.^users u WHERE u.cid = l.cid) t
a subquery beside a join of different parties'; join the tables; COUNT(*) FROM {LU} WHERE EXISTS (SELECT 1 FROM grid.meters m WHERE m.cid = ^l.cid)
a subquery beside a join of different parties'; join the tables; COUNT(*) FROM {LU} WHERE ^l.cid IN (SELECT cid FROM grid.meters)
a subquery beside a join of different parties'; join the tables; COUNT(*) FILTER (WHERE EXISTS (SELECT 1 FROM grid.meters m WHERE m.cid = ^l.cid)) FROM {LU}
a subquery in ON of a RIGHT JOIN; write LEFT JOIN; COUNT(*) FROM bank.loans l RIGHT JOIN telco.^users u ON l.cid = u.cid AND u.age > (SELECT AVG(n) FROM bank.loans)
this subquery needs rows of other parties; link them by the privacy unit; COUNT(*) FROM bank.loans l WHERE EXISTS (SELECT ^1 FROM telco.users u WHERE u.cid = l.cid)
GROUP BY takes columns of grid and telco; ask in several queries; seg, area, COUNT(*) FROM {STAR} GROUP BY seg, ^area
GROUP BY n + age takes columns of several parties; group by the columns of each one; l.^n + u.age AS k, COUNT(*) FROM {LU} GROUP BY k
GROUP BY CASE WHEN n > 1 THEN seg ELSE 'low' END takes; group by the columns of each one; CASE WHEN ^n > 1 THEN seg ELSE 'low' END AS k, COUNT(*) FROM {LU} GROUP BY k
GROUP BY columns of grid, which a LEFT JOIN adds; JOIN it, or ask without the others; area, COUNT(*) FROM {LU} LEFT JOIN grid.meters m ON m.cid = l.cid GROUP BY ^area
a sum takes columns, group keys or repeated keys of grid and telco; ask in several queries; area, SUM(^age) FROM {STAR} GROUP BY area
a sum takes columns, group keys or repeated keys of grid and telco; ask in several queries; SUM(^age * kwh) FROM {STAR}
a sum takes columns, group keys or repeated keys of grid and telco; ask in several queries; COUNT(*) FILTER (WHERE ^age > 1 AND kwh > 1) FROM {STAR}
a sum takes columns, group keys or repeated keys of grid and phone; ask in several queries; SUM(^kwh) FROM bank.loans l JOIN phone.calls c ON c.cid = l.cid JOIN grid.meters m ON m.cid = l.cid
MIN is not answered over a private join; counts, sums, averages; MIN(^age) FROM {LU}
MAX is not answered over a private join; counts, sums, averages; kind, SUM(n), MAX(l.^n) FROM {LU} GROUP BY kind
MEDIAN is not answered over a private join; counts, sums, averages; MEDIAN(l.^n) FROM {LU}
QUANTILE_DISC is not answered over a private join; counts, sums, averages; QUANTILE_DISC(^age, 0.5) FROM {LU}
COUNT(DISTINCT seg) over a private join; count the key; COUNT(DISTINCT ^seg) FROM {LU}
c is not joined as different parties' rows can be; give every table an equality; COUNT(*) FROM bank.loans l LEFT JOIN telco.users u ON l.cid = u.cid LEFT JOIN phone.^calls c ON c.cid = u.cid
o is not joined as different parties' rows can be; give every table an equality; COUNT(*) FROM {LU} JOIN phone.calls c ON c.mins = u.age JOIN south.^orders o ON o.cid = c.cid
u is not joined as different parties' rows can be; RIGHT JOIN is answered between two tables; COUNT(*) FROM bank.loans l JOIN grid.meters m ON m.cid = l.cid RIGHT JOIN telco.^users u ON l.cid = u.cid
o is at south and v at north, south: rows; name one party's table; COUNT(*) FROM visits v JOIN bank.loans l ON l.cid = v.cid JOIN south.^orders o ON o.cid = v.cid
v is at north, south: rows of several; name one party's table; COUNT(*) FROM telco.users u LEFT JOIN ^visits v ON v.cid = u.cid
cid is BIGINT and seg is VARCHAR: as join keys; CAST one of them; COUNT(*) FROM bank.loans l JOIN telco.users u ON l.^cid = u.seg
"""


@pytest.mark.parametrize("case", CASES.strip().splitlines())
def test_refused(session, case):
    message, hint, marked = case.split("; ")
    marked = f"SELECT {marked}"
    with pytest.raises((NotSupportedError, PolicyDenied)) as caught:
        session.execute(marked.replace("^", ""))
    assert message in caught.value.message
    assert caught.value.hint.startswith(hint)
    line, at = caught.value.position
    assert (line, marked.replace("^", "")[at - 1 :]) == (1, marked.split("^")[1])
