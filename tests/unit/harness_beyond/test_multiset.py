"""The numbers of a multiset of payments, without a database."""

from hypothesis import given
from hypothesis import strategies as st

from loadtest.harness.invariants import MultisetSum, MultisetTally, sum_of

_KEY = bytes(range(16))

_members = st.lists(
    st.tuples(st.integers(0, 50).map(lambda n: b"run-%d" % n), st.integers(1, 500)), max_size=30
)


@given(_members, st.randoms(use_true_random=False))
def test_the_order_does_not_matter(members: list[tuple[bytes, int]], random: object) -> None:
    """The same members in another order give the same numbers."""
    shuffled = list(members)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert sum_of(_KEY, shuffled) == sum_of(_KEY, members)


@given(_members, _members)
def test_processes_add_up(some: list[tuple[bytes, int]], others: list[tuple[bytes, int]]) -> None:
    """The sum of two tallies is that of one which saw all."""
    assert sum_of(_KEY, some) + sum_of(_KEY, others) == sum_of(_KEY, some + others)


@given(_members.filter(bool), st.data())
def test_one_difference_is_seen(members: list[tuple[bytes, int]], data: st.DataObject) -> None:
    """A member lost, doubled, or altered in id or amount changes the sum of the hashes itself."""
    at = data.draw(st.integers(0, len(members) - 1))
    request_id, amount_minor = members[at]
    rest = members[:at] + members[at + 1 :]
    for changed in (
        rest,
        [*members, members[at]],
        [*rest, (request_id, amount_minor + 1)],
        [*rest, (request_id + b"x", amount_minor)],
    ):
        assert sum_of(_KEY, changed).total != sum_of(_KEY, members).total


def test_amounts_that_swap_are_seen() -> None:
    """Two payments with each other's amount have the same count and total, and are told apart."""
    there = sum_of(_KEY, [(b"a", 100), (b"b", 200)])
    swapped = sum_of(_KEY, [(b"a", 200), (b"b", 100)])
    assert (there.count, there.amount_minor) == (swapped.count, swapped.amount_minor)
    assert there != swapped


def test_a_pair_doubled_is_seen_by_the_sum_alone() -> None:
    """An exclusive or is blind to what comes twice more; the sum is not."""
    once = sum_of(_KEY, [(b"a", 100)])
    thrice = sum_of(_KEY, [(b"a", 100)] * 3)
    assert once.mixed == thrice.mixed != "0"
    assert once.total != thrice.total


def test_the_key_decides_the_numbers() -> None:
    """Under another key the same members have other numbers, so none can be made to collide."""
    other = MultisetTally(b"another key here")
    other.add(b"a", 1)
    assert other.sum().total != sum_of(_KEY, [(b"a", 1)]).total


def test_nothing_is_nothing() -> None:
    """A tally that saw nothing equals the sum that everything starts from."""
    assert MultisetTally(_KEY).sum() == MultisetSum() == MultisetSum() + MultisetSum()
