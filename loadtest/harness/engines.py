"""What makes the requests: what both engines have in common, and how kinds of them take turns."""

import random
from bisect import bisect
from collections.abc import Sequence
from itertools import accumulate
from typing import Generic, Protocol, TypeVar

__all__ = ("Engine", "Mix", "turns")

_T = TypeVar("_T")


class Engine(Protocol):
    """Sends requests when an executor tells it to, and writes them into the recorder."""

    async def open(self, preallocate: int) -> None:
        """Connect and prepare, with as many idle users as told."""

    def fire(self, due_ns: int) -> None:
        """Start what one arrival stands for; drop it when too much is under way."""

    def drop(self) -> None:
        """Count an arrival that could not be started before the run was over."""

    def add_user(self, number: int, due_ns: int) -> None:
        """Let another user begin, who goes on until :meth:`remove_user`."""

    def remove_user(self) -> None:
        """Let the user who came last end after what it does now."""

    @property
    def user_count(self) -> int:
        """Return how many users there are."""

    @property
    def busy(self) -> bool:
        """Tell whether anything is under way."""

    def end_users(self) -> None:
        """Let nobody begin anything any more."""

    async def interrupt(self) -> None:
        """Give up on what is still under way: its outcome is unknown."""

    async def close(self) -> None:
        """Disconnect."""


class Mix(Generic[_T]):
    """Draws one of several kinds by their weights."""

    def __init__(self, kinds: Sequence[tuple[_T, int]], rng: random.Random) -> None:
        self._kinds = [kind for kind, _ in kinds]
        self._bounds = list(accumulate(weight for _, weight in kinds))
        self._random = rng.random

    def draw(self) -> _T:
        """Return one of them."""
        if len(self._kinds) == 1:
            return self._kinds[0]
        return self._kinds[bisect(self._bounds, self._random() * self._bounds[-1])]


def turns(kinds: Sequence[tuple[_T, int]]) -> list[_T]:
    """Return an order in which each kind comes as often as its weight says, well mixed.

    Any number of users taken from its start has the weights as nearly as whole users can.
    """
    total = sum(weight for _, weight in kinds)
    credit = [0] * len(kinds)
    order = []
    for _ in range(total):
        for index, (_, weight) in enumerate(kinds):
            credit[index] += weight
        best = max(range(len(kinds)), key=credit.__getitem__)
        credit[best] -= total
        order.append(kinds[best][0])
    return order
