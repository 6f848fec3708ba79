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

# of tables that refer to one another, and one that is public
LOOKED_UP = """
SELECT 1 WHERE EXISTS (SELECT age FROM patients ORDER BY age)
SELECT 1 WHERE EXISTS (SELECT age FROM patients WHERE age > 20 LIMIT 1)
SELECT 1 WHERE EXISTS (SELECT DISTINCT age FROM patients)
SELECT w.title FROM wards w WHERE EXISTS (SELECT age FROM patients ORDER BY age LIMIT 1) ORDER BY 1
SELECT w.title FROM wards w WHERE EXISTS (SELECT days FROM visits v WHERE v.ward = w.code ORDER BY days) ORDER BY 1
SELECT w.title FROM wards w WHERE EXISTS (SELECT DISTINCT days FROM visits v WHERE v.ward = w.code) ORDER BY 1
SELECT w.title FROM wards w WHERE w.code IN (SELECT ward FROM visits v ORDER BY days) ORDER BY 1
SELECT w.title FROM wards w WHERE w.code IN (SELECT DISTINCT ward FROM visits v WHERE v.ward = w.code) ORDER BY 1
SELECT w.title FROM wards w WHERE w.beds IN (SELECT DISTINCT days FROM visits v WHERE v.ward = w.code) ORDER BY 1
SELECT w.title, (SELECT COUNT(*) FROM visits v WHERE v.ward = w.code LIMIT 0) FROM wards w ORDER BY ALL
SELECT w.title, (SELECT COUNT(*) FROM visits v WHERE v.ward = w.code OFFSET 1) FROM wards w ORDER BY ALL
SELECT COUNT(*) FROM visits v WHERE days IN (SELECT DISTINCT w.days FROM visits w WHERE w.ward = v.ward AND w.days > 2)
SELECT COUNT(*) FROM visits v WHERE days >= (SELECT MAX(w.days) FROM visits w WHERE w.ward = v.ward LIMIT 1)
SELECT COUNT(*) FROM patients p WHERE EXISTS (SELECT DISTINCT days FROM visits v WHERE v.ward = p.region)
SELECT COUNT(*) FROM patients p WHERE EXISTS (SELECT 1 FROM visits v WHERE v.patient = p.id LIMIT 1)
SELECT COUNT(*) FROM patients p WHERE NOT EXISTS (SELECT 1 FROM visits v WHERE v.patient = p.id AND days > 3 ORDER BY days LIMIT 1)
SELECT COUNT(*) FROM patients p WHERE (SELECT COUNT(*) FROM visits v WHERE v.patient = p.id LIMIT 1) > 1
"""  # fmt: skip

CHOOSES = """
SELECT 1 WHERE NOT EXISTS (SELECT age FROM patients LIMIT 0)
SELECT 1 WHERE EXISTS (SELECT age FROM patients LIMIT 5 OFFSET 30)
SELECT 1 WHERE 3 IN (SELECT visits FROM patients ORDER BY age LIMIT 1)
SELECT SUM(visits) FROM patients WHERE id IN (SELECT id FROM patients ORDER BY age LIMIT 3)
SELECT SUM(visits) FROM (SELECT visits FROM patients ORDER BY age LIMIT 3) t
SELECT SUM(visits) FROM (SELECT DISTINCT ON (region) visits FROM patients ORDER BY region) t
"""


@pytest.mark.parametrize("sql", QUERIES.strip().splitlines())
def test_equal(hospitals, sql):
    hospitals.check(sql)


@pytest.mark.parametrize("sql", LOOKED_UP.strip().splitlines())
def test_what_is_looked_up(clinics, sql):
    clinics.check(sql)


@pytest.mark.parametrize("sql", CHOOSES.strip().splitlines())
def test_rows_are_not_chosen(hospitals, sql):
    with pytest.raises(PolicyDenied, match=r"is refused: (which rows come first|it) would show"):
        hospitals.session.execute(sql)
