"""Mandates and payment codes: what they allow, what they count, and how they end."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.regulation.qr_limits import QrLimits
from tests.unit.payments.payments_lab import BankLab, play

_DAY_S = 86_400


async def _mandate(lab: BankLab, account: str, **more: Any) -> Any:
    terms = {"per_payment_minor": 500, "per_day_minor": 900, "total_minor": 2_000, **more}
    return await lab.ask("mandate.create", account_id=account, **terms)


async def _seamless(lab: BankLab, payee: str, amount: int, **more: Any) -> Any:
    return await lab.ask(
        "payment.create", payee=payee, amount_minor=amount, method="seamless", **more
    )


def test_a_plate_pays_without_asking() -> None:
    """A seamless payment names the plate; the mandate's account pays, and its use is counted."""

    async def story(lab: BankLab) -> None:
        owner, garage = await lab.account(10_000), await lab.account(type="merchant")
        plate = {"type": "plate", "value": "京A12345"}
        mandate = await _mandate(lab, owner, token=plate, payee=garage)
        paid = await _seamless(lab, garage, 300, mandate_token=plate)
        assert (paid["status"], paid["payer"]) == ("succeeded", owner)
        assert paid["mandate_id"] == mandate["mandate_id"]
        await _seamless(lab, garage, 200, mandate_id=mandate["mandate_id"])
        used = await lab.ask("mandate.get", mandate_id=mandate["mandate_id"])
        assert (used["used_minor"], used["used_count"]) == (500, 2)
        assert (used["used_today_minor"], used["used_today_count"]) == (500, 2)
        other = {"type": "plate", "value": "沪B00001"}
        assert await lab.refusal(
            "payment.create", payee=garage, amount_minor=5, method="seamless", mandate_token=other
        ) == "not_found"  # fmt: skip

    play(story)


def test_a_mandate_is_for_its_account_and_payee() -> None:
    """It pays nobody else, from no other source, for no other app, and not for another face."""

    async def story(lab: BankLab) -> None:
        owner, other = await lab.account(10_000), await lab.account(10_000)
        payee, stranger = await lab.account(), await lab.account()
        face = {"type": "face", "value": "face-1"}
        mandate = await _mandate(lab, owner, payee=payee, token=face)
        named = {"mandate_id": mandate["mandate_id"], "amount_minor": 5, "method": "seamless"}
        for more, code in (
            ({"payee": stranger}, "ineligible"),
            ({"payee": payee, "payer": other}, "invalid_field"),
            ({"payee": payee, "funding": [{"type": "channel"}]}, "invalid_field"),
            ({"payee": payee, "mandate_token": {**face, "value": "face-2"}}, "ineligible"),
            ({"payee": payee, "amount_minor": 501}, "limit_exceeded"),
            ({"payee": payee, "by": lab.gym}, "not_found"),
        ):
            assert await lab.refusal("payment.create", **(named | more)) == code
        for body in (
            {"account_id": "external:cash", "per_payment_minor": 5},
            {"account_id": await lab.account(by=lab.gym), "per_payment_minor": 5},
            {"account_id": owner, "payee": "escrow:guaranteed", "per_payment_minor": 5},
        ):
            assert await lab.refusal("mandate.create", **body) == "not_found"
        await lab.ask("payment.create", **named, payee=payee, payer=owner, mandate_token=face)

    play(story)


def test_a_mandate_has_limits_of_a_day_and_in_all() -> None:
    """What a day allows comes anew on the next; what is allowed in all does not."""

    async def story(lab: BankLab) -> None:
        owner, payee = await lab.account(10_000), await lab.account()
        mandate = await _mandate(lab, owner)
        named = {"mandate_id": mandate["mandate_id"]}
        for amount in (500, 400):
            await _seamless(lab, payee, amount, **named)
        over = {"payee": payee, "amount_minor": 1, "method": "seamless", **named}
        assert await lab.refusal("payment.create", **over) == "limit_exceeded"
        await lab.pass_time(_DAY_S)
        for amount in (500, 400):
            await _seamless(lab, payee, amount, **named)
        await lab.pass_time(_DAY_S)
        await _seamless(lab, payee, 200, **named)
        assert await lab.refusal("payment.create", **over) == "limit_exceeded"
        used = await lab.ask("mandate.get", **named)
        assert (used["used_minor"], used["used_today_minor"]) == (2_000, 200)

    play(story)


