"""A city of car parks on the fake host: lots with rules, cars, and words for what they do."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from plugins.parking.pack import Parking
from plugins.parking.state import Occupancy, SeasonPass, Vehicle
from tests.unit.plugins.fake_host import FakeHost

__all__ = ("CAR", "DAY", "GREEN", "OTHER", "TARIFF", "City", "account", "at")

CAR, OTHER, GREEN = "沪A12345", "沪B54321", "沪AD12345"
# A Monday. The service's clock starts at its midnight.
DAY = datetime(2026, 6, 15, tzinfo=UTC)
TARIFF: dict[str, Any] = {
    "free_minutes": 15,
    "hour_minor": 600,
    "night_hour_minor": 200,
    "daily_cap_minor": 4000,
    "zone": "UTC",
}


def at(hours: float) -> datetime:
    """Return a moment of the story, hours after its midnight."""
    return DAY + timedelta(hours=hours)


def account(plate: str) -> str:
    """Return the name of a plate's account."""
    return f"acct-{plate[1:]}"


class City(FakeHost):
    """The fake host, under a clock that goes with what is reported."""

    def __init__(self) -> None:
        super().__init__(Parking(), DAY)
        self._requests = 0

    def call(self, verb: str, **body: Any) -> Any:
        """Send a message, with a request id of its own if it needs one."""
        if self.operations[verb].mutates:
            self._requests += 1
            self.request_id = body["request_id"] = f"r-{self._requests}"
        return self.send(verb, msgspec.json.encode(body))

    def lot(self, lot_id: str = "lot", **more: Any) -> Any:
        """Open a lot, run by the account ``op-<lot>``."""
        tariff = TARIFF | more.pop("tariff", {})
        return self.call("open_lot", lot_id=lot_id, payee=f"op-{lot_id}", tariff=tariff, **more)

    def bind(self, balance: int, plate: str = CAR, **more: Any) -> None:
        """Bind the account of a plate with that much in it."""
        self.call("bind", plate=plate, account_id=account(plate), **more)
        self.balances[account(plate)] = balance

    def until(self, hours: float) -> None:
        """Let time pass up to then, and all that comes due on the way."""
        self.advance(max(0.0, (at(hours) - self.now).total_seconds()))

    def enter(self, hours: float, lot: str = "lot", plate: str = CAR) -> Any:
        """Drive in."""
        self.until(hours)
        entered = self.call("enter", plate=plate, lot_id=lot, entered_at=at(hours))
        self.deliver()
        return entered

    def exit(self, hours: float, lot: str = "lot", plate: str = CAR) -> Any:
        """Drive out."""
        self.until(hours)
        left = self.call("exit", plate=plate, lot_id=lot, left_at=at(hours))
        self.deliver()
        return left

    def vehicle(self, plate: str = CAR) -> Vehicle:
        """Return the document of a plate."""
        found = self.documents["vehicle", plate]
        assert isinstance(found, Vehicle)
        return found

    def season(self, pass_id: str) -> SeasonPass:
        """Return the document of a pass."""
        found = self.documents["pass", pass_id]
        assert isinstance(found, SeasonPass)
        return found

    def count(self, lot_id: str = "lot") -> Occupancy:
        """Return how full a lot is."""
        found = self.documents["occupancy", lot_id]
        assert isinstance(found, Occupancy)
        return found

    def told(self, type_: str) -> list[msgspec.Struct]:
        """Return all that was told under a type."""
        return [data for kind, data in self.heard if kind == f"parking.{type_}"]
