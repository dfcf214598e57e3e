"""The merchants of the city and what is paid to them: every method, refunds, disputes, mandates.

Fees and shares are worked out here once more, in the simplest way there is, so that the service's
own sums have something to be compared with.
"""

from typing import Any

import msgspec

from zhihui.demo.city.people import PEOPLE
from zhihui.demo.city.script import OFFICE, Script

__all__ = (
    "MERCHANTS",
    "Shop",
    "bought",
    "confirm_by_itself",
    "given_back",
    "open_shops",
    "pay_by_all_methods",
)

_FEE_PPM = 3_800


class Shop(msgspec.Struct, frozen=True, kw_only=True):
    """A merchant; ``shares`` are the parts per million that go to others of the app."""

    name: str
    cycle: str
    shares: tuple[tuple[str, int], ...] = ()

    @property
    def account(self) -> str:
        """How bodies refer to its collection account."""
        return f"@acct:{self.name}"

    def parts(self, amount: int) -> tuple[int, dict[str, int]]:
        """Return the fee of a payment, half up to the fen, and the shares of what it leaves."""
        fee = min((amount * _FEE_PPM * 2 + 1_000_000) // 2_000_000, amount)
        net = amount - fee
        owners = [*(name for name, _ in self.shares), self.name]
        weights = [*(ppm for _, ppm in self.shares)]
        weights.append(1_000_000 - sum(weights))
        floors = [net * weight // 1_000_000 for weight in weights]
        # What the floors leave goes to the largest remainders.
        order = sorted(range(len(owners)), key=lambda n: (-(net * weights[n] % 1_000_000), n))
        for n in order[: net - sum(floors)]:
            floors[n] += 1
        return fee, dict(zip(owners[:-1], floors[:-1], strict=True))


MERCHANTS = (
    Shop(name="market", cycle="D+1", shares=(("stall", 700_000), ("farmer", 200_000))),
    Shop(name="canteen", cycle="T+1"),
    Shop(name="water", cycle="T+0"),
    Shop(name="garage", cycle="T+1", shares=(("owner", 850_000),)),
)
_OTHERS = ("stall", "farmer", "owner")


def open_shops(script: Script) -> None:
    """Open the merchants' accounts and agree their terms."""
    script.begin("Merchants open")
    for name in (*_OTHERS, *(shop.name for shop in MERCHANTS)):
        script.open_account(name, type_="merchant")
        script.open_account(f"{name}-bank", type_="merchant")
    script.begin("Their terms are agreed")
    for shop in MERCHANTS:
        terms: dict[str, Any] = {
            "cycle": shop.cycle,
            "settle_to": {"type": "account", "account_id": f"@acct:{shop.name}-bank"},
            "fee": {"ppm": _FEE_PPM},
        }
        if shop.shares:
            shares = [{"type": "ppm", "account_id": f"@acct:{name}", "ppm": ppm}
                      for name, ppm in shop.shares]  # fmt: skip
            terms["splits"] = {"usual": {"shares": shares}}
            terms["default_split"] = "usual"
        script.ask(
            "merchant.create", shop.name, account_id=shop.account, name=shop.name, terms=terms,
            category="5411",
        )  # fmt: skip


def bought(script: Script, payer: str, shop: Shop, amount: int) -> None:
    """Tell the model what a payment comes to."""
    fee, shares = shop.parts(amount)
    script.moved(payer, shop.name, amount)
    script.moved(shop.name, "fees", fee)
    for name, part in shares.items():
        script.moved(shop.name, name, part)


def given_back(script: Script, payer: str, shop: Shop, amount: int) -> None:
    """Tell the model that all of a payment went back."""
    fee, shares = shop.parts(amount)
    script.moved("fees", shop.name, fee)
    for name, part in shares.items():
        script.moved(name, shop.name, part)
    script.moved(shop.name, payer, amount)


def pay_by_all_methods(script: Script) -> None:
    """Let everybody pay in every way, and take some of it back."""
    _quick(script)
    _codes(script)
    _seamless(script)
    _guaranteed(script)
    _authorized(script)
    _disputed(script)
    _refused(script)


def _account(person: int) -> str:
    return f"@p{person}.account_id"


def _quick(script: Script) -> None:
    script.begin("Quick payments, some of them refunded in parts")
    for person in range(PEOPLE):
        for _ in range(6):
            shop = script.random.choice(MERCHANTS)
            amount = script.random.randint(100, 20_000)
            name, lane = f"pay{script.number()}", f"p{person}"
            line = script.ask(
                "payment.create", lane, keeps=name, payer=_account(person), payee=shop.account,
                amount_minor=amount, reference="购物", result={"status": "succeeded"},
            )  # fmt: skip
            bought(script, lane, shop, amount)
            if script.random.random() < 0.2:
                script.again(line)
            if script.random.random() < 0.25:
                payment: dict[str, Any] = {"payment_id": f"@{name}.payment_id"}
                first = amount // 3
                script.ask("payment.refund", lane, amount_minor=first, **payment)
                script.ask(
                    "payment.refund", lane, expect="limit_exceeded", amount_minor=amount, **payment
                )
                script.ask("payment.refund", lane, reason="退货", **payment)
                given_back(script, lane, shop, amount)
                script.ask("payment.get", lane, result={"status": "refunded"}, **payment)


def _codes(script: Script) -> None:
    script.begin("Codes are made")
    for shop in MERCHANTS:
        script.ask("qr.create", shop.name, keeps=f"static-{shop.name}", type="static",
                   account_id=shop.account)  # fmt: skip
    script.ask("qr.create", "canteen", keeps="dynamic", type="dynamic",
               account_id="@acct:canteen", amount_minor=1_880, expires_in_s=3_600)  # fmt: skip
    script.ask("qr.create", "p2", keeps="shown", type="customer", account_id=_account(2),
               expires_in_s=3_600)  # fmt: skip
    script.begin("Codes are scanned")
    for person in range(0, PEOPLE, 2):
        shop = MERCHANTS[person % len(MERCHANTS)]
        # 300 yuan pass, 250 more would be above the 500 yuan of a static code.
        for amount, expect in ((30_000, "ok"), (25_000, "limit_exceeded"), (20_000, "ok")):
            script.ask(
                "payment.create", f"p{person}", expect=expect, payer=_account(person),
                payee=shop.account, amount_minor=amount, method="qr_static",
                qr={"code_id": f"@static-{shop.name}.code_id"},
            )  # fmt: skip
            if expect == "ok":
                bought(script, f"p{person}", shop, amount)
    canteen = MERCHANTS[1]
    for person, expect in ((5, "ok"), (7, "invalid_state")):
        # Both in one lane: a dynamic code is for one payment.
        script.ask(
            "payment.create", "dynamic", expect=expect, payer=_account(person),
            payee=canteen.account, amount_minor=1_880, method="qr_dynamic",
            qr={"code_id": "@dynamic.code_id"},
        )  # fmt: skip
    bought(script, "p5", canteen, 1_880)
    script.ask(
        "payment.create", "shown", payee=canteen.account, amount_minor=2_500, method="qr_dynamic",
        qr={"code_id": "@shown.code_id"},
    )  # fmt: skip
    bought(script, "p2", canteen, 2_500)


def _seamless(script: Script) -> None:
    script.begin("Plates are bound and recognised")
    garage = MERCHANTS[3]
    for person in range(1, PEOPLE, 3):
        token = {"type": "plate", "value": f"沪A{person:05d}"}
        lane = f"p{person}"
        script.ask(
            "mandate.create", lane, keeps=f"mandate{person}", account_id=_account(person),
            per_payment_minor=5_000, per_day_count=2, payee=garage.account, token=token,
        )  # fmt: skip
        for amount, expect in ((1_500, "ok"), (5_001, "limit_exceeded"), (900, "ok"),
                               (100, "limit_exceeded")):  # fmt: skip
            script.ask(
                "payment.create", lane, expect=expect, payer=_account(person),
                payee=garage.account, amount_minor=amount, method="seamless", mandate_token=token,
            )  # fmt: skip
            if expect == "ok":
                bought(script, lane, garage, amount)
        script.ask("mandate.revoke", lane, mandate_id=f"@mandate{person}.mandate_id")
        script.ask("mandate.get", lane, mandate_id=f"@mandate{person}.mandate_id",
                   result={"status": "revoked", "used_count": 2})  # fmt: skip


def _guaranteed(script: Script) -> None:
    script.begin("Guaranteed pay")
    market = MERCHANTS[0]
    for person in range(0, PEOPLE, 3):
        lane, name = f"p{person}", f"guaranteed{person}"
        amount = 40_000 + person
        script.ask(
            "payment.create", lane, keeps=name, payer=_account(person), payee=market.account,
            amount_minor=amount, method="guaranteed", confirm_after_days=3,
            result={"status": "guaranteed"},
        )  # fmt: skip
        payment: dict[str, Any] = {"payment_id": f"@{name}.payment_id"}
        if person % 9 == 0:
            script.ask("payment.void", lane, **payment)
        elif person % 9 == 3:
            script.ask("payment.confirm", lane, result={"status": "succeeded"}, **payment)
            bought(script, lane, market, amount)
        else:
            script.moved(lane, "escrow", amount)
            script.kept.append((lane, name, amount))


def confirm_by_itself(script: Script) -> None:
    """Days later: what nobody has confirmed is confirmed."""
    market = MERCHANTS[0]
    script.begin("Guaranteed payments are confirmed by themselves")
    for lane, name, amount in script.kept:
        script.ask("payment.get", lane, until=True, result={"status": "succeeded"},
                   payment_id=f"@{name}.payment_id")  # fmt: skip
        script.moved("escrow", lane, amount)
        bought(script, lane, market, amount)


def _authorized(script: Script) -> None:
    script.begin("Authorised pay")
    garage = MERCHANTS[3]
    for person in range(2, PEOPLE, 4):
        lane, name = f"p{person}", f"authorized{person}"
        script.ask(
            "payment.create", lane, keeps=name, payer=_account(person), payee=garage.account,
            amount_minor=50_000, method="authorized", expires_in_s=86_400,
            result={"status": "authorized"},
        )  # fmt: skip
        payment: dict[str, Any] = {"payment_id": f"@{name}.payment_id"}
        if person % 8 == 2:
            script.ask("payment.capture", lane, amount_minor=12_345,
                       result={"status": "partially_captured"}, **payment)  # fmt: skip
            script.ask("payment.capture", lane, amount_minor=7_655, final=True, **payment)
            bought(script, lane, garage, 12_345)
            bought(script, lane, garage, 7_655)


def _disputed(script: Script) -> None:
    script.begin("Disputes, one for the payer and one for the payee")
    canteen = MERCHANTS[1]
    for person, decision in ((11, "refund"), (13, "release")):
        lane, name = f"p{person}", f"disputed{person}"
        script.ask("payment.create", lane, keeps=name, payer=_account(person),
                   payee=canteen.account, amount_minor=2_000)  # fmt: skip
        bought(script, lane, canteen, 2_000)
        payment: dict[str, Any] = {"payment_id": f"@{name}.payment_id"}
        script.ask("payment.dispute", lane, reason="没有收到",
                   result={"status": "disputed"}, **payment)  # fmt: skip
        script.ask("payment.resolve", lane, app=OFFICE, decision=decision, reason="looked into",
                   **payment)  # fmt: skip
        if decision == "refund":
            given_back(script, lane, canteen, 2_000)


def _refused(script: Script) -> None:
    script.begin("What must not pass")
    canteen = MERCHANTS[1]
    script.ask("payment.create", "p3", expect="self_payment", payer=_account(3), payee=_account(3),
               amount_minor=1)  # fmt: skip
    script.ask("payment.create", "p4", expect="not_found", payer="acct_nobody",
               payee=canteen.account, amount_minor=1)  # fmt: skip
    script.ask("payment.create", "p30", expect="insufficient_funds", payer="@p30.account_id",
               payee=canteen.account, amount_minor=200_001)  # fmt: skip
    # 2,000 yuan a day may leave an account of class III.
    script.ask("payment.create", "p30", payer="@p30.account_id", payee=canteen.account,
               amount_minor=150_000)  # fmt: skip
    bought(script, "p30", canteen, 150_000)
    script.deposit("p30", "@p30.account_id", 150_000, "external:card:{@p30.account_id}")
    script.ask("payment.create", "p30", expect="limit_exceeded", payer="@p30.account_id",
               payee=canteen.account, amount_minor=50_001)  # fmt: skip
    script.ask("payment.create", "p8", expect="risk_declined", payer=_account(8),
               payee=canteen.account, amount_minor=500, merchant_category="7995")  # fmt: skip
    script.ask("payment.create", "p9", expect="step_up_required", payer=_account(9),
               payee=canteen.account, amount_minor=600_000, device_id="phone-9")  # fmt: skip
    script.ask("payment.create", "p9", payer=_account(9), payee=canteen.account,
               amount_minor=600_000, device_id="phone-9",
               verification={"factors": ["password", "sms"]})  # fmt: skip
    bought(script, "p9", canteen, 600_000)
    script.ask("account.freeze", "p10", keeps="freeze", account_id=_account(10), reason="法院")
    script.ask("payment.create", "p10", expect="invalid_state", payer=_account(10),
               payee=canteen.account, amount_minor=100)  # fmt: skip
    script.ask("account.unfreeze", "p10", account_id=_account(10))
    script.ask("rules.put", "p11", expect="forbidden", name="risk", rules={})
    script.ask("payment.get", "p11", app=OFFICE, expect="not_found", payment_id="pay_none")
