"""Cars that drive in and out of one car park; each stay costs the same."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from loadtest.hotload.people import Opener
from loadtest.hotload.traffic import Request

__all__ = ("ParkingLane", "open_parking")

_PACK = "parking"
_LOT = "hot-lot"
_FEE_MINOR = 500
_BEGIN = datetime(2025, 1, 1, tzinfo=UTC)
_STAY = timedelta(minutes=50)
_BETWEEN = timedelta(minutes=70)
_LETTERS = "ABCDEFGHJK"


class ParkingLane:
    """One car."""

    pack = _PACK
    collection = "vehicle"

    def __init__(self, number: int, account: str, payee: str) -> None:
        self.key = f"沪A{_LETTERS[number % len(_LETTERS)]}{number:04d}"
        self.account = account
        self._moves = {account: -_FEE_MINOR, payee: _FEE_MINOR}
        self._enters_at = _BEGIN
        self._inside = False

    def next(self, request_id: str) -> Request:
        """Return an entry, or the exit that follows it."""
        body = {"request_id": request_id, "plate": self.key, "lot_id": _LOT}
        self._inside = not self._inside
        if self._inside:
            body["entered_at"] = self._enters_at.isoformat()
            return Request(
                request_id=request_id, pack=_PACK, verb="enter", key=self.key,
                body=msgspec.json.encode(body),
            )  # fmt: skip
        body["left_at"] = (self._enters_at + _STAY).isoformat()
        self._enters_at += _BETWEEN
        return Request(
            request_id=request_id, pack=_PACK, verb="exit", key=self.key,
            body=msgspec.json.encode(body), moves=self._moves, pays_minor=_FEE_MINOR,
            wrong=_wrong,
        )  # fmt: skip


def _wrong(result: dict[str, Any]) -> str:
    found = (result["status"], result["paid_minor"], result["arrears_minor"])
    return "" if found == ("paid", _FEE_MINOR, 0) else f"an exit came to {found}"


async def open_parking(opener: Opener, lanes: int) -> list[ParkingLane]:
    """Open the car park, and bind an account to each car."""
    payee = await opener.account("merchant")
    tariff = {
        "free_minutes": 0, "hour_minor": _FEE_MINOR, "night_hour_minor": _FEE_MINOR,
        "daily_cap_minor": 1_000_000, "night_from": "22:00:00", "night_until": "06:00:00",
    }  # fmt: skip
    await opener.call(_PACK, "open_lot", lot_id=_LOT, payee=payee, tariff=tariff)

    async def one(number: int) -> ParkingLane:
        lane = ParkingLane(number, await opener.funded(), payee)
        await opener.call(_PACK, "bind", plate=lane.key, account_id=lane.account)
        return lane

    return await opener.each(one, lanes)
