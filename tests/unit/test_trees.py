"""Trees are walked, copied and printed as sqlglot does it."""

from __future__ import annotations

import pytest
from sqlglot import exp

from fedsql.planner.blocks import is_query
from fedsql.planner.parse import parse
from fedsql.planner.trees import copied, find, sql_of, walk

TEXTS = (
    "SELECT 1",
    "SELECT a, count(*) FILTER (WHERE b IN (1, 2)) FROM t AS x (c, d) GROUP BY ALL HAVING sum(a) > 1 ORDER BY 2 DESC LIMIT 3",
    "WITH q AS (SELECT * FROM t) SELECT q.* EXCLUDE (a) FROM q LEFT JOIN u USING (k) WHERE EXISTS (SELECT * FROM v)",
    "SELECT CASE WHEN a THEN 'x''y' END, CAST(b AS DECIMAL(10,2)), [1, 2][1], {'k': 1}, INTERVAL 3 DAY FROM t"
    " UNION ALL (SELECT -(-a), b, NULL, date_diff('day', c, d), lag(x, 1) OVER (PARTITION BY y ORDER BY z) FROM u)",
    "SELECT list_transform([1], lambda i: i + 1), a COLLATE NOCASE, b ->> '$.c', x BETWEEN 1 AND 2, $1, ? FROM t",
)


@pytest.mark.parametrize("text", TEXTS)
def test_as_sqlglot_does_it(text):
    tree = parse(text)
    assert list(map(id, walk(tree))) == list(map(id, tree.walk()))
    assert list(map(id, walk(tree, prune=is_query))) == list(map(id, tree.walk(prune=is_query)))
    kinds = exp.Column, exp.Literal, exp.Query
    assert list(map(id, find(tree, *kinds))) == list(map(id, tree.find_all(*kinds)))
    assert sql_of(tree) == tree.sql("duckdb")


@pytest.mark.parametrize("text", TEXTS)
def test_a_copy_is_equal_and_apart(text):
    tree = parse(text)
    for node in walk(tree):
        node.add_comments(["said"])
    copy, plain = copied(tree), tree.copy()
    for new, like, old in zip(walk(copy), plain.walk(), walk(tree), strict=True):
        assert (type(new), new.arg_key, new.index, new.comments) == (
            type(like),
            like.arg_key,
            like.index,
            like.comments,
        )
        assert new.meta == like.meta
        assert new is not old
        assert new.parent is None if new is copy else new.parent is not old.parent
    for node in list(walk(copy)):
        node.meta["line"] = -1
        node.add_comments(["changed"])
    find(copy, exp.Select)[0].set("expressions", [exp.null()])
    assert tree == parse(text)
    assert not any(node.meta.get("line") == -1 or "changed" in node.comments for node in walk(tree))
