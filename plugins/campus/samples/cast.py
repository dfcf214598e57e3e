"""Who is who on the campus of the sample day, and the words that they send.

Sixty houses of a boarding school, each with twelve students, their families, two tills and three
rooms. What a house does touches nobody outside of it but the school's own accounts, so each house
is a lane of its own.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from random import Random
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

__all__ = (
    "BATCHES",
    "DAY_S",
    "LATER_BATCHES",
    "LATER_DAYS",
    "MIDNIGHT",
    "OPERATORS",
    "SCHOOL",
    "TERM",
    "Act",
    "Child",
    "Family",
    "House",
    "Ids",
    "Message",
    "Till",
    "account_setup",
    "clock_text",
    "make_houses",
    "request",
    "setup_request",
)

MIDNIGHT = datetime(2026, 3, 2, tzinfo=timezone(timedelta(hours=8)))
DAY_S = 86_400
# The last part of the story comes so much later, in another month on whatever date it is played.
LATER_DAYS = 40
SCHOOL = "hilltop"
TERM = "2026-spring"
_STUDENTS_PER_HOUSE = 12

# Who runs the tills: two caterers and a shop.
OPERATORS = ("caterer-north", "caterer-south", "campus-shop")

# The batches of the term: kind, title, least and most of an amount (fen), when it is due. Two of
# them are late on the day already.
BATCHES: dict[str, tuple[str, str, int, int, str]] = {
    "tuition-2026s": ("tuition", "学费 2026 春", 240_000, 260_000, "2026-03-20T00:00:00+08:00"),
    "board-2026s": ("board", "住宿费 2026 春", 90_000, 120_000, "2026-03-20T00:00:00+08:00"),
    "books-2026s": ("books", "教材费 2026 春", 18_000, 32_000, "2026-02-25T00:00:00+08:00"),
    "insurance-2026": ("insurance", "学平险 2026", 10_000, 10_000, "2026-02-20T00:00:00+08:00"),
}
# What comes later in the term.
LATER_BATCHES: dict[str, tuple[str, str, int, int, str]] = {
    "trip-2026": ("other", "春游 2026", 12_000, 18_000, "2026-04-30T00:00:00+08:00"),
}


class Message(msgspec.Struct, kw_only=True):
    """One line of the day before its outcome is known.

    ``body`` is sent as JSON unless ``raw_hex`` gives the bytes themselves. ``fault`` is the error
    code of a message that no state can change, because it cannot be decoded. ``defines`` names the
    account that an ``account.open`` opens, and ``keeps`` the result for the bodies of later
    messages. A read with ``until`` is repeated until it is answered as expected. ``phase`` is 0 for
    what sets the school up, 1 for the day, 2 for what comes later.
    """

    at: int
    lane: str
    subject_tail: str
    body: dict[str, Any] | None = None
    raw_hex: str | None = None
    defines: str | None = None
    keeps: str | None = None
    until: bool = False
    setup: bool = False
    fault: str | None = None
    phase: int = 0


# Messages that come right after each other, whatever else their lane does.
Act = list[Message]


class Ids:
    """Request ids in the order in which they are asked for."""

    def __init__(self) -> None:
        self._last = 0

    def next(self) -> str:
        """Return an id that was not used before."""
        self._last += 1
        return f"campus-{self._last:06d}"


class Till:
    """A terminal: it counts its sales and signs each with its key."""

    def __init__(self, terminal_id: str, operator: str, category: str, seed: bytes) -> None:
        self.terminal_id = terminal_id
        self.operator = operator
        self.category = category
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self._last = 0
        # How many days after the first one it sells.
        self.days = 0
        self.public_key = self._key.public_key().public_bytes_raw().hex()

    def record(
        self, student_id: str, amount: int, at: int, sequence: int | None = None
    ) -> dict[str, Any]:
        """Return the signed record of a sale at a second of the day, maybe of days before."""
        if sequence is None:
            self._last += 1
            sequence = self._last
        moment = MIDNIGHT + timedelta(days=self.days, seconds=at)
        fields = (
            "campus.sale.v1", self.terminal_id, sequence, student_id, amount,
            int(moment.timestamp()),
        )  # fmt: skip
        return {
            "sequence": sequence,
            "student_id": student_id,
            "amount_minor": amount,
            "purchased_at": moment.isoformat(),
            "signature": self._key.sign("|".join(map(str, fields)).encode()).hex(),
        }


class Child(msgspec.Struct, kw_only=True):
    """A student: how much is put into the wallet, the subsidies, the parents' cap, the bills."""

    student_id: str
    name: str
    top_up: int
    grants: list[int]
    cap: int | None
    bills: dict[str, int]

    @property
    def wallet(self) -> str:
        """Return the name of the wallet's account."""
        return f"@acct:wallet:{self.student_id}"


