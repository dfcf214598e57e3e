"""Timers and messages of identities: their effect happens once, however often they come."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import msgspec

from actors.scenario.composer import SEND_AGAIN_S
from kernel.timers import ANSWER_WITHIN_S
from schemas.change import TimerFired
from schemas.errors import NotReady
from tests.unit.scenario.desk import Act, Desk, Done, Page, Tick
from tests.unit.scenario.scenario_lab import Lab, play
from zhihui.plugin import (
    CaptureHold,
    Context,
    InvalidState,
    Pay,
    PlaceHold,
    Plan,
    Schedule,
    Send,
)

_ALL = ("pay", "split", "hold", "schedule", "send")


def _plan(*effects: Any) -> Callable[[Context, Page], Plan]:
    def plan(context: Context, page: Page) -> Plan:
        return Plan(effects=effects, result=Done(what=context.request_id))

    return plan


def _tick(lab: Lab, what: str, *, name: str = "t", after_s: float = 2.0) -> Schedule:
    due_at = lab.clock.now() + timedelta(seconds=after_s)
    return Schedule(name=name, due_at=due_at, body=Tick(what=what))


async def _done(lab: Lab, desk_id: str = "d") -> list[str]:
    return list((await lab.call("desk.get", desk_id=desk_id))["done"])


async def _bring(lab: Lab, timer: dict[str, Any]) -> Any:
    """Bring a timer to its actor once more, as a node does that has not heard the answer."""
    node = lab.world.node("n1").node
    due_at_ms = round(timer["due_at"].timestamp() * 1000)
    fired = TimerFired(timer["timer_id"], due_at_ms, 0, msgspec.Raw(timer["body"]))
    answers: list[Any] = []
    node.ask_nowait(
        timer["kind"], timer["key"], timer["type"], timer["app"],
        lab.clock.now_ms() + int(ANSWER_WITHIN_S * 1000), msgspec.msgpack.encode(fired),
        answers.append,
    )  # fmt: skip
    await lab.clock.sleep(1)
    (answer,) = answers
    return answer


def test_a_timer_that_comes_twice_has_one_effect() -> None:
    """The second time it gets the first answer, and the page is not touched."""

    async def story(lab: Lab) -> None:
        desk.plans["set"] = _plan(_tick(lab, "tick"))
        await lab.call("desk.act", desk_id="d", what="set")
        (timer,) = lab.rows("timer")
        await lab.clock.sleep(4)
        assert await _done(lab) == ["tick"]
        assert (await _bring(lab, timer)).ok
        assert desk.calls == ["set", "tick", "tick"]
        assert await _done(lab) == ["tick"]

    desk = Desk(*_ALL)
    play(story, desk)


def test_a_message_that_comes_twice_has_one_effect() -> None:
    """Its timer is gone once it has arrived; brought all the same, it changes nothing."""

    async def story(lab: Lab) -> None:
        news = Act(request_id="sent", desk_id="e", what="news")
        desk.plans["send"] = _plan(Send(verb="told", body=news), Send(verb="told", body=news))
        await lab.call("desk.act", desk_id="d", what="send")
        timers = lab.rows("timer")
        await lab.clock.sleep(1)
        assert await _done(lab, "e") == ["news", "news"]
        assert lab.rows("timer") == []
        await lab.clock.sleep(SEND_AGAIN_S + 1)
        for timer in timers:
            assert (await _bring(lab, timer)).ok
        assert await _done(lab, "e") == ["news", "news"]

    desk = Desk(*_ALL)
    play(story, desk)


def test_ids_of_messages_are_the_hosts() -> None:
    """What is sent has an id that no caller can choose, in the body and in the context alike."""

    async def story(lab: Lab) -> None:
        news = Act(request_id="sent", desk_id="e", what="news")
        desk.plans["send"] = _plan(Send(verb="told", body=news))

        def note(context: Context, page: Page) -> Plan:
            return Plan(state=Page(text=context.request_id), result=Done(what=""))

        desk.plans["news"] = note
        await lab.call("desk.act", desk_id="d", what="send")
        await lab.clock.sleep(1)
        text = (await lab.call("desk.get", desk_id="e"))["text"]
        assert text.startswith("~send.")
        assert len(text) <= 64
        (row,) = lab.rows("change", request_id=text)
        assert row["operation"] == "desk.send.told"

    desk = Desk(*_ALL)
    play(story, desk)


def test_a_refused_message_is_over() -> None:
    """A rejection is an answer: it is not sent again, and its sender is not undone."""

    async def story(lab: Lab) -> None:
        def refuse(context: Context, page: Page) -> Plan:
            raise InvalidState("not now")

        desk.plans["news"] = refuse
        news = Act(request_id="sent", desk_id="e", what="news")
        desk.plans["send"] = _plan(Send(verb="told", body=news))
        await lab.call("desk.act", desk_id="d", what="send")
        await lab.clock.sleep(SEND_AGAIN_S + 3)
        # By itself and by its timer, which found the first answer.
        assert desk.calls == ["send", "news", "news"]
        assert lab.rows("timer") == []
        assert await _done(lab, "e") == []

    desk = Desk(*_ALL)
    play(story, desk)


def test_a_message_to_who_is_unavailable_comes_again() -> None:
    """What cannot be decided now is brought by its timer until it can."""

    async def story(lab: Lab) -> None:
        def later(context: Context, page: Page) -> Plan:
            if lab.clock.now() < open_at:
                raise NotReady("not yet")
            return Plan(state=Page(done=("news",)), result=Done(what=""))

        open_at = lab.clock.now() + timedelta(seconds=20)
        desk.plans["news"] = later
        news = Act(request_id="sent", desk_id="e", what="news")
        desk.plans["send"] = _plan(Send(verb="told", body=news))
        await lab.call("desk.act", desk_id="d", what="send")
        await lab.clock.sleep(18)
        assert await _done(lab, "e") == []
        await lab.clock.sleep(20)
        assert await _done(lab, "e") == ["news"]

    desk = Desk(*_ALL)
    play(story, desk)


def test_a_second_schedule_moves_the_first() -> None:
    """A name has one timer: the later plan says when it comes and with what body."""

    async def story(lab: Lab) -> None:
        desk.plans["set"] = _plan(_tick(lab, "early", after_s=2))
        await lab.call("desk.act", desk_id="d", what="set")
        desk.plans["move"] = _plan(_tick(lab, "late", after_s=6))
        await lab.call("desk.act", desk_id="d", what="move")
        await lab.clock.sleep(4)
        assert await _done(lab) == []
        await lab.clock.sleep(4)
        assert await _done(lab) == ["late"]

    desk = Desk(*_ALL)
    play(story, desk)


def test_a_timer_may_set_itself_again_for_a_time_that_is_over() -> None:
    """The new one comes at once, is another one, and is not lost with the end of the first."""

    async def story(lab: Lab) -> None:
        past = _tick(lab, "tick", after_s=1)

        def again(context: Context, page: Page) -> Plan:
            effects = (past,) if len(page.done) < 2 else ()
            return Plan(state=Page(done=(*page.done, "tick")), effects=effects)

        desk.plans |= {"set": _plan(past), "tick": again}
        await lab.call("desk.act", desk_id="d", what="set")
        await lab.clock.sleep(10)
        assert await _done(lab) == ["tick"] * 3

    desk = Desk(*_ALL)
    play(story, desk)


def test_an_expired_hold_goes_back_although_the_pack_refuses() -> None:
    """The money is free again whether the pack raises, or asks for what the books refuse."""

    async def story(lab: Lab) -> None:
        payer, poor = await lab.account(100), await lab.account()

        def refuse(context: Context, page: Page) -> Plan:
            raise InvalidState("I do not care for it")

        hold = PlaceHold(name="a", account_id=payer, amount_minor=10, expires_in_s=3)
        other = msgspec.structs.replace(hold, name="b")
        desk.plans |= {
            "place": _plan(hold, other),
            "expired:a": refuse,
            "expired:b": _plan(Pay(payer=poor, payee=payer, amount_minor=1)),
        }
        await lab.call("desk.act", desk_id="d", what="place")
        assert await lab.money(payer) == (100, 20)
        await lab.clock.sleep(6)
        assert await lab.money(payer) == (100, 0)
        assert {row["status"] for row in lab.rows("hold")} == {"expired"}

    desk = Desk(*_ALL)
    play(story, desk)


def test_a_hold_that_was_captured_does_not_expire() -> None:
    """A capture of all ends the timer; after a part of it the rest is given back in time."""

    async def story(lab: Lab) -> None:
        payer, payee = await lab.account(100), await lab.account()
        hold = PlaceHold(name="a", account_id=payer, amount_minor=10, expires_in_s=3)
        other = msgspec.structs.replace(hold, name="b")
        desk.plans |= {
            "place": _plan(hold, other),
            "capture": _plan(
                CaptureHold(name="a", payee=payee),
                CaptureHold(name="b", payee=payee, amount_minor=4),
            ),
        }
        await lab.call("desk.act", desk_id="d", what="place")
        await lab.call("desk.act", desk_id="d", what="capture")
        assert len(lab.rows("timer")) == 1
        await lab.clock.sleep(6)
        assert await _done(lab) == ["expired:b"]
        assert await lab.money(payer) == (86, 0)
        assert {row["status"] for row in lab.rows("hold")} == {"captured", "expired"}

    desk = Desk(*_ALL)
    play(story, desk)


def test_what_needs_no_consent_is_not_lost_with_what_has_none() -> None:
    """When the risk rules refuse the money of a timer's plans, the plan without money stands."""

    async def story(lab: Lab) -> None:
        # So much to a new payee needs a factor of the customer, who is not there.
        rich, payee = await lab.account(90_000_000), await lab.account()
        pay = Pay(payer=rich, payee=payee, amount_minor=6_000_000)

        def collect(context: Context, page: Page) -> tuple[Plan, ...]:
            paid = Plan(state=Page(done=("paid",)), effects=(pay,), result=Done(what="paid"))
            return paid, Plan(state=Page(done=("owes",)), result=Done(what="owes"))

        desk.plans |= {"set": _plan(_tick(lab, "collect")), "collect": collect}
        await lab.call("desk.act", desk_id="d", what="set")
        (timer,) = lab.rows("timer")
        await lab.clock.sleep(5)
        assert await _done(lab) == ["owes"]
        assert (await _bring(lab, timer)).ok
        assert await lab.money(payee) == (0, 0)
        # Who asks himself is told, and can do something about it.
        assert await lab.refused("desk.act", desk_id="e", what="collect") == "step_up_required"
        assert await _done(lab, "e") == []

    desk = Desk(*_ALL)
    play(story, desk)


def test_holds_pass_the_risk_rules() -> None:
    """A deposit of so much for a new payee is refused as a payment of it would be."""

    async def story(lab: Lab) -> None:
        rich, payee = await lab.account(90_000_000), await lab.account()
        hold = PlaceHold(name="a", account_id=rich, amount_minor=6_000_000, payee=payee)
        desk.plans["place"] = _plan(hold)
        assert await lab.refused("desk.act", desk_id="d", what="place") == "step_up_required"
        assert lab.rows("hold") == []

    desk = Desk(*_ALL)
    play(story, desk)
