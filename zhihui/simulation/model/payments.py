"""Payments of the model: funding from several sources, confirmation, capture, void, refund."""

from collections.abc import Hashable
from typing import Any

from zhihui.simulation.model.books import ESCROW, OUTSIDE, Books, demand
from zhihui.simulation.model.plans import Plan

__all__ = ("Leg", "Payment", "Payments")


class Leg:
    """One source's part: what it has to give, has given, and has got back."""

    def __init__(self, kind: str, source: Hashable, back_to: Hashable, due: int) -> None:
        self.kind = kind
        self.source = source
        self.back_to = back_to
        self.due = due
        self.taken = 0
        self.refunded = 0
        self.plan: Plan | None = None


class Payment:
    """A payment and where it stands."""

    def __init__(self, method: str, payee: Hashable, amount: int) -> None:
        self.method = method
        self.payee = payee
        self.amount = amount
        self.legs: list[Leg] = []
        self.status = "new"
        self.captured = 0
        self.refunded = 0
        # What is disputed of it, and how often it was.
        self.disputed = 0
        self.disputes = 0

    def answer(self) -> dict[str, Any]:
        """Return what whoever asks is told of it."""
        return {"status": self.status, "amount_minor": self.amount}


class Payments:
    """All payments, by the step that made them."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self.payments: dict[int, Payment] = {}

    def payment(self, number: int) -> Payment:
        """Return a payment; raise :class:`~zhihui.simulation.model.Refused`."""
        demand(number in self.payments, "not_found")
        return self.payments[number]

    def pay(self, number: int, payee: Hashable, amount: int, method: str,
            legs: list[dict[str, Any]]) -> dict[str, Any]:  # fmt: skip
        """Take the money from all sources, or from none."""
        payment = Payment(method, payee, amount)
        self._books.account(payee)
        payment.legs = [self._leg(one) for one in legs]
        if payment.legs[0].kind == "channel":
            payment.status = "processing"
        elif method == "authorized":
            for place, leg in enumerate(payment.legs):
                demand(leg.source != payee, "self_payment")
                self._books.place((number, place), leg.source, leg.due, "payment")
            payment.status = "authorized"
        else:
            for place, leg in enumerate(payment.legs):
                self._take(leg, payment, legs[place])
            self._reach(payment)
        self.payments[number] = payment
        return payment.answer()

    def _leg(self, one: dict[str, Any]) -> Leg:
        match one["type"]:
            case "account":
                return Leg("account", one["account"], one["account"], one["amount"])
            case "wealth":
                # A redemption comes back as money.
                return Leg("wealth", ("units", one["owner"]), one["owner"], one["amount"])
            case "credit":
                return Leg("credit", ("line", one["line"]), one["owner"], one["amount"])
            case _:
                return Leg("channel", OUTSIDE, OUTSIDE, one["amount"])

    def _take(self, leg: Leg, payment: Payment, asked: dict[str, Any]) -> None:
        if leg.kind != "credit":
            demand(leg.back_to != payment.payee, "self_payment")
        source = leg.source
        if leg.kind == "wealth":
            # Redeemed to the account that bought it, which pays.
            self._books.move(source, "fund", leg.due)
            self._books.move("fund", leg.back_to, leg.due)
            source = leg.back_to
        self._books.move(source, self._place(payment), leg.due)
        leg.taken = leg.due
        if leg.kind == "credit":
            leg.plan = Plan(leg.due, asked["terms"])

    def _place(self, payment: Payment) -> Hashable:
        return ESCROW if payment.method == "guaranteed" else payment.payee

    def _reach(self, payment: Payment) -> None:
        """Let the money stand where the method says."""
        if payment.method == "guaranteed":
            payment.status = "guaranteed"
        else:
            payment.captured = payment.amount
            payment.status = "succeeded"

    # What a channel tells.

    def channel_paid(self, number: int) -> None:
        """Let the money of a channel be here."""
        payment = self.payment(number)
        demand(payment.status == "processing", "invalid_state")
        (leg,) = payment.legs
        self._books.move(OUTSIDE, self._place(payment), leg.due)
        leg.taken = leg.due
        self._reach(payment)

    def channel_failed(self, number: int) -> None:
        """Let a payment end whose channels all said no."""
        payment = self.payment(number)
        demand(payment.status == "processing", "invalid_state")
        payment.status = "failed"

    # What follows.

    def confirm(self, number: int) -> dict[str, Any]:
        """Let the payee have the money of a guaranteed payment."""
        payment = self.payment(number)
        demand(payment.status == "guaranteed", "invalid_state")
        self._books.move(ESCROW, payment.payee, payment.amount)
        payment.captured = payment.amount
        payment.status = "succeeded"
        return payment.answer()

    def capture(self, number: int, amount: int | None, *, final: bool) -> dict[str, Any]:
        """Take held money, source after source."""
        payment = self.payment(number)
        demand(payment.status in ("authorized", "partially_captured"), "invalid_state")
        holds = [self._books.holds[number, place] for place in range(len(payment.legs))]
        held = sum(one.left for one in holds)
        taken = held if amount is None else amount
        demand(taken <= held, "insufficient_funds")
        ends = final or taken == held
        left = taken
        for place, hold in enumerate(holds):
            part = min(left, hold.left)
            left -= part
            name = (number, place)
            if part:
                hold.purpose = "hold"
                self._books.capture(name, payment.payee, part, final=ends)
                hold.purpose = "payment"
                payment.legs[place].taken += part
            elif ends and hold.left:
                self._books.release(name, "voided", "payment")
        payment.captured += taken
        payment.status = "succeeded" if ends else "partially_captured"
        return payment.answer()

    def void(self, number: int) -> dict[str, Any]:
        """Give back what has not reached the payee."""
        payment = self.payment(number)
        match payment.status:
            case "guaranteed":
                for leg in payment.legs:
                    self._return(ESCROW, leg, leg.taken)
                payment.status = "voided"
            case "processing":
                payment.status = "voided"
            case "authorized" | "partially_captured":
                self._let_go(number, payment)
                payment.status = "succeeded" if payment.captured else "voided"
            case _:
                demand(False, "invalid_state")
        return payment.answer()

    def expire(self, number: int) -> None:
        """Give back what nobody captured in time."""
        payment = self.payment(number)
        demand(payment.status in ("authorized", "partially_captured"), "invalid_state")
        self._let_go(number, payment)
        payment.status = "succeeded" if payment.captured else "expired"

    def _let_go(self, number: int, payment: Payment) -> None:
        for place in range(len(payment.legs)):
            if self._books.holds[number, place].left:
                self._books.release((number, place), "voided", "payment")

    def refund(self, number: int, amount: int | None) -> dict[str, Any]:
        """Give back what the payee got, to the last source first."""
        payment = self.payment(number)
        demand(payment.status in ("succeeded", "partially_refunded"), "invalid_state")
        return self._take_back(payment, amount)

    def _take_back(self, payment: Payment, amount: int | None) -> dict[str, Any]:
        left = payment.captured - payment.refunded
        given = left if amount is None else amount
        demand(given <= left, "limit_exceeded")
        rest = given
        for leg in reversed(payment.legs):
            part = min(rest, leg.taken - leg.refunded)
            rest -= part
            if part:
                self._return(payment.payee, leg, part)
        payment.refunded += given
        payment.status = "refunded" if given == left else "partially_refunded"
        return {"amount_minor": given, "payment_status": payment.status,
                "refunded_minor": payment.refunded}  # fmt: skip

    def dispute(self, number: int, amount: int | None) -> dict[str, Any]:
        """Freeze what is disputed, where the money is."""
        payment = self.payment(number)
        in_escrow = payment.status == "guaranteed"
        demand(in_escrow or payment.status in ("succeeded", "partially_refunded"), "invalid_state")
        left = payment.amount if in_escrow else payment.captured - payment.refunded
        disputed = left if amount is None else amount
        demand(disputed <= left and not (in_escrow and disputed != left), "limit_exceeded")
        if not in_escrow:
            name = (number, "dispute", payment.disputes)
            self._books.place(name, payment.payee, disputed, "dispute")
        payment.disputed = disputed
        payment.disputes += 1
        payment.status = "disputed"
        return payment.answer()

    def resolve(self, number: int, decision: str) -> dict[str, Any]:
        """End a dispute for the payer or for the payee."""
        payment = self.payment(number)
        demand(payment.status == "disputed", "invalid_state")
        name = (number, "dispute", payment.disputes - 1)
        if name not in self._books.holds:
            payment.status = "guaranteed"
            return self.void(number) if decision == "refund" else self.confirm(number)
        self._books.release(name, "voided", "dispute")
        if decision == "refund":
            self._take_back(payment, payment.disputed)
        else:
            payment.status = "partially_refunded" if payment.refunded else "succeeded"
        return payment.answer()

    def _return(self, debit: Hashable, leg: Leg, amount: int) -> None:
        leg.refunded += amount
        if leg.plan is None:
            self._books.move(debit, leg.back_to, amount)
            return
        repaid = leg.plan.refund(amount)
        if amount - repaid:
            self._books.move(debit, leg.source, amount - repaid)
        if repaid:
            self._books.move(debit, leg.back_to, repaid)

    def settle_plan(self, number: int, total: int) -> dict[str, Any]:
        """Repay a plan before its time, from the account of its line."""
        payment = self.payment(number)
        leg = next((one for one in payment.legs if one.plan is not None), None)
        demand(leg is not None, "not_found")
        assert leg is not None
        assert leg.plan is not None
        principal, fee = leg.plan.settle(total)
        self._books.move(leg.back_to, leg.source, principal)
        if fee:
            self._books.move(leg.back_to, OUTSIDE, fee)
        return {}
