"""The edge while ownership moves: it asks again in time, and each caller gets one true answer."""

from collections.abc import Callable

import anyio
import pytest

from kernel import edge
from kernel.actor import Delivery
from kernel.edge import EdgeLimits
from schemas.errors import (
    Busy,
    DeadlineExceeded,
    InsufficientFunds,
    Internal,
    NotReady,
    StaleOwner,
    ZhihuiError,
)
from tests.eventually import eventually, turns
from tests.unit.kernel.edge_lab import PAY, START_MS, EdgeLab, ignore, payment_body

pytestmark = pytest.mark.anyio

_DEADLINE_S = 5.0


@pytest.fixture
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask again in the next turn: these tests move the clock by hand."""
    monkeypatch.setattr(edge, "ASK_AGAIN_S", 0.0)


@pytest.fixture
def long_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pause for longer than a slow machine takes for a few turns."""
    monkeypatch.setattr(edge, "ASK_AGAIN_S", 0.5)


def _failing(*errors: ZhihuiError) -> Callable[[Delivery], None]:
    """Return what answers with these errors, one after the other, and then with a result."""
    left = list(errors)

    def act(one: Delivery) -> None:
        if left:
            one.fail(left.pop(0))
        else:
            one.reply(b"{}")

    return act


def _ask(lab: EdgeLab, reply: str = "inbox.1") -> None:
    lab.bus.publish(PAY, payment_body(), reply=reply)


@pytest.mark.usefixtures("no_pause")
@pytest.mark.parametrize("error", [StaleOwner("moved"), DeadlineExceeded("a node is gone")])
async def test_moved_question_is_asked_again(error: ZhihuiError) -> None:
    """The caller of a question whose partition moves sees one answer, the last one, and no error.

    It is the same question each time, with the same deadline.
    """
    async with EdgeLab() as lab:
        lab.bank.act = _failing(error, error, error)
        _ask(lab)
        await eventually(lambda: bool(lab.answers), "an answer")
        assert lab.answers == [{"ok": True, "result": {}}]
        assert len(lab.bank.seen) == 4
        first, *others = [one.envelope for one in lab.bank.seen]
        for one in others:
            assert (one.key, one.type, one.app, one.body) == (
                first.key, first.type, first.app, first.body,
            )  # fmt: skip
            assert one.deadline_ms == START_MS + 5_000
        assert len({one.envelope.reply_id for one in lab.bank.seen}) == 4
        statistics = lab.edge.statistics()
        assert (statistics.asked_again, statistics.in_flight) == (3, 0)
        assert (statistics.answered, statistics.rejected) == (1, 0)


@pytest.mark.usefixtures("no_pause")
@pytest.mark.parametrize(
    "error", [Busy("full"), NotReady("paused"), InsufficientFunds("no"), Internal("a bug")]
)
async def test_other_errors_are_answers(error: ZhihuiError) -> None:
    """What is decided, or refused for another reason than a move, is asked once."""
    async with EdgeLab() as lab:
        lab.bank.act = _failing(error)
        answer = await lab.request(PAY, payment_body())
        assert answer["error"]["code"] == error.code
        assert len(lab.bank.seen) == 1
        assert lab.edge.statistics().asked_again == 0


