"""The purse of a student in the sequential model: top-ups, debts, subsidies, leaving."""

from datetime import UTC, datetime
from typing import Any

from plugins.campus.samples.bank import Refused
from plugins.campus.samples.people import Answer, Bills

__all__ = ("AHEAD", "SOON", "Purse")

# No message of the day is from a later time, but for those of clocks that run far ahead.
AHEAD = datetime(2040, 1, 1, tzinfo=UTC)
# Stands for a moment a week after the day, whenever that is played.
SOON = datetime(2040, 6, 1, tzinfo=UTC)


class Purse(Bills):
    """The school's books about what students have and owe.

    What ends before ``over`` has ended.
    """

    def __init__(self) -> None:
        super().__init__()
        self.over = AHEAD

    def campus_top_up(self, body: dict[str, Any]) -> Answer:
        """Move a guardian's money into the wallet; as many of the oldest debts as it covers go."""
        student = self.person(body["student_id"])
        payer = self.purse_of(student, body["guardian_id"])
        self.pay([(payer, student["wallet"], body["amount_minor"])])
        collected = self._collect(student)
        return "topped_up", {
            "collected_minor": collected,
            "debts_minor": self.owed(student),
        }

    def campus_settle_debts(self, body: dict[str, Any]) -> Answer:
        """Collect as many of the oldest debts as the wallet covers."""
        student = self.person(body["student_id"], active=False)
        if student["debts"]:
            amount, wallet = student["debts"][0][3], student["wallet"]
            if wallet in self.closed:
                raise Refused("invalid_state")
            if self.free(wallet) < amount:
                raise Refused("insufficient_funds")
        collected = self._collect(student)
        status = "partly_settled" if student["debts"] else "settled"
        return status, {"collected_minor": collected}

    def _collect(self, student: dict[str, Any]) -> int:
        collected = 0
        while student["debts"]:
            *_, payee, amount = student["debts"][0]
            if self.try_pay([(student["wallet"], payee, amount)]):
                break
            collected += student["debts"].pop(0)[3]
        return collected

    def campus_leave_school(self, body: dict[str, Any]) -> Answer:
        """Pay debts and the rest out, give subsidies back."""
        student = self.person(body["student_id"], active=False)
        if any(student["bills"].values()):
            raise Refused("invalid_state")
        owed, balance = self.owed(student), body["balance_minor"]
        if owed > balance:
            raise Refused("insufficient_funds")
        payee = self.purse_of(student, body["guardian_id"])
        wallet = student["wallet"]
        payments = [(wallet, one, amount) for _, _, one, amount in student["debts"]]
        if balance > owed:
            payments.append((wallet, payee, balance - owed))
        self.pay(payments)
        returned = sum(left for *_, left in student["grants"])
        fund = self.schools[student["school"]]["accounts"]["subsidy_fund"]
        self.held[fund] -= returned
        status = "rest_paid" if student["left"] else "left"
        student["grants_over"] |= {name for _, name, _ in student["grants"]}
        student |= {"left": True, "debts": [], "grants": [], "cap": None}
        return status, {
            "debts_paid_minor": owed,
            "paid_out_minor": balance - owed,
            "subsidies_returned_minor": returned,
        }

    def campus_grant_subsidy(self, body: dict[str, Any]) -> Answer:
        """Hold money of the fund for a student."""
        student = self.person(body["student_id"])
        end = datetime.fromisoformat(body["expires_at"])
        if end <= self.over:
            raise Refused("invalid_field")
        name = body["grant_id"]
        if name in student["grants_over"] or any(one == name for _, one, _ in student["grants"]):
            raise Refused("invalid_state")
        fund = self.schools[student["school"]]["accounts"]["subsidy_fund"]
        self.hold(fund, body["amount_minor"])
        student["grants"] = sorted([*student["grants"], (end, name, body["amount_minor"])])
        return "granted", {"amount_minor": body["amount_minor"]}

    def campus_revoke_subsidy(self, body: dict[str, Any]) -> Answer:
        """Give back what is left of a subsidy."""
        student = self.person(body["student_id"])
        found = [one for one in student["grants"] if one[1] == body["grant_id"]]
        if not found:
            over = body["grant_id"] in student["grants_over"]
            raise Refused("invalid_state" if over else "not_found")
        self.check_officer(student["school"], body["officer_id"], "may_approve")
        student["grants"].remove(found[0])
        student["grants_over"].add(body["grant_id"])
        self.held[self.schools[student["school"]]["accounts"]["subsidy_fund"]] -= found[0][2]
        return "revoked", {"returned_minor": found[0][2]}

    def expire(self) -> None:
        """Give back what is left of subsidies that have ended."""
        for student in self.students.values():
            ended = [one for one in student["grants"] if one[0] <= self.over]
            for grant in ended:
                student["grants"].remove(grant)
                student["grants_over"].add(grant[1])
                fund = self.schools[student["school"]]["accounts"]["subsidy_fund"]
                self.held[fund] -= grant[2]

    def owed(self, student: dict[str, Any]) -> int:
        """Return what a student owes to tills."""
        return sum(amount for *_, amount in student["debts"])
