"""A statement ends at a semicolon that stands outside quotes and comments."""

import pytest

from fedsql.shell.statements import Statement, complete, split


@pytest.mark.parametrize(
    ("text", "statements"),
    [
        ("", []),
        (" ;; ", []),
        ("-- nothing\n/* at ; all */", []),
        ("SELECT 1", [Statement("SELECT 1")]),
        ("SELECT 1; SELECT 2;", [Statement("SELECT 1"), Statement("SELECT 2")]),
        ("SELECT ';';", [Statement("SELECT ';'")]),
        ('SELECT ";" -- ;\n;', [Statement('SELECT ";" -- ;')]),
        ("SELECT $$;$$; SELECT /* ; */ 2", [Statement("SELECT $$;$$"), Statement("SELECT /* ; */ 2")]),
        ("\n\nSELECT 1;\n\n SELECT\n2", [Statement("SELECT 1", 3), Statement("SELECT\n2", 5)]),
        ("SELECT 1; SELECT 'open; x", [Statement("SELECT 1"), Statement("SELECT 'open; x")]),
        ("SELECT 'é漢'; SELECT 2", [Statement("SELECT 'é漢'"), Statement("SELECT 2")]),
    ],
)
def test_split(text: str, statements: list[Statement]) -> None:
    assert split(text) == statements


@pytest.mark.parametrize("text", ["SELECT 1;", "SELECT 1; -- done", "SELECT ';'\n;", "SELECT 1; SELECT 2;", ";"])
def test_complete(text: str) -> None:
    assert complete(text)


@pytest.mark.parametrize("text", ["", "SELECT 1", "SELECT ';", "SELECT 1; SELECT", "SELECT 1 -- ;", "SELECT /* ;"])
def test_incomplete(text: str) -> None:
    assert not complete(text)
