"""Students who buy at a till, and parents who fill the wallet up again."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from loadtest.hotload.people import Opener
from loadtest.hotload.traffic import Request

__all__ = ("TILL_FULL", "CampusLane", "open_campus")

_PACK = "campus"
_SCHOOL = "hot-school"
_MEAL_MINOR = 1_200
_TOP_UP_MINOR = 2_400
# Two meals are eaten, then the wallet is as full as before.
_MEALS = 2
_BEGIN = datetime(2025, 1, 1, tzinfo=UTC)
_BETWEEN = timedelta(minutes=1)
# Requests of one student until the till's list of 256 sales is full, and so is the student's own.
TILL_FULL = 256 * (_MEALS + 1) // _MEALS
# A message of the roster takes this many rows.
_ROWS = 50


class CampusLane:
    """One student, with a till that nobody else uses: so its numbers come in their order."""

    pack = _PACK
    collection = "student"

    def __init__(self, number: int, wallet: str, guardian: str, payee: str) -> None:
        self.key = f"student-{number}"
        self.guardian_id = f"guardian-{number}"
        self.terminal_id = f"till-{number}"
        self.wallet, self.guardian = wallet, guardian
        self._payee = payee
        self._signer = Ed25519PrivateKey.from_private_bytes(number.to_bytes(32, "big"))
        self.public_key = self._signer.public_key().public_bytes_raw().hex()
        self._sent = 0
        self._sequence = 0

    def next(self, request_id: str) -> Request:
        """Return a meal, or the top-up after some."""
        self._sent += 1
        if self._sent % (_MEALS + 1):
            return self._meal(request_id)
        body = {
            "request_id": request_id, "student_id": self.key, "guardian_id": self.guardian_id,
            "amount_minor": _TOP_UP_MINOR,
        }  # fmt: skip
        return Request(
            request_id=request_id, pack=_PACK, verb="top_up", key=self.key,
            body=msgspec.json.encode(body), pays_minor=_TOP_UP_MINOR, writes=False,
            moves={self.guardian: -_TOP_UP_MINOR, self.wallet: _TOP_UP_MINOR},
            wrong=_wrong_top_up,
        )  # fmt: skip

    def _meal(self, request_id: str) -> Request:
        self._sequence += 1
        at = _BEGIN + self._sequence * _BETWEEN
        fields = (
            "campus.sale.v1", self.terminal_id, self._sequence, self.key, _MEAL_MINOR,
            int(at.timestamp()),
        )  # fmt: skip
        body = {
            "request_id": request_id, "student_id": self.key, "terminal_id": self.terminal_id,
            "sequence": self._sequence, "amount_minor": _MEAL_MINOR,
            "purchased_at": at.isoformat(),
            "signature": self._signer.sign("|".join(map(str, fields)).encode()).hex(),
        }  # fmt: skip
        return Request(
            request_id=request_id, pack=_PACK, verb="buy_online", key=self.key,
            body=msgspec.json.encode(body), pays_minor=_MEAL_MINOR,
            moves={self.wallet: -_MEAL_MINOR, self._payee: _MEAL_MINOR},
            wrong=_wrong_meal,
        )  # fmt: skip


def _wrong_meal(result: dict[str, Any]) -> str:
    found = (result["status"], result["own_minor"], result["debts_minor"])
    return "" if found == ("charged", _MEAL_MINOR, 0) else f"a meal came to {found}"


def _wrong_top_up(result: dict[str, Any]) -> str:
    found = (result["amount_minor"], result["collected_minor"])
    return "" if found == (_TOP_UP_MINOR, 0) else f"a top-up came to {found}"


async def open_campus(opener: Opener, lanes: int) -> list[CampusLane]:
    """Open the school with its students, wallets, guardians and tills."""
    accounts = {
        name: await opener.account("merchant")
        for name in ("supervised", "clearing", "subsidy_fund", "power")
    }
    officers = [{"officer_id": "officer", "may_request": True, "may_approve": True}]
    await opener.call(_PACK, "open_school", school_id=_SCHOOL, accounts=accounts, officers=officers)
    payee = await opener.account("merchant")

    async def one(number: int) -> CampusLane:
        return CampusLane(number, await opener.funded(), await opener.funded(), payee)

    made = await opener.each(one, lanes)
    classes = [{"class_id": "class-1", "grade": "1"}]
    for first in range(0, lanes, _ROWS):
        rows = [
            {
                "student_id": lane.key, "class_id": "class-1", "name": lane.key,
                "guardians": [{"guardian_id": lane.guardian_id}],
            }
            for lane in made[first : first + _ROWS]
        ]  # fmt: skip
        await opener.call(_PACK, "import_roster", school_id=_SCHOOL, classes=classes, students=rows)

    async def enter(number: int) -> None:
        lane = made[number]
        # Each student hears of the roster by a message of its own.
        await opener.until_known(_PACK, "bind_wallet", student_id=lane.key, account_id=lane.wallet)
        await opener.call(
            _PACK, "bind_guardian", guardian_id=lane.guardian_id, account_id=lane.guardian
        )
        await opener.call(
            _PACK, "register_terminal", terminal_id=lane.terminal_id, school_id=_SCHOOL,
            payee=payee, category="canteen", public_key=lane.public_key,
        )  # fmt: skip

    await opener.each(enter, lanes)
    return made
