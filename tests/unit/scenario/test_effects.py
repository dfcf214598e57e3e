"""Each effect of a plan does what it says, in one change with the document, or not at all."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from tests.unit.scenario.desk import Act, Desk, Page, Tick
from tests.unit.scenario.library import DAY_S, FINE_MINOR, Library
from tests.unit.scenario.scenario_lab import FIRST_MINOR, Lab, play
from zhihui.plugin import (
    Cancel,
    CaptureHold,
    Context,
    Pay,
    PlaceHold,
    Plan,
    Schedule,
    Send,
    Share,
    VoidHold,
)

_ALL = ("pay", "split", "hold", "schedule", "send")
_Ways = Callable[[Context, Page], Any]


def _ways(*ways: tuple[Any, ...]) -> _Ways:
    """Return plans with these effects, each noting which of them it is."""

    def plans(context: Context, page: Page) -> tuple[Plan, ...]:
        return tuple(
            Plan(state=Page(done=(*page.done, str(number))), effects=effects, result=Page())
            for number, effects in enumerate(ways)
        )

    return plans


def test_shares_leave_the_payee_in_the_same_change() -> None:
    """A payment of 1,000 with a share of 250 is one payment row, one transfer row, four entries."""

    async def story(lab: Lab) -> None:
        page = await lab.member()
        await lab.call("library.subscribe", member_id="m1", fee_minor=1000)
        assert await lab.money(page["account_id"]) == (FIRST_MINOR - 1000, 0)
        assert await lab.money(page["till"]) == (750, 0)
        assert await lab.money(page["authors"]) == (250, 0)
        (paid,) = lab.rows("payment")
        (moved,) = lab.rows("transfer")
        assert paid["amount_minor"] == 1000
        assert (moved["change_seq"], moved["amount_minor"]) == (paid["change_seq"], 250)
        assert moved["purpose"] == "scenario:library"

    play(story, Library())


def test_a_payment_may_take_what_a_hold_gives_free() -> None:
    """All money is held; a void and a payment of it with a share are one change, in that order."""

    async def story(lab: Lab) -> None:
        payer, payee, third = await lab.account(100), await lab.account(), await lab.account()
        desk.plans |= {
            "hold": _ways((PlaceHold(name="a", account_id=payer, amount_minor=100),)),
            "early": _ways((Pay(payer=payer, payee=payee, amount_minor=60), VoidHold(name="a"))),
            "late": _ways(
                (
                    VoidHold(name="a"),
                    Pay(
                        payer=payer,
                        payee=payee,
                        amount_minor=60,
                        shares=(Share(payee=third, amount_minor=20),),
                    ),
                )
            ),
        }
        await lab.call("desk.act", desk_id="d", what="hold")
        assert await lab.refused("desk.act", desk_id="d", what="early") == "insufficient_funds"
        await lab.call("desk.act", desk_id="d", what="late")
        money = [await lab.money(one) for one in (payer, payee, third)]
        assert money == [(40, 0), (40, 0), (20, 0)]
        (paid,) = lab.rows("payment")
        (moved,) = lab.rows("transfer")
        assert (paid["amount_minor"], moved["amount_minor"]) == (60, 20)
        assert paid["change_seq"] == moved["change_seq"]
        desk.plans["most"] = _ways(
            (VoidHold(name="b"), Pay(payer=payer, payee=payee, amount_minor=41))
        )
        desk.plans["again"] = _ways((PlaceHold(name="b", account_id=payer, amount_minor=40),))
        await lab.call("desk.act", desk_id="d", what="again")
        assert await lab.refused("desk.act", desk_id="d", what="most") == "insufficient_funds"
        assert await lab.money(payer) == (40, 40)

    desk = Desk(*_ALL)
    play(story, desk)


def test_the_first_plan_that_the_books_accept_stands() -> None:
    """With too little money for the fee, half of it is paid, and its share is half as large."""

    async def story(lab: Lab) -> None:
        page = await lab.member()
        fee = 2 * FIRST_MINOR
        after = await lab.call("library.subscribe", member_id="m1", fee_minor=fee)
        assert after["paid_minor"] == FIRST_MINOR
        assert await lab.money(page["till"]) == (FIRST_MINOR * 3 // 4, 0)
        assert await lab.money(page["authors"]) == (FIRST_MINOR // 4, 0)

    play(story, Library())


def test_payments_of_a_plan_are_made_in_order() -> None:
    """Who has nothing passes on what the payment before brought; the other way round it fails."""

    async def story(lab: Lab) -> None:
        rich, poor, third = await lab.account(100), await lab.account(), await lab.account()
        first = Pay(payer=rich, payee=poor, amount_minor=100)
        second = Pay(payer=poor, payee=third, amount_minor=60)
        desk.plans |= {"right": _ways((first, second)), "wrong": _ways((second, first))}
        assert await lab.refused("desk.act", desk_id="d", what="wrong") == "insufficient_funds"
        await lab.call("desk.act", desk_id="d", what="right")
        assert [(await lab.money(one))[0] for one in (rich, poor, third)] == [0, 40, 60]

    desk = Desk(*_ALL)
    play(story, desk)


def test_a_hold_is_placed_captured_and_voided_by_its_name() -> None:
    """A later plan names the hold again; nobody but the identity can dispose of it."""

    async def story(lab: Lab) -> None:
        payer, payee = await lab.account(100), await lab.account()
        desk.plans |= {
            "place": _ways((PlaceHold(name="a", account_id=payer, amount_minor=80),)),
            "part": _ways((CaptureHold(name="a", amount_minor=30, payee=payee),)),
            "rest": _ways((CaptureHold(name="a", payee=payee),)),
            "void": _ways((VoidHold(name="a"),)),
        }
        await lab.call("desk.act", desk_id="d", what="place")
        assert await lab.money(payer) == (100, 80)
        (hold,) = lab.rows("hold")
        assert hold["purpose"] == "scenario:desk"
        assert hold["hold_id"].startswith("desk.")
        assert await lab.refused("hold.void", hold_id=hold["hold_id"]) == "invalid_state"
        assert await lab.refused("desk.act", desk_id="e", what="void") == "not_found"
        await lab.call("desk.act", desk_id="d", what="part")
        assert (await lab.money(payer), await lab.money(payee)) == ((70, 50), (30, 0))
        await lab.call("desk.act", desk_id="d", what="rest")
        assert (await lab.money(payer), await lab.money(payee)) == ((20, 0), (80, 0))
        for what in ("void", "rest", "place"):
            assert await lab.refused("desk.act", desk_id="d", what=what) == "invalid_state"
        assert (await lab.call("desk.get", desk_id="d"))["done"] == ["0"] * 3

    desk = Desk(*_ALL)
    play(story, desk)


def test_a_capture_passes_on_its_shares() -> None:
    """Of what is left of a hold the payee keeps what the shares do not take."""

    async def story(lab: Lab) -> None:
        payer, payee, other = await lab.account(100), await lab.account(), await lab.account()
        share = (Share(payee=other, amount_minor=25),)
        desk.plans |= {
            "place": _ways((PlaceHold(name="a", account_id=payer, amount_minor=80, payee=payee),)),
            "part": _ways((CaptureHold(name="a", amount_minor=40, shares=share),)),
            "rest": _ways((CaptureHold(name="a", shares=share),)),
        }
        for what in ("place", "part", "rest"):
            await lab.call("desk.act", desk_id="d", what=what)
        assert await lab.money(payer) == (20, 0)
        assert await lab.money(payee) == (30, 0)
        assert await lab.money(other) == (50, 0)
        assert await lab.refused("desk.act", desk_id="e", what="rest") == "not_found"

    desk = Desk(*_ALL)
    play(story, desk)


def test_a_hold_may_be_placed_and_captured_in_one_plan() -> None:
    """What the plan itself holds is known to its later effects."""

    async def story(lab: Lab) -> None:
        payer, payee, other = await lab.account(100), await lab.account(), await lab.account()
        desk.plans["both"] = _ways((
            PlaceHold(name="a", account_id=payer, amount_minor=80, payee=payee),
            CaptureHold(name="a", shares=(Share(payee=other, amount_minor=80),)),
        ))  # fmt: skip
        await lab.call("desk.act", desk_id="d", what="both")
        assert [(await lab.money(one)) for one in (payer, payee, other)] == [
            (20, 0), (0, 0), (80, 0),
        ]  # fmt: skip

    desk = Desk(*_ALL)
    play(story, desk)


def test_what_one_effect_is_refused_all_are() -> None:
    """A plan with a payment, a hold, a timer and a message leaves nothing when the hold fails."""

    async def story(lab: Lab) -> None:
        payer, payee = await lab.account(100), await lab.account()
        desk.plans["all"] = _ways((
            Pay(payer=payer, payee=payee, amount_minor=60),
            Schedule(name="t", due_at=lab.clock.now() + timedelta(seconds=1), body=Tick(what="t")),
            Send(verb="told", body=Act(request_id="sent", desk_id="e")),
            PlaceHold(name="a", account_id=payer, amount_minor=60),
        ))  # fmt: skip
        assert await lab.refused("desk.act", desk_id="d", what="all") == "insufficient_funds"
        await lab.clock.sleep(10)
        assert await lab.money(payer) == (100, 0)
        assert [lab.rows(name) for name in ("timer", "document", "payment", "hold")] == [[]] * 4
        assert desk.calls == ["all"]

    desk = Desk(*_ALL)
    play(story, desk)


def test_holds_of_two_apps_do_not_meet() -> None:
    """The same names of another app's identity are another hold, and its documents others."""

    async def story(lab: Lab) -> None:
        payer = await lab.account(100)
        desk.plans["place"] = _ways((PlaceHold(name="a", account_id=payer, amount_minor=10),))
        await lab.call("desk.act", desk_id="d", what="place")
        stranger = type(lab.caller)(lab.world, "other")
        await stranger.open()
        own = await stranger.call("account.open", request_id="o", holder="Han")
        theirs = own["account_id"]
        await stranger.call(
            "account.deposit", request_id="m", account_id=theirs, amount_minor=10,
            source="external:cash",
        )  # fmt: skip
        desk.plans["void"] = _ways((VoidHold(name="a"),))
        desk.plans["steal"] = _ways((Pay(payer=payer, payee=theirs, amount_minor=10),))
        for what in ("void", "steal"):
            answer = await stranger.ask(
                "desk.act", timeout_s=5, request_id=what, desk_id="d", what=what
            )
            assert answer["error"]["code"] == "not_found"
        desk.plans["own"] = _ways((PlaceHold(name="a", account_id=theirs, amount_minor=10),))
        await stranger.call("desk.act", request_id="own", desk_id="d", what="own")
        assert len({row["hold_id"] for row in lab.rows("hold")}) == 2
        assert await lab.money(payer) == (100, 10)

    desk = Desk(*_ALL)
    play(story, desk)


