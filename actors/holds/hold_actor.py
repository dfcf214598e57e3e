"""The actor of holds and freezes: from requests and fired timers to the journal."""

from typing import Any, ClassVar

import msgspec

from actors.digest import request_digest
from actors.holds._decisions import DECISIONS, Case, Missing
from actors.holds.hold_row import fetch_holds
from actors.payments.profiles import Profile, Profiles
from kernel.actor import BatchActor, Delivery
from kernel.clock import Clock
from kernel.journal import JOURNAL_KEY, JOURNAL_KIND, JOURNAL_TYPE
from kernel.randomness import IdFactory
from kernel.store import Store
from schemas.change import Alternative, Change, TimerFired
from schemas.errors import ErrorBody, ZhihuiError
from schemas.holds import PlaceHold
from schemas.risk import RISK_CHECK_TYPE, RISK_KIND, RiskCheck, RiskFacts

__all__ = ("HoldActor",)


class HoldActor(BatchActor):
    """Turn requests about holds into changes and hand them to the journal, which answers.

    Of a hold that a request names it reads what never changes; what is left of it only the ledger
    knows.
    """

    kind = "hold"
    accepts: ClassVar[dict[str, type[msgspec.Struct]]] = {
        type_: message for type_, (message, _) in DECISIONS.items()
    }

    def __init__(self, store: Store, clock: Clock, ids: IdFactory) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids
        self._profiles = Profiles(store)
        self._decoders: dict[str, msgspec.msgpack.Decoder[Any]] = {
            type_: msgspec.msgpack.Decoder(message) for type_, message in self.accepts.items()
        }

    async def receive_batch(self, deliveries: list[Delivery]) -> None:
        """Forward each request to the journal, or refuse it."""
        now = self._clock.now()
        wanted = []
        for delivery in deliveries:
            envelope = delivery.envelope
            request = self._decoders[envelope.type].decode(envelope.body)
            wanted.append((delivery, request, _hold_id(delivery, request)))
        holds = await fetch_holds(self._store, {hold_id for *_, hold_id in wanted if hold_id})
        placed = [one.account_id for _, one, _ in wanted if isinstance(one, PlaceHold)]
        profiles = await self._profiles.load(placed) if placed else {}
        for delivery, request, hold_id in wanted:
            app = delivery.envelope.app
            hold = holds.get(hold_id)
            # Another app's hold is answered like one that does not exist.
            known = hold if hold is not None and hold.app == app else None
            try:
                change = _change(delivery, request, Case(app, now, self._ids, known))
            except ZhihuiError as error:
                delivery.fail(error)
                continue
            if isinstance(request, PlaceHold):
                # What is held will move: the check comes before the money is set aside for it.
                profile = profiles.get(request.account_id)
                facts = _facts(app, request, profile, int(now.timestamp() * 1000))
                check = RiskCheck(change, facts)
                delivery.forward(RISK_KIND, facts.customer, RISK_CHECK_TYPE, check)
            else:
                delivery.forward(JOURNAL_KIND, JOURNAL_KEY, JOURNAL_TYPE, change)


def _facts(app: str, request: PlaceHold, profile: Profile | None, at_ms: int) -> RiskFacts:
    customer = "" if profile is None else profile.customer_id
    return RiskFacts(
        app=app,
        subject=request.request_id,
        customer=customer or request.account_id,
        payer=request.account_id,
        payee=request.payee or "",
        amount_minor=request.amount_minor,
        method="hold",
        at_ms=at_ms,
    )


def _hold_id(delivery: Delivery, request: Any) -> str:
    if isinstance(request, TimerFired):
        return delivery.envelope.key
    return getattr(request, "hold_id", None) or ""


def _change(delivery: Delivery, request: Any, case: Case) -> Change:
    envelope = delivery.envelope
    alternatives: tuple[Alternative, ...] = ()
    rejection: ErrorBody | None = None
    _, decide = DECISIONS[envelope.type]
    try:
        alternatives = decide(request, case)
    except Missing as missing:
        # To the journal all the same: there the id may be known with another answer, and if it is
        # not, it stays refused when it is sent again.
        rejection = missing.rejection
    return Change(
        envelope.app,
        request.request_id,
        envelope.type,
        request_digest(envelope.type, envelope.body),
        alternatives,
        rejection,
    )
