"""A host for packs in memory: documents, a small bank, timers, and messages between identities.

It does what the real one does with a plan, in the order of its effects: all of them, or none and
the next plan. What it leaves out is what the platform proves elsewhere: processes, a journal, ids.
"""

import logging
from collections import deque
from datetime import datetime, timedelta
from random import Random
from typing import Any, TypeVar

import msgspec

from kernel.clock import ManualClock
from kernel.pack import Pack, PackOperation
from schemas.effects import Cancel, CaptureHold, PlaceHold, Schedule, Send, VoidHold
from schemas.errors import BalanceLimit
from zhihui.plugin import InsufficientFunds, InvalidState, NotFound, Pay, Plan, Rejected

__all__ = ("FakeBank", "FakeHold", "FakeHost")

D = TypeVar("D", bound=msgspec.Struct)

# Messages of one story: far more than any test means to send, so a loop of them ends.
_STEPS_MAX = 100_000

# The identity that an effect belongs to, and the name it gave.
_Name = tuple[str, str, str]


class FakeHold(msgspec.Struct, frozen=True):
    """An open hold: what is left of it, and who alone may get it, if anybody."""

    account_id: str
    left_minor: int
    payee: str


class FakeBank:
    """Balances, holds, floors and ceilings. An account that nobody mentioned is empty and open."""

    def __init__(self) -> None:
        self.balances: dict[str, int] = {}
        self.floors: dict[str, int] = {}
        self.ceilings: dict[str, int] = {}
        self.closed: set[str] = set()
        self.holds: dict[_Name, FakeHold] = {}
        # Names of holds that were placed once; a second one of the same name is refused.
        self.hold_names: set[_Name] = set()

    def held(self, account_id: str) -> int:
        """Return what is held of an account."""
        return sum(hold.left_minor for hold in self.holds.values() if hold.account_id == account_id)

    def available(self, account_id: str) -> int:
        """Return what may be spent: the balance above the holds and the floor."""
        balance = self.balances.get(account_id, 0) - self.held(account_id)
        return balance - self.floors.get(account_id, 0)

    def move(self, payer: str, payee: str, amount_minor: int) -> None:
        """Move money, or raise why not."""
        assert amount_minor > 0
        assert payer != payee
        if {payer, payee} & self.closed:
            raise InvalidState(f"an account of {payer!r} and {payee!r} is closed")
        if self.available(payer) < amount_minor:
            raise InsufficientFunds(f"account {payer!r} does not cover {amount_minor}")
        after = self.balances.get(payee, 0) + amount_minor
        if payee in self.ceilings and after > self.ceilings[payee]:
            raise BalanceLimit(f"account {payee!r} may not hold {after}")
        self.balances[payer] = self.balances.get(payer, 0) - amount_minor
        self.balances[payee] = after

    def place(self, name: _Name, effect: PlaceHold) -> None:
        """Hold money, or raise why not."""
        assert effect.amount_minor > 0
        # The id is made from the name, and an id is not used twice.
        if name in self.hold_names:
            raise InvalidState(f"hold {name!r} exists already")
        if self.available(effect.account_id) < effect.amount_minor:
            raise InsufficientFunds(f"account {effect.account_id!r} does not cover the hold")
        self.holds[name] = FakeHold(effect.account_id, effect.amount_minor, effect.payee)
        self.hold_names.add(name)

    def capture(self, name: _Name, effect: CaptureHold) -> None:
        """Move held money on, or raise why not."""
        hold = self._open_hold(name)
        amount = hold.left_minor if effect.amount_minor is None else effect.amount_minor
        payee = effect.payee or hold.payee
        assert payee
        assert not hold.payee or payee == hold.payee
        if amount > hold.left_minor:
            raise InsufficientFunds(f"hold {name!r} has {hold.left_minor} left, not {amount}")
        del self.holds[name]
        self.move(hold.account_id, payee, amount)
        if amount < hold.left_minor and not effect.final:
            self.holds[name] = FakeHold(hold.account_id, hold.left_minor - amount, hold.payee)
        for share in effect.shares:
            self.move(payee, share.payee, share.amount_minor)

    def void(self, name: _Name) -> None:
        """Give back what is left of a hold, or raise why not."""
        self._open_hold(name)
        del self.holds[name]

    def _open_hold(self, name: _Name) -> FakeHold:
        if name not in self.hold_names:
            raise NotFound(f"hold {name!r} does not exist")
        if name not in self.holds:
            raise InvalidState(f"hold {name!r} is resolved")
        return self.holds[name]


