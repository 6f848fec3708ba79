"""The other half of the random queries, in a file of its own for the other core; some with a least size of groups."""

from asking import check_equal_or_refused


def test_equal_or_refused() -> None:
    check_equal_or_refused(0.3, 2)


def test_what_is_shown_with_a_least_size_is_equal() -> None:
    check_equal_or_refused(0.2, 3, exact=False)
