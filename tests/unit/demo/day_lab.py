"""A tiny sample day and a service that answers it, wrong when it is told to."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from schemas.errors import DeadlineExceeded, InvalidField
from schemas.reply import encode_error, encode_result
from tests.unit.demo.test_driver import SleeplessClock
from zhihui.demo.day import Day, DayLine
from zhihui.demo.days.manifest import AccountEnd, Begins, Debts, Manifest, Phase
from zhihui.demo.driver import DayDriver

__all__ = ("FakeDate", "LittleService", "little_day", "little_driver", "little_line")

_GIVE_UP_S = 20.0


def little_line(operation: str, expect: str, **more: Any) -> DayLine:
    """Return a line; ``body`` is the message."""
    body = more.pop("body", {})
    line = DayLine(at=0, lane="one", subject_tail=operation, expect=expect)
    return msgspec.structs.replace(line, body=msgspec.Raw(msgspec.json.encode(body)), **more)


def little_day() -> Day:
    """Return a day of a kiosk that sells on credit: two phases, an account, one that owes."""
    opening = little_line(
        "account.open", "ok", body={"request_id": "r-1"}, defines="@acct:kiosk", setup=True
    )
    buying = little_line(
        "kiosk.buy", "sold", phase=1, expect_result={"amount_minor": 250},
        body={"request_id": "r-2", "buyer": "anna", "payee": "@acct:kiosk"},
    )  # fmt: skip
    refused = little_line("kiosk.buy", "invalid_field", phase=1, raw_hex="00")
    lines = [msgspec.structs.replace(opening, phase=0), buying, buying, refused]
    return Day(
        lines=lines,
        manifest=Manifest(
            name="a kiosk",
            app="kiosk",
            messages=3,
            setup_messages=1,
            outcomes={"account.open": {"ok": 1}, "kiosk.buy": {"invalid_field": 1, "sold": 2}},
            phases=(Phase(name="Opening"), Phase(name="Trade", advance_s=5_400)),
            begins=Begins(weekday="Friday", at="07:00", zone="Asia/Shanghai"),
            accounts={"@acct:kiosk": AccountEnd(balance_minor=250, held_minor=10, entries=3)},
            debts=Debts(
                operation="kiosk.get",
                key="buyer",
                field="owed_minor",
                made_by="kiosk.buy",
                owed={"anna": 70},
            ),
        ),
    )


class LittleService:
    """Answers the day as its manifest says; ``wrong`` names what is answered otherwise."""

    def __init__(self, clock: SleeplessClock, *wrong: str) -> None:
        self.sent: list[str] = []
        self._clock = clock
        self._wrong = wrong
        self._sold = 0

    async def request_raw(self, subject: str, payload: bytes, *, timeout_s: float) -> bytes:
        """Answer one message."""
        operation = subject.removeprefix("zh.v1.kiosk.")
        self.sent.append(operation)
        if payload == b"\x00":
            return encode_error(InvalidField("no JSON", field="body"))
        if operation == "kiosk.buy":
            self._sold += 1
            if "silence" in self._wrong:
                self._clock.advance(timeout_s)
                raise DeadlineExceeded("nobody answers")
        return encode_result(json.dumps(self._result(operation, json.loads(payload))).encode())

    def _result(self, operation: str, body: dict[str, Any]) -> dict[str, Any]:
        wrong = self._wrong
        results: dict[str, Any] = {
            "account.open": {"account_id": "acct_1"},
            "account.get": {
                "posted_minor": 249 if "balance" in wrong else 250,
                "held_minor": 0 if "held" in wrong else 10,
            },
            "account.statement": {
                "entries": [1] * (1 if body.get("after") or "entry" in wrong else 2),
                "next_after": None if body.get("after") else 2,
            },
            "kiosk.get": {"owed_minor": 0 if "debt" in wrong else 70},
            "kiosk.buy": {
                "status": "left" if "status" in wrong else "sold",
                "amount_minor": 251 if "amount" in wrong else 250,
                "number": self._sold if "repetition" in wrong else 1,
            },
        }
        found: dict[str, Any] = results[operation]
        return found


class FakeDate:
    """Notes how the date is moved."""

    def __init__(self) -> None:
        self.moves: list[Any] = []

    async def advance(self, by: timedelta) -> None:
        """Note it."""
        self.moves.append(by)

    async def move_to(self, begins: Begins) -> None:
        """Note it."""
        self.moves.append(begins)


def little_driver(*wrong: str) -> tuple[DayDriver, LittleService]:
    """Return a driver with the service that it talks to."""
    clock = SleeplessClock(datetime(2026, 6, 15, tzinfo=UTC))
    service = LittleService(clock, *wrong)
    return DayDriver(service, app="kiosk", give_up_s=_GIVE_UP_S, clock=clock), service
