"""A pack that asks for whatever a test wants, from any of its methods."""

from collections.abc import Callable
from typing import Any

import msgspec

from schemas.identifiers import Identifier, RequestId
from zhihui.plugin import Context, HoldExpired, Pack, Plan, on_timer, operation

__all__ = ("Act", "Desk", "Done", "Look", "Page", "Tick", "Unknown", "plan_of")


class Act(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Do what the test says."""

    request_id: RequestId
    desk_id: Identifier
    what: str = ""


class Look(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Read the page of a desk."""

    desk_id: Identifier


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """What was done, in order."""

    done: tuple[str, ...] = ()
    text: str = ""


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """What is answered."""

    what: str


class Tick(msgspec.Struct, frozen=True, kw_only=True):
    """The time has come for what the test says."""

    what: str


class Unknown(msgspec.Struct, frozen=True, kw_only=True):
    """A body for which there is no timer method."""


class Desk(Pack):
    """``plans`` maps what is asked to a function of the context and the page, to plans."""

    name = "desk"

    def __init__(self, *capabilities: str, **plans: Callable[[Context, Page], Any]) -> None:
        self.granted = frozenset(capabilities)
        self.plans = plans
        self.calls: list[str] = []

    def _decide(self, what: str, context: Context, page: Page | None) -> Any:
        self.calls.append(what)
        known = page or Page()
        if what not in self.plans:
            return Plan(state=Page(done=(*known.done, what)), result=Done(what=what))
        return self.plans[what](context, known)

    @operation("act", collection="desk", key="desk_id", state=Page, result=Done)
    async def act(self, context: Context, message: Act, page: Page | None) -> Any:
        """Do it."""
        return self._decide(message.what, context, page)

    @operation("told", collection="desk", key="desk_id", state=Page, result=Done, internal=True)
    async def told(self, context: Context, message: Act, page: Page | None) -> Any:
        """Do what another desk says."""
        return self._decide(message.what, context, page)

    @operation("get", collection="desk", key="desk_id", state=Page, result=Page, mutates=False)
    async def get(self, context: Context, message: Look, page: Page | None) -> Page:
        """Read the page."""
        return page or Page()

    @on_timer("tick", collection="desk", state=Page, body=Tick)
    async def tick(self, context: Context, body: Tick, page: Page | None) -> Any:
        """Do what is due."""
        return self._decide(body.what, context, page)

    @on_timer("over", collection="desk", state=Page, body=HoldExpired)
    async def over(self, context: Context, body: HoldExpired, page: Page | None) -> Any:
        """Do what an expired hold leads to."""
        return self._decide(f"expired:{body.name}", context, page)


def plan_of(plan: Plan) -> Callable[[Context, Page], Plan]:
    """Return a decision that is always the same."""

    def decide(context: Context, page: Page) -> Plan:
        return plan

    return decide
