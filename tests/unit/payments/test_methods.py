"""Each method of payment from its beginning to its ends, in a bank on virtual time."""

from typing import Any

import pytest

from tests.unit.payments.payments_lab import BankLab, Refused, play

_DAY_S = 86_400


def test_a_plain_payment_is_answered_as_ever() -> None:
    """A payment from one account to another has the fields it always had, and no state."""

    async def story(lab: BankLab) -> None:
        payer, payee = await lab.account(1_000), await lab.account()
        paid = await lab.pay(payer, payee, 300, reference="tea")
        assert set(paid) == {
            "payment_id", "request_id", "method", "status", "payer", "payee", "amount_minor",
            "currency", "reference", "created_at",
        }  # fmt: skip
        assert (paid["method"], paid["status"]) == ("quick", "succeeded")
        assert await lab.get(paid["payment_id"]) == paid
        assert lab.world.rows("payment_order") == lab.world.rows("payment_step") == []
        # The same in the long form.
        funding = [{"type": "account", "account_id": payer}]
        long = await lab.ask("payment.create", funding=funding, payee=payee, amount_minor=5)
        assert set(long) == set(paid)
        assert lab.world.rows("payment_order") == []

    play(story)


def test_guaranteed_pay_is_confirmed() -> None:
    """The money waits in escrow until the payer confirms, and then is the payee's."""

    async def story(lab: BankLab) -> None:
        payer, payee = await lab.account(1_000), await lab.account()
        paid = await lab.pay(payer, payee, 300, method="guaranteed")
        assert paid["status"] == "guaranteed"
        assert lab.balances()["escrow:guaranteed"] == 300
        assert lab.balances()[payee] == 0
        done = await lab.ask("payment.confirm", payment_id=paid["payment_id"])
        assert (done["status"], done["captured_minor"]) == ("succeeded", 300)
        assert lab.balances()[payee] == 300
        assert lab.events(paid["payment_id"]) == ["payment.guaranteed", "payment.succeeded"]
        again = await lab.refusal("payment.confirm", payment_id=paid["payment_id"])
        assert again == "invalid_state"
        assert lab.world.rows("timer") == []

    play(story)


def test_guaranteed_pay_confirms_itself() -> None:
    """Nobody confirms: after the days that were agreed the payee has the money."""

    async def story(lab: BankLab) -> None:
        payer, payee = await lab.account(1_000), await lab.account()
        paid = await lab.pay(payer, payee, 300, method="guaranteed", confirm_after_days=3)
        await lab.pass_time(3 * _DAY_S - 120)
        assert (await lab.get(paid["payment_id"]))["status"] == "guaranteed"
        await lab.pass_time(180)
        assert (await lab.get(paid["payment_id"]))["status"] == "succeeded"
        assert lab.balances()[payee] == 300

    play(story)


def test_what_a_timer_cannot_do_is_tried_again() -> None:
    """The payee's account was closed: the confirmation is delayed day by day, the money safe."""

    async def story(lab: BankLab) -> None:
        payer, payee = await lab.account(1_000), await lab.account()
        paid = await lab.pay(payer, payee, 300, method="guaranteed", confirm_after_days=1)
        await lab.ask("account.close", account_id=payee)
        await lab.pass_time(_DAY_S + 10)
        await lab.pass_time(_DAY_S + 10)
        assert (await lab.get(paid["payment_id"]))["status"] == "guaranteed"
        assert lab.events(paid["payment_id"]) == [
            "payment.guaranteed", "payment.delayed", "payment.delayed",
        ]  # fmt: skip
        voided = await lab.ask("payment.void", payment_id=paid["payment_id"])
        assert voided["status"] == "voided"
        assert lab.balances()[payer] == 1_000
        assert lab.world.rows("timer") == []

    play(story)


def test_guaranteed_pay_is_voided() -> None:
    """A void brings the money of all sources back from escrow."""

    async def story(lab: BankLab) -> None:
        one, other = await lab.account(1_000), await lab.account(1_000)
        payee = await lab.account()
        paid = await lab.ask(
            "payment.create", payee=payee, amount_minor=900, method="guaranteed",
            funding=[
                {"type": "account", "account_id": one, "amount_minor": 400},
                {"type": "account", "account_id": other},
            ],
        )  # fmt: skip
        voided = await lab.ask("payment.void", payment_id=paid["payment_id"])
        assert voided["status"] == "voided"
        assert [source["refunded_minor"] for source in voided["sources"]] == [400, 500]
        assert (lab.balances()[one], lab.balances()[other]) == (1_000, 1_000)
        for operation in ("payment.confirm", "payment.void", "payment.refund"):
            assert await lab.refusal(operation, payment_id=paid["payment_id"]) == "invalid_state"

    play(story)


