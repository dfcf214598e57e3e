"""What the hold actor hands to the journal, for cases that no caller can bring about."""

from datetime import timedelta

import msgspec
import pytest

from actors.holds import HoldActor, timer_of
from kernel.actor import Delivery
from kernel.book import TableRows
from kernel.clock import ManualClock
from kernel.randomness import IdFactory, SeededRandomness
from kernel.store import Commit
from schemas.change import Change, TimerFired
from schemas.envelope import Envelope, Reply
from schemas.holds import PlaceHold
from schemas.ledger import Moves, PlaceStep, ReleaseStep
from schemas.risk import RiskCheck
from tests.memory_store import MemoryStore
from tests.unit.kernel.harness import START

pytestmark = pytest.mark.anyio

_FAR_MS = 4_102_444_800_000
_HOLD = (
    "hold_id", "change_seq", "app", "account_id", "payee", "asset", "purpose", "capturable",
    "reference", "amount_minor", "placed_at", "expires_at", "captured_minor", "released_minor",
    "status", "steps",
)  # fmt: skip


class _Sent:
    """A sender that keeps what is handed on."""

    def __init__(self) -> None:
        self.envelopes: list[Envelope] = []

    def send(self, envelope: Envelope) -> None:
        """Keep it."""
        self.envelopes.append(envelope)

    def send_reply(self, node: str, reply: Reply) -> None:
        """Refuse: everything goes to the journal."""
        raise AssertionError((node, reply))


async def _change(app: str, key: str, type_: str, message: msgspec.Struct) -> Change:
    """Return what the actor makes of a message, when there is the hold h of the app shop."""
    clock = ManualClock(START)
    store = MemoryStore({0: 1})
    row = ("h", 1, "shop", "a", "", "CNY", "guarantee", True, "", 50, clock.now(), clock.now(), 0,
           0, "open", 1)  # fmt: skip
    await store.commit(Commit({}, [TableRows("hold", _HOLD, (), [row])]))
    actor = HoldActor(store, clock, IdFactory(clock, SeededRandomness(1)))
    sent = _Sent()
    body = msgspec.Raw(msgspec.msgpack.encode(message))
    await actor.receive_batch(
        [Delivery(Envelope("hold", key, type_, app, _FAR_MS, "n1", 7, body), sent)]
    )
    (envelope,) = sent.envelopes
    assert (envelope.reply_to, envelope.reply_id) == ("n1", 7)
    if isinstance(message, PlaceHold):
        # What sets money aside passes the risk check on its way.
        assert (envelope.kind, envelope.key, envelope.type) == (
            "risk",
            message.account_id,
            "risk.check",
        )
        check = msgspec.msgpack.decode(envelope.body, type=RiskCheck)
        assert (check.facts.amount_minor, check.facts.method) == (message.amount_minor, "hold")
        return check.change
    assert (envelope.kind, envelope.type) == ("journal", "change")
    return msgspec.msgpack.decode(envelope.body, type=Change)


def _moves(change: Change) -> Moves:
    (alternative,) = change.alternatives
    return msgspec.msgpack.decode(alternative.moves, type=Moves)


async def test_a_fired_timer_expires_the_hold_once() -> None:
    """The firing's own id is the idempotency key, and a hold of any purpose expires."""
    fired = TimerFired(timer_of("h"), 1_000, 0, msgspec.Raw(b"\xc0"))
    change = await _change("shop", "h", "hold.expire", fired)
    assert change.request_id == fired.request_id
    assert change.rejection is None
    assert _moves(change).steps == (ReleaseStep("h", "expired", "shop", ""),)
    (event,) = change.alternatives[0].events
    assert (event.type, event.subject) == ("hold.expired", "h")
    # It is the timer that ends itself.
    assert change.alternatives[0].cancels == ()


@pytest.mark.parametrize(("app", "key"), [("gym", "h"), ("shop", "h2")])
async def test_a_timer_of_a_hold_that_is_not_there_is_answered(app: str, key: str) -> None:
    """The journal is told to refuse, so that the timer gets a definite answer and ends."""
    fired = TimerFired(timer_of(key), 1_000, 0, msgspec.Raw(b"\xc0"))
    change = await _change(app, key, "hold.expire", fired)
    assert change.alternatives == ()
    assert change.rejection is not None
    assert (change.rejection.code, change.rejection.field) == ("not_found", "hold_id")


async def test_a_hold_that_expires_sets_its_timer() -> None:
    """The timer is due to the millisecond, is found by the hold's id and comes back here."""
    request = PlaceHold(request_id="r", account_id="a", amount_minor=5, expires_in_s=90)
    change = await _change("shop", "a", "hold.place", request)
    (step,) = _moves(change).steps
    assert isinstance(step, PlaceStep)
    (timer,) = change.alternatives[0].timers
    due_at = ManualClock(START).now() + timedelta(seconds=90)
    assert step.expires_at == due_at
    assert timer.due_at_ms == int(due_at.timestamp() * 1000)
    assert (timer.timer_id, timer.kind, timer.key, timer.type, timer.app, timer.every_s) == (
        timer_of(step.hold_id), "hold", step.hold_id, "hold.expire", "shop", 0,
    )  # fmt: skip
