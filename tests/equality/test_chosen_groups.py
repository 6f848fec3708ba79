"""Groups that ORDER BY and LIMIT choose, and what the rows of the chosen ones add up to; ORDER BY where it means nothing."""

import pytest

from fedsql.errors import PolicyDenied

QUERIES = """
SELECT SUM(visits) FROM patients WHERE region IN (SELECT region FROM patients GROUP BY region ORDER BY COUNT(*) DESC, region LIMIT 2)
SELECT SUM(visits) FROM patients WHERE region NOT IN (SELECT region FROM patients WHERE region IS NOT NULL GROUP BY region ORDER BY COUNT(*) DESC, region LIMIT 2)
SELECT SUM(visits) FROM patients WHERE region IN (SELECT region FROM patients GROUP BY region ORDER BY region LIMIT 2 OFFSET 1)
SELECT SUM(visits) FROM patients WHERE region IN (SELECT region FROM patients GROUP BY region ORDER BY region DESC NULLS LAST OFFSET 3)
SELECT SUM(visits) FROM patients WHERE region IN (SELECT DISTINCT region FROM patients ORDER BY region LIMIT 3)
SELECT SUM(visits) FROM patients WHERE region = (SELECT region FROM patients GROUP BY region ORDER BY COUNT(*) DESC, region LIMIT 1)
SELECT SUM(visits) FROM patients WHERE region = (SELECT region FROM (SELECT region, COUNT(*) AS n FROM patients GROUP BY region) ORDER BY n DESC, region LIMIT 1)
SELECT SUM(visits) FROM patients WHERE region IN (SELECT region FROM patients GROUP BY region QUALIFY row_number() OVER (ORDER BY COUNT(*) DESC, region) <= 2)
SELECT SUM(visits) FROM patients p WHERE EXISTS (SELECT 1 FROM (SELECT region FROM patients GROUP BY region ORDER BY COUNT(*) DESC, region LIMIT 2) t WHERE t.region = p.region)
WITH top AS (SELECT region, COUNT(*) AS n FROM patients GROUP BY region ORDER BY n DESC, region LIMIT 3) SELECT p.region, n, COUNT(*), SUM(visits) FROM patients p JOIN top USING (region) GROUP BY p.region, n
WITH top AS (SELECT region, COUNT(*) AS n FROM patients GROUP BY region ORDER BY n DESC, region LIMIT 3) SELECT sex, SUM(visits) FROM patients WHERE region IN (SELECT region FROM top) GROUP BY sex
WITH top AS (SELECT region, COUNT(*) AS n FROM patients GROUP BY region ORDER BY n DESC, region LIMIT 3) SELECT sex, SUM(visits) FROM patients WHERE region IN (SELECT region FROM top) AND sex IN (SELECT sex FROM patients WHERE region IN (SELECT region FROM top) GROUP BY sex ORDER BY COUNT(*) DESC, sex LIMIT 1) GROUP BY sex
SELECT COUNT(*) FROM patients p JOIN (SELECT region, AVG(age) AS a FROM patients GROUP BY region ORDER BY region LIMIT 4) t ON p.region = t.region AND p.age > t.a
SELECT COUNT(*) FROM patients p LEFT JOIN (SELECT region, AVG(age) AS a FROM patients GROUP BY region ORDER BY region LIMIT 4) t ON p.region = t.region WHERE t.a IS NULL
SELECT COUNT(*) FROM patients WHERE age > (SELECT AVG(age) FROM patients WHERE sex = (SELECT sex FROM patients GROUP BY sex ORDER BY COUNT(*) DESC, sex LIMIT 1))
SELECT COUNT(*) FROM (SELECT region, COUNT(*) AS n FROM patients GROUP BY region ORDER BY n LIMIT 2) t
SELECT SUM(n) FROM (SELECT region, COUNT(*) AS n FROM patients GROUP BY region ORDER BY n DESC, region LIMIT 2) t
SELECT AVG(n) FROM (SELECT n FROM (SELECT region, COUNT(*) AS n FROM patients GROUP BY region) ORDER BY n DESC LIMIT 3) t
SELECT SUM(age) FROM (SELECT age FROM patients ORDER BY age) t
SELECT sex, SUM(age) FROM (SELECT sex, age FROM patients WHERE age > 20 ORDER BY age DESC, sex) t GROUP BY sex
SELECT AVG(n) FROM (SELECT id, COUNT(*) AS n FROM patients GROUP BY id ORDER BY n) t
SELECT n, COUNT(*) FROM (SELECT id, SUM(visits) AS n FROM patients GROUP BY id ORDER BY n DESC) t GROUP BY n
SELECT COUNT(*) FROM (SELECT age FROM patients UNION ALL (SELECT visits FROM patients) ORDER BY 1) t
SELECT COUNT(*) FROM patients p WHERE age IN (SELECT age FROM patients q WHERE q.id = p.id ORDER BY age)
SELECT COUNT(*) FROM patients p WHERE EXISTS (SELECT 1 FROM patients q WHERE q.id = p.id AND q.age > 30 ORDER BY q.age)
SELECT region, (SELECT COUNT(*) FROM patients q WHERE q.region = t.region) AS n FROM (SELECT region FROM patients GROUP BY region ORDER BY region LIMIT 3) t ORDER BY ALL
SELECT SUM(visits) FROM patients WHERE region IN ((SELECT region FROM patients GROUP BY region ORDER BY COUNT(*) DESC, region LIMIT 1) UNION (SELECT region FROM patients GROUP BY region ORDER BY region LIMIT 1))
SELECT SUM(visits) FROM patients WHERE region IN (SELECT region FROM patients GROUP BY region UNION SELECT sex FROM patients GROUP BY sex ORDER BY 1 LIMIT 3)
"""  # fmt: skip

CHOOSES = """
SELECT SUM(visits) FROM patients WHERE id IN (SELECT id FROM patients ORDER BY age LIMIT 3)
SELECT SUM(visits) FROM (SELECT visits FROM patients ORDER BY age LIMIT 3) t
SELECT SUM(visits) FROM (SELECT DISTINCT ON (region) visits FROM patients ORDER BY region) t
"""


@pytest.mark.parametrize("sql", QUERIES.strip().splitlines())
def test_equal(hospitals, sql):
    hospitals.check(sql)


@pytest.mark.parametrize("sql", CHOOSES.strip().splitlines())
def test_rows_are_not_chosen(hospitals, sql):
    with pytest.raises(PolicyDenied, match=r"is refused: (which rows come first|it) would show"):
        hospitals.session.execute(sql)
