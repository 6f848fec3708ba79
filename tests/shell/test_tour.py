"""The tour asks real hospitals, keeps to 80 columns, and its words are true of what it shows."""

from pathlib import Path

import pytest

from fedsql.answer import Sent
from fedsql.demo.tour import STEPS
from fedsql.errors import ConfigError
from fedsql.shell.tour import folder_for, tour
from fedsql.shell.traffic import left


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> str:
    printed: list[str] = []
    with pytest.MonkeyPatch.context() as patch, folder_for(tmp_path_factory.mktemp("tour") / "x", noise=False) as path:
        patch.setenv("COLUMNS", "200")
        patch.setattr("builtins.print", lambda text, **_: printed.append(text))
        session = tour(path, noise=False)
        budget = session.execute("SHOW BUDGET").table
        session.close()
    assert budget is not None
    assert set(budget.column("epsilon_spent").to_pylist()) == {0.0}
    return "".join(printed)


def parts(text: str) -> list[str]:
    """Return the texts of the steps."""
    starts = [text.index(f"\n{number}. {step.title}\n") for number, step in enumerate(STEPS, start=1)]
    return [text[a:b] for a, b in zip(starts, [*starts[1:], len(text)], strict=True)]


def test_it_fits_80_columns_of_plain_text(text: str) -> None:
    assert max(map(len, text.splitlines())) <= 80
    assert text.isascii()


def test_every_question_is_answered_but_the_last(text: str) -> None:
    steps = parts(text)
    assert [("error:" in part, "What left each hospital" in part) for part in steps] == [
        (False, True),
        (False, False),
        (False, True),
        (False, True),
        (False, True),
        (True, False),
    ]
    assert "excellent     3275  2.634449587" in steps[0]
    assert "Who learns what" in steps[1]
    assert "    60    440" in steps[2]
    shown = [line.split()[0] for line in steps[3].splitlines() if line.startswith(" 6")]
    assert shown == ["60", "61", "62", "63"]
    assert "95 % margins: years +-" in steps[4]
    assert "\nNULL" not in steps[4]
    assert "north does not allow patients.medical" in steps[5]
    assert "^" in steps[5]


def test_traffic_is_counted_by_party() -> None:
    sent = [
        Sent("hello", "north", "@coordinator", 100, False),
        Sent("0/threshold/and-1", "north", "south", 20, True),
        Sent("3/threshold/open", "north", "south", 5, True),
        Sent("0/vector", "south", "@coordinator", 2000, False),
        Sent("0/novelty", "south", "@coordinator", 1, False),
        Sent("answer", "@coordinator", "@analyst", 9999, False),
    ]
    assert list(left(sent, ("north", "south"))) == [
        "  north  3 messages, 125 bytes: fresh keys, sealed shares of counts",
        "  south  2 messages, 2,001 bytes: encrypted masked sums, novelty",
    ]


def test_the_folder_is_kept_only_where_it_was_asked_for(tmp_path: Path) -> None:
    with folder_for(None, noise=True) as path:
        assert 'noise = "required"' in (path.parent / "north.toml").read_text()
    assert not path.exists()
    with folder_for(tmp_path / "mine", noise=False) as path:
        pass
    assert path.exists()
    with pytest.raises(ConfigError, match="is there already"), folder_for(tmp_path / "mine", noise=False):
        pass
    with pytest.raises(ConfigError, match="cannot be written"), folder_for(path / "below", noise=False):
        pass
