"""What a pack must not or cannot ask for is a bug: `internal`, a dead letter, and no trace else."""

from datetime import datetime
from typing import Any

import anyio
import msgspec
import pytest

from actors.scenario.composer import EFFECTS_MAX
from actors.scenario.served_pack import EffectRefused, ServedPack, served_by
from kernel.clock import SystemClock
from kernel.memory_database import MemoryDatabase
from kernel.memory_store import MemoryStore
from kernel.pack import Pack
from kernel.plugins.errors import CapabilityRefused
from kernel.plugins.manifest import Limits, read_manifest
from kernel.plugins.resident import resident_slot
from tests.tidy.source import ROOT
from tests.unit.scenario.desk import Act, Desk, Done, Look, Page, Tick, Unknown, plan_of
from tests.unit.scenario.scenario_lab import Lab, play
from zhihui.packs import bundled_packs
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
    on_timer,
)

_ALL = ("pay", "split", "hold", "schedule", "send")
_PAY = Pay(payer="A", payee="B", amount_minor=10)
_HOLD = PlaceHold(name="h", account_id="A", amount_minor=10)
_FAR = datetime.fromisoformat("2030-01-01T00:00:00+08:00")
_TIMER = Schedule(name="t", due_at=_FAR, body=Tick(what="t"))
_SEND = Send(verb="told", body=Act(request_id="sent", desk_id="e"))
_SHARED = Pay(payer="A", payee="B", amount_minor=10, shares=(Share(payee="A", amount_minor=1),))
_DOCUMENT_BYTES_MAX = Limits().document_bytes
_MUCH = (Share(payee="A", amount_minor=6), Share(payee="A", amount_minor=5))


def _served(pack: Pack) -> ServedPack:
    clock = SystemClock()
    slot = resident_slot(pack, clock)
    return served_by(slot.pick("k"), slot, MemoryStore(MemoryDatabase(clock)))


def _named(effect: Any, names: dict[str, str]) -> Any:
    """Return the effect with the accounts A and B in the place of their letters."""
    built = msgspec.to_builtins(effect, builtin_types=(datetime,))
    text = {
        name: names.get(value, value) if isinstance(value, str) else value
        for name, value in built.items()
        if name not in ("body", "shares")
    }
    if getattr(effect, "shares", ()):
        text["shares"] = tuple(
            msgspec.structs.replace(one, payee=names[one.payee]) for one in effect.shares
        )
    return msgspec.structs.replace(effect, **text)


def _refuse(effects: tuple[Any, ...], granted: tuple[str, ...]) -> None:
    """Play a request whose only plan has these effects; nothing of it may stand."""

    async def story(lab: Lab) -> None:
        names = {"A": await lab.account(100), "B": await lab.account()}

        def plan(context: Context, page: Page) -> Plan:
            named = tuple(_named(one, names) for one in effects)
            return Plan(state=Page(done=("yes",)), effects=named, result=Done(what="yes"))

        desk.plans["do"] = plan
        before = len(lab.rows("change"))
        assert await lab.refused("desk.act", desk_id="d", what="do") == "internal"
        await lab.clock.sleep(7)
        assert len(lab.rows("change")) == before
        assert [lab.rows(name) for name in ("document", "timer", "hold", "payment")] == [[]] * 4
        assert [await lab.money(one) for one in names.values()] == [(100, 0), (0, 0)]
        # Tried once more, and kept for the operators.
        assert desk.calls == ["do", "do"]
        (letter,) = lab.rows("dead_letter")
        reasons = ("EffectRefused", "CapabilityRefused", "ValueError")
        assert any(one in str(letter) for one in reasons)

    desk = Desk(*granted)
    play(story, desk)


@pytest.mark.parametrize(
    ("effect", "capability"),
    [
        (_PAY, "pay"),
        (_SHARED, "split"),
        (_SHARED, "pay"),
        (_HOLD, "hold"),
        (CaptureHold(name="h"), "hold"),
        (VoidHold(name="h"), "hold"),
        (_TIMER, "schedule"),
        (Cancel(name="t"), "schedule"),
        (_SEND, "send"),
    ],
    ids=str,
)
def test_without_its_capability_an_effect_is_refused(effect: Any, capability: str) -> None:
    """With all capabilities but its own no effect commits, nor what stands beside it."""
    others = tuple(one for one in _ALL if one != capability)
    beside = _TIMER if capability != "schedule" else _SEND
    _refuse((beside, effect), others)


