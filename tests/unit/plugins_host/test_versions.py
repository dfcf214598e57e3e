"""Semantic versions and ranges of them."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.plugins.versions import Version, VersionRange

# The order that semver.org gives as its example, and one more at each end.
_IN_ORDER = (
    "0.9.9", "1.0.0-0", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta",
    "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1", "1.0.0", "1.0.1", "1.1.0", "1.10.0", "2.0.0",
)  # fmt: skip


def test_the_order_is_that_of_the_standard() -> None:
    """Pre-releases come before the release, numbers before words and by value, not by digits."""
    for before, after in itertools.combinations(_IN_ORDER, 2):
        assert Version(before) < Version(after)
        assert not Version(after) < Version(before)


def test_a_build_says_nothing_about_order() -> None:
    """Two builds of a version are equal, and equal versions hash alike."""
    assert Version("1.0.0+a") == Version("1.0.0+b.2")
    assert len({Version("1.0.0+a"), Version("1.0.0")}) == 1


@pytest.mark.parametrize(
    "text", ["", "1", "1.2", "1.2.3.4", "01.2.3", "1.2.3-01", "1.2.3-", "v1.2.3", "1.2.3\n",
             "1.2.٣", "1.2." + "9" * 60],
)  # fmt: skip
def test_what_is_no_version_is_refused(text: str) -> None:
    """The text is quoted in the error, and an example stands beside it."""
    with pytest.raises(ValueError, match=r"semantic version such as 1\.4\.0"):
        Version(text)


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        (">=0.1,<0.2", ("0.1.0", "0.1.99"), ("0.0.9", "0.2.0", "1.0.0")),
        ("==1.2.3", ("1.2.3", "1.2.3+b"), ("1.2.4", "1.2.3-rc.1")),
        (">1,<=2", ("1.0.1", "2.0.0"), ("1.0.0", "2.0.1")),
        (">= 1.0.0-rc.1", ("1.0.0-rc.1", "1.0.0", "9.0.0"), ("1.0.0-beta",)),
    ],
)
def test_a_range_holds_what_fulfils_all_its_conditions(
    text: str, inside: tuple[str, ...], outside: tuple[str, ...]
) -> None:
    """Missing numbers of a bound are zeros, and all conditions count."""
    found = VersionRange(text)
    assert all(Version(one) in found for one in inside)
    assert not any(Version(one) in found for one in outside)


@pytest.mark.parametrize("text", ["", "1.0", "~1.0", ">=1.0,", ">=1.0,<2,>3,<4,<5", ">=a"])
def test_what_is_no_range_is_refused(text: str) -> None:
    """A range is written out; there are no shorthands."""
    with pytest.raises(ValueError, match=r"condition|semantic version"):
        VersionRange(text)


_numbers = st.tuples(*(st.integers(0, 20),) * 3)


@given(_numbers, _numbers)
def test_releases_are_ordered_by_their_numbers(
    one: tuple[int, int, int], other: tuple[int, int, int]
) -> None:
    """Between releases the order is that of the three numbers."""
    versions = [Version(".".join(map(str, numbers))) for numbers in (one, other)]
    assert (versions[0] < versions[1]) == (one < other)
    assert (versions[0] == versions[1]) == (one == other)
