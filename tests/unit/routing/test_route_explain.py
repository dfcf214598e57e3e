"""`route.explain` and the reload of the rules, on a whole platform in one process."""

from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import anyio

from actors.channels.desk import desk_of
from actors.channels.router_port import RouteRequest
from actors.channels.routing import choice_fact, router_of
from actors.channels.routing.choice_rows import ROUTE_CHOICE_COLUMNS
from actors.channels.terms import ChannelTerms
from actors.parts import Parts
from actors.rules.rule_sets import LOOK_EVERY_S
from kernel.randomness import SeededRandomness
from kernel.virtual_time import VirtualClock, run_virtual
from tests.simulation.world import Caller, World

_TERMS = tuple(
    ChannelTerms(
        name=name, methods=frozenset({"quick"}), amount_max_minor=100_000, fee_ppm=fee_ppm,
        refund_within_s=1, refunds_max=1,
    )
    for name, fee_ppm in (("own_bank", 0), ("wechat", 6_000))
)  # fmt: skip

_IMAGINED = {"method": "quick", "amount_minor": 5_000}


def _open_channels(parts: Parts) -> None:
    """Give the node channels that have terms and cannot be reached."""
    channels: Any = {terms.name: SimpleNamespace(terms=terms) for terms in _TERMS}
    desk_of(parts).use(channels)


def _run(act: Callable[[World, Parts, Caller], Awaitable[None]]) -> None:
    async def main(clock: VirtualClock, randomness: SeededRandomness) -> None:
        async with anyio.create_task_group() as tasks:
            world = World(clock, randomness, tasks)
            node = await world.start("n1")
            office = Caller(world, "ops")
            await office.open()
            _open_channels(node._parts)
            await act(world, node._parts, office)
            tasks.cancel_scope.cancel()

    run_virtual(main, seed=1)


def test_an_imagined_payment_is_explained_and_changes_nothing() -> None:
    """The answer names the node, the most probable channel and the reasons, time after time."""

    async def act(world: World, parts: Parts, office: Caller) -> None:
        first = await office.call("route.explain", payment=_IMAGINED)
        assert (first["node"], first["choices"]) == ("n1", [])
        decision = first["now"]["decision"]
        assert decision["chosen"] == "own_bank"
        assert [one["cost_minor"] for one in decision["candidates"]] == [0, 30]
        assert first["reasons"][0].startswith("own_bank: score")
        named = await office.call("route.explain", payment={**_IMAGINED, "channel": "wechat"})
        assert named["now"]["decision"]["chosen"] == "wechat"
        assert "own_bank: the payment names wechat" in named["reasons"]
        for hour in (3, 15):
            at = await office.call("route.explain", payment={**_IMAGINED, "hour": hour})
            assert at["now"]["payment"]["hour"] == hour
        assert await office.call("route.explain", payment=_IMAGINED) == first
        assert router_of(parts).statistics().decisions == 0
        assert world.rows("route_choice") == []

    _run(act)


def test_the_choices_of_a_payment_are_read_back() -> None:
    """Both attempts come in order, with what each was drawn from at that time."""

    async def act(world: World, parts: Parts, office: Caller) -> None:
        router, clock = router_of(parts), parts.clock
        for number, excluded in ((1, ()), (2, ("own_bank",))):
            asked = RouteRequest(
                payment_id="pay_1", app="campus", amount_minor=5_000, method="quick",
                excluded=excluded,
            )  # fmt: skip
            choice = router.choose(asked, _TERMS, clock.now_ms())
            fact = choice_fact(
                choice, payment_id="pay_1", number=number, app="campus", at=clock.now()
            )
            row = dict(zip(ROUTE_CHOICE_COLUMNS, fact.row, strict=True))
            world.database.put("route_choice", ("pay_1", number), {**row, "change_seq": number})
        found = await office.call("route.explain", payment_id="pay_1")
        assert found["now"] is None
        assert [one["number"] for one in found["choices"]] == [1, 2]
        first, second = found["choices"]
        assert (first["chosen"], second["chosen"]) == ("own_bank", "wechat")
        assert second["propensity_ppm"] == 1_000_000
        assert second["payment"]["excluded"] == ["own_bank"]
        assert second["decision"]["candidates"][0]["excluded"] == "the payment excludes it"

    _run(act)


def test_what_cannot_be_explained_is_refused() -> None:
    """An unknown payment, both questions at once, none, and an app that is not the office."""

    async def act(world: World, parts: Parts, office: Caller) -> None:
        shop = Caller(world)
        await shop.open()
        answers = [
            await office.ask("route.explain", payment_id="pay_9"),
            await office.ask("route.explain", payment_id="pay_9", payment=_IMAGINED),
            await office.ask("route.explain"),
            await office.ask("route.explain", payment={"method": "quick"}),
            await shop.ask("route.explain", payment=_IMAGINED),
        ]
        assert [answer["error"]["code"] for answer in answers] == [
            "not_found", "invalid_field", "invalid_field", "invalid_field", "forbidden",
        ]  # fmt: skip

    _run(act)


def test_rules_are_taken_over_while_payments_flow() -> None:
    """A sound document decides within a second; an unsound one is refused and changes nothing."""

    async def act(world: World, parts: Parts, office: Caller) -> None:
        closed = {"name": "closed", "effect": "exclude", "channels": ["own_bank"]}
        put = await office.call(
            "rules.put", request_id="r1", name="routing", rules={"eligibility": [closed]}
        )
        assert put["version"] == 1
        await world.clock.sleep(LOOK_EVERY_S + 0.1)
        refused = await office.ask(
            "rules.put", request_id="r2", name="routing",
            rules={"eligibility": [closed, {**closed, "name": "late", "hour_from": 22}]},
        )  # fmt: skip
        assert refused["error"]["code"] == "invalid_field"
        assert "$.eligibility[1].hour_from" in refused["error"]["message"]
        await world.clock.sleep(LOOK_EVERY_S + 0.1)
        now = (await office.call("route.explain", payment=_IMAGINED))["now"]["decision"]
        assert (now["chosen"], now["rules_version"]) == ("wechat", 1)
        excluded = now["candidates"][0]["excluded"]
        assert excluded == "rule closed excludes it for any payment"

    _run(act)