@pytest.mark.parametrize(
    "effects",
    [
        (msgspec.structs.replace(_PAY, shares=_MUCH),),
        (msgspec.structs.replace(_PAY, shares=(Share(payee="A", amount_minor=0),)),),
        (_HOLD, CaptureHold(name="h", payee="B", shares=_MUCH)),
        (msgspec.structs.replace(_TIMER, due_at=_FAR.replace(tzinfo=None)),),
        (msgspec.structs.replace(_TIMER, every_s=-1),),
        (msgspec.structs.replace(_TIMER, body=Unknown()),),
        (Send(verb="nobody", body=_SEND.body),),
        (Send(verb="get", body=Look(desk_id="e")),),
        (Send(verb="told", body=Look(desk_id="e")),),
        (Done(what="no effect at all"),),
        (_TIMER,) * (EFFECTS_MAX + 1),
    ],
    ids=[
        "shares beyond the payment", "a share of nothing", "shares beyond the hold",
        "a time without a zone",
        "a negative interval", "a timer nobody handles", "a verb nobody has",
        "a message to a read", "a body of another verb", "no effect", "too many effects",
    ],
)  # fmt: skip
def test_an_effect_of_no_sense_is_refused(effects: tuple[Any, ...]) -> None:
    """With every capability, what cannot be done is a bug of the pack and commits nothing."""
    _refuse(effects, _ALL)


def test_a_document_beyond_the_limit_is_refused() -> None:
    """A page just under the limit is kept; one above it is a bug, and the old one stays."""

    async def story(lab: Lab) -> None:
        def write(size: int) -> Any:
            text = "x" * (size - len(msgspec.json.encode(Page())))
            return plan_of(Plan(state=Page(text=text), result=Done(what=str(size))))

        desk.plans |= {"fits": write(_DOCUMENT_BYTES_MAX), "large": write(_DOCUMENT_BYTES_MAX + 1)}
        await lab.call("desk.act", desk_id="d", what="fits")
        assert await lab.refused("desk.act", desk_id="d", what="large") == "internal"
        (row,) = lab.rows("document")
        assert (row["version"], len(row["body"])) == (1, _DOCUMENT_BYTES_MAX)

    desk = Desk()
    play(story, desk)


def test_internal_operations_are_unknown_outside() -> None:
    """Neither the edge nor the catalogue knows them; the pack's own identities reach them."""

    async def story(lab: Lab) -> None:
        assert await lab.refused("desk.told", desk_id="d") == "unknown_operation"
        assert desk.calls == []
        desk.plans["pass on"] = plan_of(Plan(effects=(_SEND,), result=Page()))
        await lab.call("desk.act", desk_id="d", what="pass on")
        await lab.clock.sleep(1)
        assert desk.calls == ["pass on", ""]

    desk = Desk(*_ALL)
    assert "told" in {one.verb for one in desk.pack_operations()}
    assert "told" not in {one.verb for one in desk.operations()}
    assert "desk.told" not in _served(desk).requests
    play(story, desk)


def test_grants_are_taken_when_the_pack_is_served() -> None:
    """A pack that gives itself a capability later gains nothing."""

    async def story(lab: Lab) -> None:
        def grasp(context: Context, page: Page) -> Plan:
            desk.granted = frozenset(_ALL)
            return Plan(effects=(_TIMER,), result=Page())

        desk.plans["grasp"] = grasp
        assert await lab.refused("desk.act", desk_id="d", what="grasp") == "internal"
        assert lab.rows("timer") == []

    desk = Desk()
    play(story, desk)


def test_packs_that_make_no_sense_are_not_served() -> None:
    """Two timer methods for one body are found at the start."""

    class Twice(Desk):
        name = "twice"

        @on_timer("one", collection="desk", state=Page, body=Tick)
        async def one(self, context: Context, body: Tick, page: Page | None) -> Plan:
            """Do."""
            return Plan()

        @on_timer("two", collection="desk", state=Page, body=Tick)
        async def two(self, context: Context, body: Tick, page: Page | None) -> Plan:
            """Do as well."""
            return Plan()

    with pytest.raises(EffectRefused, match="two"):
        _served(Twice())


def test_without_its_capability_nothing_is_read() -> None:
    """A pack whose manifest does not ask for reads sees no document but that of its identity."""

    async def read(desk: Desk) -> None:
        assert await _served(desk).reader.read("shop", "desk", "d", Page, 0.0) is None

    anyio.run(read, Desk("read"))
    with pytest.raises(CapabilityRefused, match="read"):
        anyio.run(read, Desk())


def test_a_bundled_pack_is_granted_what_its_manifest_names() -> None:
    """What its plugin.toml asks for, and nothing else."""
    for pack in bundled_packs():
        manifest = read_manifest((ROOT / "plugins" / pack.name / "plugin.toml").read_bytes())
        assert pack.granted == set(manifest.capabilities) != set()
        served = _served(pack)
        for capability in manifest.capabilities:
            served.require(capability)
        with pytest.raises(CapabilityRefused, match="fly"):
            served.require("fly")
