"""Two children whose wallets are real accounts of class III (Ⅲ类户), opened as the bank opens them.

The wallets of the houses are plain accounts, for what a house does is about the school. Here it is
about the limits: ¥2,000 in the wallet at any moment, ¥2,000 a day out and in, but for the bound
card. A subsidy is in the fund and counts for none of them. The persons are some of the sandbox's
reference; see the page about customers.
"""

from collections.abc import Iterator
from typing import Any

from plugins.campus.samples.cast import (
    LATER_DAYS,
    OPERATORS,
    SCHOOL,
    Act,
    Child,
    Family,
    Ids,
    Message,
    Till,
    account_setup,
    request,
    setup_request,
)
from plugins.campus.samples.leaving import left_for_good
from plugins.campus.samples.life import sold_online, uploaded
from plugins.campus.samples.setting import BRANCH, STEPS, WEEK, seen, student_seen

__all__ = ("ClassThree",)

_LANE = "class-three"
_ROOM = "room-three"
_ONE, _TWO = "20269001", "20269002"
_PERSONS: dict[str, dict[str, str]] = {
    _ONE: {"name": "赵建国", "id_number": "610103190102160012", "phone": "14000000046"},
    _TWO: {"name": "黄秀英", "id_number": "370202190102170017", "phone": "14000000047"},
}
_CARDS = {_ONE: "6299990000000000467", _TWO: "6299990000000000475"}
_SHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"