async def test_nobody_is_asked_after_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last attempt is begun before the deadline; then the last error is the answer, once."""
    async with EdgeLab() as lab:
        lab.bank.act = lambda one: one.fail(StaleOwner("moved", retry_after_s=0.1))
        monkeypatch.setattr(edge, "ASK_AGAIN_S", 0.0)
        _ask(lab)
        await eventually(lambda: len(lab.bank.seen) >= 5, "asked a few times")
        assert lab.answers == []
        lab.clock.advance(_DEADLINE_S)
        await eventually(lambda: bool(lab.answers), "an answer")
        seen = len(lab.bank.seen)
        await turns(20)
        assert len(lab.bank.seen) == seen
        (answer,) = lab.answers
        assert answer["error"]["code"] == "stale_owner"
        assert answer["error"]["retry_after_s"] == 0.1
        assert lab.edge.statistics().in_flight == 0


async def test_no_pause_is_begun_that_would_outlast_the_deadline() -> None:
    """With less time left than a pause takes, the caller gets the error at once."""
    async with EdgeLab() as lab:
        lab.bank.act = _failing(StaleOwner("moved"))
        lab.clock.advance(0.001)
        left_ms = int(edge.ASK_AGAIN_S * 1000)
        headers = f"NATS/1.0\r\nZh-Deadline-Ms: {lab.clock.now_ms() + left_ms}\r\n\r\n".encode()
        answer = await lab.request(PAY, payment_body(), headers)
        assert answer["error"]["code"] == "stale_owner"
        assert lab.edge.in_flight() == 0


@pytest.mark.usefixtures("long_pause")
async def test_pause_that_was_too_long_is_the_last_one() -> None:
    """When the loop was held up past the deadline nobody is asked any more."""
    async with EdgeLab() as lab:
        lab.bank.act = _failing(StaleOwner("moved"))
        _ask(lab)
        await turns()
        assert (len(lab.bank.seen), lab.answers) == (1, [])
        lab.clock.advance(_DEADLINE_S)
        await eventually(lambda: bool(lab.answers), "an answer")
        assert lab.answers[0]["error"]["code"] == "stale_owner"
        assert (len(lab.bank.seen), lab.edge.in_flight()) == (1, 0)


@pytest.mark.usefixtures("no_pause")
@pytest.mark.parametrize("last", [StaleOwner("moved"), Busy("full"), NotReady("paused")])
async def test_unknown_outcome_is_not_forgotten(last: ZhihuiError) -> None:
    """After an attempt whose outcome is unknown no later one can say that nothing happened."""
    async with EdgeLab() as lab:
        errors: list[ZhihuiError] = [DeadlineExceeded("a node is gone")]

        def act(one: Delivery) -> None:
            one.fail(errors.pop() if errors else last)

        lab.bank.act = act
        _ask(lab)
        await eventually(lambda: len(lab.bank.seen) >= 2, "asked again")
        lab.clock.advance(_DEADLINE_S)
        await eventually(lambda: bool(lab.answers), "an answer")
        (answer,) = lab.answers
        assert answer["error"]["code"] == "deadline_exceeded"
        assert answer["error"]["retryable"]
        assert lab.edge.in_flight() == 0


@pytest.mark.usefixtures("no_pause")
@pytest.mark.parametrize("decided", [InsufficientFunds("no"), Internal("a bug")])
async def test_definite_outcome_stands_after_an_unknown_one(decided: ZhihuiError) -> None:
    """A decision is remembered under its id: what a later attempt hears of it is true."""
    async with EdgeLab() as lab:
        lab.bank.act = _failing(DeadlineExceeded("a node is gone"), StaleOwner("moved"), decided)
        _ask(lab)
        await eventually(lambda: bool(lab.answers), "an answer")
        assert [one["error"]["code"] for one in lab.answers] == [decided.code]


@pytest.mark.usefixtures("no_pause")
async def test_late_answer_of_an_earlier_attempt_is_not_a_second_answer() -> None:
    """The first attempt may be answered after all, when a later one was answered already."""
    async with EdgeLab() as lab:
        lab.bank.act = ignore
        _ask(lab)
        await turns()
        lab.node._on_gone({"n2"})
        await eventually(lambda: len(lab.bank.seen) == 2, "asked again")
        first, second = lab.bank.seen
        second.reply(b'{"attempt":2}')
        first.reply(b'{"attempt":1}')
        await turns()
        assert lab.answers == [{"ok": True, "result": {"attempt": 2}}]
        assert (lab.edge.in_flight(), lab.node.waiting()) == (0, 0)


@pytest.mark.usefixtures("long_pause")
async def test_shutdown_answers_what_pauses() -> None:
    """Who waits to be asked again when the edge gives up is answered at once, and not asked."""
    async with EdgeLab() as lab:
        lab.bank.act = lambda one: one.fail(StaleOwner("moved"))
        for number in range(3):
            _ask(lab, f"inbox.{number}")
        await turns()
        assert (lab.edge.in_flight(), lab.answers) == (3, [])
        lab.edge.give_up()
        await turns()
        assert [one["error"]["code"] for one in lab.answers] == ["stale_owner"] * 3
        assert lab.edge.in_flight() == 0
        with anyio.move_on_after(edge.ASK_AGAIN_S + 0.1):
            await anyio.sleep_forever()
        assert len(lab.bank.seen) == 3


async def test_after_giving_up_nobody_is_asked_again() -> None:
    """What is under way when the edge gives up is answered with what comes, be it a move."""
    async with EdgeLab() as lab:
        lab.bank.act = ignore
        _ask(lab)
        await turns()
        lab.edge.give_up()
        lab.bank.seen[0].fail(StaleOwner("moved"))
        await turns()
        assert [one["error"]["code"] for one in lab.answers] == ["stale_owner"]
        assert lab.edge.in_flight() == 0


@pytest.mark.usefixtures("long_pause")
async def test_node_that_closes_while_questions_pause_leaves_none() -> None:
    """The order of an ordered stop: give up, then close; each caller has one answer by then."""
    async with EdgeLab() as lab:
        lab.bank.act = _failing(StaleOwner("moved"))
        _ask(lab, "inbox.pausing")
        await turns()
        lab.bank.act = ignore
        _ask(lab, "inbox.waiting")
        await turns()
        await lab.edge.close_intake()
        lab.edge.give_up()
        await lab.node.close()
        await turns()
        codes = sorted(one["error"]["code"] for one in lab.answers)
        assert codes == ["deadline_exceeded", "stale_owner"]
        assert (lab.edge.in_flight(), lab.node.waiting()) == (0, 0)


async def test_questions_wait_for_the_bus_to_come_back() -> None:
    """What was lost with the connection is asked again when there is one, and answered in time."""
    async with EdgeLab() as lab:
        lab.bank.act = ignore
        _ask(lab)
        await turns()
        lab.bus.cut()
        with anyio.move_on_after(3 * edge.ASK_AGAIN_S):
            await anyio.sleep_forever()
        assert (lab.edge.in_flight(), lab.node.waiting()) == (1, 0)
        lab.bank.act = lambda one: one.reply(b"{}")
        lab.bus.mend()
        await eventually(lambda: bool(lab.answers), "an answer")
        assert lab.answers == [{"ok": True, "result": {}}]
        assert lab.edge.statistics().asked_again == 1


@pytest.mark.usefixtures("long_pause")
async def test_what_pauses_counts_as_in_flight() -> None:
    """Those who wait to be asked again hold their places: the bound is a bound."""
    async with EdgeLab(EdgeLimits(in_flight_max=2)) as lab:
        lab.bank.act = lambda one: one.fail(StaleOwner("moved"))
        for number in range(2):
            _ask(lab, f"inbox.{number}")
        await turns()
        answer = await lab.request(PAY, payment_body())
        assert answer["error"]["code"] == "busy"
        assert lab.edge.in_flight() == 2