def test_what_comes_to_nothing_counts_against_no_mandate() -> None:
    """A void and a reversal give back what was counted; a refund does not."""

    async def story(lab: BankLab) -> None:
        owner, payee = await lab.account(10_000), await lab.account()
        mandate = await _mandate(lab, owner)
        named = {"mandate_id": mandate["mandate_id"], "payee": payee, "amount_minor": 100}
        held = await lab.ask("payment.create", method="guaranteed", **named)
        await lab.ask("payment.void", payment_id=held["payment_id"])
        wrong = await lab.ask("payment.create", **named)
        await lab.ask(
            "payment.reverse", by=lab.ops, payment_id=wrong["payment_id"], reason="mistake"
        )
        right = await lab.ask("payment.create", **named)
        await lab.ask("payment.refund", payment_id=right["payment_id"])
        used = await lab.ask("mandate.get", mandate_id=mandate["mandate_id"])
        assert (used["used_minor"], used["used_count"]) == (100, 1)

    play(story)


@pytest.mark.parametrize("by_time", [False, True])
def test_a_mandate_ends(by_time: bool) -> None:
    """Revoked or expired, it pays no more, and its token is free for a new one."""

    async def story(lab: BankLab) -> None:
        owner, payee = await lab.account(10_000), await lab.account()
        plate = {"type": "plate", "value": "京A12345"}
        mandate = await _mandate(lab, owner, token=plate, expires_in_days=1)
        mandate_id = mandate["mandate_id"]
        assert await lab.refusal(
            "mandate.create", account_id=owner, per_payment_minor=5, token=plate
        ) == "invalid_state"  # fmt: skip
        if by_time:
            await lab.pass_time(_DAY_S)
        else:
            assert await lab.refusal("mandate.revoke", by=lab.gym, mandate_id=mandate_id) == (
                "not_found"
            )
            await lab.ask("mandate.revoke", mandate_id=mandate_id, reason="sold the car")
        ended = await lab.ask("mandate.get", mandate_id=mandate_id)
        assert ended["status"] == ("expired" if by_time else "revoked")
        assert lab.events(mandate_id)[-1] == f"mandate.{ended['status']}"
        assert await lab.refusal("mandate.revoke", mandate_id=mandate_id) == "invalid_state"
        for named in ({"mandate_id": mandate_id}, {"mandate_token": plate}):
            refused = await lab.refusal(
                "payment.create", payee=payee, amount_minor=5, method="seamless", **named
            )
            assert refused == ("invalid_state" if "mandate_id" in named else "not_found")
        await _mandate(lab, owner, token=plate)
        await _seamless(lab, payee, 5, mandate_token=plate)
        assert lab.world.rows("timer") == []

    play(story)


# Codes.


def test_a_static_code_is_paid_again_and_again() -> None:
    """A static code takes any amount, up to 500 yuan a day from one account."""

    async def story(lab: BankLab) -> None:
        payer, stall = await lab.account(100_000), await lab.account(by=lab.gym)
        code = await lab.ask("qr.create", by=lab.gym, type="static", account_id=stall)
        seen = await lab.ask("qr.get", code_id=code["code_id"])
        assert (seen["account_id"], seen["used"]) == (stall, False)
        scanned = {"payer": payer, "payee": stall, "method": "qr_static",
                   "qr": {"code_id": code["code_id"]}}  # fmt: skip
        for amount in (30_000, 20_000):
            paid = await lab.ask("payment.create", amount_minor=amount, **scanned)
            assert (paid["qr_class"], paid["qr_code_id"]) == ("D", code["code_id"])
        assert await lab.refusal("payment.create", amount_minor=1, **scanned) == "limit_exceeded"
        # Another method has another class, another account its own total, and tomorrow is new.
        await lab.pay(payer, stall, 1, method="qr_dynamic")
        await lab.ask(
            "payment.create", amount_minor=1, **(scanned | {"payer": await lab.account(5)})
        )
        await lab.pass_time(_DAY_S)
        await lab.ask("payment.create", amount_minor=1, **scanned)

    play(story)


@pytest.mark.parametrize(
    ("factors", "qr_class", "most"),
    [((), "C", 100_000), (("sms",), "C", 100_000), (("sms", "sms"), "C", 100_000),
     (("sms", "password"), "B", 500_000), (("certificate",), "A", None)],
)  # fmt: skip
def test_verification_decides_the_class(
    factors: tuple[str, ...], qr_class: str, most: int | None
) -> None:
    """The better the payer was verified, the more may be paid by dynamic codes in a day."""

    async def story(lab: BankLab) -> None:
        payer, payee = await lab.account(2_000_000), await lab.account()
        scanned = {"payer": payer, "payee": payee, "method": "qr_dynamic",
                   "verification": {"factors": list(factors)}}  # fmt: skip
        paid = await lab.ask("payment.create", amount_minor=most or 1_000_000, **scanned)
        assert paid["qr_class"] == qr_class
        if most is None:
            await lab.ask("payment.create", amount_minor=1, **scanned)
        else:
            assert await lab.refusal("payment.create", amount_minor=1, **scanned) == (
                "limit_exceeded"
            )

    play(story)