@pytest.mark.parametrize("final", [True, False])
def test_authorised_pay_is_captured_in_parts(final: bool) -> None:
    """Held money is taken in parts, and a final part gives back the rest."""

    async def story(lab: BankLab) -> None:
        payer, payee = await lab.account(1_000), await lab.account()
        paid = await lab.pay(payer, payee, 600, method="authorized")
        payment_id = paid["payment_id"]
        assert (paid["status"], lab.held(payer), lab.balances()[payer]) == (
            "authorized",
            600,
            1_000,
        )
        assert await lab.refusal("hold.void", hold_id=lab.world.rows("hold")[0]["hold_id"]) == (
            "invalid_state"
        )
        first = await lab.ask("payment.capture", payment_id=payment_id, amount_minor=250)
        assert (first["status"], first["captured_minor"]) == ("partially_captured", 250)
        over = await lab.refusal("payment.capture", payment_id=payment_id, amount_minor=351)
        assert over == "insufficient_funds"
        assert await lab.refusal("payment.refund", payment_id=payment_id) == "invalid_state"
        last = await lab.ask(
            "payment.capture", payment_id=payment_id, amount_minor=100 if final else None,
            final=final,
        )  # fmt: skip
        captured = 350 if final else 600
        assert (last["status"], last["captured_minor"]) == ("succeeded", captured)
        assert (lab.held(payer), lab.balances()[payee]) == (0, captured)
        assert lab.world.rows("timer") == []
        back = await lab.ask("payment.refund", payment_id=payment_id)
        assert back["amount_minor"] == captured
        assert lab.balances()[payer] == 1_000

    play(story)


@pytest.mark.parametrize("captured", [0, 200])
@pytest.mark.parametrize("by_time", [True, False])
def test_authorised_pay_ends(captured: int, by_time: bool) -> None:
    """Voided or expired, what was held is free again; what was captured stays."""

    async def story(lab: BankLab) -> None:
        payer, payee = await lab.account(1_000), await lab.account()
        paid = await lab.pay(payer, payee, 600, method="authorized", expires_in_s=600)
        payment_id = paid["payment_id"]
        if captured:
            await lab.ask("payment.capture", payment_id=payment_id, amount_minor=captured)
        if by_time:
            await lab.pass_time(700)
        else:
            await lab.ask("payment.void", payment_id=payment_id)
        ended = await lab.get(payment_id)
        ends = "expired" if by_time else "voided"
        assert ended["status"] == ("succeeded" if captured else ends)
        assert ended["history"][-1]["event"] == ends
        assert ended["history"][-1]["amount_minor"] == 600 - captured
        assert (lab.held(payer), lab.balances()[payer]) == (0, 1_000 - captured)
        assert await lab.refusal("payment.capture", payment_id=payment_id) == "invalid_state"
        assert lab.world.rows("timer") == []

    play(story)


def test_an_authorisation_over_two_accounts_takes_the_first_first() -> None:
    """Captures go through the sources in the order of the funding, refunds the other way."""

    async def story(lab: BankLab) -> None:
        one, other = await lab.account(1_000), await lab.account(1_000)
        payee = await lab.account()
        paid = await lab.ask(
            "payment.create", payee=payee, amount_minor=700, method="authorized",
            funding=[
                {"type": "account", "account_id": one, "amount_minor": 300},
                {"type": "account", "account_id": other},
            ],
        )  # fmt: skip
        part = await lab.ask(
            "payment.capture", payment_id=paid["payment_id"], amount_minor=450, final=True
        )
        assert [source["amount_minor"] for source in part["sources"]] == [300, 150]
        assert (lab.held(one), lab.held(other)) == (0, 0)
        back = await lab.ask("payment.refund", payment_id=paid["payment_id"], amount_minor=200)
        assert back["sources"] == [
            {"number": 1, "amount_minor": 50},
            {"number": 2, "amount_minor": 150},
        ]

    play(story)