class ClassThree:
    """The story of one family."""

    def __init__(self, ids: Ids, seed: bytes) -> None:
        self._ids = ids
        self._till = Till("till-three", OPERATORS[0], "canteen", seed)
        self._family = Family(
            family_id="f-three",
            guardians={"f-three-m": 2_000_000},
            children=[
                Child(student_id=one, name=person["name"], top_up=0, grants=[], cap=None, bills={})
                for one, person in _PERSONS.items()
            ],
            habit="never",
        )

    def setup(self) -> Iterator[Message]:
        """Yield how the family, its till and its room come to be."""
        payer = self._family.payer
        yield seen(_LANE, "campus.get_school", {"school_id": BRANCH}, setup=True)
        yield from account_setup(
            _LANE, f"@acct:{payer}", payer, self._family.guardians[payer], self._ids
        )
        yield self._set("bind_guardian", guardian_id=payer, account_id=f"@acct:{payer}")
        rows = [
            {
                "student_id": child.student_id,
                "class_id": _LANE,
                "name": child.name,
                "guardians": [{"guardian_id": payer, "relation": "mother"}],
            }
            for child in self._family.children
        ]
        classes = [{"class_id": _LANE, "grade": "grade 7"}]
        yield self._set("import_roster", school_id=SCHOOL, classes=classes, students=rows)
        yield self._set(
            "register_terminal",
            terminal_id=self._till.terminal_id,
            school_id=SCHOOL,
            payee=f"@acct:{self._till.operator}",
            category="canteen",
            public_key=self._till.public_key,
        )
        yield self._set("open_room", room_id=_ROOM, school_id=SCHOOL, steps=STEPS, meter_units=0)
        for child in self._family.children:
            yield student_seen(_LANE, 0, child.student_id, setup=True)
            yield from self._opened(child)
            yield self._set("bind_wallet", student_id=child.student_id, account_id=child.wallet)

    def _set(self, verb: str, **body: Any) -> Message:
        return setup_request(_LANE, f"campus.{verb}", body, self._ids)

    def _opened(self, child: Child) -> Iterator[Message]:
        """Yield how an account of class III is opened: elements, a recording, done."""
        name = child.student_id
        register = setup_request(_LANE, "customer.register", dict(_PERSONS[name]), self._ids)
        register.keeps = f"person-{name}"
        yield register
        wanted = {
            "customer_id": f"@person-{name}.customer_id",
            "account_class": "III",
            "card_number": _CARDS[name],
        }
        opening = setup_request(_LANE, "account.open_personal", wanted, self._ids)
        opening.keeps = f"case-{name}"
        yield opening
        case = {"case_id": f"@case-{name}.case_id"}
        yield seen(_LANE, "case.get", case, setup=True)
        recording = {"kind": "face_video", "reference": "sandbox/pass/1", "sha256": _SHA256}
        evidence = case | {"evidence": [recording]}
        yield setup_request(_LANE, "case.submit_evidence", evidence, self._ids)
        opened = seen(_LANE, "case.get", case, setup=True)
        opened.defines = child.wallet
        opened.keeps = f"wallet-{name}"
        yield opened

    def day(self) -> Iterator[Act]:
        """Yield a day at the limits."""
        at = 8 * 3_600
        yield [
            self._do(at, "top_up", _ONE, amount_minor=150_000),
            # From the own card: too much for the wallet.
            self._from_card(at, _ONE, 60_000),
            *(self._power(at, 50_000) for _ in range(2)),
            # 1,500 came in already today.
            self._do(at, "top_up", _ONE, amount_minor=60_000),
            # What comes from the card does not count.
            self._from_card(at, _ONE, 60_000),
            self._do(at, "top_up", _ONE, amount_minor=50_000),
            *(self._power(at, 50_000) for _ in range(2)),
            # 2,000 went out today, and 600 are there.
            self._power(at, 1),
            self._buy(at, _ONE, 1_200),
            # The meal is eaten: it is owed.
            *uploaded(_LANE, at, self._till, [self._till.record(_ONE, 1_800, at)], self._ids),
        ]
        yield [
            self._do(at, "top_up", _TWO, amount_minor=200_000),
            self._do(at, "grant_subsidy", _TWO, grant_id="living", amount_minor=150_000,
                     expires_at=f"@{WEEK}.lapses_at"),
            self._buy(at, _TWO, 80_000),
            self._power(at, 10_000, _TWO),
            # There is room in the wallet, but 2,000 came in today.
            self._do(at, "top_up", _TWO, amount_minor=1),
            student_seen(_LANE, at, _TWO),
        ]  # fmt: skip

    def later(self) -> Iterator[Act]:
        """Yield the days later: new limits, the debt, and leaving with everything."""
        self._till.days = LATER_DAYS
        at = 9 * 3_600
        payer = {"guardian_id": self._family.payer}
        settle = {"student_id": _ONE}
        yield [
            student_seen(_LANE, at, _TWO),
            request(_LANE, at, "campus.settle_debts", settle, self._ids),
            self._do(at, "top_up", _ONE, amount_minor=60_000),
            # The subsidy is over: this is the wallet's.
            self._buy(at, _TWO, 900),
        ]
        for child in self._family.children:
            yield left_for_good(self._ids, _LANE, at + 60, self._family, child, [])
            # Too late.
            again = {"student_id": child.student_id, "amount_minor": 100, **payer}
            yield [request(_LANE, at + 120, "campus.top_up", again, self._ids)]

    def _do(self, at: int, verb: str, student_id: str, **fields: Any) -> Message:
        body = {"student_id": student_id, **fields}
        if verb == "top_up":
            body["guardian_id"] = self._family.payer
        return request(_LANE, at, f"campus.{verb}", body, self._ids)

    def _power(self, at: int, amount: int, student_id: str = _ONE) -> Message:
        return self._do(at, "top_up_power", student_id, room_id=_ROOM, amount_minor=amount)

    def _buy(self, at: int, student_id: str, amount: int) -> Message:
        record = self._till.record(student_id, amount, at)
        return sold_online(_LANE, at, self._till, record, self._ids)

    def _from_card(self, at: int, student_id: str, amount: int) -> Message:
        body = {
            "account_id": f"@acct:wallet:{student_id}",
            "amount_minor": amount,
            "source": f"external:card:{{@wallet-{student_id}.account_id}}",
        }
        return request(_LANE, at, "account.deposit", body, self._ids)
