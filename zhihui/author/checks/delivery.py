"""Checks 1 to 3: messages that come twice, once more, or as nobody meant them."""

import asyncio
from collections.abc import Iterator
from typing import Any

import msgspec

from schemas.errors import ERRORS, Internal
from zhihui.author.checks.check import Case, Check, Finding
from zhihui.author.history import shortened
from zhihui.author.platform import NODE
from zhihui.author.rehearsal import differences, tell
from zhihui.author.stage import Stage
from zhihui.author.story import Call

__all__ = ("Duplicates", "Poison", "Redelivery", "poisoned")


class Duplicates(Check):
    """Every request three times at once, and once more when it is answered."""

    number = 1
    name = "duplicates"
    proves = "a request that comes several times is answered the same and takes effect once"

    def run(self, case: Case) -> Finding:
        """Send every request four times."""
        problems: list[str] = []

        async def send(stage: Stage, number: int, call: Call) -> Any:
            first, *others = await asyncio.gather(*(stage.settle(number, call) for _ in range(3)))
            others.append(await stage.settle(number, call))
            problems.extend(
                f"{call.text(number)}, sent again with the same request id, answered "
                f"{shortened(other)} after {shortened(first)}"
                for other in others[:1] + others[-1:]
                if call.mutates and other != first
            )
            return first

        problems += case.told(send)
        return Finding.of(problems)


class Redelivery(Check):
    """Every timer that fired and every message between identities once more."""

    number = 2
    name = "redelivery"
    proves = "a timer or a message between identities that is delivered again takes effect once"

    def run(self, case: Case) -> Finding:
        """Put back what has come, and let it come again."""
        echoed: set[tuple[str, Any]] = set()

        async def begin(stage: Stage) -> None:
            echo = _Echo(stage, echoed)
            stage.world.intrude = echo.watch

        async def send(stage: Stage, number: int, call: Call) -> Any:
            await _Echo.of(stage).put_back()
            return await stage.settle(number, call)

        problems = case.told(send, before=begin, after=_end_echo)
        if not echoed:
            return Finding(skipped="the story sets off no timer and no message between identities")
        return Finding.of(problems, note=f"{len(echoed)} deliveries repeated")


class _Echo:
    """Put back the rows of timers that are over, as if their end had been lost with a node."""

    # A message between identities is backed by a timer, which takes five seconds to come.
    _COMES_AGAIN_S = 6.0

    def __init__(self, stage: Stage, echoed: set[tuple[str, Any]]) -> None:
        self._stage = stage
        self._kind = f"pack.{stage.plugin}"
        self._present: dict[tuple[str, Any], dict[str, Any]] = {}
        self._over: dict[tuple[str, Any], dict[str, Any]] = {}
        self._echoed = echoed

    @staticmethod
    def of(stage: Stage) -> "_Echo":
        """Return the echo of a stage."""
        watch = stage.world.intrude
        echo = getattr(watch, "__self__", None)
        assert isinstance(echo, _Echo)
        return echo

    async def watch(self, node: str, moment: str) -> None:
        """See which timers there are after each commit."""
        if moment == "commit done":
            self._look()

    def _look(self) -> None:
        now = self._stage.world.wall.now()
        rows = [row for row in self._stage.world.rows("timer") if row["kind"] == self._kind]
        present = {(row["timer_id"], row["due_at"]): row for row in rows}
        for key, row in self._present.items():
            # One that is gone before its time was cancelled.
            if key not in present and (row["due_at"] <= now or ".send." in row["type"]):
                self._over[key] = row
        self._present = present

    async def put_back(self) -> None:
        """Let those come again that came since the last time."""
        self._look()
        set_anew = {timer_id for timer_id, _ in self._present}
        again = {
            key: row
            for key, row in self._over.items()
            if key not in self._echoed and key[0] not in set_anew
        }
        for key, row in again.items():
            self._echoed.add(key)
            self._stage.world.database.put("timer", (key[0],), row)
        if again:
            await self._stage.wait_for(self._stage.elapsed_s() + self._COMES_AGAIN_S)


async def _end_echo(stage: Stage) -> None:
    await _Echo.of(stage).put_back()


