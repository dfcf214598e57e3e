"""What a scenario pack is made of: operations over one state document per identity.

Nothing here knows what a pack does. A decision is a :class:`Plan`; its ``effects`` belong to
whoever hosts the pack.
"""

import inspect
import logging
from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime
from typing import Any, ClassVar, Protocol, TypeVar

import msgspec

from kernel.clock import Clock
from schemas.operation import Operation

__all__ = (
    "Context",
    "Notice",
    "Pack",
    "PackOperation",
    "PackTimer",
    "Plan",
    "on_timer",
    "operation",
)

D = TypeVar("D", bound=msgspec.Struct)


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """An event of the pack: ``type`` is ``<entity>.<event>``, ``data`` any struct."""

    type: str
    subject: str
    data: msgspec.Struct


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """One way an operation may turn out: all of it is committed, or nothing.

    ``state`` replaces the identity's document; None leaves it as it is. ``effects`` are what the
    host offers. An operation may return several plans in order of preference:
    the first whose effects are accepted is committed. Nobody waits for the ``result`` of a timer,
    which may be None.
    """

    result: msgspec.Struct | None = None
    state: msgspec.Struct | None = None
    effects: tuple[msgspec.Struct, ...] = ()
    notices: tuple[Notice, ...] = ()


class Context(Protocol):
    """All that a pack can reach while it decides."""

    @property
    def app(self) -> str:
        """The scenario backend that sent the message, as the bus verified it."""

    @property
    def request_id(self) -> str:
        """The id of the request; empty for a read."""

    @property
    def clock(self) -> Clock:
        """The time."""

    @property
    def now(self) -> datetime:
        """What the clock says."""

    @property
    def log(self) -> logging.Logger:
        """A logger named after the pack."""

    async def read(self, collection: str, key: str, state: type[D]) -> D | None:
        """Return another identity's document as committed a second ago at most, or None."""


class PackOperation(msgspec.Struct, frozen=True, kw_only=True):
    """What :func:`operation` remembers of a method; ``method`` is its name in the pack.

    An ``internal`` one is in no catalogue: only the pack's own identities reach it.
    """

    verb: str
    collection: str
    key: str
    state: type[msgspec.Struct]
    mutates: bool
    request: type[msgspec.Struct]
    result: Any
    summary: str
    errors: tuple[str, ...]
    events: tuple[str, ...]
    method: str
    internal: bool = False


class PackTimer(msgspec.Struct, frozen=True, kw_only=True):
    """What :func:`on_timer` remembers of a method; ``method`` is its name in the pack."""

    name: str
    collection: str
    state: type[msgspec.Struct]
    body: type[msgspec.Struct]
    events: tuple[str, ...]
    method: str


_Method = TypeVar("_Method", bound=Callable[..., Awaitable[Any]])


def operation(
    verb: str,
    *,
    collection: str,
    key: str,
    state: type[msgspec.Struct],
    result: Any,
    mutates: bool = True,
    errors: tuple[str, ...] = (),
    events: tuple[str, ...] = (),
    internal: bool = False,
) -> Callable[[_Method], _Method]:
    """Mark a method of a pack as one of its operations.

    The method is called with the context, the request and the identity's state or None. The
    request's type is read from its annotation, the summary from its docstring's first line. An
    ``internal`` operation is for messages between the pack's own identities.
    """

    def mark(method: _Method) -> _Method:
        parameters = list(inspect.signature(method).parameters.values())
        request = parameters[2].annotation
        if not (isinstance(request, type) and issubclass(request, msgspec.Struct)):
            raise TypeError(
                f"{method.__qualname__}: the annotation of the request is {request!r}; it must be "
                "a Struct itself, not its name as under `from __future__ import annotations`"
            )
        method.__zhihui_operation__ = PackOperation(  # type: ignore[attr-defined]
            verb=verb,
            collection=collection,
            key=key,
            state=state,
            mutates=mutates,
            request=request,
            result=result,
            summary=(inspect.getdoc(method) or verb).splitlines()[0],
            errors=errors,
            events=events,
            method=method.__name__,
            internal=internal,
        )
        return method

    return mark


def on_timer(
    name: str,
    *,
    collection: str,
    state: type[msgspec.Struct],
    body: type[msgspec.Struct],
    events: tuple[str, ...] = (),
) -> Callable[[_Method], _Method]:
    """Mark a method of a pack as what becomes of its timers in a collection.

    The method is called with the context, the timer's body and the identity's state or None, and
    returns a plan or several. It may be called again for the same moment; its effect happens once.
    ``name`` is stored with each timer, so it outlives the version that set it. A collection has
    one such method for each type of body.
    """

    def mark(method: _Method) -> _Method:
        method.__zhihui_timer__ = PackTimer(  # type: ignore[attr-defined]
            name=name,
            collection=collection,
            state=state,
            body=body,
            events=events,
            method=method.__name__,
        )
        return method

    return mark


class Pack:
    """Base of every scenario pack. ``name`` is the service token of its subjects.

    ``granted`` are the capabilities of its manifest, put there by whoever loads the pack. A host
    looks at them once, before it calls anything else of the pack.
    """

    name: ClassVar[str]
    granted: frozenset[str] = frozenset()

    def pack_operations(self) -> tuple[PackOperation, ...]:
        """Return the marked methods in the order of their definition, internal ones among them."""
        return tuple(self._marked("__zhihui_operation__"))

    def pack_timers(self) -> tuple[PackTimer, ...]:
        """Return the methods for timers in the order of their definition."""
        return tuple(self._marked("__zhihui_timer__"))

    def _marked(self, mark: str) -> Iterator[Any]:
        for name, member in vars(type(self)).items():
            if hasattr(member, mark):
                # The name in the pack: a function of another module may have one of its own.
                yield msgspec.structs.replace(getattr(member, mark), method=name)

    def operations(self) -> tuple[Operation, ...]:
        """Return the operations as the public catalogue describes them, but for internal ones."""
        return tuple(
            Operation(
                service=self.name,
                verb=marked.verb,
                request=marked.request,
                result=marked.result,
                kind=f"pack.{self.name}",
                key=marked.key,
                mutates=marked.mutates,
                summary=marked.summary,
                errors=marked.errors,
                events=marked.events,
                late=True,
            )
            for marked in self.pack_operations()
            if not marked.internal
        )
