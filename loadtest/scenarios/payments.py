"""Customers who pay in shops: small payments, now and then a balance or a statement.

``--set payers=1000`` and ``--set payees=20`` say how many accounts are opened for the run. With
``--engine lean`` only the payments are made, at rates that users could not reach.
"""

from loadtest import Flow, User, between, tag, task
from loadtest.harness.stage import Stage

__all__ = ("Customer", "Payment", "app", "defaults", "setup", "thresholds")

app = "load"

defaults = {"users": 20, "spawn_rate": 20, "duration": "20s"}

thresholds = ["error_rate<0.1%"]

# 100,000 yuan each: at 5 yuan a payment nobody runs dry in a run of any length.
_OPENING_MINOR = 10_000_000
_AMOUNT_MINOR_MAX = 500


async def setup(stage: Stage) -> dict[str, list[str]]:
    """Open accounts of customers with money in them, and of shops."""
    payers = int(stage.settings.get("payers", "200"))
    payees = int(stage.settings.get("payees", "20"))
    stage.say(f"opening {payers:,} accounts of customers and {payees:,} of shops")
    return {
        "payers": await stage.funded_accounts(payers, _OPENING_MINOR),
        "payees": await stage.merchants(payees),
    }


class Customer(User):
    """Pays for something, then looks at the account."""

    wait_time = between(0.05, 0.15)

    async def on_start(self) -> None:
        """Choose an account: with few of them, several customers share one."""
        payers = self.data["payers"]
        self.account = payers[self.number % len(payers)]

    @task(8)
    async def pay(self) -> None:
        """Pay up to five yuan."""
        amount_minor = self.random.randint(1, _AMOUNT_MINOR_MAX)
        payment = await self.client.payments.create(
            payer=self.account, payee=self.random.choice(self.data["payees"]),
            amount_minor=amount_minor,
        )  # fmt: skip
        self.expect(
            payment.amount_minor == amount_minor,
            "a payment is of the amount that was asked for",
            f"{payment.amount_minor} in place of {amount_minor} fen",
        )

    @tag("read")
    @task(2)
    async def look(self) -> None:
        """Read the balance."""
        account = await self.client.accounts.get(self.account)
        self.expect(
            account.posted_minor >= 0,
            "no customer's balance is below zero",
            f"{self.account} has {account.posted_minor} fen",
        )


class Payment(Flow):
    """One payment after another, of any customer to any shop."""

    service, verb = "payment", "create"

    def prepare(self) -> None:
        """Write all that stays the same once."""
        self._payers = [f'","payer":"{one}","payee":"' for one in self.data["payers"]]
        self._payees = self.data["payees"]

    def body(self, request_id: str) -> bytes:
        """Return the next payment."""
        draw = self.random.random
        payer = self._payers[int(draw() * len(self._payers))]
        payee = self._payees[int(draw() * len(self._payees))]
        self.amount_minor = 1 + int(draw() * _AMOUNT_MINOR_MAX)
        text = f'{{"request_id":"{request_id}{payer}{payee}","amount_minor":{self.amount_minor}}}'
        return text.encode()
