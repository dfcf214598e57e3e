"""Funds, credit, points and coupons: bought, paid with, refunded, and paid back over a year."""

from zhihui.demo.city.market import MERCHANTS, bought, given_back
from zhihui.demo.city.script import OFFICE, Script

__all__ = ("buy_units", "offer_products", "pay_with_products", "see_plans_paid")

_FUND = "CASHPLUS"
# Income of a day on 10,000 units, in 1/10,000 yuan.
_RATE = 5_312
_SAVERS = (0, 1, 2, 3)
_BORROWERS = (4, 5, 6)
_RICH = ("rich0", "rich1")
_POINTS = 20_000
_PRICE = 120_000
_TERMS = 12
# The bank's standard fee of an instalment plan: of the principal, for each term.
_FEE_PPM = 6_000


def offer_products(script: Script) -> None:
    """Offer a fund, credit lines, points and coupons."""
    script.begin("The bank offers its products")
    script.ask(
        "fund.create", "fund", app=OFFICE, fund=_FUND, name="现金宝",
        advance={"advanced_by": "own_bank", "limit_minor": 100_000_000}, standing_rate=_RATE,
    )  # fmt: skip
    for name in _RICH:
        account = script.open_account(name)
        script.deposit(name, account, 5_000_000)
    for person in _BORROWERS:
        lane, line = f"p{person}", f"line{person}"
        script.ask(
            "credit.apply", lane, keeps=line, customer_id=f"@who{person}.customer_id",
            kind="instalment", account_id=f"@{lane}.account_id", limit_minor=300_000,
            autopay=person != 6,
        )  # fmt: skip
        script.ask("credit.grant", lane, app=OFFICE, line_id=f"@{line}.line_id",
                   limit_minor=300_000, decided_by="clerk-7")  # fmt: skip
    for person in _SAVERS:
        lane = f"p{person}"
        script.ask("points.grant", lane, app=OFFICE, keeps=f"points{person}",
                   account_id=f"@{lane}.account_id", points=_POINTS)  # fmt: skip
    script.ask(
        "coupon.issue", "coupon", app=OFFICE, keeps="coupon", campaign="spring",
        budget_minor=100_000, discount={"face_minor": 1_000, "spend_min_minor": 5_000},
        starts_at="2026-01-01T00:00:00+08:00", ends_at="2049-01-01T00:00:00+08:00",
        for_app="city",
    )  # fmt: skip


def buy_units(script: Script) -> None:
    """Buy units of the fund, which can be redeemed once they are confirmed."""
    script.begin("Units of the fund are bought")
    for name in _RICH:
        script.ask("wealth.subscribe", name, keeps=f"{name}-order", fund=_FUND,
                   cash_account=f"@acct:{name}", amount_minor=3_000_000)  # fmt: skip
        script.money[name] -= 3_000_000


def pay_with_products(script: Script) -> None:
    """Pay from the fund, on credit, with points and with a coupon; some of it goes back."""
    _from_the_fund(script)
    _on_credit(script)
    _rewards(script)


def _from_the_fund(script: Script) -> None:
    canteen = MERCHANTS[1]
    script.begin("Paying from the fund in the instant of payment")
    for name in _RICH:
        wealth = {"type": "wealth", "units_account": f"@{name}-order.units_account",
                  "cash_account": f"@acct:{name}"}  # fmt: skip
        cash = {"type": "account", "account_id": f"@acct:{name}"}
        # 7,000 yuan pass; of 6,000 more only half are below the cap of the day, and the account
        # has to give the rest; then there is no way but the account's.
        script.ask("payment.create", name, payee=canteen.account, amount_minor=700_000,
                   funding=[wealth], verification={"factors": ["password"]})  # fmt: skip
        script.money[name] += 700_000
        bought(script, name, canteen, 700_000)
        script.ask(
            "payment.create", name, keeps=f"{name}-both", payee=canteen.account,
            amount_minor=600_000, funding=[wealth, cash], verification={"factors": ["password"]},
        )  # fmt: skip
        script.money[name] += 300_000
        bought(script, name, canteen, 600_000)
        script.ask("payment.create", name, expect="limit_exceeded", payee=canteen.account,
                   amount_minor=100, funding=[wealth])  # fmt: skip
        script.ask("payment.refund", name, payment_id=f"@{name}-both.payment_id")
        given_back(script, name, canteen, 600_000)


def _on_credit(script: Script) -> None:
    water = MERCHANTS[2]
    script.begin("Paying in instalments")
    for person in _BORROWERS:
        lane, line = f"p{person}", f"@line{person}.line_id"
        quote = f"quote{person}"
        script.ask("credit.quote", lane, keeps=quote, line_id=line, amount_minor=_PRICE,
                   terms=_TERMS)  # fmt: skip
        credit = {"type": "credit", "line_id": line, "quote_id": f"@{quote}.quote_id"}
        script.ask("payment.create", lane, keeps=f"credit{person}", payee=water.account,
                   amount_minor=_PRICE, funding=[credit])  # fmt: skip
        bought(script, "credit", water, _PRICE)
        script.ask("payment.create", lane, expect="invalid_state", payee=water.account,
                   amount_minor=_PRICE, funding=[credit])  # fmt: skip
    # One of them sends it back, and owes nothing.
    script.ask("payment.refund", "p6", payment_id="@credit6.payment_id")
    given_back(script, "credit", water, _PRICE)
    script.ask("credit.get", "p6", line_id="@line6.line_id", result={"drawn_minor": 0})


def _rewards(script: Script) -> None:
    market = MERCHANTS[0]
    script.begin("Paying with points and coupons")
    for person in _SAVERS:
        lane = f"p{person}"
        points = {"type": "points", "account_id": f"@points{person}.points_account",
                  "amount_minor": 5_000}  # fmt: skip
        cash = {"type": "account", "account_id": f"@{lane}.account_id"}
        funding = [points, cash]
        given = 5_000
        if person == 0:
            funding = [{"type": "coupon", "coupon_id": "@coupon.coupon_id"}, *funding]
            given += 1_000
        script.ask("payment.create", lane, keeps=f"reward{person}", payee=market.account,
                   amount_minor=9_000, funding=funding)  # fmt: skip
        script.moved("rewards", lane, given)
        bought(script, lane, market, 9_000)
        script.ask(
            "points.get", lane, points_account=f"@points{person}.points_account",
            # One point pays one fen.
            result={"points": _POINTS - 5_000},
        )  # fmt: skip


def see_plans_paid(script: Script) -> None:
    """A year passes: instalments fall due and are paid from the accounts, term after term."""
    for month in range(1, _TERMS + 1):
        # The first step is longer: a day that is no business day moves a due date on.
        script.act("advance", days=40 if month == 1 else 31)
        script.begin(f"Instalments of month {month}")
        for person in _BORROWERS[:2]:
            # Every term is of the same principal, and its fee is paid with it.
            script.ask(
                "credit.get", f"p{person}", until=True, line_id=f"@line{person}.line_id",
                result={"drawn_minor": _PRICE - month * _PRICE // _TERMS, "charges_minor": 0},
            )  # fmt: skip
    script.begin("The plans are paid to their end")
    for person in _BORROWERS[:2]:
        script.money[f"p{person}"] -= _PRICE + _TERMS * (_PRICE * _FEE_PPM // 1_000_000)
        script.ask("credit.get", f"p{person}", until=True, line_id=f"@line{person}.line_id",
                   result={"drawn_minor": 0, "charges_minor": 0})  # fmt: skip
