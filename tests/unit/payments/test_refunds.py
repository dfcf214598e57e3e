"""Refunds, reversals and disputes of payments to merchants and others."""

from typing import Any

import pytest

from tests.unit.payments.payments_lab import BankLab, play


async def _market(lab: BankLab, **terms: object) -> tuple[str, str, str, str]:
    """Return a payer, a merchant who splits, and the two participants."""
    farmer, hall = await lab.account(), await lab.account()
    rule = {
        "shares": [
            {"type": "ppm", "account_id": farmer, "ppm": 333_333},
            {"type": "fixed", "account_id": hall, "amount_minor": 7},
        ]
    }
    merchant = await lab.merchant(splits={"deal": rule}, default_split="deal", **terms)
    return await lab.account(100_000), merchant, farmer, hall


def test_a_merchant_pays_the_fee_and_shares_the_rest() -> None:
    """A plain payment to a merchant moves fee and shares in its own change, and answers them."""

    async def story(lab: BankLab) -> None:
        payer, merchant, farmer, hall = await _market(lab)
        paid = await lab.pay(payer, merchant, 10_000)
        # One percent, then a third of 9,900 and seven fen.
        assert paid["fee_minor"] == 100
        assert paid["splits"] == [
            {"account_id": farmer, "amount_minor": 3_300},
            {"account_id": hall, "amount_minor": 7},
        ]
        assert await lab.get(paid["payment_id"]) == paid
        balances = lab.balances()
        assert balances["income:merchant_fee"] == 100
        assert (balances[farmer], balances[hall], balances[merchant]) == (3_300, 7, 6_593)
        assert lab.world.rows("payment_order") == []

    play(story)


@pytest.mark.parametrize("method", ["quick", "guaranteed", "authorized"])
@pytest.mark.parametrize("pieces", [(10_000,), (1, 9_999), (3_333, 3_333, 3_334), (7,) * 20])
def test_refunds_take_the_shares_back_in_proportion(method: str, pieces: tuple[int, ...]) -> None:
    """In whatever pieces a payment is refunded, everybody gives back what he got, to the fen."""

    async def story(lab: BankLab) -> None:
        payer, merchant, farmer, hall = await _market(lab)
        paid = await lab.pay(payer, merchant, 10_000, method=method)
        if method == "guaranteed":
            paid = await lab.ask("payment.confirm", payment_id=paid["payment_id"])
        elif method == "authorized":
            await lab.ask("payment.capture", payment_id=paid["payment_id"], amount_minor=4_000)
            paid = await lab.ask("payment.capture", payment_id=paid["payment_id"])
            # A fixed share is paid for each capture.
            assert [one["amount_minor"] for one in paid["splits"]] == [1_320 + 1_980, 14]
        given: dict[str, int] = {"fee": 0, farmer: 0, hall: 0}
        for piece in pieces:
            back = await lab.ask(
                "payment.refund", payment_id=paid["payment_id"], amount_minor=piece
            )
            given["fee"] += back.get("fee_returned_minor", 0)
            for one in back.get("splits", ()):
                given[one["account_id"]] += one["amount_minor"]
        now = await lab.get(paid["payment_id"])
        assert now["refunded_minor"] == sum(pieces)
        assert now["status"] == ("refunded" if sum(pieces) == 10_000 else "partially_refunded")
        balances = lab.balances()
        if now["status"] == "refunded":
            assert balances[payer] == 100_000
            assert [balances[one] for one in (merchant, farmer, hall)] == [0, 0, 0]
            assert balances["income:merchant_fee"] == 0
        fee, first, second = paid["fee_minor"], *(one["amount_minor"] for one in paid["splits"])
        for name, whole in (("fee", fee), (farmer, first), (hall, second)):
            assert abs(given[name] - whole * sum(pieces) / 10_000) < 1

    play(story)


