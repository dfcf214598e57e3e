"""Users of a scenario: what one does, how often each thing, and how long it waits in between."""

import random
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, overload

if TYPE_CHECKING:
    from loadtest.harness.claims import Claims
    from loadtest.harness.measured import MeasuredClient

__all__ = (
    "Task",
    "User",
    "WaitTime",
    "between",
    "constant",
    "constant_pacing",
    "constant_throughput",
    "pacing_s",
    "tag",
    "task",
    "tasks_of",
)

Task = Callable[[Any], Awaitable[None]]
WaitTime = Callable[[Any], float]

_Function = TypeVar("_Function", bound=Callable[..., Any])

_WEIGHT = "_zh_task_weight"
_TAGS = "_zh_tags"
_PACING = "_zh_pacing_s"


def between(shortest_s: float, longest_s: float) -> WaitTime:
    """Wait a random time between the two after each task."""

    def wait_time(user: "User") -> float:
        return user.random.uniform(shortest_s, longest_s)

    return wait_time


def constant(seconds: float) -> WaitTime:
    """Wait as long after each task."""

    def wait_time(_user: "User") -> float:
        return seconds

    return wait_time


def constant_pacing(seconds: float) -> WaitTime:
    """Start a task every so many seconds, however long they take.

    The user keeps to its plan: when a task took longer, the next one should have started earlier
    than it does, and its response time counts from then.
    """

    def wait_time(_user: "User") -> float:
        return seconds

    setattr(wait_time, _PACING, seconds)
    return wait_time


def constant_throughput(per_second: float) -> WaitTime:
    """Start so many tasks a second: :func:`constant_pacing` of the inverse."""
    return constant_pacing(1 / per_second)


class User:
    """One user. Subclass it, and mark what it does with :func:`task`.

    ``weight`` is how many of all users are of this class, relative to the other classes. Tasks are
    chosen at random by their weights. ``number`` counts from 0 over all processes; ``random`` is
    seeded; ``data`` is what the scenario's ``setup`` returned; ``settings`` are those of ``--set``.
    """

    weight: ClassVar[int] = 1
    wait_time: ClassVar[WaitTime] = constant(0)
    # Left out where it stands, and not in the classes below it.
    abstract: ClassVar[bool] = True

    __slots__ = ("__dict__", "claims", "client", "data", "number", "random", "settings")

    client: "MeasuredClient"
    claims: "Claims"
    number: int
    random: random.Random
    data: Any
    settings: Mapping[str, str]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "abstract" not in cls.__dict__:
            cls.abstract = False

    async def on_start(self) -> None:
        """Do what comes before the first task."""

    async def on_stop(self) -> None:
        """Do what comes after the last task."""

    def expect(self, ok: bool, claim: str, detail: str = "") -> None:
        """Check what must hold whatever the load; when it does not, the run ends with 90.

        ``claim`` is the same at each call, ``detail`` says what was found when it does not hold.
        """
        self.claims.check(ok=ok, claim=claim, detail=detail)


@overload
def task(weight: _Function, /) -> _Function:
    """Mark a method as a task."""


@overload
def task(weight: int = 1, /) -> Callable[[_Function], _Function]:
    """Mark a method as a task that is done ``weight`` times as often as others."""


def task(weight: _Function | int = 1, /) -> _Function | Callable[[_Function], _Function]:
    """Mark a method as a task; as ``@task`` or, to do it three times as often, ``@task(3)``."""
    if callable(weight):
        return task(1)(weight)
    if weight < 1:
        raise ValueError(f"the weight of a task is a whole number from 1 on, not {weight!r}")

    def mark(function: _Function) -> _Function:
        setattr(function, _WEIGHT, weight)
        return function

    return mark


def tag(*names: str) -> Callable[[_Function], _Function]:
    """Name a task for ``--tags`` and ``--exclude-tags``."""
    if not names or not all(isinstance(name, str) for name in names):
        raise ValueError('@tag wants names: @tag("refund")')

    def mark(function: _Function) -> _Function:
        setattr(function, _TAGS, {*getattr(function, _TAGS, ()), *names})
        return function

    return mark


def tasks_of(
    user_class: type[User], *, tags: Iterable[str] = (), exclude_tags: Iterable[str] = ()
) -> list[tuple[Task, int]]:
    """Return the tasks of a class that the tags leave, with their weights, in order of names."""
    wanted, unwanted = set(tags), set(exclude_tags)
    found = []
    for name in sorted(dir(user_class)):
        function = getattr(user_class, name)
        weight = getattr(function, _WEIGHT, None)
        if weight is None:
            continue
        has: set[str] = getattr(function, _TAGS, set())
        if (wanted and not wanted & has) or unwanted & has:
            continue
        found.append((function, weight))
    return found


def pacing_s(user_class: type[User]) -> float | None:
    """Return the pace of a class that starts tasks at fixed times, else None."""
    return getattr(user_class.wait_time, _PACING, None)
