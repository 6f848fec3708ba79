"""Columns of an ENUM whose values are public: their order, comparisons and types are DuckDB's."""

import pyarrow as pa
import pytest

LABELS = ["small", "medium", 'o\'Hara, "x")', "large", "日本"]
NAMED = ", ".join("'" + label.replace("'", "''") + "'" for label in LABELS)
HELD = {
    "north": ["small", "large", None, "medium", "medium", "日本"],
    "south": ["medium", 'o\'Hara, "x")', "large", None, "large"],
    "west": ["large", "small", "large", "large"],
}

QUERIES = """
SELECT size, COUNT(*) AS n, SUM(v) AS s FROM t GROUP BY size ORDER BY size
SELECT size, COUNT(*) AS n FROM t GROUP BY size ORDER BY size DESC NULLS LAST LIMIT 2
SELECT DISTINCT size FROM t ORDER BY size
SELECT v % 3 AS k, size, COUNT(*) FROM t GROUP BY ALL ORDER BY ALL
SELECT size, COUNT(*) FROM t GROUP BY ROLLUP(size) ORDER BY size, 2
SELECT size, COUNT(*) AS n FROM t WHERE size IS NOT NULL GROUP BY size HAVING size >= 'medium' ORDER BY size
SELECT SUM(v) FROM t WHERE size = 'medium'
SELECT SUM(v) FROM t WHERE size > 'medium'
SELECT SUM(v) FROM t WHERE size BETWEEN 'large' AND 'small'
SELECT SUM(v) FROM t WHERE size IN ('small', 'large') OR size IS NULL
SELECT SUM(v) FROM t WHERE size = 'unknown'
SELECT SUM(v) FROM t WHERE size LIKE '%a%'
SELECT SUM(CASE WHEN size = 'small' THEN v ELSE -v END) FROM t
SELECT COUNT(DISTINCT size) FROM t
SELECT COUNT(size), COUNT(*) FILTER (WHERE size < 'small') FROM t
SELECT MODE(size) FROM t
SELECT size = 'small' AS is_small, COUNT(*) FROM t GROUP BY 1 ORDER BY 1
SELECT upper(size) AS u, length(size) AS l, COUNT(*) FROM t GROUP BY ALL
SELECT size::VARCHAR AS u, COUNT(*) FROM t GROUP BY ALL ORDER BY ALL
SELECT coalesce(size, 'none') AS u, COUNT(*) FROM t GROUP BY ALL ORDER BY ALL
SELECT size || '!' AS u, COUNT(*) FROM t GROUP BY ALL
SELECT a.size, b.size AS other, COUNT(*) FROM t a JOIN t b USING (id) GROUP BY ALL ORDER BY ALL
SELECT size, COUNT(*) OVER () AS groups, MAX(n) OVER (ORDER BY size) AS m FROM (SELECT size, COUNT(*) AS n FROM t GROUP BY size) ORDER BY size
SELECT MIN(size), MAX(size) FROM (SELECT size FROM t GROUP BY size)
"""  # fmt: skip


@pytest.fixture(scope="module")
def pool(pool_of):
    parties = {
        name: {"t": pa.table({"id": [100 * at + i for i in range(len(held))], "v": range(len(held)), "size": held})}
        for at, (name, held) in enumerate(HELD.items())
    }
    sql = f"SELECT * REPLACE (size::ENUM({NAMED}) AS size) FROM source"
    config = {"sql": sql, "privacy_unit": "id", "columns": {"size": {"values": sorted(LABELS)}}}
    made = pool_of(parties, {"t": config})
    yield made
    made.close()


@pytest.mark.parametrize("sql", QUERIES.strip().splitlines())
def test_equal(pool, sql):
    pool.check(sql)