def test_a_dynamic_code_is_used_once() -> None:
    """It is for its amount, its payee and one payment, for a while."""

    async def story(lab: BankLab) -> None:
        payer, payee = await lab.account(10_000), await lab.account()
        code = await lab.ask(
            "qr.create", type="dynamic", account_id=payee, amount_minor=700, expires_in_s=600
        )
        body = {"payer": payer, "payee": payee, "amount_minor": 700, "method": "qr_dynamic",
                "qr": {"code_id": code["code_id"]}}  # fmt: skip
        for more, refused in (
            ({"amount_minor": 699}, "ineligible"),
            ({"payee": await lab.account()}, "ineligible"),
            ({"method": "qr_static"}, "ineligible"),
            ({"method": "quick"}, "invalid_field"),
            ({"qr": {"code_id": "qr_0"}}, "not_found"),
        ):
            assert await lab.refusal("payment.create", **(body | more)) == refused
        await lab.ask("payment.create", **body)
        assert await lab.refusal("payment.create", **body) == "invalid_state"
        assert (await lab.ask("qr.get", code_id=code["code_id"]))["used"]
        late = await lab.ask(
            "qr.create", type="dynamic", account_id=payee, amount_minor=700, expires_in_s=5
        )
        await lab.world.clock.sleep(6)
        body["qr"] = {"code_id": late["code_id"]}
        assert await lab.refusal("payment.create", **body) == "invalid_state"

    play(story)


def test_a_customer_shows_a_code_to_another_app() -> None:
    """Whoever is shown the code may charge the account once, and learns nothing else of it."""

    async def story(lab: BankLab) -> None:
        payer, till = await lab.account(10_000), await lab.account(by=lab.gym)
        code = await lab.ask("qr.create", type="customer", account_id=payer, amount_minor=800)
        seen = await lab.ask("qr.get", by=lab.gym, code_id=code["code_id"])
        assert seen["account_id"] is None
        assert (await lab.ask("qr.get", code_id=code["code_id"]))["account_id"] == payer
        body = {"payee": till, "amount_minor": 800, "method": "qr_dynamic",
                "qr": {"code_id": code["code_id"]}, "by": lab.gym}  # fmt: skip
        assert await lab.refusal("payment.create", **(body | {"amount_minor": 801})) == "ineligible"
        paid = await lab.ask("payment.create", **body)
        assert paid["payer"] == payer
        assert await lab.refusal("payment.create", **body) == "invalid_state"
        back = await lab.ask("payment.refund", by=lab.gym, payment_id=paid["payment_id"])
        assert back["payment_status"] == "refunded"
        assert lab.balances()[payer] == 10_000

    play(story)


@pytest.mark.parametrize(
    ("body", "refused"),
    [
        ({"type": "dynamic"}, "invalid_field"),
        ({"type": "static", "amount_minor": 5}, "invalid_field"),
        ({"type": "static", "expires_in_s": 5}, "invalid_field"),
        ({"type": "customer", "account_id": "external:cash"}, "not_found"),
    ],
)
def test_codes_that_make_no_sense_are_refused(body: dict[str, Any], refused: str) -> None:
    """A dynamic code needs its amount, a static one has neither amount nor end."""

    async def story(lab: BankLab) -> None:
        full = {"account_id": await lab.account(), **body}
        assert await lab.refusal("qr.create", **full) == refused

    play(story)


@given(st.sets(st.sampled_from(["password", "sms", "biometric", "certificate"])))
def test_more_factors_never_allow_less(factors: set[str]) -> None:
    """Adding a factor moves a payment to the same class or to one with a higher total."""
    rules = QrLimits()

    def most(known: set[str]) -> int:
        allowed = rules.most_minor(rules.class_of(known, static=False))
        return 2**62 if allowed is None else allowed

    for more in ("password", "sms", "biometric", "certificate"):
        assert most(factors | {more}) >= most(factors)
    assert rules.class_of(factors, static=True) == "D"


def test_the_back_office_agrees_on_more() -> None:
    """The totals are rules: put anew, they hold within a second."""

    async def story(lab: BankLab) -> None:
        payer, payee = await lab.account(100_000), await lab.account()
        rules = {"d_minor": 10}
        await lab.ask("rules.put", by=lab.ops, name="qr_limits", rules=rules)
        await lab.settle()
        scanned = {"payer": payer, "payee": payee, "method": "qr_static"}
        await lab.ask("payment.create", amount_minor=10, **scanned)
        assert await lab.refusal("payment.create", amount_minor=1, **scanned) == "limit_exceeded"

    play(story)
