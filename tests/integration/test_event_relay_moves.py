"""The relay when the journal moves to another node, and when the stream is lost."""

import msgspec
import pytest

from kernel import event_relay, jetstream
from kernel.clock import SystemClock
from kernel.event_relay import EVENT_STREAM_SETTINGS, EventRelay
from tests.eventually import eventually
from tests.integration.relay_lab import (
    numbered_events,
    relay_lab,
    stream_api,
)
from zhihui.embedded.nats_server import EmbeddedNats

pytestmark = pytest.mark.anyio


async def test_relay_rests_where_the_journal_is_not(
    nats_server: EmbeddedNats, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the journal nothing is relayed, and what was handed over before is dropped."""
    monkeypatch.setattr(event_relay, "IDLE_S", 0.05)
    async with relay_lab(nats_server, postgres_dsn) as lab:
        lab.epoch = None
        relay = lab.relay
        # Of a commit that never stood: whoever owns the journal knows better.
        relay.hand_over([msgspec.structs.replace(one, data="{}") for one in numbered_events(1, 3)])
        await lab.store_events(1, 5)
        async with lab.running():
            await eventually(lambda: not relay._handed_over, "it is dropped")
            assert not relay.statistics().active
            lab.epoch = 1
            await lab.wait_saved(5)
            # Another node relays meanwhile, and this one has to learn it.
            lab.epoch = None
            await eventually(lambda: relay._prepared is None, "it rests")
            other = EventRelay(lab.streams, lab.store, SystemClock())
            await lab.store_events(6, 9)
            await other._prepare()
            assert await other.relay_once() == 4
            lab.epoch = 3
            await lab.store_events(10, 12)
            await lab.wait_saved(12)
        await lab.check_stream(12)
        assert relay.statistics().single == 0


async def test_lost_stream_is_filled_again(
    nats_server: EmbeddedNats, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When JetStream has lost the stream, it is made anew with all that the outbox holds.

    Also when somebody else made it anew, and when the relay dies in the middle of filling it.
    """
    monkeypatch.setattr(event_relay, "RETRY_S", 0.01)
    monkeypatch.setattr(event_relay, "CHUNK", 10)
    monkeypatch.setattr(jetstream, "ANSWER_TIMEOUT_S", 1.0)
    async with relay_lab(nats_server, postgres_dsn) as lab:
        await lab.store_events(1, 30)
        async with lab.running():
            await lab.wait_saved(30)
            await stream_api(lab.url, ("DELETE", {}))
            await lab.store_events(31, 35)
            await lab.wait_saved(35)
            assert lab.relay.statistics().refilled == 1
            await lab.check_stream(35)
            # Made anew by another hand: it does not end where the relay left it.
            await stream_api(lab.url, ("DELETE", {}))
            await lab.streams.ensure(EVENT_STREAM_SETTINGS)
            await lab.store_events(36, 40)
            await lab.wait_saved(40)
            await lab.check_stream(40)
        await stream_api(lab.url, ("DELETE", {}))
    async with relay_lab(nats_server, postgres_dsn) as lab:
        # One chunk of the refill, and then a crash.
        await lab.relay._prepare()
        assert await lab.relay.relay_once() == 10
    async with relay_lab(nats_server, postgres_dsn) as lab:
        async with lab.running():
            await eventually(lambda: lab.relay.statistics().cursor == 40, "it is filled again")
        assert lab.relay.statistics().refilled == 1
        await lab.check_stream(40)
