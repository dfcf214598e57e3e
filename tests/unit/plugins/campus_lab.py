"""A campus on the fake host: one school, its people, its tills, and words for what they do."""

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from plugins.campus.batch import Batch
from plugins.campus.pack import Campus
from plugins.campus.room import Room
from plugins.campus.student import Student
from plugins.campus.terminal import Terminal
from tests.unit.plugins.fake_host import FakeHost

__all__ = ("NOW", "OFFICERS", "SCHOOL", "CampusHost", "Till", "any_order", "day")

NOW = datetime(2026, 9, 7, 4, tzinfo=UTC)
SCHOOL = "hilltop"
TERM = "2026-autumn"
OFFICERS = [
    {"officer_id": "cashier", "may_request": True},
    {"officer_id": "bursar", "may_approve": True},
    {"officer_id": "principal", "may_request": True, "may_approve": True},
]


def day(number: float) -> datetime:
    """Return a moment some days after the beginning of the story."""
    return NOW + timedelta(days=number)


def any_order(seed: int) -> Random:
    """Return what puts deliveries out of order, the same way for the same seed."""
    return Random(seed)  # noqa: S311


class Till:
    """A terminal with its key: it signs sales as a real one does."""

    def __init__(self, host: "CampusHost", terminal_id: str, category: str, seed: int) -> None:
        self.host = host
        self.terminal_id = terminal_id
        self.category = category
        self.payee = f"acct-{terminal_id}"
        self._key = Ed25519PrivateKey.from_private_bytes(seed.to_bytes(32, "big"))
        self.sequence = 0

    @property
    def public_key(self) -> str:
        """Return the public key in hex."""
        return self._key.public_key().public_bytes_raw().hex()

    def sale(
        self,
        student: str,
        amount: int,
        *,
        at: datetime | None = None,
        sequence: int | None = None,
    ) -> dict[str, Any]:
        """Return the record of the next sale, or of one with a number of its own."""
        if sequence is None:
            self.sequence += 1
            sequence = self.sequence
        moment = at or self.host.now
        seconds = int(moment.timestamp())
        text = f"campus.sale.v1|{self.terminal_id}|{sequence}|{student}|{amount}|{seconds}"
        return {
            "sequence": sequence,
            "student_id": student,
            "amount_minor": amount,
            "purchased_at": moment.isoformat(),
            "signature": self._key.sign(text.encode()).hex(),
        }

    def sell(self, student: str, amount: int, **options: Any) -> Any:
        """Sell online."""
        return self.buy(self.sale(student, amount, **options))

    def buy(self, record: dict[str, Any]) -> Any:
        """Send a record as an online sale."""
        return self.host.call("buy_online", terminal_id=self.terminal_id, **record)

    def upload(self, *records: dict[str, Any], deliver: bool = True) -> Any:
        """Upload records, and let their students be charged."""
        result = self.host.call("upload_sales", terminal_id=self.terminal_id, records=records)
        if deliver:
            self.host.deliver()
        return result


class CampusHost(FakeHost):
    """The fake host with a school, three children of two families, two tills and a room."""

    app = "hilltop-it"

    def __init__(self, now: datetime = NOW) -> None:
        super().__init__(Campus(), now)
        self.call("open_school", **self.school())
        self.enrol("ann", "mother", "father")
        self.enrol("ben", "mother", "father")
        self.enrol("eve", "aunt")
        for guardian in ("mother", "father", "aunt"):
            self.call("bind_guardian", guardian_id=guardian, account_id=f"acct-{guardian}")
        self.canteen = self.till("canteen-1", "canteen", 1)
        self.shop = self.till("shop-1", "shop", 2)

    @staticmethod
    def school(**changes: Any) -> dict[str, Any]:
        """Return how the school is opened."""
        accounts = {
            "supervised": "acct-supervised",
            "clearing": "acct-clearing",
            "subsidy_fund": "acct-fund",
            "power": "acct-power",
        }
        return {"school_id": SCHOOL, "accounts": accounts, "officers": OFFICERS} | changes

    def call(self, verb: str, **body: Any) -> Any:
        """Send a message as the school's app does."""
        if self.operations[verb].mutates:
            body["request_id"] = self.request_id
        return self.send(verb, msgspec.json.encode(body))

    def enrol(self, student: str, *guardians: str, wallet: bool = True) -> None:
        """Bring a student with guardians and a wallet into the roster."""
        term = {
            "term_id": TERM,
            "name": "Autumn 2026",
            "begins_at": day(-6).isoformat(),
            "ends_at": day(130).isoformat(),
        }
        row = {
            "student_id": student,
            "class_id": "7a",
            "name": student.title(),
            "guardians": [{"guardian_id": one} for one in guardians],
        }
        self.call(
            "import_roster",
            school_id=SCHOOL,
            terms=[term],
            classes=[{"class_id": "7a", "grade": "7"}],
            students=[row],
        )
        self.deliver()
        if wallet:
            self.call("bind_wallet", student_id=student, account_id=f"acct-{student}")

    def till(self, terminal_id: str, category: str, seed: int) -> Till:
        """Register a terminal."""
        till = Till(self, terminal_id, category, seed)
        self.call(
            "register_terminal",
            terminal_id=terminal_id,
            school_id=SCHOOL,
            payee=till.payee,
            category=category,
            public_key=till.public_key,
        )
        return till

    def bill(
        self,
        amounts: dict[str, int],
        batch: str = "tuition",
        due: float = 30,
        kind: str = "tuition",
    ) -> Any:
        """Issue a batch of bills and let it arrive."""
        result = self.call(
            "issue_bills",
            batch_id=batch,
            school_id=SCHOOL,
            term_id=TERM,
            kind=kind,
            title=f"{kind.title()} 2026",
            due_at=day(due).isoformat(),
            rows=[{"student_id": one, "amount_minor": amount} for one, amount in amounts.items()],
        )
        self.deliver()
        return result

    def grant(self, student: str, grant_id: str, amount: int, days: float = 30) -> Any:
        """Give a subsidy out of the fund."""
        return self.call(
            "grant_subsidy",
            student_id=student,
            grant_id=grant_id,
            amount_minor=amount,
            expires_at=day(days).isoformat(),
        )

    def top_up(self, student: str, guardian: str, amount: int) -> Any:
        """Move money into a wallet."""
        return self.call("top_up", student_id=student, guardian_id=guardian, amount_minor=amount)

    def student(self, student_id: str) -> Student:
        """Return the document of a student."""
        found = self.documents["student", student_id]
        assert isinstance(found, Student)
        return found

    def batch(self, batch_id: str = "tuition") -> Batch:
        """Return the document of a batch."""
        found = self.documents["batch", batch_id]
        assert isinstance(found, Batch)
        return found

    def terminal(self, till: Till) -> Terminal:
        """Return the document of a terminal."""
        found = self.documents["terminal", till.terminal_id]
        assert isinstance(found, Terminal)
        return found

    def room(self, room_id: str) -> Room:
        """Return the document of a room."""
        found = self.documents["room", room_id]
        assert isinstance(found, Room)
        return found

    def money(self) -> int:
        """Return all money there is."""
        return sum(self.balances.values())
