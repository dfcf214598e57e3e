"""A new payment of any method and funding: the ways in which its change may turn out."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec
from msgspec import UNSET

from actors.entity import Case, Part, Plan, merge
from actors.payments.authority import (
    Authority,
    check_request,
    factors_of,
    find_authority,
    geo_of,
    given,
)
from actors.payments.desk import PaymentDesk
from actors.payments.funding import Leg, ReservingFunding
from actors.payments.funding_plan import (
    FundedLeg,
    Wanted,
    check_funding,
    funding_variants,
    leg_request,
    plan_legs,
)
from actors.payments.moves import ESCROW, HOLD_PURPOSE, PURPOSE_FUND, exactly, steps
from actors.payments.progress import go_on
from actors.payments.qr_codes import QR_RULES
from actors.payments.records import (
    Goal,
    LegState,
    PaymentState,
    Place,
    ReservedTally,
)
from actors.payments.turn import turn_of
from actors.payments.views import public_payment
from actors.payments.waiting import row_of, wait
from schemas.errors import SelfPayment
from schemas.funding import ChannelSource
from schemas.ledger import PlaceStep, TallyStep
from schemas.money import CNY
from schemas.payments import AUTHORIZATION_S, CONFIRM_DAYS, CreatePayment
from schemas.risk import RiskFacts

__all__ = ("CHANNEL_PAYER", "Creation", "create_payment", "payer_of")

# Whom a payment is called after that a channel is to pay; its name follows once there is one.
CHANNEL_PAYER = "channel"
# What follows the name of a channel in that of the account from which it pays.
_SUSPENSE = ":suspense"
# An id begins with the milliseconds of its making, in so many hexadecimal digits.
_ID_MS_DIGITS = 11
# Sources whose money is the bank's or a sponsor's.
_NOT_OWN_MONEY = frozenset({"points", "coupon"})
# Sources that are accounts in the sense of the limits of payment codes.
_COUNTED_BY_QR = frozenset({"account", "wealth", "credit"})


class Creation(msgspec.Struct, frozen=True, kw_only=True):
    """The ways of a new payment, those in which it waits for a review, and what risk looks at."""

    plans: tuple[Plan, ...]
    reviewed: tuple[Plan, ...]
    facts: RiskFacts


async def create_payment(desk: PaymentDesk, request: CreatePayment, case: Case) -> Creation:
    """Return what a request comes to; raise a rejection when that is nothing."""
    check_request(request)
    payee = await desk.profiles.payable(request.payee, "payee")
    authority = await find_authority(desk, request, case)
    check_funding(authority.funding, request.amount_minor)
    split = given(request.split, None)
    await desk.sharing.check(request.payee, split)
    draft = _Draft(desk, request, case, authority)
    wanted = draft.wanted()
    variants = await funding_variants(wanted, desk.sources)
    waiting = variants
    if any(isinstance(source, ChannelSource) for source in authority.funding):
        without = msgspec.structs.replace(wanted, with_channel=False)
        waiting = [await plan_legs(without, desk.sources)]
    merchants = await desk.merchants.by_account((request.payee,))
    merchant = merchants.get(request.payee)
    return Creation(
        plans=tuple([await draft.plan(legs) for legs in variants]),
        reviewed=tuple([await draft.plan(legs, review=True) for legs in waiting]),
        facts=await draft.facts(
            variants[0], payee.type, "" if merchant is None else merchant.category or ""
        ),
    )


class _Draft:
    """A payment in the making."""

    def __init__(
        self, desk: PaymentDesk, request: CreatePayment, case: Case, authority: Authority
    ) -> None:
        self._desk = desk
        self._request = request
        self._case = case
        self._authority = authority
        self._turn = turn_of(case)
        self._payer_field = "funding" if request.payer is UNSET else "payer"

    def wanted(self) -> Wanted:
        """Return what the sources are asked for."""
        request, case = self._request, self._case
        return Wanted(
            app=self._authority.app,
            request_id=request.request_id,
            payment_id=case.key,
            payee=request.payee,
            method=self._request.method,
            total_minor=request.amount_minor,
            funding=self._authority.funding,
            now=case.now,
            ids=case.ids,
        )

    async def facts(self, legs: Sequence[FundedLeg], payee_type: str, category: str) -> RiskFacts:
        """Return what the risk check looks at."""
        request, case = self._request, self._case
        payer = _payer(legs)
        profile = (await self._desk.profiles.load((payer,))).get(payer)
        customer = payer if profile is None else profile.customer_id or payer
        channels = [one for one in self._authority.funding if isinstance(one, ChannelSource)]
        if channels and profile is None:
            # Nobody in the bank: known at best by what the channel knows the payer by.
            customer = channels[0].payer_reference or case.key
        return RiskFacts(
            app=case.app,
            subject=case.key,
            customer=customer,
            payer=payer,
            payee=request.payee,
            amount_minor=request.amount_minor,
            method=self._request.method,
            at_ms=case.now_ms,
            payee_type=payee_type,
            device_id=given(request.device_id, ""),
            geo=geo_of(request),
            merchant_category=given(request.merchant_category, category),
            factors=factors_of(request),
        )

    async def plan(self, legs: Sequence[FundedLeg], *, review: bool = False) -> Plan:
        """Return one way: what these legs come to, or what they wait as for a review."""
        case, desk = self._case, self._desk
        for one in legs:
            if self._request.payee == one.state.paid.account_id:
                raise SelfPayment(
                    f"account {self._request.payee!r} cannot pay itself", field="payee"
                )
        waits = review or any(one.state.held_minor for one in legs)
        state = self._state(legs)
        counted, reserved = await self._counted(legs)
        if state.goal == "authorize":
            state, collected = await self._hold(state, legs)
        else:
            to_payee = not waits and state.goal == "succeed"
            place: Place = "payee" if to_payee else "escrow"
            state = msgspec.structs.replace(state, place=place)
            collected = await self._collect(legs, self._request.payee if to_payee else ESCROW)
        state = msgspec.structs.replace(state, reserved=reserved)
        if state.place == "escrow":
            # Whether the amount carries the payee's shares is not to be found out too late.
            await desk.sharing.pay_out(self._turn, state, state.amount_minor, "")
        if waits:
            state, onward = wait(self._turn, state, review=review)
        else:
            state, onward = await go_on(desk, self._turn, state)
        row = Part(facts=(row_of(case.app, state),))
        whole = merge(row, self._authority.part, steps(*counted), collected, onward)
        plan = Plan(answer=public_payment(state), state=state)
        return plan.plus(whole)

    def _state(self, legs: Sequence[FundedLeg]) -> PaymentState:
        request, case, authority = self._request, self._case, self._authority
        goals: dict[str, Goal] = {"guaranteed": "guarantee", "authorized": "authorize"}
        goal = goals.get(self._request.method, "succeed")
        expires_at: datetime | None = None
        if goal == "authorize":
            seconds = given(request.expires_in_s, AUTHORIZATION_S)
            expires_at = case.now + timedelta(seconds=seconds)
        code = authority.code
        return PaymentState(
            payment_id=case.key,
            request_id=request.request_id,
            method=self._request.method,
            status="new",
            payer=_payer(legs),
            payee=request.payee,
            amount_minor=request.amount_minor,
            created_at=_made_at(case.key),
            legs=tuple(one.state for one in legs),
            place="none",
            goal=goal,
            reference=request.reference,
            description=given(request.description, ""),
            split=given(request.split, None),
            mandate_id=authority.mandate_id,
            qr_code_id="" if code is None else code.code_id,
            qr_class="" if code is None else code.qr_class,
            confirm_after_days=given(request.confirm_after_days, CONFIRM_DAYS)
            if goal == "guarantee"
            else 0,
            expires_at=expires_at,
        )

    async def _collect(self, legs: Sequence[FundedLeg], target: str) -> Part:
        """Return what brings the money of the legs to the payee or into escrow."""
        parts = []
        for one in legs:
            leg = one.leg
            if leg is None:
                continue
            parts.append(leg.before)
            if one.state.held_minor:
                # A channel's: it comes when the channel has paid.
                continue
            owner = leg.owner
            if target == ESCROW and owner:
                # Nobody but the platform credits an account of the platform.
                await self._desk.profiles.owned(leg.pay_from, owner, "funding")
                owner = ""
            fields = (self._payer_field, "payee")
            amount = leg.amount_minor
            move = exactly(leg.pay_from, target, amount, PURPOSE_FUND, owner=owner, fields=fields)
            parts.append(steps(move))
        return merge(*parts)

    async def _hold(
        self, state: PaymentState, legs: Sequence[FundedLeg]
    ) -> tuple[PaymentState, Part]:
        """Return what holds the amounts of the legs, and what a source keeps for its captures."""
        held: list[LegState] = []
        parts: list[Part] = []
        for one in legs:
            assert one.leg is not None, "only a channel's leg comes later"
            paid = one.state.paid
            leg = await self._reserved(one, one.leg)
            hold_id = self._case.ids.new("hold")
            amount = paid.amount_minor
            placed = PlaceStep(
                hold_id, leg.pay_from, amount, CNY, self._case.now,
                owner=leg.owner, payee=state.payee, purpose=HOLD_PURPOSE,
                reference=state.payment_id, expires_at=state.expires_at,
                fields=(self._payer_field, "payee"),
            )  # fmt: skip
            parts += [leg.before, steps(placed)]
            paid = msgspec.structs.replace(paid, amount_minor=0, hold_id=hold_id, record="{}")
            held.append(LegState(source=one.state.source, paid=paid, held_minor=amount))
        state = msgspec.structs.replace(state, legs=tuple(held), place="holds")
        return state, merge(*parts)

    async def _reserved(self, one: FundedLeg, leg: Leg) -> Leg:
        """Return the leg of an authorisation: what it gives comes with the captures."""
        paid = one.state.paid
        source = self._desk.sources[paid.type]
        if not isinstance(source, ReservingFunding):
            return msgspec.structs.replace(leg, before=Part())
        return await source.reserve(
            leg_request(
                self.wanted(), paid.number, one.state.source, paid.amount_minor, strict=True
            )
        )

    async def _counted(
        self, legs: Sequence[FundedLeg]
    ) -> tuple[tuple[TallyStep, ...], tuple[ReservedTally, ...]]:
        """Return what a payment by code counts for each account, and all that was reserved."""
        code, reserved = self._authority.code, list(self._authority.reserved)
        if code is None:
            return (), tuple(reserved)
        rules = self._desk.rules.current(QR_RULES.name)
        counted = []
        for one in legs:
            if one.state.paid.type not in _COUNTED_BY_QR or one.leg is None:
                continue
            account = payer_of(one.leg)
            profile = (await self._desk.profiles.load((account,))).get(account)
            customer = "" if profile is None else profile.customer_id
            amount = one.leg.amount_minor
            step = rules.step(code.qr_class, customer, account, amount, self._case.now)
            counted.append(step)
            reserved.append(ReservedTally(tally_id=step.tally_id, count=1, amount_minor=amount))
        return tuple(counted), tuple(reserved)


def payer_of(leg: Leg) -> str:
    """Return whom a leg's source is called after: an account, or a channel by its name."""
    return (leg.payer or leg.pay_from).removesuffix(_SUSPENSE)


def _made_at(payment_id: str) -> datetime:
    """Return when a payment got its id, so that lists have both in one order."""
    made_at_ms = int(payment_id.partition("_")[2][:_ID_MS_DIGITS], 16)
    return datetime.fromtimestamp(made_at_ms / 1000, UTC)


def _payer(legs: Sequence[FundedLeg]) -> str:
    """Return whom the payment's row calls its payer: the first who pays with money of his own."""
    own = [one for one in legs if one.state.paid.type not in _NOT_OWN_MONEY]
    first = own[0] if own else legs[0]
    if first.leg is not None:
        return payer_of(first.leg)
    source = first.state.source
    assert isinstance(source, ChannelSource), "only a channel's leg comes later"
    return f"{CHANNEL_PAYER}:{source.channel}" if source.channel else CHANNEL_PAYER
