"""Whatever is asked in whatever order: no fen is made or lost, and the books explain each entry."""

from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.payments.payments_lab import BankLab, Refused, play

_METHODS = ("quick", "quick", "qr_static", "guaranteed", "guaranteed", "authorized", "authorized")
_FUNDS = 20_000


class _Market:
    """Accounts that pay each other, and payments that were made so far."""

    def __init__(self, lab: BankLab, chance: Random) -> None:
        self.lab = lab
        self.chance = chance
        self.payers: list[str] = []
        self.payees: list[str] = []
        self.takers: list[str] = []
        self.made: list[str] = []
        self.refused: list[str] = []

    async def open(self) -> None:
        """Open the accounts: two payees are merchants, one of whom splits."""
        lab = self.lab
        self.payers = [await lab.account(_FUNDS) for _ in range(3)]
        self.takers = [await lab.account() for _ in range(3)]
        shares = [{"type": "ppm", "account_id": one, "ppm": 123_457} for one in self.takers]
        self.payees = [
            await lab.account(),
            await lab.merchant(),
            await lab.merchant(
                splits={"deal": {"shares": shares}}, default_split="deal",
                refund_fee=self.chance.random() < 0.5,
            ),
        ]  # fmt: skip
        lab.channel()

    async def ask(self, operation: str, **body: Any) -> Any:
        """Ask, and take a refusal for an answer."""
        try:
            return await self.lab.ask(operation, **body)
        except Refused as refused:
            self.refused.append(refused.code)
            return None

    def _funding(self, total: int) -> list[dict[str, Any]]:
        chance = self.chance
        accounts = chance.sample(self.payers, chance.randint(1, 3))
        funding: list[dict[str, Any]] = [{"type": "account", "account_id": one} for one in accounts]
        if chance.random() < 0.2:
            funding.append({"type": "channel"})
        left = total
        for source in funding[:-1]:
            if chance.random() < 0.6 and left > 1:
                source["amount_minor"] = chance.randint(1, left - 1)
                left -= source["amount_minor"]
        return funding

    async def create(self) -> None:
        """Make a payment."""
        chance = self.chance
        amount = chance.choice((1, 7, 100, chance.randint(1, 9_000)))
        body: dict[str, Any] = {
            "payee": chance.choice(self.payees), "amount_minor": amount,
            "method": chance.choice(_METHODS),
        }  # fmt: skip
        if chance.random() < 0.5:
            body["payer"] = chance.choice(self.payers)
        else:
            body["funding"] = self._funding(amount)
        if chance.random() < 0.2:
            share = {"type": "ppm", "account_id": chance.choice(self.takers), "ppm": 300_001}
            body["split"] = {"shares": [share]}
        paid = await self.ask("payment.create", **body)
        if paid is not None:
            self.made.append(paid["payment_id"])

    async def follow(self) -> None:
        """Do something with one of the payments, whether it makes sense or not."""
        chance, lab = self.chance, self.lab
        body: dict[str, Any] = {"payment_id": chance.choice(self.made)}
        amount = chance.choice((None, None, 1, chance.randint(1, 3_000)))
        match chance.randrange(12):
            case 0 | 1:
                await self.ask("payment.confirm", **body)
            case 2 | 3:
                await self.ask(
                    "payment.capture", **body, amount_minor=amount, final=chance.random() < 0.3
                )
            case 4:
                await self.ask("payment.void", **body)
            case 5:
                await self.ask("payment.dispute", **body, reason="bad")
            case 6:
                decision = chance.choice(("refund", "release"))
                await self.ask("payment.resolve", **body, by=lab.ops, decision=decision, reason="r")
            case 7:
                await self.ask("payment.reverse", **body, by=lab.ops, reason="wrong")
            case 8:
                # The payees' money is spent, so that refunds may meet an empty account.
                payee = chance.choice(self.payees + self.takers)
                there = lab.balances()[payee] - lab.held(payee)
                if there:
                    await self.ask(
                        "payment.create", payer=payee, payee=self.payers[0],
                        amount_minor=chance.randint(1, there),
                    )  # fmt: skip
            case _:
                await self.ask("payment.refund", **body, amount_minor=amount)


@settings(max_examples=60)
@given(st.integers(0, 2**32), st.integers(5, 60))
def test_money_is_conserved(seed: int, steps: int) -> None:
    """Random payments and what may follow them: balances, entries, events and states agree.

    The lab checks after each story that all assets sum to zero, that each entry is explained by a
    payment, a capture or a transfer, that escrow and holds are what the payments say, that refunds
    never exceed captures, and that each payment went from status to status as the table says.
    """

    async def story(lab: BankLab) -> None:
        market = _Market(lab, Random(seed))  # noqa: S311 - nobody has to guess it
        await market.open()
        for _ in range(steps):
            if not market.made or market.chance.random() < 0.4:
                await market.create()
            else:
                await market.follow()
            if market.chance.random() < 0.1:
                await lab.settle()
                lab.check()
        await lab.settle()
        assert "internal" not in market.refused

    play(story)


@settings(max_examples=40)
@given(st.integers(0, 2**32))
def test_all_of_it_can_come_back(seed: int) -> None:
    """Payments of any funding and split, refunded in random pieces: everybody has what he had."""

    async def story(lab: BankLab) -> None:
        chance = Random(seed)  # noqa: S311 - nobody has to guess it
        market = _Market(lab, chance)
        await market.open()
        before = lab.balances()
        for _ in range(8):
            await market.create()
        await lab.settle()
        for payment_id in market.made:
            await market.ask("payment.confirm", payment_id=payment_id)
            await market.ask("payment.capture", payment_id=payment_id, amount_minor=1)
            await market.ask("payment.capture", payment_id=payment_id)
        for payment_id in market.made:
            paid = await lab.get(payment_id)
            left = paid["amount_minor"]
            while left:
                piece = min(left, chance.choice((left, chance.randint(1, left))))
                more = len((await lab.get(payment_id)).get("refunds", ())) >= 47
                piece = left if more else piece
                # What the fee did not give back has to come from somewhere.
                payee = paid["payee"]
                if lab.balances()[payee] < piece:
                    await lab.ask(
                        "account.deposit", account_id=payee, source="external:cash",
                        amount_minor=piece,
                    )  # fmt: skip
                await lab.ask("payment.refund", payment_id=payment_id, amount_minor=piece)
                left -= piece
        await lab.settle()
        after = lab.balances()
        for account in (*market.payers, *market.takers, "escrow:guaranteed"):
            assert after[account] == before[account]
        assert after["channel:wechat:suspense"] == 0

    play(story)
