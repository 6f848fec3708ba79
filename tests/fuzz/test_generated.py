"""Half of the random queries: see `asking`."""

from asking import check_equal_or_refused


def test_equal_or_refused() -> None:
    check_equal_or_refused(0.5, 1)
