"""Service discovery as NATS's own tools read it."""

import json
from typing import Any

import pytest

from kernel.discovery import Discovery
from schemas.accounts import GetStatement
from schemas.catalogue import BANK_OPERATIONS
from schemas.payments import Payment
from tests.eventually import turns
from tests.unit.kernel.edge_lab import PAY, EdgeLab, payment_body
from tests.unit.kernel.harness import (
    START,
)

pytestmark = pytest.mark.anyio


async def _discover(lab: EdgeLab, subject: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []

    def keep(subject: str, reply: str, data: bytes, headers: bytes) -> None:
        found.append(json.loads(data))

    await lab.bus.subscribe("found", keep)
    lab.bus.publish(subject, b"", reply="found")
    await turns()
    return found


def _discovery(lab: EdgeLab) -> Discovery:
    return Discovery(
        lab.bus, lab.edge, name="zhihui", service_id="n1_7", version="0.1.0",
        description="The bank.", started=START, metadata=lambda: {"ready": "true"},
        statistics=lab.edge.statistics,
    )  # fmt: skip


@pytest.mark.parametrize("target", ["", ".zhihui", ".zhihui.n1_7"])
async def test_discovery_has_the_shapes_of_adr_32(target: str) -> None:
    """PING, INFO and STATS answer all, the name and the instance, in the form of NATS's tools."""
    async with EdgeLab() as lab:
        await _discovery(lab).open()
        await lab.request(PAY, payment_body())
        await lab.request(PAY, b"{")
        identity = {
            "name": "zhihui", "id": "n1_7", "version": "0.1.0", "metadata": {"ready": "true"},
        }  # fmt: skip
        (ping,) = await _discover(lab, f"$SRV.PING{target}")
        assert ping == {"type": "io.nats.micro.v1.ping_response", **identity}
        (info,) = await _discover(lab, f"$SRV.INFO{target}")
        assert info.items() >= {
            "type": "io.nats.micro.v1.info_response", "description": "The bank.", **identity,
        }.items()  # fmt: skip
        assert info["endpoints"][0] == {
            "name": "account-open", "subject": "zh.v1.*.account.open", "queue_group": "zhihui",
            "metadata": {"summary": "Open an account with a balance of zero."},
        }  # fmt: skip
        (stats,) = await _discover(lab, f"$SRV.STATS{target}")
        assert stats["type"] == "io.nats.micro.v1.stats_response"
        assert stats["started"].startswith("2026-11-23T08:00:00")
        created = next(one for one in stats["endpoints"] if one["name"] == "payment-create")
        assert (created["num_requests"], created["num_errors"]) == (2, 1)
        assert created["last_error"] == "malformed_message"
        assert isinstance(created["processing_time"], int)
        assert isinstance(created["average_processing_time"], int)
        assert len(stats["endpoints"]) == len(info["endpoints"]) == len(lab.edge.endpoints)


async def test_discovery_answers_only_its_own_name() -> None:
    """Another service's name or instance is somebody else's; no reply subject, no answer."""
    async with EdgeLab() as lab:
        await _discovery(lab).open()
        assert await _discover(lab, "$SRV.PING.other") == []
        assert await _discover(lab, "$SRV.PING.zhihui.n2_1") == []
        lab.bus.publish("$SRV.PING", b"")
        await turns()


async def test_discovery_survives_a_cut() -> None:
    """A question that cannot be answered, for the bus was cut meanwhile, harms nothing."""
    async with EdgeLab() as lab:
        await _discovery(lab).open()
        lab.bus.publish("$SRV.PING", b"", reply="bad subject")
        lab.bus.publish("$SRV.PING", b"", reply="found")
        await turns()
        assert len(await _discover(lab, "$SRV.PING")) == 1


def test_payments_result_is_what_the_catalogue_says() -> None:
    """The operation that the tests above lean on has the shapes they assume."""
    by_name = {one.name: one for one in BANK_OPERATIONS}
    assert by_name["payment.create"].result is Payment
    assert by_name["account.statement"].request is GetStatement