def test_a_payment_may_bring_its_own_split() -> None:
    """A rule of the payment's own divides it, for a merchant and for anybody else."""

    async def story(lab: BankLab) -> None:
        payer, merchant, farmer, hall = await _market(lab)
        plain = await lab.account()
        split = {"shares": [{"type": "ppm", "account_id": farmer, "ppm": 500_000}]}
        for payee, fee in ((merchant, 100), (plain, 0)):
            paid = await lab.pay(payer, payee, 10_000, split=split)
            half = (10_000 - fee) // 2
            assert paid.get("fee_minor", 0) == fee
            assert paid["splits"] == [{"account_id": farmer, "amount_minor": half}]
            back = await lab.ask("payment.refund", payment_id=paid["payment_id"])
            assert back["splits"] == [{"account_id": farmer, "amount_minor": half}]
        assert lab.balances()[payer] == 100_000
        assert lab.balances()[farmer] == lab.balances()[hall] == 0
        for bad in (
            {"shares": [{"type": "ppm", "account_id": "income:merchant_fee", "ppm": 5}]},
            {"shares": [{"type": "fixed", "account_id": farmer, "amount_minor": 10_001}]},
        ):
            for method in ("quick", "guaranteed"):
                refused = await lab.refusal(
                    "payment.create", payer=payer, payee=plain, amount_minor=10_000, split=bad,
                    method=method,
                )  # fmt: skip
                assert refused in ("not_found", "invalid_field")

    play(story)


@pytest.mark.parametrize("kind", ["plain", "guaranteed", "own"])
def test_a_participant_gives_back_though_the_terms_changed(kind: str) -> None:
    """Who is a merchant and got a share has a leg of what he gave back, whoever shares by now."""

    async def story(lab: BankLab) -> None:
        grower = await lab.merchant()
        rule = {"shares": [{"type": "ppm", "account_id": grower, "ppm": 500_000}]}
        terms: dict[str, Any] = {"splits": {"deal": rule}, "default_split": "deal"}
        payer = await lab.account(100_000)
        merchant = await lab.merchant(**({} if kind == "own" else terms))
        ways: dict[str, Any] = {"own": {"split": rule}, "guaranteed": {"method": "guaranteed"}}
        paid = await lab.pay(payer, merchant, 10_000, **ways.get(kind, {}))
        named = {"payment_id": paid["payment_id"]}
        if kind == "guaranteed":
            await lab.ask("payment.confirm", **named)
        bank = {"type": "bank", "reference": "card-1"}
        terms = {"cycle": "T+1", "settle_to": bank, "fee": {"ppm": 5_000}}
        await lab.ask("merchant.update", merchant_id=merchant, terms=terms)
        await lab.settle()
        await lab.ask("payment.refund", **named, amount_minor=4_000)
        await lab.ask("payment.refund", **named)
        legs = [row for row in lab.world.rows("settlement_leg") if row["merchant_id"] == grower]
        assert [(row["kind"], row["net_minor"]) for row in legs] == [
            ("share", 4_950),
            ("share_back", -1_980),
            ("share_back", -2_970),
        ]
        assert {row["payment_id"] for row in legs} == {paid["payment_id"]}
        assert lab.balances()[grower] == 0

    play(story)


def test_a_refund_needs_the_payees_money() -> None:
    """Who has spent it cannot give it back: the refund fails whole, and may be asked for anew."""

    async def story(lab: BankLab) -> None:
        payer, merchant, farmer, _ = await _market(lab)
        paid = await lab.pay(payer, merchant, 10_000)
        await lab.pay(farmer, payer, 3_300)
        before = lab.balances()
        refused = await lab.refusal("payment.refund", payment_id=paid["payment_id"])
        assert refused == "insufficient_funds"
        assert lab.balances() == before
        await lab.pay(payer, farmer, 3_300)
        await lab.ask("payment.refund", payment_id=paid["payment_id"])
        assert lab.balances()[payer] == 100_000

    play(story)


def test_never_more_than_was_captured() -> None:
    """A refund above what is left is refused, however it is cut."""

    async def story(lab: BankLab) -> None:
        payer, payee = await lab.account(1_000), await lab.account(1_000)
        paid = await lab.pay(payer, payee, 600)
        await lab.ask("payment.refund", payment_id=paid["payment_id"], amount_minor=400)
        over = await lab.refusal("payment.refund", payment_id=paid["payment_id"], amount_minor=201)
        assert over == "limit_exceeded"
        await lab.ask("payment.refund", payment_id=paid["payment_id"])
        assert await lab.refusal("payment.refund", payment_id=paid["payment_id"]) == (
            "invalid_state"
        )
        assert lab.balances()[payer] == 1_000

    play(story)