_NONSENSE: list[tuple[dict[str, Any], str, str]] = [
    ({"confirm_after_days": 3}, "invalid_field", "confirm_after_days"),
    ({"expires_in_s": 60, "method": "guaranteed"}, "invalid_field", "expires_in_s"),
    ({"method": "seamless"}, "invalid_field", "mandate_id"),
    ({"payer": None}, "invalid_field", "payer"),
    ({"funding": [{"type": "account", "account_id": "acct"}]}, "invalid_field", "payer"),
    ({"method": "guaranteed", "payee": "escrow:guaranteed"}, "not_found", "payee"),
    ({"method": "guaranteed", "payee": "income:merchant_fee"}, "not_found", "payee"),
    ({"method": "guaranteed", "payer": "external:cash"}, "not_found", "payer"),
    ({"method": "guaranteed", "currency": "USD"}, "unsupported_currency", "currency"),
    ({"split": "nobody"}, "invalid_field", "split"),
    ({"merchant_category": "78"}, "invalid_field", "merchant_category"),
    ({"verification": {"factors": ["smell"]}}, "invalid_field", "verification"),
]


@pytest.mark.parametrize(("more", "code", "field"), _NONSENSE)
def test_what_does_not_go_together_is_refused(more: dict[str, Any], code: str, field: str) -> None:
    """A request whose fields contradict each other, or that names what it may not, is refused."""

    async def story(lab: BankLab) -> None:
        body = {"payer": await lab.account(1_000), "payee": await lab.account(), "amount_minor": 5}
        body = {name: value for name, value in (body | more).items() if value is not None}
        with pytest.raises(Refused) as refused:
            await lab.ask("payment.create", **body)
        assert (refused.value.code, refused.value.field) == (code, field)
        assert lab.world.rows("payment") == []

    play(story)


def test_another_apps_accounts_are_not_there() -> None:
    """An app can take nothing from another's account by any method, nor follow up its payments."""

    async def story(lab: BankLab) -> None:
        mine, theirs = await lab.account(1_000), await lab.account(1_000, by=lab.gym)
        payee = await lab.account()
        for method in ("quick", "guaranteed", "authorized", "qr_dynamic"):
            refused = await lab.refusal(
                "payment.create", payer=theirs, payee=mine, amount_minor=5, method=method
            )
            assert refused == "not_found"
            funding = [{"type": "account", "account_id": mine, "amount_minor": 2},
                       {"type": "account", "account_id": theirs}]  # fmt: skip
            refused = await lab.refusal(
                "payment.create", funding=funding, payee=payee, amount_minor=5, method=method
            )
            assert refused == "not_found"
        paid = await lab.pay(mine, theirs, 100)
        for operation in ("payment.refund", "payment.void", "payment.get", "payment.dispute"):
            more = {"reason": "no"} if operation == "payment.dispute" else {}
            refused = await lab.refusal(
                operation, by=lab.gym, payment_id=paid["payment_id"], **more
            )
            assert refused == "not_found"
        assert (await lab.ask("payment.get", by=lab.ops, payment_id=paid["payment_id"])) == paid

    play(story)


def test_what_finds_no_account_is_kept_for_its_owner() -> None:
    """The payer closed the account: a void takes the money out of escrow, and the bank keeps it."""

    async def story(lab: BankLab) -> None:
        payer, other, payee = await lab.account(300), await lab.account(300), await lab.account()
        paid = await lab.ask(
            "payment.create", payee=payee, amount_minor=500, method="guaranteed",
            funding=[{"type": "account", "account_id": payer, "amount_minor": 300},
                     {"type": "account", "account_id": other}],
        )  # fmt: skip
        await lab.ask("account.close", account_id=payer)
        voided = await lab.ask("payment.void", payment_id=paid["payment_id"])
        assert voided["status"] == "voided"
        assert [one.get("unclaimed_minor", 0) for one in voided["sources"]] == [300, 0]
        balances = lab.balances()
        assert (balances["escrow:unclaimed"], balances[other]) == (300, 300)

    play(story)


def test_a_confirmation_that_the_terms_forbid_waits() -> None:
    """The merchant's new rule takes more than the payment brings: tried again, not given up."""

    async def story(lab: BankLab) -> None:
        payer, merchant = await lab.account(300), await lab.merchant()
        paid = await lab.pay(payer, merchant, 300, method="guaranteed", confirm_after_days=1)
        shares = [{"type": "fixed", "account_id": payer, "amount_minor": 1_000}]
        terms = {"cycle": "T+1", "settle_to": {"type": "bank", "reference": "card-1"},
                 "splits": {"all": {"shares": shares}}}  # fmt: skip
        await lab.ask(
            "merchant.update", merchant_id=merchant, terms={**terms, "default_split": "all"}
        )
        await lab.pass_time(86_400)
        assert lab.events(paid["payment_id"]) == ["payment.guaranteed", "payment.delayed"]
        await lab.ask("merchant.update", merchant_id=merchant, terms=terms)
        await lab.pass_time(86_400)
        assert (await lab.get(paid["payment_id"]))["status"] == "succeeded"

    play(story)