def test_shares_come_only_out_of_accounts_of_the_app() -> None:
    """A payment to another app's account cannot be shared: that money is not the app's any more."""

    async def story(lab: Lab) -> None:
        payer, other = await lab.account(100), await lab.account()
        stranger = type(lab.caller)(lab.world, "other")
        await stranger.open()
        opened = await stranger.call("account.open", request_id="o", holder="Han")
        theirs = opened["account_id"]
        shares = (Share(payee=other, amount_minor=10),)
        desk.plans |= {
            "plain": _ways((Pay(payer=payer, payee=theirs, amount_minor=10),)),
            "place": _ways((PlaceHold(name="a", account_id=payer, amount_minor=10, payee=theirs),)),
            "capture": _ways((CaptureHold(name="a", shares=shares),)),
            "share": _ways((Pay(payer=payer, payee=theirs, amount_minor=10, shares=shares),)),
        }
        await lab.call("desk.act", desk_id="d", what="plain")
        await lab.call("desk.act", desk_id="d", what="place")
        for what in ("share", "capture"):
            assert await lab.refused("desk.act", desk_id="d", what=what) == "not_found"
        assert await lab.money(payer) == (90, 10)

    desk = Desk(*_ALL)
    play(story, desk)


def test_cancel_and_schedule_of_one_plan_count_in_their_order() -> None:
    """The last word about a timer stands, and one that is not there is cancelled without harm."""

    async def story(lab: Lab) -> None:
        soon = lab.clock.now() + timedelta(seconds=5)
        timer = Schedule(name="t", due_at=soon, body=Tick(what="t"))
        desk.plans |= {
            "off": _ways((timer, Cancel(name="t"))),
            "on": _ways((Cancel(name="t"), timer)),
        }
        await lab.call("desk.act", desk_id="d", what="off")
        assert lab.rows("timer") == []
        await lab.call("desk.act", desk_id="d", what="on")
        await lab.clock.sleep(6)
        assert desk.calls == ["off", "on", "t"]

    desk = Desk(*_ALL)
    play(story, desk)


