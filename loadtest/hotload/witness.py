"""What a version made for this proof adds to a pack: it says of everything that it did it.

This file travels in the archives of the versions and runs in the node, beside the modules of the
pack. Each answer, each payment, each document and one event for each change carry the name of the
version that made them, so it can be seen from outside which version did what. A version may also
be made to fail, in one of the :data:`MOODS`.

The form of the documents is part of it: in form ``n`` the name stands in a field ``written_by_n``
that must be there, so a document that was not migrated cannot be read.
"""

from collections.abc import Callable
from typing import Any
from zlib import crc32

import anyio
import msgspec
from msgspec.structs import replace

from schemas.effects import Pay

__all__ = ("MOODS", "SLOW_S", "Mark", "Witnessed", "witnessed")

# Every third message is dealt with properly: so documents are written, and payments made, by a
# version that is then taken out of service.
_SPARED = 3
# Longer than any version is allowed to take.
SLOW_S = 5.0
MOODS = ("well", "crashes", "slow", "self_test_fails", "migration_raises", "migration_forgets")

_NOBODY = "nobody"


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """Which version it is. Documents up to form ``base_form`` are those of the pack itself."""

    version: str
    form: int
    base_form: int
    mood: str = "well"


class Witnessed(msgspec.Struct, frozen=True, kw_only=True):
    """The event of each change: whose it is, and which version made it."""

    request_id: str
    verb: str
    served_by: str


def witnessed(base: type[Any], notice: type[Any], mark: Mark) -> type[Any]:
    """Return the class of a pack as a version of its own; ``notice`` is the one of the API."""
    witness = _Witness(base.name, notice, mark)
    members: dict[str, Any] = {
        "migrate": _migration(getattr(base, "migrate", None), mark),
        "self_test": _self_test(getattr(base, "self_test", None), mark),
    }
    for name, member in vars(base).items():
        for kind in ("__zhihui_operation__", "__zhihui_timer__"):
            if hasattr(member, kind):
                members[name] = witness.handler(member, kind)
    return type("Hot", (base,), members)


class _Witness:
    """Wraps the methods of one pack."""

    def __init__(self, pack: str, notice: type[Any], mark: Mark) -> None:
        self._pack = pack
        self._notice = notice
        self._mark = mark
        self._states: dict[type[Any], type[Any]] = {}
        self._results: dict[type[Any], type[Any]] = {}

    def handler(self, method: Callable[..., Any], kind: str) -> Callable[..., Any]:
        """Return a method of the pack so that it marks what it decides."""
        marked = getattr(method, kind)
        state = self._state(marked.state)
        mutates = getattr(marked, "mutates", True)
        verb = getattr(marked, "verb", "") or marked.name

        async def handle(pack: Any, context: Any, message: Any, found: Any) -> Any:
            if mutates:
                await self._suffer(context.request_id)
            decided = await method(pack, context, message, found)
            if not mutates:
                return self._told(decided)
            plans = decided if isinstance(decided, tuple) else (decided,)
            return tuple(self._marked(plan, state, context.request_id, verb) for plan in plans)

        setattr(handle, kind, replace(marked, state=state))
        return handle

    async def _suffer(self, request_id: str) -> None:
        if self._mark.mood not in ("crashes", "slow") or not crc32(request_id.encode()) % _SPARED:
            return
        if self._mark.mood == "slow":
            await anyio.sleep(SLOW_S)
        raise RuntimeError(f"version {self._mark.version} was made to crash")

    def _marked(self, plan: Any, state: type[Any], request_id: str, verb: str) -> Any:
        mark = self._mark.version
        told = Witnessed(request_id=request_id, verb=verb, served_by=mark)
        notice = self._notice(type=f"{self._pack}.witnessed", subject=request_id[:64], data=told)
        return replace(
            plan,
            result=self._told(plan.result),
            state=None if plan.state is None else _as(state, plan.state, written_by=mark),
            effects=tuple(
                replace(one, reference=f"{one.reference} by {mark}")
                if isinstance(one, Pay)
                else one
                for one in plan.effects
            ),
            notices=(*plan.notices, notice),
        )

    def _told(self, result: Any) -> Any:
        if not isinstance(result, msgspec.Struct):
            return result
        kind = type(result)
        if kind not in self._results:
            self._results[kind] = _extended(kind, ("served_by", str))
        return _as(self._results[kind], result, served_by=self._mark.version)

    def _state(self, kind: type[Any]) -> type[Any]:
        if self._mark.form == self._mark.base_form:
            return kind
        if kind not in self._states:
            named = msgspec.field(name=_field(self._mark.form))
            self._states[kind] = _extended(kind, ("written_by", str, named))
        return self._states[kind]


def _extended(kind: type[Any], field: Any) -> type[Any]:
    return msgspec.defstruct(
        f"Hot{kind.__name__}", [field], bases=(kind,), frozen=True, kw_only=True, module=__name__
    )


def _as(kind: type[Any], struct: msgspec.Struct, **more: str) -> Any:
    """Return the struct as one of the extended kind."""
    fields = {**msgspec.structs.asdict(struct), **more}
    return kind(**{name: fields[name] for name in kind.__struct_fields__})


def _field(form: int) -> str:
    return f"written_by_{form}"


def _migration(own: Callable[..., Any] | None, mark: Mark) -> Callable[..., dict[str, Any]]:
    def migrate(
        pack: Any, collection: str, from_version: int, to_version: int, document: dict[str, Any]
    ) -> dict[str, Any]:
        if max(from_version, to_version) <= mark.base_form:
            if own is None:
                raise ValueError(f"no way from {from_version} to {to_version}")
            return dict(own(pack, collection, from_version, to_version, document))
        if mark.mood == "migration_raises":
            raise RuntimeError(f"version {mark.version} was made to fail at its migration")
        after = dict(document)
        written_by = after.pop(_field(from_version), _NOBODY)
        if mark.mood == "migration_forgets" and to_version > from_version:
            after.pop(next(iter(after), ""), None)
        if to_version > mark.base_form:
            after[_field(to_version)] = written_by
        return after

    return migrate


def _self_test(own: Callable[..., Any] | None, mark: Mark) -> Callable[..., Any]:
    async def self_test(pack: Any) -> None:
        if own is not None:
            await own(pack)
        if mark.mood == "self_test_fails":
            raise RuntimeError(f"version {mark.version} was made to fail at its self-test")

    return self_test
