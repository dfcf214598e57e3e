"""A customer who has everything that a payment may come from."""

from datetime import timedelta
from typing import Any

from actors.customers.reference_source import read_reference
from tests.unit.payments.payments_lab import BankLab

__all__ = ("Customer",)


class Customer:
    """A customer with an account, a holding, points, a coupon and a credit line."""

    def __init__(self, lab: BankLab) -> None:
        self.lab = lab
        self.account = ""
        self.units = ""
        self.points = ""
        self.coupon = ""
        self.line = ""

    async def open(self) -> "Customer":
        """Open all of it; return itself."""
        lab = self.lab
        person = read_reference().people[0]
        customer = await lab.ask(
            "customer.register", name=person.name, id_number=person.id_number, phone=person.phone
        )
        self.account = await lab.account(3_000_000)
        await lab.ask(
            "fund.create", by=lab.ops, fund="YEB", name="Money", confirm_days=0,
            advance={"advanced_by": "own_bank", "limit_minor": 10**9},
        )  # fmt: skip
        bought = await lab.ask(
            "wealth.subscribe", fund="YEB", cash_account=self.account, amount_minor=2_000_000
        )
        self.units = bought["units_account"]
        granted = await lab.ask(
            "points.grant", by=lab.ops, account_id=self.account, points=300, reason="welcome"
        )
        self.points = granted["points_account"]
        now = lab.world.clock.now()
        issued = await lab.ask(
            "coupon.issue", campaign="spring", budget_minor=10_000,
            discount={"face_minor": 500}, starts_at=now.isoformat(),
            ends_at=(now + timedelta(days=1)).isoformat(),
            sponsor_account=await lab.account(10_000),
        )  # fmt: skip
        self.coupon = issued["coupon_id"]
        line = await lab.ask(
            "credit.apply", customer_id=customer["customer_id"], kind="instalment",
            account_id=self.account, limit_minor=1_000_000,
        )  # fmt: skip
        self.line = line["line_id"]
        if line["status"] == "pending":
            await lab.ask(
                "credit.grant", by=lab.ops, line_id=self.line, limit_minor=1_000_000,
                decided_by="clerk",
            )  # fmt: skip
        return self

    async def quote(self, amount_minor: int) -> str:
        """Return a new quote."""
        quoted = await self.lab.ask(
            "credit.quote", line_id=self.line, amount_minor=amount_minor, terms=3
        )
        return str(quoted["quote_id"])

    async def all(self, credit_minor: int) -> list[dict[str, Any]]:
        """Return sources of every kind."""
        return [
            {"type": "coupon", "coupon_id": self.coupon},
            {"type": "points", "account_id": self.points},
            {"type": "credit", "line_id": self.line, "amount_minor": credit_minor,
             "quote_id": await self.quote(credit_minor)},
            {"type": "wealth", "units_account": self.units, "cash_account": self.account},
            {"type": "account", "account_id": self.account},
        ]  # fmt: skip
