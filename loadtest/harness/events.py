"""Hooks of a scenario: functions that are called when something happens in a run.

Those of :data:`events` that begin with ``test_`` are called once, in the process that coordinates
the run; the others in each process that makes load. A hook that raises ends the run.
"""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

__all__ = ("EventHook", "Events", "events")

_Listener = TypeVar("_Listener", bound=Callable[..., Any])


class EventHook:
    """A list of listeners; ``@events.request.add_listener`` adds one, and returns it."""

    def __init__(self) -> None:
        self._listeners: list[Callable[..., Any]] = []

    def __bool__(self) -> bool:
        return bool(self._listeners)

    def add_listener(self, listener: _Listener) -> _Listener:
        """Call ``listener`` with keyword arguments each time; take ``**_`` for those to come."""
        self._listeners.append(listener)
        return listener

    def remove_listener(self, listener: Callable[..., Any]) -> None:
        """Do not call it any more."""
        self._listeners.remove(listener)

    def fire(self, **arguments: Any) -> None:
        """Call the listeners, which must be plain functions."""
        for listener in tuple(self._listeners):
            listener(**arguments)

    async def fire_async(self, **arguments: Any) -> None:
        """Call the listeners and wait for those that are async functions."""
        for listener in tuple(self._listeners):
            returned = listener(**arguments)
            if isinstance(returned, Awaitable):
                await returned


class Events:
    """What a scenario can listen to.

    ``test_start(stage)``, ``test_stop(result)``: the load is about to begin, the verdict stands;
    both may be async. ``init(process)``: a process is ready, they count from 0.
    ``spawning_complete(user_count)``: all users of this process are there.
    ``request(name, outcome, code, response_ms, service_ms, request_id)``: a request of a user
    ended, ``outcome`` being one of ok, rejected, failed, timed_out and unknown.
    ``user_error(user, exception)``: a task raised something that is no answer of the service.
    """

    def __init__(self) -> None:
        self.test_start = EventHook()
        self.test_stop = EventHook()
        self.init = EventHook()
        self.spawning_complete = EventHook()
        self.request = EventHook()
        self.user_error = EventHook()

    def taken(self) -> "Events":
        """Return what was added so far as events of its own, and start again with none."""
        taken = Events()
        taken.__dict__, self.__dict__ = self.__dict__, taken.__dict__
        return taken


# What a scenario file adds its listeners to. Loading a file takes them, so that two scenarios in
# one process do not hear of each other.
events = Events()
