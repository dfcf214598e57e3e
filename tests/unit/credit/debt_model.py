"""A debt as a person with pencil and paper would keep it: fractions, and sums since the start.

It shares no code with the service. Interest and penalties are exact sums that are rounded down in
all, where the service carries remainders from day to day.
"""

from datetime import date, timedelta
from fractions import Fraction

__all__ = ("DebtModel",)


class _Term:
    def __init__(self, due_on: date, principal: int, fee: int) -> None:
        self.due_on = due_on
        self.principal = principal
        self.charge = fee
        self.due = False
        self.principal_paid = 0
        self.charge_paid = 0


class DebtModel:
    """One plan. ``fee_ppm`` makes it instalments, ``daily_ppm`` a loan."""

    def __init__(
        self, quote: dict[str, object], day: date, *, principal_first_after: int = 90
    ) -> None:
        self.loan = quote["kind"] == "loan"
        self.amount = int(str(quote["amount_minor"]))
        self.fee_ppm = int(str(quote["fee_ppm"]))
        self.daily = Fraction(int(str(quote["daily_ppm"])), 10**6)
        self.penalty_rate = Fraction(int(str(quote["penalty_ppm_per_day"])), 10**6)
        self.grace = int(str(quote["grace_days"]))
        self.principal_first_after = principal_first_after
        self.day = day
        terms = quote["terms"]
        assert isinstance(terms, list)
        self.terms = [
            _Term(
                date.fromisoformat(term["due_on"]),
                term["principal_minor"],
                0 if self.loan else term["charge_minor"],
            )
            for term in terms
        ]
        self.interest = Fraction(0)
        self.penalty = Fraction(0)
        self.refunds = 0
        self.penalty_paid = 0
        self.ended = False
        # Of the whole debt, since its start.
        self.paid_in = 0
        self.returned = 0
        self.income = 0

    def to(self, day: date) -> None:
        """Let the days pass."""
        while self.day < day and not self.ended:
            self.day += timedelta(days=1)
            undue = sum(term.principal for term in self.terms if not term.due)
            self.interest += undue * self.daily
            for term in self.terms:
                if term.due or term.due_on > self.day:
                    continue
                term.due = True
                if self.loan:
                    billed = sum(one.charge for one in self.terms)
                    term.charge = int(self.interest) - billed
                self.income += term.charge
            late = sum(t.principal - t.principal_paid for t in self.terms if self._late(t))
            before = int(self.penalty)
            self.penalty += late * self.penalty_rate
            self.income += int(self.penalty) - before
            self._look_for_the_end()

    def _late(self, term: _Term) -> bool:
        return term.due and (self.day - term.due_on).days > self.grace

    def _unpaid(self) -> list[_Term]:
        return [
            t for t in self.terms
            if t.due and (t.principal > t.principal_paid or t.charge > t.charge_paid)
        ]  # fmt: skip

    @property
    def principal(self) -> int:
        """What the line owes."""
        return sum(t.principal - t.principal_paid for t in self.terms)

    @property
    def charges(self) -> int:
        """What the line's account of charges owes."""
        fees = sum(t.charge - t.charge_paid for t in self.terms if t.due)
        return fees + int(self.penalty) - self.penalty_paid

    @property
    def payable(self) -> int:
        """What is due."""
        return self.charges + sum(t.principal - t.principal_paid for t in self.terms if t.due)

    def pay(self, amount: int) -> None:
        """Repay a part of what is due."""
        self.paid_in += amount
        oldest = min((t.due_on for t in self._unpaid() if self._late(t)), default=self.day)
        order = ["penalty", "charge", "principal"]
        if (self.day - oldest).days > self.principal_first_after:
            order.reverse()
        for what in order:
            if what == "penalty":
                part = min(amount, int(self.penalty) - self.penalty_paid)
                self.penalty_paid += part
                amount -= part
                continue
            for term in [t for t in self.terms if t.due]:
                owed = getattr(term, what) - getattr(term, f"{what}_paid")
                part = min(amount, owed)
                setattr(term, f"{what}_paid", getattr(term, f"{what}_paid") + part)
                amount -= part
        assert amount == 0
        self._look_for_the_end()

    def refund(self, amount: int) -> None:
        """Take a refund from the end, and return what was paid already."""
        self.refunds += amount
        rest = amount
        coming = [t for t in self.terms if not t.due]
        for term in [*reversed(coming), *reversed([t for t in self.terms if t.due])]:
            part = min(rest, term.principal - term.principal_paid)
            if not self.ended:
                term.principal -= part
                rest -= part
        self.returned += rest
        if self.ended:
            return
        fee = (self.amount - self.refunds) * self.fee_ppm // 10**6
        under_way = coming[0] if coming else None
        while coming and not coming[-1].principal:
            billed = sum(t.charge for t in self.terms if t.due)
            if coming[-1] is under_way and self.loan and int(self.interest) > billed:
                break
            self.terms.remove(coming.pop())
        for term in coming:
            term.charge = 0 if self.loan else min(term.charge, fee)
        self._look_for_the_end()

    def payoff(self) -> int:
        """What ends the debt today."""
        return self.payable + sum(t.principal for t in self.terms if not t.due) + self._begun()

    def _begun(self) -> int:
        coming = [t for t in self.terms if not t.due]
        due = [t for t in self.terms if t.due]
        if not coming:
            return 0
        if self.loan:
            return int(self.interest) - sum(t.charge for t in due)
        return coming[0].charge if not due or self.day > due[-1].due_on else 0

    def settle(self) -> None:
        """Pay all of it."""
        self.income += self._begun()
        self.paid_in += self.payoff()
        self.terms = []
        self.penalty = Fraction(self.penalty_paid)
        self.ended = True

    def _look_for_the_end(self) -> None:
        if all(t.due for t in self.terms) and not self.payable:
            self.ended = True
