"""A car park: cars drive in and out, and the fee is deducted from the account of the plate.

``--set cars=200`` says how many plates are bound to an account before the load begins; with more
users than cars, several drive the same one and are refused now and then.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from loadtest import User, between, tag, task
from loadtest.harness.stage import Stage
from schemas.errors import Rejected

__all__ = ("Driver", "Visitor", "app", "defaults", "setup", "thresholds")

app = "load"

defaults = {"users": 20, "spawn_rate": 20, "duration": "20s"}

thresholds = ["parking.exit:error_rate<0.1%"]

_LOT = "load-lot"
_FEE_MINOR = 500
_OPENING_MINOR = 10_000_000

# The car park's clock: what it measures is hours, and a load has seconds.
_BEGIN = datetime(2025, 1, 1, 8, tzinfo=UTC)
_STAY = timedelta(minutes=50)
_BETWEEN = timedelta(minutes=70)

_LETTERS = "ABCDEFGHJK"

_TARIFF = {
    "free_minutes": 0, "hour_minor": _FEE_MINOR, "night_hour_minor": _FEE_MINOR,
    "daily_cap_minor": 1_000_000, "night_from": "22:00:00", "night_until": "06:00:00",
}  # fmt: skip


async def setup(stage: Stage) -> dict[str, Any]:
    """Open a car park, and bind an account with money in it to each plate."""
    cars = int(stage.settings.get("cars", "100"))
    stage.say(f"opening a car park and binding {cars:,} plates")
    lot = f"{_LOT}-{stage.run_id}"
    (payee,) = await stage.merchants(1)
    client = stage.client
    await client.call("parking", "open_lot", {
        "request_id": client.new_request_id(), "lot_id": lot, "payee": payee, "tariff": _TARIFF,
    })  # fmt: skip
    accounts = await stage.funded_accounts(cars, _OPENING_MINOR)
    # A plate stands for one car of the whole city, so each run has its own.
    first = int(stage.run_id.removeprefix("load-"), 16) % 90_000

    async def bind(number: int) -> str:
        plate = f"沪{_LETTERS[number % len(_LETTERS)]}{(first + number // len(_LETTERS)):05d}"
        await client.call("parking", "bind", {
            "request_id": client.new_request_id(), "plate": plate, "account_id": accounts[number],
        })  # fmt: skip
        return plate

    return {"lot": lot, "plates": await stage.each(bind, cars)}


class Driver(User):
    """Drives in, stays for fifty minutes of the car park's time, and drives out."""

    weight = 9
    wait_time = between(0.05, 0.15)

    async def on_start(self) -> None:
        """Take a car."""
        plates = self.data["plates"]
        self.plate = plates[self.number % len(plates)]
        # Drivers who share a car do so at different times.
        self.at = _BEGIN + timedelta(days=365) * (self.number // len(plates))

    @task(3)
    async def park(self) -> None:
        """Drive in and out again; the fee is that of one hour."""
        lot = self.data["lot"]
        self.at += _BETWEEN
        await self.client.call(
            "parking", "enter", plate=self.plate, lot_id=lot, entered_at=self.at.isoformat()
        )
        left = await self.client.call(
            "parking", "exit", plate=self.plate, lot_id=lot,
            left_at=(self.at + _STAY).isoformat(),
        )  # fmt: skip
        self.expect(
            left["fee_minor"] == _FEE_MINOR,
            "a stay of fifty minutes costs the fee of one hour",
            f"{left['fee_minor']} in place of {_FEE_MINOR} fen",
        )


class Visitor(User):
    """Has no account bound, and tries to leave a car park that it never entered."""

    weight = 1
    wait_time = between(0.2, 0.4)

    @tag("refused")
    @task
    async def ask(self) -> None:
        """Ask for what cannot be; the refusal is an answer as good as any."""
        try:
            await self.client.named("refused").call(
                "parking", "exit", plate="沪Z99999", lot_id="no-such-lot",
                left_at=_BEGIN.isoformat(),
            )  # fmt: skip
        except Rejected:
            return
        self.expect(False, "nobody leaves a car park that does not exist")