def test_a_fine_comes_out_of_the_deposit_when_its_time_has_come() -> None:
    """Nobody asks: a timer captures, shares, gives back the rest and tells the book, once."""

    async def story(lab: Lab) -> None:
        page = await lab.member()
        await lab.call("library.borrow", member_id="m1", book_id="b", minutes=1, deposit_minor=500)
        assert await lab.money(page["account_id"]) == (FIRST_MINOR, 500)
        await lab.clock.sleep(DAY_S + 2)
        assert await lab.money(page["account_id"]) == (FIRST_MINOR - FINE_MINOR, 0)
        assert await lab.money(page["till"]) == (FINE_MINOR // 2, 0)
        assert await lab.money(page["authors"]) == (FINE_MINOR // 2, 0)
        book = await lab.call("library.get_book", book_id="b")
        assert book["events"] == {"lent": 1, "fined": 1}
        assert [row["type"] for row in lab.rows("event") if row["type"].startswith("lib")] == [
            "library.borrowed", "library.fined",
        ]  # fmt: skip
        assert lab.rows("timer") == []

    play(story, Library())


def test_a_book_that_comes_back_costs_nothing() -> None:
    """The hold is voided and its timer cancelled in the change that notes the return."""

    async def story(lab: Lab) -> None:
        page = await lab.member()
        await lab.call("library.borrow", member_id="m1", book_id="b", minutes=1, deposit_minor=500)
        await lab.call("library.give_back", member_id="m1", loan=1)
        assert await lab.money(page["account_id"]) == (FIRST_MINOR, 0)
        await lab.clock.sleep(DAY_S + 2)
        member = await lab.call("library.get_member", member_id="m1")
        assert (member["fines"], member["loans"]) == (0, {})
        assert lab.rows("timer") == []

    play(story, Library())


def test_a_hold_expires_with_what_the_pack_says_to_it() -> None:
    """The money is given back and the page noted in one change; `expires_at` tells when."""

    async def story(lab: Lab) -> None:
        page = await lab.member()
        await lab.call("library.reserve", member_id="m1", seconds=20, deposit_minor=300)
        (hold,) = lab.rows("hold")
        assert hold["expires_at"] - hold["placed_at"] == timedelta(seconds=20)
        await lab.clock.sleep(22)
        assert await lab.money(page["account_id"]) == (FIRST_MINOR, 0)
        member = await lab.call("library.get_member", member_id="m1")
        assert member["lapsed"] == ["room-1"]
        (step,) = lab.rows("hold_step", kind="expired")
        (event,) = lab.rows("event", type="library.lapsed")
        assert step["change_seq"] == event["change_seq"]

    play(story, Library())


def test_recurring_timers_come_again_until_they_are_cancelled() -> None:
    """Every interval counts once, and after the cancellation none does."""

    async def story(lab: Lab) -> None:
        await lab.member()
        await lab.call("library.remind", member_id="m1")
        await lab.clock.sleep(3 * DAY_S + 2)
        await lab.call("library.stop", member_id="m1")
        await lab.clock.sleep(2 * DAY_S)
        assert (await lab.call("library.get_member", member_id="m1"))["days"] == 3

    play(story, Library())