class Poison(Check):
    """Before every request the same with something wrong in it, in all the ways there are."""

    number = 3
    name = "poison"
    proves = "what nobody should send is refused with a code, and harms nobody else"

    def run(self, case: Case) -> Finding:
        """Send odd bodies as one backend, then tell the story as another."""
        problems: list[str] = []
        crowd = case.story.of_app("crowd")
        sent = 0

        async def begin(stage: Stage) -> None:
            nonlocal sent
            await stage.open_accounts(crowd)
            for number, call in enumerate(crowd.calls):
                if call.operation.startswith(f"{stage.plugin}."):
                    whole = _with_all(stage, number, call)
                    for body in poisoned(whole, f"p{number}"):
                        sent += 1
                        problem = await _answered(stage, number, call, body)
                        problems.extend([problem] if problem else [])
                await (await stage.caller(call.app)).settle(
                    call.operation, _with_id(stage, number, call)
                )

        told = tell(case.archive, case.story, before=begin, seed=case.seed)
        if not problems:
            quiet = tell(case.archive, case.story, moments=told.moments, seed=case.seed)
            problems += differences(case.story, quiet, told)
        return Finding.of(problems, note=f"{sent} bodies sent")


def _with_all(stage: Stage, number: int, call: Call) -> dict[str, Any]:
    """Return the body of a call, with a place for each field that it leaves out."""
    promoted = stage.world.node(NODE).plugins.registry.slot(stage.plugin).promoted
    assert promoted is not None
    verb = call.operation.partition(".")[2]
    (request,) = (one.request for one in promoted.pack.pack_operations() if one.verb == verb)
    fields = dict.fromkeys((one.encode_name for one in msgspec.structs.fields(request)), _MISSING)
    return fields | stage.body(number, call)


def _with_id(stage: Stage, number: int, call: Call) -> bytes:
    body = stage.body(number, call)
    return msgspec.json.encode(body | ({"request_id": f"c-{number}"} if call.mutates else {}))


async def _answered(stage: Stage, number: int, call: Call, body: bytes) -> str:
    """Send a body; return what is wrong with the answer, or nothing."""
    caller = await stage.caller(call.app)
    shown = body if len(body) < 200 else body[:200] + b"..."
    try:
        answer = await caller.settle(call.operation, body, limit_s=20)
    except TimeoutError:
        return f"{call.text(number)} with {shown!r} was not answered"
    if not answer["ok"] and answer["error"]["code"] == Internal.code:
        return f"{call.text(number)} with {shown!r} made the pack fail: {await stage.why_failed()}"
    assert answer["ok"] or answer["error"]["code"] in ERRORS, answer
    return ""


_MISSING = object()
_NONSENSE = (
    b"", b"null", b"[]", b"{", b'"text"', b"\xff\xfe\x00", b"[" * 3_000, b'{"request_id": 1}',
    b"{}", b" " * 70_000,
)  # fmt: skip
_VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 1, 2**31, 2**53, 2**63 - 1, 0.1, "", " ", "x" * 5_000, "\U0001f4a5", "汉字",
    "../..", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2026-01-01T00:00:00", [], {},
    [[]] * 200,
)  # fmt: skip

_NO_IDS = tuple(one for one in _VALUES if not isinstance(one, str) or one in ("", "x" * 5_000))


def poisoned(body: dict[str, Any], prefix: str = "p") -> Iterator[bytes]:
    """Return bodies that are like this one and wrong, or odd, in one place each.

    Their request ids begin with ``prefix``.
    """
    yield from _NONSENSE
    encode = msgspec.json.encode
    number = 0
    known = {field: one for field, one in body.items() if one is not _MISSING}
    yield encode({**known, "request_id": f"{prefix}-extra", "no_such_field": 1})
    for path in _paths(body):
        # An id that another call had as well would be a conflict, and no news.
        values = _NO_IDS if path == ("request_id",) else _VALUES
        for value in (*values, _MISSING):
            number += 1
            odd = _replaced(body, path, value)
            if "request_id" in odd and path != ("request_id",):
                odd["request_id"] = f"{prefix}-{number}"
            if odd != body:
                yield encode({field: one for field, one in odd.items() if one is not _MISSING})


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    if isinstance(value, dict):
        for field, one in value.items():
            yield from _paths(one, (*path, field))
    elif isinstance(value, list) and value:
        yield from _paths(value[0], (*path, 0))


def _replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    first, *rest = path
    copy = dict(value) if isinstance(value, dict) else list(value)
    if rest:
        copy[first] = _replaced(copy[first], tuple(rest), new)
    elif new is _MISSING:
        del copy[first]
    else:
        copy[first] = new
    return copy
