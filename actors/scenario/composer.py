"""From a pack's plan to a change: postings, steps, rows, events, timers and messages.

Payments are postings and are made first, in the order of the plan; what touches holds are steps of
the ledger and follow in their order. A payment that stands behind a step which gives money free is
a step as well, so that it may be paid with that money.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

import msgspec

from actors.holds import HoldRow
from actors.payments.compose import compose_payment
from actors.scenario.documents import Document, document_fact
from actors.scenario.served_pack import Carried, EffectRefused, ServedPack, digest_name
from kernel.pack import Plan
from kernel.randomness import IdFactory
from schemas.change import Alternative, Event, Fact, Timer, TimerFired, due_ms
from schemas.effects import (
    Cancel,
    CaptureHold,
    HoldExpired,
    Pay,
    PlaceHold,
    Schedule,
    Send,
    Share,
    VoidHold,
)
from schemas.ledger import (
    CaptureStep,
    Moves,
    PlaceStep,
    Posting,
    ReleaseStep,
    Step,
    TransferStep,
    encode_moves,
)
from schemas.money import CNY, MAX_AMOUNT_MINOR

__all__ = ("EFFECTS_MAX", "SEND_AGAIN_S", "Composer", "Message", "Turn", "Way", "sent_names")

# More than any plan of a sound pack holds, few enough for one frame.
EFFECTS_MAX = 64
# A message is on its way at once, and most arrive within milliseconds. When it was lost with a
# node, its timer brings it after this; a node that waits longer for its turn gets it twice.
SEND_AGAIN_S = 5

_json = msgspec.json.Encoder()
_encode = msgspec.msgpack.Encoder().encode


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """What one decision of an identity is about, whatever brought it.

    ``received`` is the timer of a message that was sent and has arrived by this; ``expires`` names
    the hold whose time is over.
    """

    app: str
    request_id: str
    operation: str
    digest: bytes
    collection: str
    state: type[msgspec.Struct]
    received: str = ""
    expires: str | None = None


class Message(msgspec.Struct, frozen=True):
    """A message to another identity, for when the change stands."""

    key: str
    type: str
    fired: TimerFired


class Way(msgspec.Struct, frozen=True):
    """A plan and the alternative that it became."""

    plan: Plan
    alternative: Alternative
    messages: tuple[Message, ...] = ()
    document: Document | None = None

    def moves_money(self) -> bool:
        """Tell whether it needs the consent of the risk rules."""
        return any(isinstance(one, Pay | PlaceHold) for one in self.plan.effects)


def sent_names(plans: tuple[Plan, ...]) -> set[str]:
    """Return the names of the holds whose rows have to be known to compose the plans."""
    return {
        effect.name
        for plan in plans
        for effect in plan.effects
        if isinstance(effect, CaptureHold) and effect.shares
    }


class Composer:
    """Compose one plan of an identity; a new one for each."""

    def __init__(
        self,
        served: ServedPack,
        key: str,
        turn: Turn,
        *,
        ids: IdFactory,
        now: datetime,
        holds: Mapping[str, HoldRow],
    ) -> None:
        self._served = served
        self._key = key
        self._turn = turn
        self._ids = ids
        self._now = now
        # Payee and what is left, of the holds that are captured with shares.
        self._holds = {
            name: (row.payee, row.amount_minor - row.captured_minor - row.released_minor)
            for name, row in holds.items()
        }
        self._postings: list[Posting] = []
        self._steps: list[Step] = []
        self._facts: list[Fact] = []
        self._events: list[Event] = []
        # None: it is cancelled. Only the last word about a timer counts.
        self._timers: dict[str, Timer | None] = {}
        self._messages: list[Message] = []
        self._frees_money = False

    def hold_id(self, name: str) -> str:
        """Return the id of the identity's hold of that name."""
        turn = self._turn
        return (
            f"{self._served.name}."
            f"{digest_name(turn.app, self._served.name, turn.collection, self._key, name)}"
        )

    def compose(self, plan: Plan, document: Document | None) -> Way:
        """Return the plan as an alternative; raise :class:`EffectRefused` for one of no sense."""
        if len(plan.effects) > EFFECTS_MAX:
            raise EffectRefused(f"a plan with {len(plan.effects)} effects; at most {EFFECTS_MAX}")
        if self._turn.received:
            self._timers[self._turn.received] = None
        if self._turn.expires is not None:
            self._expire(self._turn.expires)
        for number, effect in enumerate(plan.effects):
            self._take(effect, number)
        if document is not None:
            turn = self._turn
            fact = document_fact(self._served.name, turn.collection, turn.app, self._key, document)
            self._facts.append(fact)
        self._events += [
            Event(notice.type, notice.subject, _json.encode(notice.data).decode())
            for notice in plan.notices
        ]
        moves = Moves(postings=tuple(self._postings), steps=tuple(self._steps))
        alternative = Alternative(
            encode_moves(moves),
            tuple(self._facts),
            tuple(self._events),
            _json.encode(plan.result).decode(),
            tuple(one for one in self._timers.values() if one is not None),
            tuple(self._timers),
        )
        return Way(plan, alternative, tuple(self._messages), document)

    def _take(self, effect: msgspec.Struct, number: int) -> None:
        match effect:
            case Pay():
                self._served.require("pay")
                self._pay(effect)
            case PlaceHold():
                self._served.require("hold")
                self._place(effect, number)
            case CaptureHold():
                self._served.require("hold")
                self._capture(effect)
            case VoidHold():
                self._served.require("hold")
                self._void(effect)
            case Schedule():
                self._served.require("schedule")
                self._schedule(effect, number)
            case Cancel():
                self._served.require("schedule")
                self._timers[self._timer_id("timer", effect.name)] = None
            case Send():
                self._served.require("send")
                self._send(effect, number)
            case _:
                raise EffectRefused(
                    f"{type(effect).__name__} is not an effect that packs may ask for"
                )

    # Money.

    def _pay(self, pay: Pay) -> None:
        turn = self._turn
        composed = compose_payment(
            pay,
            app=turn.app,
            request_id=turn.request_id,
            payment_id=self._ids.new("pay"),
            method="seamless",
            created_at=self._now,
        )
        self._facts.append(composed.fact)
        self._events.append(composed.event)
        if pay.shares:
            self._check_shares(pay.shares, pay.amount_minor)
        if self._frees_money and 0 < pay.amount_minor <= MAX_AMOUNT_MINOR:
            # It may be paid with what a step before it gives free.
            self._steps.append(
                TransferStep(
                    pay.payer, pay.payee, pay.amount_minor, pay.currency, pay.amount_minor,
                    owner=turn.app, purpose="",
                )
            )  # fmt: skip
            self._share_out(pay.payee, pay.shares, pay.currency)
            return
        self._postings.append(composed.posting)
        self._postings += [
            Posting(
                pay.payee, share.payee, share.amount_minor, pay.currency, turn.app,
                fields=("payee", "shares"), purpose=self._served.purpose,
            )
            for share in pay.shares
        ]  # fmt: skip

    def _share_out(self, payee: str, shares: tuple[Share, ...], currency: str) -> None:
        """Have what the payee passes on follow, as steps."""
        self._steps += [
            TransferStep(
                payee, share.payee, share.amount_minor, currency, share.amount_minor,
                owner=self._turn.app, fields=("payee", "shares"), purpose=self._served.purpose,
            )
            for share in shares
        ]  # fmt: skip

    def _check_shares(self, shares: tuple[Share, ...], amount_minor: int) -> None:
        """Raise unless the shares are out of the amount."""
        self._served.require("split")
        if min(share.amount_minor for share in shares) < 1:
            raise EffectRefused("a share is at least 1 minor unit")
        passed_on = sum(share.amount_minor for share in shares)
        if passed_on > amount_minor:
            raise EffectRefused(f"shares of {passed_on} minor units out of {amount_minor}")

    def _place(self, effect: PlaceHold, number: int) -> None:
        turn, hold_id = self._turn, self.hold_id(effect.name)
        expires_at = None
        if effect.expires_in_s is not None:
            expires_at = self._now + timedelta(seconds=max(effect.expires_in_s, 0))
            self._set_timer(
                self._timer_id("hold", effect.name), self._served.expired_type, expires_at,
                effect.name, HoldExpired(name=effect.name), number,
            )  # fmt: skip
        self._holds[effect.name] = (effect.payee, effect.amount_minor)
        step = PlaceStep(
            hold_id, effect.account_id, effect.amount_minor, CNY, self._now, turn.app,
            effect.payee, self._served.purpose, True, effect.reference, expires_at,
        )  # fmt: skip
        self._steps.append(step)

    def _capture(self, effect: CaptureHold) -> None:
        self._frees_money = True
        turn = self._turn
        amount_minor, final = effect.amount_minor, effect.final
        known = self._holds.get(effect.name)
        if effect.shares and known is not None:
            # Nobody but this identity touches the hold, so what is left of it is what was read.
            payee, left = known
            if amount_minor is None:
                amount_minor, final = left, True
            self._check_shares(effect.shares, amount_minor)
            self._holds[effect.name] = (payee, left - amount_minor)
        step = CaptureStep(
            self.hold_id(effect.name), amount_minor, effect.payee, final, None, turn.app,
            self._served.purpose,
        )  # fmt: skip
        self._steps.append(step)
        # Of a hold that does not exist the capture is refused, and its shares with it.
        if known is not None:
            self._share_out(effect.payee or known[0], effect.shares, CNY)
        if final or amount_minor is None:
            self._timers[self._timer_id("hold", effect.name)] = None

    def _void(self, effect: VoidHold) -> None:
        self._frees_money = True
        self._steps.append(
            ReleaseStep(self.hold_id(effect.name), "voided", self._turn.app, self._served.purpose)
        )
        self._timers[self._timer_id("hold", effect.name)] = None

    def _expire(self, name: str) -> None:
        # Whatever the plan is: the ledger refuses it when the hold was resolved before.
        self._frees_money = True
        self._steps.append(
            ReleaseStep(self.hold_id(name), "expired", self._turn.app, self._served.purpose)
        )

    # Time and others.

    def _schedule(self, effect: Schedule, number: int) -> None:
        if effect.due_at.tzinfo is None or effect.every_s < 0:
            raise EffectRefused(
                f"timer {effect.name!r} needs a time with a zone, and an interval of 0 or more"
            )
        timer = self._served.timer_for(self._turn.collection, type(effect.body))
        self._set_timer(
            self._timer_id("timer", effect.name), f"{self._served.name}.timer.{timer.name}",
            effect.due_at, effect.name, effect.body, number, every_s=effect.every_s,
        )  # fmt: skip

    def _send(self, effect: Send, number: int) -> None:
        operation = self._served.receiver(effect.verb)
        if not isinstance(effect.body, operation.request):
            raise EffectRefused(
                f"{effect.verb!r} takes a {operation.request.__name__}, and is sent a "
                f"{type(effect.body).__name__}"
            )
        key = getattr(effect.body, operation.key)
        origin = self._origin(number)
        timer = self._set_timer(
            f"send.{origin}", f"{self._served.name}.send.{effect.verb}",
            self._now + timedelta(seconds=SEND_AGAIN_S), "", effect.body, number, key=key,
        )  # fmt: skip
        fired = TimerFired(timer.timer_id, timer.due_at_ms, 0, timer.body)
        self._messages.append(Message(key, timer.type, fired))

    def _set_timer(
        self, timer_id: str, type_: str, due_at: datetime, name: str, body: msgspec.Struct,
        number: int, *, key: str | None = None, every_s: int = 0,
    ) -> Timer:  # fmt: skip
        carried = Carried(
            self._origin(number), self._turn.collection, name, msgspec.Raw(_encode(body))
        )
        # Later than any time at which one of this id has fired already, so that the end of that
        # one does not take this one away.
        due_at_ms = max(due_ms(due_at), _ms(self._now) + 1)
        timer = self._timers[timer_id] = Timer(
            timer_id, due_at_ms, self._served.kind, self._key if key is None else key, type_,
            self._turn.app, msgspec.Raw(_encode(carried)), every_s,
        )  # fmt: skip
        return timer

    def _timer_id(self, what: str, name: str) -> str:
        turn = self._turn
        return (
            f"{what}.{digest_name(turn.app, self._served.name, turn.collection, self._key, name)}"
        )

    def _origin(self, number: int) -> str:
        """Return what no other effect has: a request's id is used once in its app."""
        return digest_name(self._turn.app, self._turn.request_id, number)


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)