class Family(msgspec.Struct, kw_only=True):
    """Guardians with what is in their accounts, their children, and how they pay bills."""

    family_id: str
    guardians: dict[str, int]
    children: list[Child]
    habit: str

    @property
    def payer(self) -> str:
        """Return the guardian who pays as a rule."""
        return next(iter(self.guardians))

    @property
    def bills(self) -> list[tuple[str, str, int]]:
        """Return the bills of all children: student, batch, amount."""
        return [
            (child.student_id, batch, amount)
            for child in self.children
            for batch, amount in child.bills.items()
        ]


class House(msgspec.Struct, kw_only=True):
    """A house of the school: families, tills, rooms with what their meters show."""

    name: str
    class_id: str
    families: list[Family]
    canteen: Till
    shop: Till
    rooms: dict[str, int]

    @property
    def children(self) -> Iterator[tuple[Family, Child]]:
        """Yield the children with their families."""
        return ((family, child) for family in self.families for child in family.children)


def clock_text(seconds: int) -> str:
    """Return the RFC 3339 text of a second of the day."""
    return (MIDNIGHT + timedelta(seconds=seconds)).isoformat()


def request(lane: str, at: int, tail: str, body: dict[str, Any], ids: Ids) -> Message:
    """Return a message that changes something, with an id of its own."""
    body = {"request_id": ids.next(), **body}
    return Message(at=at, lane=lane, subject_tail=tail, body=body)


def setup_request(lane: str, tail: str, body: dict[str, Any], ids: Ids) -> Message:
    """Return a message that changes something before the day begins."""
    message = request(lane, 0, tail, body, ids)
    message.setup = True
    return message


def account_setup(
    lane: str, name: str, holder: str, balance: int, ids: Ids, *, kind: str = "customer"
) -> Iterator[Message]:
    """Yield how an account comes to be, with what is in it."""
    opening = setup_request(lane, "account.open", {"holder": holder, "type": kind}, ids)
    opening.defines = name
    yield opening
    if balance:
        body = {"account_id": name, "amount_minor": balance, "source": "external:unionpay"}
        yield setup_request(lane, "account.deposit", body, ids)


def make_houses(random: Random, number: int) -> list[House]:
    """Return the houses with everybody in them."""
    return [_make_house(random, house) for house in range(number)]


def _make_house(random: Random, number: int) -> House:
    name = f"house-{number:02d}"
    operator = OPERATORS[number % 2]
    return House(
        name=name,
        class_id=f"class-{number:02d}",
        families=list(_make_families(random, number)),
        canteen=Till(f"till-{number:02d}-c", operator, "canteen", random.randbytes(32)),
        shop=Till(f"till-{number:02d}-s", OPERATORS[2], "shop", random.randbytes(32)),
        rooms={f"room-{number:02d}-{room}": 100_000 + 7_919 * room for room in range(3)},
    )


def _make_families(random: Random, house: int) -> Iterator[Family]:
    born = 0
    family = 0
    while born < _STUDENTS_PER_HOUSE:
        size = min(random.choices((1, 2, 3), (6, 3, 1))[0], _STUDENTS_PER_HOUSE - born)
        children = [_make_child(random, f"2026{house:02d}{born + one:02d}") for one in range(size)]
        habit = random.choices(
            ("at_once", "in_parts", "instalments", "waiver", "wallet", "never"),
            (34, 24, 14, 8, 6, 14),
        )[0]
        means = random.choices(("well", "poor"), (88, 12))[0]
        bills = sum(sum(child.bills.values()) for child in children)
        purse = bills + random.randrange(40_000, 90_000, 100) if means == "well" else 30_000
        family_id = f"f{house:02d}{family:02d}"
        guardians = {f"{family_id}-m": purse}
        if random.random() < 0.5:
            guardians[f"{family_id}-f"] = random.randrange(10_000, 60_000, 100)
        yield Family(family_id=family_id, guardians=guardians, children=children, habit=habit)
        born += size
        family += 1


def _make_child(random: Random, student_id: str) -> Child:
    surname = random.choice("王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗")
    given = random.choice(("子涵", "浩然", "欣怡", "宇轩", "诗涵", "梓豪", "雨桐", "俊杰", "思远"))
    grants = []
    if random.random() < 0.3:
        grants.append(random.randrange(1_500, 6_000, 100))
        if random.random() < 0.3:
            grants.append(random.randrange(500, 2_000, 100))
    return Child(
        student_id=student_id,
        name=surname + given,
        top_up=random.choices((0, 1_500, 6_000, 12_000), (14, 16, 40, 30))[0],
        grants=grants,
        cap=random.choice((2_500, 4_000)) if random.random() < 0.2 else None,
        bills={
            batch: random.randrange(least, most + 1, 100)
            for batch, (_, _, least, most, _) in BATCHES.items()
        },
    )