class FakeHost(FakeBank):
    """Do what a host does with a pack: find the document, call, commit the first plan that fits.

    What an identity sends to another waits in ``sent`` until :meth:`deliver`. ``notices`` are the
    types of the last plan, ``heard`` is all that was ever told.
    """

    app = "citypark"
    request_id = "r-1"
    log = logging.getLogger("pack")

    def __init__(self, pack: Pack, now: datetime) -> None:
        super().__init__()
        self.clock = ManualClock(now)
        self.documents: dict[tuple[str, str], msgspec.Struct] = {}
        self.timers: dict[_Name, Schedule] = {}
        self.sent: deque[Send] = deque()
        self.notices: list[str] = []
        self.heard: list[tuple[str, msgspec.Struct]] = []
        self.payments: list[Pay] = []
        self.refused: list[Rejected] = []
        self.plans: tuple[Plan, ...] = ()
        self.pack = pack
        self.operations: dict[str, PackOperation] = {
            marked.verb: marked for marked in self.pack.pack_operations()
        }

    @property
    def now(self) -> datetime:
        """Return the time."""
        return self.clock.now()

    async def read(self, collection: str, key: str, state: type[D]) -> D | None:
        """Return another identity's document as it is now."""
        document = self.documents.get((collection, key))
        assert document is None or isinstance(document, state)
        return document

    def send(self, verb: str, body: bytes) -> Any:
        """Decode as the edge does, run the method to its end, commit; return the result."""
        return self._operate(verb, msgspec.json.decode(body, type=self.operations[verb].request))

    def deliver(self, random: Random | None = None) -> None:
        """Let all that was sent arrive, and what is sent on that; in any order, if ``random``.

        A rejection ends a message as an answer does; it is kept in ``refused``.
        """
        for _ in range(_STEPS_MAX):
            if not self.sent:
                return
            if random is not None:
                self.sent.rotate(random.randrange(len(self.sent)))
            message = self.sent.popleft()
            # Through msgpack, as it travels, and checked against its type.
            request = self.operations[message.verb].request
            body = msgspec.msgpack.decode(msgspec.msgpack.encode(message.body), type=request)
            try:
                self._operate(message.verb, body)
            except Rejected as error:
                self.refused.append(error)
        raise AssertionError("the identities never stop sending to each other")

    def advance(self, seconds: float) -> None:
        """Move the time on, and let everything come due on the way in its order."""
        end_s = self.clock.monotonic_s() + seconds
        for _ in range(_STEPS_MAX):
            name, timer = min(
                self.timers.items(), key=lambda one: (one[1].due_at, one[0]), default=(None, None)
            )
            wait_s = max(0.0, (timer.due_at - self.now).total_seconds()) if timer else 0.0
            if name is None or timer is None or self.clock.monotonic_s() + wait_s > end_s:
                self.clock.advance(max(0.0, end_s - self.clock.monotonic_s()))
                return
            self.clock.advance(wait_s)
            del self.timers[name]
            if timer.every_s:
                self.timers[name] = _again(timer)
            self.fire(name[0], name[1], timer.body)
            self.deliver()
        raise AssertionError("the timers never stop")

    def fire(self, collection: str, key: str, body: msgspec.Struct) -> None:
        """Call the handler of a timer, whether it is due or not."""
        marked = next(
            one
            for one in self.pack.pack_timers()
            if one.collection == collection and one.body is type(body)
        )
        sent = msgspec.msgpack.decode(msgspec.msgpack.encode(body), type=marked.body)
        where = (collection, key)
        method = getattr(self.pack, marked.method)
        answer = _run(method(self, sent, self.documents.get(where)))
        self._commit(where, answer, marked.state, marked.events)

    def _operate(self, verb: str, message: Any) -> Any:
        marked = self.operations[verb]
        where = (marked.collection, getattr(message, marked.key))
        answer = _run(getattr(self.pack, marked.method)(self, message, self.documents.get(where)))
        if not marked.mutates:
            return answer
        return self._commit(where, answer, marked.state, marked.events)

    def _commit(
        self,
        where: tuple[str, str],
        answer: Plan | tuple[Plan, ...],
        state: type[msgspec.Struct],
        events: tuple[str, ...],
    ) -> Any:
        self.plans = answer if isinstance(answer, tuple) else (answer,)
        refusal: Rejected | None = None
        for plan in self.plans:
            try:
                self._take(where, plan)
            except Rejected as error:
                # The journal tells what was wrong with the first.
                refusal = refusal or error
                continue
            if plan.state is not None:
                # Through JSON, as it is stored: a document must come back the same.
                stored = msgspec.json.decode(msgspec.json.encode(plan.state), type=state)
                assert stored == plan.state
                self.documents[where] = stored
            self.notices = [notice.type for notice in plan.notices]
            self.heard += [(notice.type, notice.data) for notice in plan.notices]
            assert set(self.notices) <= set(events)
            return plan.result
        assert refusal is not None
        raise refusal

    def _take(self, where: tuple[str, str], plan: Plan) -> None:
        """Take the effects one after another; raise and leave all as it was if one does not go."""
        # More is not committed by any host.
        assert len(plan.effects) <= 64
        before = (
            dict(self.balances), dict(self.holds), set(self.hold_names), dict(self.timers),
            deque(self.sent), list(self.payments),
        )  # fmt: skip
        try:
            for effect in plan.effects:
                self._apply(where, effect)
        except Rejected:
            (
                self.balances, self.holds, self.hold_names, self.timers, self.sent, self.payments,
            ) = before  # fmt: skip
            raise

    def _apply(self, where: tuple[str, str], effect: msgspec.Struct) -> None:
        match effect:
            case Pay():
                self.move(effect.payer, effect.payee, effect.amount_minor)
                for share in effect.shares:
                    self.move(effect.payee, share.payee, share.amount_minor)
                self.payments.append(effect)
            case PlaceHold():
                self.place((*where, effect.name), effect)
            case CaptureHold():
                self.capture((*where, effect.name), effect)
            case VoidHold():
                self.void((*where, effect.name))
            case Schedule():
                assert effect.due_at.tzinfo is not None
                self.timers[*where, effect.name] = effect
            case Cancel():
                self.timers.pop((*where, effect.name), None)
            case Send():
                self.sent.append(effect)
            case _:
                raise AssertionError(f"{type(effect).__name__} is no effect")


def _again(timer: Schedule) -> Schedule:
    return msgspec.structs.replace(timer, due_at=timer.due_at + timedelta(seconds=timer.every_s))


def _run(coroutine: Any) -> Any:
    """Drive a coroutine that never waits on anything outside."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("the pack waited on something that is not its context")
