"""A host for packs in thirty lines: documents, balances, the first plan that fits."""

import logging
from datetime import datetime
from typing import Any, TypeVar

import msgspec

from kernel.clock import ManualClock
from kernel.pack import Pack, PackOperation
from zhihui.plugin import InsufficientFunds, Pay, Plan

__all__ = ("FakeHost",)

D = TypeVar("D", bound=msgspec.Struct)


class FakeHost:
    """Do what a host does with a pack: find the document, call, commit the first plan that fits."""

    app = "citypark"
    request_id = "r-1"
    log = logging.getLogger("parking")

    def __init__(self, pack: Pack, now: datetime) -> None:
        self.clock = ManualClock(now)
        self.documents: dict[tuple[str, str], msgspec.Struct] = {}
        self.balances: dict[str, int] = {}
        self.notices: list[str] = []
        self.payments: list[Pay] = []
        self.plans: tuple[Plan, ...] = ()
        self.pack = pack
        self.operations: dict[str, PackOperation] = {
            marked.verb: marked for marked in self.pack.pack_operations()
        }

    async def read(self, collection: str, key: str, state: type[D]) -> D | None:
        document = self.documents.get((collection, key))
        assert document is None or isinstance(document, state)
        return document

    def send(self, verb: str, body: bytes) -> Any:
        """Decode as the edge does, run the method to its end, commit; return the result."""
        marked = self.operations[verb]
        message = msgspec.json.decode(body, type=marked.request)
        where = (marked.collection, getattr(message, marked.key))
        answer = _run(getattr(self.pack, marked.method)(self, message, self.documents.get(where)))
        if not marked.mutates:
            return answer
        self.plans = answer if isinstance(answer, tuple) else (answer,)
        for plan in self.plans:
            if self._accepts(plan):
                if plan.state is not None:
                    # Through JSON, as it is stored: a document must come back the same.
                    stored = msgspec.json.decode(msgspec.json.encode(plan.state), type=marked.state)
                    assert stored == plan.state
                    self.documents[where] = stored
                self.notices = [notice.type for notice in plan.notices]
                assert set(self.notices) <= set(marked.events)
                return plan.result
        raise InsufficientFunds("no plan fits")

    def _accepts(self, plan: Plan) -> bool:
        after = dict(self.balances)
        for pay in plan.effects:
            assert isinstance(pay, Pay)
            assert pay.amount_minor > 0
            after[pay.payer] = after.get(pay.payer, 0) - pay.amount_minor
            if after[pay.payer] < 0:
                return False
            after[pay.payee] = after.get(pay.payee, 0) + pay.amount_minor
        self.balances = after
        self.payments += [pay for pay in plan.effects if isinstance(pay, Pay)]
        return True


def _run(coroutine: Any) -> Any:
    """Drive a coroutine that never waits on anything outside."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("the pack waited on something that is not its context")