def test_a_dispute_freezes_the_amount_at_the_payee() -> None:
    """The payee's part cannot be spent, nor refunded by the app, until the bank has resolved it."""

    async def story(lab: BankLab) -> None:
        payer, merchant, farmer, _ = await _market(lab)
        paid = await lab.pay(payer, merchant, 10_000)
        payment_id = paid["payment_id"]
        await lab.ask("payment.refund", payment_id=payment_id, amount_minor=2_000)
        over = await lab.refusal(
            "payment.dispute", payment_id=payment_id, reason="bad", amount_minor=8_001
        )
        assert over == "limit_exceeded"
        disputed = await lab.ask(
            "payment.dispute", payment_id=payment_id, reason="bad", amount_minor=3_000
        )
        assert disputed["status"] == "disputed"
        frozen = lab.held(merchant)
        for operation in ("payment.refund", "payment.void", "payment.dispute"):
            more = {"reason": "again"} if operation == "payment.dispute" else {}
            assert await lab.refusal(operation, payment_id=payment_id, **more) == "invalid_state"
        assert await lab.refusal(
            "payment.resolve", payment_id=payment_id, decision="refund", reason="r"
        ) == ("forbidden")
        resolved = await lab.ask(
            "payment.resolve", by=lab.ops, payment_id=payment_id, decision="refund", reason="r"
        )
        assert (resolved["status"], resolved["refunded_minor"]) == ("partially_refunded", 5_000)
        assert resolved["disputes"][0]["status"] == "refunded"
        # The payee's own part: the bank and the participants give back theirs.
        back = resolved["refunds"][-1]
        theirs = back["fee_returned_minor"] + sum(one["amount_minor"] for one in back["splits"])
        assert frozen == 3_000 - theirs
        assert (lab.held(merchant), lab.balances()[payer]) == (0, 95_000)
        await lab.ask("payment.dispute", payment_id=payment_id, reason="worse")
        released = await lab.ask(
            "payment.resolve", by=lab.ops, payment_id=payment_id, decision="release", reason="r"
        )
        assert (released["status"], lab.held(merchant)) == ("partially_refunded", 0)
        await lab.ask("payment.refund", payment_id=payment_id)
        assert lab.balances()[payer] == 100_000
        assert lab.balances()[farmer] == 0

    play(story)


@pytest.mark.parametrize("decision", ["refund", "release"])
def test_a_dispute_stops_the_confirmation(decision: str) -> None:
    """Disputed money of a guaranteed payment stays in escrow past its day, until it is resolved."""

    async def story(lab: BankLab) -> None:
        payer, merchant, farmer, _ = await _market(lab)
        paid = await lab.pay(payer, merchant, 10_000, method="guaranteed", confirm_after_days=1)
        payment_id = paid["payment_id"]
        part = await lab.refusal(
            "payment.dispute", payment_id=payment_id, reason="bad", amount_minor=1
        )
        assert part == "limit_exceeded"
        await lab.ask("payment.dispute", payment_id=payment_id, reason="bad")
        await lab.pass_time(2 * 86_400)
        assert (await lab.get(payment_id))["status"] == "disputed"
        resolved = await lab.ask(
            "payment.resolve", by=lab.ops, payment_id=payment_id, decision=decision, reason="r"
        )
        refunds = decision == "refund"
        assert resolved["status"] == ("voided" if refunds else "succeeded")
        assert lab.balances()[payer] == (100_000 if refunds else 90_000)
        assert lab.balances()[farmer] == (0 if refunds else 3_300)

    play(story)


def test_the_back_office_reverses_a_payment() -> None:
    """All that is left goes back; nobody else may do that, and nothing follows it."""

    async def story(lab: BankLab) -> None:
        payer, merchant, farmer, hall = await _market(lab)
        paid = await lab.pay(payer, merchant, 10_000)
        payment_id = paid["payment_id"]
        await lab.ask("payment.refund", payment_id=payment_id, amount_minor=1_234)
        more = {"payment_id": payment_id, "reason": "booked twice"}
        assert await lab.refusal("payment.reverse", **more) == "forbidden"
        reversed_ = await lab.ask("payment.reverse", by=lab.ops, **more)
        assert (reversed_["status"], reversed_["refunded_minor"]) == ("reversed", 10_000)
        balances = lab.balances()
        assert [balances[one] for one in (payer, merchant, farmer, hall)] == [100_000, 0, 0, 0]
        assert balances["income:merchant_fee"] == 0
        # Told to the app whose payment it is.
        told = [row["app"] for row in lab.world.rows("event") if row["type"] == "payment.reversed"]
        assert told == ["shop"]
        assert await lab.refusal("payment.refund", payment_id=payment_id) == "invalid_state"

    play(story)
